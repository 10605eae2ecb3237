// Images: sheets that are decoded when they are needed, a grid that fills its room, one image large.

const SHEET_COLUMNS = 10, SHEET_GAP = 1; // as ddnb.core.basics.tiles lays images out

// ---- decoded sheets, the latest of them kept -----------------------------------------------------------------------

class Sheets {
  constructor(most = 48) {
    this.most = most;
    this.known = new Map(); // PNG → bitmap, or the promise of one
  }

  ready(png) {
    const found = this.known.get(png);
    return found instanceof Promise ? null : found ?? null;
  }

  async read(png) {
    const found = this.known.get(png);
    if (found) {
      this.known.delete(png);
      this.known.set(png, found); // the latest
      return found;
    }
    const coming = createImageBitmap(png).then(bitmap => {
      this.known.set(png, bitmap);
      return bitmap;
    }, () => {
      this.known.delete(png);
      return null; // lost or damaged: what is in view stays
    });
    this.known.set(png, coming);
    while (this.known.size > this.most) {
      const [oldest, bitmap] = this.known.entries().next().value;
      this.known.delete(oldest);
      if (bitmap && !(bitmap instanceof Promise)) bitmap.close();
    }
    return coming;
  }
}

const sheets = new Sheets();

function place(i, size) { // of image i on its sheet
  return [(i % SHEET_COLUMNS) * (size + SHEET_GAP), Math.floor(i / SHEET_COLUMNS) * (size + SHEET_GAP)];
}

function draw(canvas, bitmap, i, size) {
  if (canvas.width !== size) canvas.width = canvas.height = size;
  const [x, y] = place(i, size), context = canvas.getContext('2d');
  context.clearRect(0, 0, size, size);
  context.drawImage(bitmap, x, y, size, size, 0, 0, size, size);
}

function tile(px, size, attributes = {}) { // a canvas of one image, px pixels wide on the page
  const look = `width:${px}px;height:${px}px${px < size ? ';image-rendering:auto' : ''}`;
  return h('canvas', { class: 'tile', width: size, height: size, style: look, ...attributes });
}

// ---- how large -----------------------------------------------------------------------------------------------------

// The largest tile of 32 to 96 pixels with which all images are in view: rows of `columns` images are broken into lines
// (unless `breaks` is false) where that lets them be larger. Where none will do, the largest with which a row fits the
// width, for rows that are scrolled. Below 96 pixels a pixel of the image is a whole number of pixels on the page.
function fitting(size, columns, rows, width, height, breaks = true) {
  for (const px of tileSizes(size)) {
    const each = Math.floor((width + 1) / (px + 1));
    if (each < 1 || !breaks && each < columns) continue;
    if (rows * Math.ceil(columns / each) * (px + 1) <= height) return px;
  }
  return wholeZoom(Math.max(32, Math.min(width / columns - 1, Math.max(32, height / rows - 1), 96)), size);
}

function tileSizes(size) { // from 96 pixels down to 32: whole multiples, then any
  const whole = range(1, 97).map(zoom => zoom * size).filter(px => px >= 32 && px <= 96).reverse();
  return [...whole, ...range(0, 17).map(i => 96 - 4 * i).filter(px => px < size && !whole.includes(px))];
}

// Rows of few images stand in up to four columns of classes, where that lets the tiles be larger: { px, across }.
function fittingAcross(size, columns, rows, width, height, names, breaks = true) {
  let best = { px: 0, across: 1 };
  for (let across = 1; across <= Math.min(4, rows); across++) {
    const room = (width - 24 * (across - 1)) / across - names;
    const px = fitting(size, columns, Math.ceil(rows / across), room, height, breaks && across === 1);
    if (px > best.px && (across === 1 || columns * (px + 1) - 1 <= room)) best = { px, across };
  }
  return best;
}

function wholeZoom(px, size) {
  if (size > px) return Math.round(px);
  return size * Math.max(1, Math.floor(px / size));
}

// ---- a grid --------------------------------------------------------------------------------------------------------

const ROWS_A_PAGE = 20, TILES_A_ROW = 20;

// Rows of one class each: its name once, its images beside it, real ones in amber at the end.
class Grid {
  constructor({ pick = null, label = 'images' } = {}) {
    this.pick = pick;
    this.element = h('div', { class: 'grid', role: 'grid', 'aria-label': label });
    this.note = h('div', { class: 'quiet grid-note' });
    this.tiles = new Map(); // index → canvas
    this.layout = '';
    this.page = 0;
    this.element.addEventListener('keydown', e => this.key(e));
  }

  // rows: [{ label, name, indices }]; real: label → [(picture number, index on it)] of real images
  // across: columns of classes
  arrange(rows, size, px, real = null, across = 1) {
    const layout = JSON.stringify([rows, size, px, real && [...real.entries()], across]);
    if (layout === this.layout) return;
    this.layout = layout;
    this.size = size;
    this.across = across;
    this.element.classList.toggle('across', across > 1);
    this.element.style.gridTemplateColumns = across > 1 ? `repeat(${across}, max-content max-content)` : '';
    this.tiles.clear();
    this.reals = [];
    const parts = [];
    for (const { label, name, indices } of rows) {
      const own = indices.map((i, k) => this.tile(i, name, k, px));
      const beside = (real?.get(label) ?? []).map(([picture, k]) => this.real(picture, k, name, px));
      parts.push(h('div', { class: 'grid-line', role: 'row' }, h('div', { class: 'grid-name', title: name, role: 'rowheader' }, name),
        h('div', { class: 'grid-row' }, ...own, beside.length ? h('span', { class: 'beside', role: 'gridcell' }, ...beside) : null)));
    }
    this.element.classList.toggle('nameless', rows.every(r => !r.name));
    this.element.replaceChildren(...parts);
    const first = this.element.querySelector('.tile[role=gridcell]');
    if (first) first.tabIndex = 0; // one stop for the Tab key; arrows go on from there
  }

  tile(i, name, k, px) {
    const canvas = tile(px, this.size, { role: 'gridcell', tabindex: -1, 'data-index': i,
      'aria-label': `${name || 'image'} ${k + 1}, Enter enlarges`, title: `${name ? name + ', ' : ''}image ${k + 1}` });
    if (this.pick) canvas.addEventListener('click', () => this.pick(i));
    this.tiles.set(i, canvas);
    return canvas;
  }

  real(picture, k, name, px) {
    const canvas = tile(px, this.size, { class: 'tile real', role: 'img', 'aria-label': `${name}, a real image`, title: `${name}, a real image` });
    this.reals.push({ canvas, picture, k });
    return canvas;
  }

  key(e) {
    const cells = [...this.tiles.values()], at = cells.indexOf(e.target);
    if (at < 0) return;
    if (e.key === 'Enter') { this.pick?.(+e.target.dataset.index); e.stopPropagation(); return; }
    const rows = [...this.element.querySelectorAll('.grid-row')], row = rows.indexOf(e.target.parentElement);
    const inRow = c => [...c.parentElement.querySelectorAll('.tile[role=gridcell]')];
    const column = inRow(e.target).indexOf(e.target);
    const to = { ArrowRight: () => cells[at + 1], ArrowLeft: () => cells[at - 1],
      ArrowDown: () => below(row + this.across), ArrowUp: () => below(row - this.across) }[e.key];
    const below = r => rows[r] && inRow(rows[r].firstElementChild)[column];
    const next = to?.();
    if (!to) return;
    e.preventDefault();
    e.stopPropagation();
    if (!next) return;
    e.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  // true where the picture is in view; what was in view stays while it is decoded
  draw(bitmap) { for (const [i, canvas] of this.tiles) draw(canvas, bitmap, i, this.size); }

  async drawReal(pictures, size) {
    for (const { canvas, picture, k } of this.reals ?? []) {
      const bitmap = await sheets.read(pictures[picture]);
      if (bitmap) draw(canvas, bitmap, k, size);
    }
  }

  mark(indices, why) { // frame some images, each with a reason
    for (const [i, canvas] of this.tiles) {
      const doubt = indices.has(i);
      canvas.classList.toggle('doubt', doubt);
      canvas.title = canvas.getAttribute('aria-label').replace(', Enter enlarges', '') + (doubt ? `: ${why(i)}` : '');
    }
  }
}

// Images in rows of their classes; without labels in rows of ten.
function byClass(labels, n, classes) {
  if (!labels?.length) {
    const rows = [];
    for (let i = 0; i < n; i += 10) rows.push({ label: null, name: '', indices: range(i, Math.min(i + 10, n)) });
    return rows;
  }
  const rows = new Map();
  labels.forEach((label, i) => {
    if (!rows.has(label)) rows.set(label, { label, name: classes[label] ?? `class ${label}`, indices: [] });
    rows.get(label).indices.push(i);
  });
  return [...rows.values()].sort((a, b) => a.label - b.label);
}

// pixels that the names at the left take
function namesWidth(rows) {
  const longest = Math.max(0, ...rows.map(r => r.name.length));
  return longest ? Math.min(110, 7 * longest) + 10 : 0;
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

// ---- one image, large ----------------------------------------------------------------------------------------------

// A dialog over the panel: the image, its own film, what the teacher sees, the nearest real images of its class.
class Large {
  constructor(home) {
    this.home = home;
    this.element = h('div', { class: 'over', hidden: true });
    this.element.addEventListener('click', e => { if (e.target === this.element) this.close(); });
    this.element.addEventListener('keydown', e => this.key(e));
  }

  get open() { return !this.element.hidden; }

  // of: { run, index, step, name, order: indices in the grid's order, classes }
  async show(of) {
    this.of = of;
    this.returnTo ??= this.element.getRootNode().activeElement;
    const { run, index, step, name } = of;
    const frame = run.frameAt(step), size = frame.size;
    const bigPx = size >= 192 ? 256 : wholeZoom(256, size);
    const big = tile(bigPx, size, { class: 'tile big', role: 'img', 'aria-label': `${name}, large` });
    const film = h('div', { class: 'film' }), says = h('div', { class: 'says' }), near = h('div', { class: 'film' });
    const close = button('✕', 'Close (Esc)', () => this.close(), { class: 'close', 'aria-label': 'Close' });
    const back = button('◀', 'The image before (←)', () => this.move(-1), { 'aria-label': 'The image before' });
    const on = button('▶', 'The next image (→)', () => this.move(1), { 'aria-label': 'The next image' });
    const place = h('span', { class: 'quiet' }, `${of.order.indexOf(index) + 1} of ${of.order.length}`);
    const card = h('div', { class: 'card', role: 'dialog', 'aria-modal': 'true', 'aria-label': `${name}, image ${index + 1}, large`, tabindex: -1 },
      h('div', { class: 'card-image' }, big, h('div', { class: 'row' }, back, place, on)),
      h('div', { class: 'card-facts' }, h('h3', {}, `${name || 'image'}, image ${index + 1}`),
        h('div', { class: 'quiet' }, of.facts ?? `${run.about.name}, step ${count(frame.step)}; ${of.origin ?? 'synthetic'}`),
        ...(of.alone ? [] : [h('h4', {}, 'the teacher says'), says, h('h4', {}, 'how it formed'), film,
          h('h4', {}, 'nearest real images of its class, by the teacher’s features'), near])), close);
    this.element.replaceChildren(card);
    this.element.hidden = false;
    this.home.inert = true;
    card.focus();
    const bitmap = await sheets.read(frame.png);
    if (bitmap) draw(big, bitmap, of.place ?? index, size);
    if (!of.alone) await Promise.all([this.film(film, big), this.opinion(says, near)]);
  }

  async film(room, big) {
    const { run, index, step } = this.of, all = [...run.frames.keys()].sort((a, b) => a - b);
    const before = all.filter(s => s <= step), steps = before.length ? before : all;
    const few = [...new Set(range(0, 9).map(j => steps[Math.round(j * (steps.length - 1) / 8)]))];
    for (const at of few) {
      const frame = run.frames.get(at);
      if (frame.labels?.length && this.labelsDiffer(frame)) continue; // another block of the run: not this image
      const small = tile(wholeZoom(48, frame.size), frame.size, { role: 'img', 'aria-label': `at step ${at}`, title: `step ${count(at)}` });
      room.append(small);
      const bitmap = await sheets.read(frame.png);
      if (!bitmap) continue;
      draw(small, bitmap, index, frame.size);
      small.addEventListener('pointerenter', () => draw(big, bitmap, index, frame.size));
    }
  }

  labelsDiffer(frame) {
    const now = this.of.run.frameAt(this.of.step).labels ?? [];
    return frame.labels.some((label, i) => label !== now[i]);
  }

  async opinion(says, near) {
    const { run, index, step, store } = this.of, of = this.of, recorded = run.extra.opinions?.value;
    say(says, store.live ? 'asking …' : '');
    let found = recorded?.step === run.frameAt(step).step ? recorded.images[index] : null;
    let pictures = run.extra.opinions?.pictures ?? [];
    if (!found && store.live) {
      const answer = await store.ask('look', { key: run.key, step: run.frameAt(step).step, index });
      if (this.of !== of) return;
      if (answer?.value?.problem) { say(says, answer.value.problem); return; }
      found = answer?.value;
      pictures = answer?.pictures ?? [];
    }
    if (!found) { say(says, 'A page without a kernel knows this of the last step only.'); return; }
    says.replaceChildren(...found.top.map(([c, p]) => h('div', { class: 'says-row' }, h('span', {}, run.about.classes[c] ?? `class ${c}`),
      h('i', { class: 'share' }, h('b', { style: `width:${(100 * p).toFixed(1)}%` })), h('span', { class: 'num' }, percent(p)))));
    for (const k of found.near ?? []) {
      const size = found.size, small = tile(wholeZoom(72, size), size, { class: 'tile real', role: 'img', 'aria-label': 'a real image', title: 'a real image' });
      near.append(small);
      const bitmap = await sheets.read(pictures[found.picture ?? 0]);
      if (bitmap) draw(small, bitmap, k, size);
    }
  }

  move(by) {
    const { order, index, nameOf, turn } = this.of, at = order.indexOf(index) + by;
    const next = order[(at + order.length) % order.length];
    if (turn) { turn(next); return; }
    this.show({ ...this.of, index: next, name: nameOf(next) });
  }

  close() {
    this.element.hidden = true;
    this.home.inert = false;
    (this.returnTo ?? this.home).focus?.();
    this.returnTo = null;
  }

  key(e) {
    const act = { Escape: () => this.close(), ArrowRight: () => this.move(1), ArrowLeft: () => this.move(-1) }[e.key];
    e.stopPropagation();
    if (e.key === 'Tab') return this.trap(e);
    if (!act) return;
    e.preventDefault();
    act();
  }

  trap(e) { // the Tab key stays in the dialog
    const stops = [...this.element.querySelectorAll('button')], last = stops.length - 1;
    const at = stops.indexOf(this.element.getRootNode().activeElement);
    const next = e.shiftKey ? (at <= 0 ? last : at - 1) : (at === last ? 0 : at + 1);
    stops[next].focus();
    e.preventDefault();
  }
}
