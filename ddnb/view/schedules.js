// Crop schedules: how much of an image is seen over a run, as an editor for forms and as a panel of its own.
// A schedule is { kind, milestone, lo, hi, reversed } or, of a function, { function: its name, values: its bounds
// at 0, 0.01 … 1, reversed }. All is computed here: no kernel is asked.

// ---- schedules -----------------------------------------------------------------------------------------------------

const SCHEDULE_KINDS = ['constant', 'step', 'linear', 'cosine'];
const SCHEDULE_END = 1 - 1e-9; // a schedule is asked up to here: the last step of a run is before its end
const SCHEDULE_STEP = .01;     // by which handles move

const scheduleHeights = { // where the lower bound is between `lo` (0) and `hi` (1), before the milestone
  step: () => 1,
  linear: p => 1 - p,
  cosine: p => (1 + Math.cos(Math.PI * p)) / 2,
};

// The lower and the upper bound of a crop's area, shares of the image; progress in [0, 1]
function bounds(schedule, progress) {
  const p = schedule.reversed ? 1 - progress : progress;
  if (schedule.values) return boundsInTable(schedule.values, p);
  const { kind, milestone, lo, hi } = schedule;
  if (kind === 'constant' || p >= milestone) return [lo, hi];
  return [lo + (hi - lo) * scheduleHeights[kind](p / milestone), hi];
}

function boundsInTable(values, progress) { // on straight lines between its points
  const place = Math.min(Math.max(progress, 0), 1) * (values.length - 1);
  const i = Math.min(Math.floor(place), values.length - 2);
  return values[i].map((v, k) => v + (place - i) * (values[i + 1][k] - v));
}

// All that a schedule says, always in the same order
function completeSchedule({ function: name = '', values, kind, milestone = 1, lo = .08, hi = 1, reversed = false }) {
  if (values) return { function: name, values, reversed };
  return { kind, milestone: kind === 'constant' ? 0 : milestone, lo, hi, reversed };
}

const sameSchedule = (a, b) => JSON.stringify(completeSchedule(a)) === JSON.stringify(completeSchedule(b));

const scheduleShare = v => `${+(100 * v).toFixed(1)} %`;

// 'cosine, 8 % to 100 %'
function scheduleWords(schedule) {
  const { kind, milestone, lo, hi, values, reversed } = schedule;
  const backwards = reversed ? ' backwards' : '';
  if (values) {
    const all = values.flat(), range = `${scheduleShare(Math.min(...all))} to ${scheduleShare(Math.max(...all))}`;
    return `the function ${schedule.function || 'without a name'}${backwards}, ${range}`;
  }
  const at = scheduleShare(milestone);
  const when = kind === 'constant' ? '' : kind === 'step' ? ` at ${at}` : milestone === 1 ? '' : ` until ${at}`;
  return `${kind}${when}${backwards}, ${scheduleShare(lo)} to ${scheduleShare(hi)}`;
}

// The Python that makes it, as `ddnb.view.schedules.expression` writes it; '' for a function without a name
function scheduleExpression(schedule) {
  const { kind, milestone, lo, hi, reversed } = schedule;
  const settings = [];
  if (kind !== 'constant' && milestone !== (kind === 'step' ? .5 : 1)) settings.push(String(milestone));
  if (lo !== .08) settings.push(`lo=${lo}`);
  if (hi !== 1) settings.push(`hi=${hi}`);
  const forwards = schedule.values ? schedule.function : `${kind}(${settings.join(', ')})`;
  return reversed && forwards ? `reverse(${forwards})` : forwards ?? '';
}

// ---- boxes ---------------------------------------------------------------------------------------------------------

const BOX_TRIES = 10, BOX_DRAWS = 2 * BOX_TRIES + 2; // area and ratio of each try, then the corner
const LOG_RATIO = [Math.log(3 / 4), Math.log(4 / 3 / (3 / 4))]; // width to height: from 3/4, so far to 4/3

// A generator of numbers in [0, 1) that gives the same ones for the same seed (mulberry32)
function seededRandom(seed) {
  let state = (seed * 2654435761 + 0x9E3779B9) >>> 0;
  return () => {
    state = (state + 0x6D2B79F5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Boxes by the rule of `random_boxes` in ddnb/data/views.py, [top, left, height, width] each. Every box takes the
// same number of draws, so that boxes of one seed glide where the bounds do, and more boxes leave the first alone.
function randomBoxes(lo, hi, size, n, random) {
  return boxesOf(lo, hi, size, Float64Array.from({ length: n * BOX_DRAWS }, random));
}

function boxesOf(lo, hi, size, draws) {
  const boxes = [];
  for (let first = 0; first < draws.length; first += BOX_DRAWS) boxes.push(boxOf(lo, hi, size, draws, first));
  return boxes;
}

function boxOf(lo, hi, size, draws, first) {
  let height = size, width = size; // the whole image after ten tries in vain
  for (let k = 0; k < BOX_TRIES; k++) {
    const area = size * size * (lo + (hi - lo) * draws[first + 2 * k]);
    const ratio = Math.exp(LOG_RATIO[0] + LOG_RATIO[1] * draws[first + 2 * k + 1]);
    const w = Math.round(Math.sqrt(area * ratio)), h = Math.round(Math.sqrt(area / ratio));
    if (w > 0 && w <= size && h > 0 && h <= size) {
      height = h;
      width = w;
      break;
    }
  }
  const corner = first + 2 * BOX_TRIES;
  const top = Math.floor(draws[corner] * (size - height + 1));
  const left = Math.floor(draws[corner + 1] * (size - width + 1));
  return [top, left, height, width];
}

// Where a schedule is drawn: at each percent of the run, and on both sides of a step
function schedulePlaces({ kind, milestone, reversed }) {
  const turn = reversed ? 1 - milestone : milestone;
  const sides = kind === 'step' ? [turn - 1e-9, turn + 1e-9].filter(p => p >= 0 && p <= SCHEDULE_END) : [];
  return [...range(0, 101).map(i => Math.min(i / 100, SCHEDULE_END)), ...sides].sort((a, b) => a - b);
}

// [percent of the run, mean area of a crop, share of crops that are the whole image] over the run; the draws are the
// same at every point, so that a curve changes only where the schedule does
function cropFacts(schedule, size, draws) {
  return schedulePlaces(schedule).map(p => {
    const boxes = boxesOf(...bounds(schedule, p), size, draws);
    let area = 0, whole = 0;
    for (const [, , height, width] of boxes) {
      area += height * width / size ** 2;
      whole += height === size && width === size;
    }
    return [100 * p, area / boxes.length, whole / boxes.length];
  });
}

const HEAT_BINS = 17; // along a side; odd, so that the middle has one

// Shares of centres in bins of the image, the largest is 1. A centre counts for the four bins around it.
function centreDensity(boxes, size) {
  const density = new Float64Array(HEAT_BINS ** 2);
  const neighbours = centre => {
    const place = Math.min(Math.max(centre / size * HEAT_BINS - .5, 0), HEAT_BINS - 1), i = Math.floor(place);
    return [[i, 1 - place + i], [Math.min(i + 1, HEAT_BINS - 1), place - i]];
  };
  for (const [top, left, height, width] of boxes) {
    for (const [row, a] of neighbours(top + height / 2)) {
      for (const [column, b] of neighbours(left + width / 2)) density[row * HEAT_BINS + column] += a * b;
    }
  }
  const most = Math.max(...density) || 1;
  return density.map(v => v / most);
}

// ---- the editor ----------------------------------------------------------------------------------------------------

// Room around the band for its handles, or for the numbers of its axes
const SMALL_BAND = { left: 10, right: 10, top: 10, bottom: 16, height: 84 };
const LARGE_BAND = { left: LEFT, right: 52, top: TOP, bottom: 34, height: 168 };
const NEAR_HANDLE = 22; // pixels: a press so near takes the handle
const FIRM_MOVE = 6;    // pixels: a handle of two directions leaves its line only after these

// A band whose ends are dragged, the kind beside it. `value`: a schedule; `kinds`: names for the menu;
// `size`: 'small' for a form, 'large' with axes; `change(value)`: what is done when a hand has changed it.
// More: `title` and `colour` of the large one; `hover(x)` and `pick(x)` in percent of the run, as those of `Chart`.
class ScheduleEditor {
  constructor({ value, kinds = SCHEDULE_KINDS, size = 'small', change = () => {}, ...look }) {
    this.kinds = kinds.filter(kind => SCHEDULE_KINDS.includes(kind));
    this.large = size === 'large';
    this.change = change;
    this.look = { title: 'crop area, share of the image', colour: 'var(--blue)', ...look };
    this.room = { ...(this.large ? LARGE_BAND : SMALL_BAND) };
    this.width = 236;
    this.now = null; // percent of the run
    this.build();
    this.set(value);
    this.watch = new ResizeObserver(([entry]) => this.fit(Math.round(entry.contentRect.width)));
    this.watch.observe(this.picture);
  }

  // ---- its value ----

  get value() { return completeSchedule(this.schedule); }

  set(value) { // from outside: where 'reset' goes back to
    const schedule = completeSchedule(value);
    if (this.schedule && sameSchedule(schedule, this.value)) return;
    this.start = schedule;
    if (schedule.values) this.table = schedule;
    this.take(schedule);
  }

  take(schedule) {
    this.schedule = { ...schedule };
    const still = schedule.kind === 'constant' && !schedule.milestone; // what it was, for the next kind
    if (still) this.schedule.milestone = this.milestone ?? 1;
    this.milestone = this.schedule.milestone;
    this.draw();
  }

  edit(changes) { // by hand
    const before = this.value;
    this.take({ ...this.schedule, ...changes });
    if (sameSchedule(this.value, before)) return;
    this.touched = true;
    this.change(this.value);
  }

  choose(kind) {
    const { milestone = 1, lo = .08, hi = 1, reversed } = this.schedule;
    const useful = kind === 'step' && milestone === 1 ? .5 : milestone; // a step at the end would never come
    if (kind === 'function') this.edit(this.table);
    else this.edit({ values: undefined, kind, milestone: useful, lo, hi, reversed });
  }

  reset() {
    const before = this.value;
    this.milestone = undefined;
    this.take(this.start);
    if (!sameSchedule(this.value, before)) this.change(this.value);
  }

  // ---- its elements ----

  build() {
    const { title, colour } = this.look;
    this.words = h('div', { class: 'schedule-words' });
    this.kind = h('select', { 'aria-label': 'kind of schedule', title: 'How the lower bound goes down',
      onchange: e => this.choose(e.target.value) });
    this.back = h('input', { type: 'checkbox', onchange: e => this.edit({ reversed: e.target.checked }) });
    this.again = button(this.large ? '↺ reset' : '↺', 'Back to where it began', () => this.reset(),
      { class: 'schedule-reset', 'aria-label': 'reset' });
    this.axes = svg('g');
    this.area = svg('path', { class: 'schedule-area' });
    this.lower = svg('path', { class: 'schedule-line' });
    this.rule = svg('g', { class: 'now' });
    this.hint = svg('text', { class: 'tick schedule-hint', 'text-anchor': 'end' }, 'drag the ends');
    this.handles = {
      milestone: this.handle('milestone', 'M-6 7L0 -3L6 7Z'),
      hi: this.handle('hi'),
      lo: this.handle('lo'),
    };
    const handles = Object.values(this.handles);
    this.band = svg('svg', { class: 'chart schedule-band', role: 'group', 'aria-label': title },
      this.axes, this.area, this.lower, this.rule, this.hint, ...handles);
    this.picture = h('div', { class: 'chart-room' }, this.band);
    const controls = h('div', { class: 'schedule-controls' }, this.kind,
      h('label', { title: 'From small crops to whole images' }, this.back, 'run backwards'), this.again);
    this.element = h('div', { class: `schedule-editor ${this.large ? 'large' : 'small'}`, style: `--hue:${colour}` },
      this.words, this.picture, controls);
    this.listen();
  }

  handle(part, shape = null) {
    const mark = shape ? svg('path', { d: shape, class: 'mark-of' }) : svg('circle', { r: 5, class: 'mark-of' });
    return svg('g', { class: `schedule-handle ${part}`, role: 'slider', tabindex: 0, 'data-part': part,
      onkeydown: e => this.key(e, part) }, svg('circle', { r: 12, class: 'hit' }), mark);
  }

  fit(width, left = this.room.left, right = this.room.right) { // its room, and the margins beside the band
    const same = width === this.width && left === this.room.left && right === this.room.right;
    if (!width || same) return;
    this.width = width;
    Object.assign(this.room, { left, right });
    this.draw();
  }

  // ---- what is seen ----

  get base() { return this.room.height - (this.large ? 20 : 8); } // of the axis, where the milestone's handle is

  draw() {
    const { left, right, top, bottom, height } = this.room;
    this.x = scale(0, 1, left, this.width - right);
    this.y = scale(0, 1, height - bottom, top);
    this.band.setAttribute('viewBox', `0 0 ${this.width} ${height}`);
    this.band.setAttribute('height', height);
    this.drawMenu();
    this.drawBand();
    this.drawHandles();
    if (this.large) this.drawAxes();
    this.at(this.now);
  }

  drawMenu() {
    const kinds = [...new Set([...this.kinds, this.schedule.values ? null : this.schedule.kind])].filter(Boolean);
    const options = kinds.map(kind => [kind, kind]);
    if (this.table) options.push(['function', this.table.function || 'a function']);
    const key = JSON.stringify(options);
    if (this.kind.dataset.key !== key) {
      this.kind.dataset.key = key;
      this.kind.replaceChildren(...options.map(([value, name]) => h('option', { value }, name)));
    }
    this.kind.value = this.schedule.values ? 'function' : this.schedule.kind;
    this.back.checked = this.schedule.reversed;
    say(this.words, scheduleWords(this.value));
    allow(this.again, !sameSchedule(this.start, this.value), 'It is where it began');
  }

  drawBand() {
    const points = schedulePlaces(this.value).map(p => [p, ...bounds(this.value, p)]), n = v => v.toFixed(1);
    const lower = points.map(([p, lo]) => `${n(this.x(p))} ${n(this.y(lo))}`);
    const upper = points.map(([p, , hi]) => `${n(this.x(p))} ${n(this.y(hi))}`).reverse();
    this.lower.setAttribute('d', `M${lower.join('L')}`);
    this.area.setAttribute('d', `M${[...lower, ...upper].join('L')}Z`);
    const table = Boolean(this.schedule.values); // it has no ends to drag
    say(this.hint, table ? 'a function, shown as a table of its values' : 'drag the ends');
    this.hint.setAttribute('x', this.width - this.room.right - (table ? 0 : 6));
    this.hint.setAttribute('y', table ? this.room.height - 4 : this.y(.6) + 4);
    this.hint.style.display = table || !this.touched && !this.large ? '' : 'none';
  }

  drawAxes() {
    const { left, right } = this.room, base = this.base, end = this.width - right;
    const parts = [svg('text', { x: 0, y: 12, class: 'title' }, this.look.title),
      svg('path', { class: 'axis', d: `M${left} ${this.room.top}V${base}H${end}` })];
    for (const v of [0, .5, 1]) {
      const at = { x: left - 6, y: this.y(v) + 3.5, 'text-anchor': 'end', class: 'tick' };
      parts.push(svg('text', at, scheduleShare(v)), svg('path', { class: 'axis', d: `M${left - 3} ${this.y(v)}h3` }));
    }
    this.axes.replaceChildren(...parts);
  }

  // where each handle is, and what it says
  facts() {
    const { kind, milestone, lo, hi, reversed } = this.schedule, still = kind === 'constant';
    const across = p => this.x(reversed ? 1 - p : p), turn = reversed ? 1 - milestone : milestone;
    const place = `${scheduleShare(turn)} of the run`;
    const after = reversed ? 'until here the lower bound stays' : 'from here on the lower bound stays';
    return {
      hi: { x: across(0), y: this.y(hi), value: hi, least: lo, most: 1, label: 'upper bound of the crop area',
        text: scheduleShare(hi) },
      lo: { x: across(still ? 1 : milestone), y: this.y(lo), value: lo, least: SCHEDULE_STEP, most: hi,
        label: 'smallest lower bound of the crop area', text: scheduleShare(lo) },
      milestone: { x: this.x(turn), y: this.base, value: turn, least: 0, most: 1,
        label: `milestone: ${after}`, text: place },
    };
  }

  drawHandles() {
    const { kind, values } = this.schedule, facts = values ? {} : this.facts();
    for (const [part, handle] of Object.entries(this.handles)) {
      const there = !values && !(part === 'milestone' && kind === 'constant');
      handle.style.display = there ? '' : 'none';
      if (!there) continue;
      const { x, y, value, least, most, label, text } = facts[part];
      handle.setAttribute('transform', `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      const aria = { 'aria-label': label, 'aria-valuetext': text, 'aria-valuenow': Math.round(1000 * value) / 10,
        'aria-valuemin': Math.round(100 * least), 'aria-valuemax': Math.round(100 * most),
        'aria-orientation': part === 'milestone' ? 'horizontal' : 'vertical' };
      for (const [name, v] of Object.entries(aria)) handle.setAttribute(name, v);
    }
  }

  // The present point, in percent of the run: a rule through the band, both bounds beside its end
  at(percentOfRun) {
    this.now = percentOfRun;
    if (percentOfRun === null || percentOfRun === undefined) { this.rule.replaceChildren(); return; }
    const p = Math.min(percentOfRun / 100, SCHEDULE_END), [lo, hi] = bounds(this.value, p), x = this.x(p);
    const edge = this.width - this.room.right + 8, low = Math.max(this.y(lo), this.y(hi) + 13);
    const end = (y, v) => svg('text', { class: 'value', x: edge, y: y + 4, style: `--ink-of:${this.look.colour}` },
      scheduleShare(v));
    this.rule.replaceChildren(
      svg('path', { class: 'rule', d: `M${x.toFixed(1)} ${this.room.top - 4}V${this.base}` }),
      ...[lo, hi].map(v => svg('circle', { cx: x, cy: this.y(v), r: 3, fill: this.look.colour })),
      ...(this.large ? [end(this.y(hi), hi), ...(hi - lo < 5e-4 ? [] : [end(low, lo)])] : []));
  }

  // ---- hands ----

  move(part, value) { // to a share of the image, or of the run
    const { lo, hi, reversed } = this.schedule, near = Math.round(value / SCHEDULE_STEP) * SCHEDULE_STEP;
    const v = +near.toFixed(2), between = (least, most) => Math.min(Math.max(v, least), most);
    if (part === 'hi') this.edit({ hi: between(lo, 1) });
    if (part === 'lo') this.edit({ lo: between(SCHEDULE_STEP, hi) });
    if (part === 'milestone') this.edit({ milestone: +(reversed ? 1 - between(0, 1) : between(0, 1)).toFixed(2) });
  }

  key(e, part) {
    const { value, least, most } = this.facts()[part];
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 }[e.key];
    const to = by ? value + by * SCHEDULE_STEP : { Home: least, End: most }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    this.move(part, to);
  }

  listen() {
    this.band.addEventListener('pointerdown', e => this.press(e));
    this.band.addEventListener('pointermove', e => this.drag ? this.pull(e) : this.look.hover?.(this.percentAt(e)));
    this.band.addEventListener('pointerleave', () => { if (!this.drag) this.look.hover?.(null); });
    const drop = () => {
      this.drag = null;
      this.band.classList.remove('dragging');
    };
    this.band.addEventListener('pointerup', drop);
    this.band.addEventListener('pointercancel', drop);
  }

  where(e) { // in pixels of the drawing
    const box = this.band.getBoundingClientRect(), zoom = this.width / (box.width || this.width);
    return [(e.clientX - box.left) * zoom, (e.clientY - box.top) * zoom];
  }

  percentAt(e) { return 100 * this.x.back(this.where(e)[0]); }

  press(e) {
    if (e.button) return;
    const [x, y] = this.where(e), part = this.nearest(x, y, e.target.closest?.('.schedule-handle')?.dataset.part);
    if (!part) { this.look.pick?.(this.percentAt(e)); return; }
    e.preventDefault();
    this.look.hover?.(null);
    this.handles[part].focus({ preventScroll: true });
    this.band.setPointerCapture(e.pointerId);
    this.band.classList.add('dragging');
    const { x: fromX, y: fromY } = this.facts()[part];
    this.drag = { part, fromX, fromY, x, y, across: false, upright: false };
  }

  nearest(x, y, under) {
    if (this.schedule.values) return null;
    if (under) return under;
    const far = ([, f]) => Math.hypot(f.x - x, f.y - y);
    const there = Object.entries(this.facts()).filter(([part]) => this.handles[part].style.display !== 'none');
    const [part, distance] = there.map(f => [f[0], far(f)]).sort((a, b) => a[1] - b[1])[0];
    return distance <= NEAR_HANDLE ? part : null;
  }

  pull(e) {
    const [x, y] = this.where(e), { part, fromX, fromY, x: x0, y: y0 } = this.drag;
    this.drag.across ||= Math.abs(x - x0) > FIRM_MOVE;
    this.drag.upright ||= Math.abs(y - y0) > FIRM_MOVE;
    const across = this.x.back(fromX + x - x0), upright = this.y.back(fromY + y - y0);
    if (part === 'milestone') { this.move(part, across); return; }
    if (part === 'hi') { this.move(part, upright); return; }
    if (this.drag.upright) this.move('lo', upright); // the low end of the curve is the milestone's end too
    if (this.drag.across && this.schedule.kind !== 'constant') this.move('milestone', across);
  }

  close() { this.watch.disconnect(); }
}

// ---- the panel -----------------------------------------------------------------------------------------------------

const CROPS_SEEN = 6;       // are shown enlarged
const CENTRES_DRAWN = 1000; // boxes of the heat map
const FACTS_DRAWN = 200;    // boxes at each percent of the run, for the curves
const PLAY_SECONDS = 10;    // from 0 to 100 % at the slowest of three speeds

const FINE_IMAGE = 96; // pixels along a side from which an image is stretched smoothly; those of less in whole steps

const pixelsOnPage = (most, size) => size >= FINE_IMAGE ? most : wholeZoom(most, size);

// One image with the crops of one schedule: where they lie, where their centres are, what the teacher gets to see.
class CropView {
  constructor(colour) {
    this.large = 240; // pixels on the page, until it is told its room
    this.small = 124;
    this.picture = tile(1, 1, { class: 'tile schedule-image' });
    this.boxes = svg('svg', { class: 'schedule-boxes', 'aria-hidden': 'true' });
    this.heat = svg('svg', { class: 'schedule-heat', viewBox: `0 0 ${HEAT_BINS} ${HEAT_BINS}`, role: 'img',
      'aria-label': `where the centres of ${count(CENTRES_DRAWN)} crops lie` });
    for (const i of range(0, HEAT_BINS ** 2)) {
      const at = { x: i % HEAT_BINS, y: Math.floor(i / HEAT_BINS), width: 1.03, height: 1.03 }; // without seams
      this.heat.append(svg('rect', at));
    }
    this.crops = range(0, CROPS_SEEN).map(() => tile(1, 1, { role: 'img', 'aria-label': 'a crop, enlarged' }));
    this.title = h('div', { class: 'schedule-title' });
    this.seen = h('div', { class: 'schedule-seen' }, ...this.crops);
    this.element = h('figure', { class: 'schedule-view', style: `--hue:${colour}` },
      h('div', {}, this.title, h('div', { class: 'schedule-stack' }, this.picture, this.boxes)),
      h('div', { class: 'schedule-side' },
        h('div', { class: 'schedule-title' }, `centres of ${count(CENTRES_DRAWN)} crops`), this.heat,
        h('div', { class: 'schedule-title' }, 'what the teacher sees'), this.seen));
  }

  fit(large, small) { // pixels on the page
    this.large = large;
    this.small = small;
    this.element.style.setProperty('--small', `${small}px`);
  }

  // image: { bitmap, index, size, name }; few boxes are drawn, the centres of many are counted
  draw(image, few, many, [lo, hi]) {
    const { size, name } = image, px = pixelsOnPage(this.large, size);
    this.drawImage(image, px);
    this.drawBoxes(few, size, px);
    centreDensity(many, size).forEach((v, i) => {
      this.heat.children[i].setAttribute('fill-opacity', Math.sqrt(v).toFixed(3));
    });
    this.crops.forEach((canvas, i) => this.drawCrop(canvas, image, few[i]));
    const area = hi - lo < 5e-4 ? percent(hi) : `${percent(lo).replace(' %', '')} to ${percent(hi)}`;
    say(this.title, `${plural(few.length, 'crop')}, area ${area}`);
    this.picture.setAttribute('aria-label', `${name} with ${plural(few.length, 'crop')} drawn on it`);
  }

  drawImage({ bitmap, index, size }, px) {
    this.picture.setAttribute('role', 'img');
    this.picture.style.cssText = `width:${px}px;height:${px}px;${size >= FINE_IMAGE ? 'image-rendering:auto' : ''}`;
    draw(this.picture, bitmap, index, size);
  }

  drawBoxes(boxes, size, px) { // a light edge under each line, so that it is seen on any image
    this.boxes.setAttribute('viewBox', `0 0 ${px} ${px}`);
    this.boxes.style.cssText = `width:${px}px;height:${px}px`;
    while (this.boxes.children.length > boxes.length) this.boxes.lastChild.remove();
    while (this.boxes.children.length < boxes.length) {
      this.boxes.append(svg('g', {}, svg('rect', { class: 'under' }), svg('rect', { class: 'over-line' })));
    }
    const zoom = px / size;
    boxes.forEach(([top, left, height, width], i) => {
      for (const rect of this.boxes.children[i].children) {
        const at = { x: left * zoom + 1, y: top * zoom + 1, width: width * zoom - 2, height: height * zoom - 2 };
        for (const [name, v] of Object.entries(at)) rect.setAttribute(name, Math.max(1, v).toFixed(1));
      }
    });
  }

  drawCrop(canvas, { bitmap, index, size }, box) {
    show(canvas, Boolean(box));
    if (!box) return;
    const px = Math.floor((this.small - 8) / 3), side = 2 * px; // twice as fine as the page
    if (canvas.width !== side) canvas.width = canvas.height = side;
    canvas.style.cssText = `width:${px}px;height:${px}px;image-rendering:auto`;
    const [x, y] = place(index, size), [top, left, height, width] = box, context = canvas.getContext('2d');
    context.imageSmoothingEnabled = true;
    context.drawImage(bitmap, x + left, y + top, width, height, 0, 0, side, side);
  }
}

function schedulesApp(el, store) {
  const panel = new SchedulesPanel(el, store);
  return () => panel.close();
}

class SchedulesPanel {
  constructor(el, store) {
    this.el = el;
    this.store = store;
    this.at = 40;          // percent of the run
    this.hovered = null;   // what a pointer rests on, in percent of the run
    this.n = 12;           // boxes
    this.seed = 0;
    this.index = 3;        // of the image
    this.source = 'real';  // or 'run': its images as they form
    this.comparing = false;
    this.speed = 1;
    this.playing = null;   // when and where it began to play
    this.heard = {};       // the latest words of the kernel
    this.waiting = el.appendChild(h('p', { class: 'quiet', role: 'status' }, 'Waiting for the images.'));
    this.leave = store.on(() => this.take());
    this.take();
  }

  // ---- what the kernel says ----

  take() {
    const fact = this.store.facts.schedules;
    if (!fact) return;
    if (!this.root) this.build(fact.value);
    this.facts = fact.value;
    this.sheet = fact.pictures[0];
    for (const which of ['schedule', 'beside']) this.hear(which, fact.value[which]);
    const trouble = this.store.facts.trouble?.value;
    show(this.trouble, Boolean(trouble));
    if (trouble) say(this.trouble, `✕ ${trouble}`);
    this.wake();
  }

  hear(which, value) { // an old word that comes again does not undo what a hand has done since
    const text = JSON.stringify(value);
    if (this.heard[which] === text) return;
    this.heard[which] = text;
    this.editors[which].set(value);
  }

  tell(which) { // soon, and once for many small moves
    clearTimeout(this.telling?.[which]);
    const order = () => {
      try { this.store.order('schedule', { which, value: this.editors[which].value }); }
      catch { /* the kernel is gone: the page goes on by itself */ }
    };
    this.telling = { ...this.telling, [which]: setTimeout(order, 150) };
  }

  // ---- its elements ----

  build(facts) {
    this.draws = this.drawsOf(0, FACTS_DRAWN);
    this.views = { schedule: new CropView('var(--blue)'), beside: new CropView('var(--violet)') };
    const point = { hover: x => this.hover(x), pick: x => this.go(x) };
    const editor = (which, colour, title) => new ScheduleEditor({ value: facts[which], kinds: facts.kinds,
      size: 'large', colour, title, change: () => this.changed(which), ...point });
    this.editors = {
      schedule: editor('schedule', 'var(--blue)', 'crop area, share of the image'),
      beside: editor('beside', 'var(--violet)', 'crop area of the second schedule, share of the image'),
    };
    this.charts = [new Chart({ title: 'mean area of a crop, share of the image', of: 100, range: [0, 1] }),
      new Chart({ title: 'crops that are the whole image, share, over the run', of: 100, range: [0, 1] })];
    this.pointing = point;
    this.comparing = Boolean(facts.compare);
    this.index = Math.min(this.index, facts.n - 1);
    this.trouble = h('div', { class: 'schedule-trouble', role: 'alert', hidden: true });
    this.room = h('div', { class: 'schedule-views' }, ...Object.values(this.views).map(v => v.element));
    const curves = h('div', { class: 'schedule-curves' }, this.editors.schedule.element, this.editors.beside.element,
      ...this.charts.map(c => c.element));
    this.waiting.remove();
    const main = h('div', { class: 'schedules-main' }, this.room, curves);
    this.root = h('section', { class: 'schedules', tabindex: -1, 'aria-label': 'crop schedules',
      'data-lm-suppress-shortcuts': 'true', onkeydown: e => this.key(e) }, // the Lab's own keys rest here
    this.trouble, this.tools(facts), main, this.clock(), this.code());
    this.el.append(this.root);
    this.watch = new ResizeObserver(() => this.fit());
    for (const element of [this.room, this.charts[0].element]) this.watch.observe(element);
  }

  tools(facts) {
    this.strip = h('div', { class: 'schedule-strip', role: 'radiogroup', 'aria-label': 'image',
      onkeydown: e => this.stripKey(e) });
    this.stripNote = h('span', { class: 'quiet schedule-note' });
    this.boxCount = h('input', { type: 'number', min: 1, max: 60, value: this.n, 'aria-label': 'boxes drawn, 1 to 60',
      title: 'Crops drawn over the image, 1 to 60', oninput: e => this.setBoxes(e.target.value),
      onchange: e => { e.target.value = this.n; } });
    const other = button('⟳ other boxes', 'Draw other random crops', () => { this.seed++; this.wake(); },
      { class: 'plain' });
    this.both = h('input', { type: 'checkbox', onchange: e => this.compare(e.target.checked) });
    const source = (key, name, tip) => button(name, tip, () => {
      this.source = key;
      this.wake();
    }, { 'data-source': key });
    this.sources = h('div', { class: 'schedule-seg', role: 'group', 'aria-label': 'which images' },
      source('real', 'real images', 'Real images'),
      source('run', 'being recovered', 'Images of the run, as they form'));
    show(this.sources, Boolean(facts.run));
    const boxes = h('label', {}, 'boxes', this.boxCount);
    return h('div', { class: 'schedule-tools' }, h('div', { class: 'schedule-images' }, this.strip, this.stripNote),
      this.sources, boxes, other,
      h('label', { class: 'schedule-both', title: 'A second schedule beside the first, in violet' }, this.both,
        'second schedule'));
  }

  clock() {
    this.play = button('▶', 'Play (Space)', () => this.setPlaying(!this.playing),
      { class: 'play', 'aria-label': 'Play' });
    this.slider = h('input', { type: 'range', min: 0, max: 100, step: 1, 'aria-label': 'progress of the run, percent',
      oninput: e => this.go(+e.target.value) });
    this.place = h('output', { class: 'schedule-place' });
    const faster = speed => button(`${speed}×`, `${PLAY_SECONDS / speed} s for the run`, () => this.setSpeed(speed),
      { 'data-speed': speed });
    this.speeds = h('div', { class: 'schedule-speed', role: 'group', 'aria-label': 'speed' },
      ...[1, 2, 4].map(faster));
    const step = by => () => this.go(this.at + by);
    return h('div', { class: 'schedule-time' }, this.play,
      button('◀', 'One percent back (←)', step(-1), { 'aria-label': 'One percent back' }), this.slider,
      button('▶', 'One percent on (→)', step(1), { 'aria-label': 'One percent on' }), this.place, this.speeds);
  }

  code() {
    this.lines = { schedule: new CodeLine('var(--blue)'), beside: new CodeLine('var(--violet)') };
    return h('div', { class: 'schedule-code' }, ...Object.values(this.lines).map(line => line.element));
  }

  // ---- what hands do ----

  get shown() { return this.hovered ?? this.at; }
  get which() { return this.comparing ? ['schedule', 'beside'] : ['schedule']; }

  changed(which) {
    this.tell(which);
    this.wake();
  }

  go(percentOfRun) {
    this.setPlaying(false);
    this.hovered = null;
    this.at = Math.round(Math.min(Math.max(percentOfRun, 0), 100));
    this.wake();
  }

  hover(percentOfRun) {
    this.hovered = percentOfRun === null || this.playing ? null : Math.round(percentOfRun);
    this.wake();
  }

  setBoxes(text) {
    const n = Math.round(Number(text));
    if (!(n >= 1)) return;
    this.n = Math.min(n, 60);
    this.wake();
  }

  setSpeed(speed) {
    this.speed = speed;
    if (this.playing) this.playing = { when: performance.now(), from: this.at };
    this.wake();
  }

  compare(on) {
    this.comparing = on;
    this.fit();
    this.wake();
  }

  choose(index, focus = false) {
    this.index = index;
    this.wake();
    if (!focus) return;
    const thumb = this.strip.children[index];
    thumb.focus();
    thumb.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  stripKey(e) {
    const to = { ArrowRight: this.index + 1, ArrowLeft: this.index - 1, ArrowDown: this.index + 1,
      ArrowUp: this.index - 1, Home: 0, End: this.strip.children.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    e.stopPropagation();
    if (this.strip.children[to]) this.choose(to, true);
  }

  key(e) {
    const tag = e.target.tagName, typed = tag === 'SELECT' || tag === 'INPUT' && e.target.type === 'number';
    if (typed || e.ctrlKey || e.metaKey || e.altKey) return;
    const own = tag === 'BUTTON' || e.target.type === 'checkbox'; // Space is theirs
    const act = {
      ' ': own ? null : () => this.setPlaying(!this.playing),
      ArrowRight: () => this.go(this.at + 1), ArrowLeft: () => this.go(this.at - 1),
      Home: () => this.go(0), End: () => this.go(100),
    }[e.key];
    if (!act) return;
    e.preventDefault();
    e.stopPropagation();
    act();
  }

  setPlaying(on) {
    if (Boolean(this.playing) === on) return;
    if (on && this.at === 100) this.at = 0;
    this.hovered = null;
    this.playing = on ? { when: performance.now(), from: this.at } : null;
    this.wake();
  }

  // ---- what is seen ----

  wake() { // once a frame
    if (this.frame || !this.root) return;
    this.frame = requestAnimationFrame(now => {
      this.frame = null;
      if (this.playing) this.advance(now);
      this.paint();
    });
  }

  advance(now) {
    const { when, from } = this.playing;
    this.at = Math.min(100, Math.max(from, Math.floor(from + (now - when) / 1000 * this.speed * 100 / PLAY_SECONDS)));
    if (this.at === 100) this.playing = null;
    else setTimeout(() => this.wake(), 20);
  }

  drawsOf(seed, n) { return Float64Array.from({ length: n * BOX_DRAWS }, seededRandom(seed)); }

  // Image of the present source, with the whole sheet that it is on; null while that is decoded
  image() {
    const run = this.facts.run && this.source === 'run' ? this.store.run(this.facts.run) : null;
    const frame = run?.frames.size ? run.frameAt(this.shown / 100 * this.facts.steps) : null;
    const { png, n, size } = frame ?? { png: this.sheet, n: this.facts.n, size: this.facts.size };
    const bitmap = sheets.ready(png);
    if (!bitmap) {
      sheets.read(png).then(found => { if (found) this.wake(); });
      return null;
    }
    const index = Math.min(this.index, n - 1), names = frame ? [] : this.facts.names ?? [];
    const name = `${frame ? 'recovered' : 'real'} image ${index + 1} of ${count(n)}`;
    const what = frame ? `step ${count(frame.step)}` : names[index];
    return { bitmap, index, size, n, real: !frame, name: what ? `${name}: ${what}` : name };
  }

  paint() {
    if (!this.root.isConnected) return;
    this.paintCurves();
    this.paintControls();
    const image = this.image();
    if (!image) return;
    this.paintStrip(image);
    this.paintViews(image);
  }

  paintViews(image) {
    const p = Math.min(this.shown / 100, SCHEDULE_END);
    const many = this.centreDraws ??= this.drawsOf(0, CENTRES_DRAWN);
    for (const which of this.which) {
      const [lo, hi] = bounds(this.editors[which].value, p);
      const few = randomBoxes(lo, hi, image.size, this.n, seededRandom(this.seed + 1));
      this.views[which].draw(image, few, boxesOf(lo, hi, image.size, many), [lo, hi]);
    }
    show(this.views.beside.element, this.comparing);
  }

  paintCurves() {
    const key = JSON.stringify([this.which.map(which => this.editors[which].value), this.facts.size]);
    if (key !== this.curvesOf) {
      this.curvesOf = key;
      const lines = this.which.map(which => ({ name: '', colour: `var(--${which === 'schedule' ? 'blue' : 'violet'})`,
        points: cropFacts(this.editors[which].value, this.facts.size, this.draws) }));
      const column = k => lines.map(line => ({ ...line, points: line.points.map(p => [p[0], p[k]]) }));
      this.charts.forEach((chart, i) => chart.update({ ...chart.options, ...this.pointing, share: true,
        lines: column(i + 1), axis: i === 1 ? '\u00a0%' : null, height: i === 1 ? 116 : 104 }));
    }
    show(this.editors.beside.element, this.comparing);
    for (const item of [...this.charts, ...Object.values(this.editors)]) item.at(this.shown);
  }

  paintControls() {
    const place = `${this.shown} % of the run`;
    this.slider.value = this.at;
    this.slider.setAttribute('aria-valuetext', `${this.at} % of the run`);
    say(this.place, place);
    say(this.play, this.playing ? '❚❚' : '▶');
    this.play.setAttribute('aria-label', this.playing ? 'Pause' : 'Play');
    this.play.title = this.playing ? 'Pause (Space)' : 'Play (Space)';
    for (const b of this.speeds.children) b.setAttribute('aria-pressed', String(+b.dataset.speed === this.speed));
    for (const b of this.sources.children) b.setAttribute('aria-pressed', String(b.dataset.source === this.source));
    this.both.checked = this.comparing;
    const run = this.facts.run && this.store.run(this.facts.run);
    allow(this.sources.lastChild, Boolean(run?.frames.size), 'The run has no images so far');
    for (const [which, line] of Object.entries(this.lines)) {
      line.write(scheduleExpression(this.editors[which].value));
      show(line.element, this.which.includes(which));
    }
  }

  paintStrip(image) {
    const { n, size, bitmap, real, index } = image;
    if (this.strip.children.length !== n || this.strip.dataset.size !== String(size)) {
      this.strip.dataset.size = size;
      this.strip.replaceChildren(...range(0, n).map(i => h('button', { type: 'button', role: 'radio', tabindex: -1,
        'aria-label': `image ${i + 1}`, title: `image ${i + 1}`, onclick: () => this.choose(i) },
      tile(wholeZoom(40, size), size))));
      this.drawn = null;
    }
    if (this.drawn !== bitmap) {
      this.drawn = bitmap;
      [...this.strip.children].forEach((thumb, i) => draw(thumb.firstChild, bitmap, i, size));
    }
    this.strip.classList.toggle('real', real);
    [...this.strip.children].forEach((thumb, i) => {
      const chosen = String(i === index);
      if (thumb.getAttribute('aria-checked') === chosen) return;
      thumb.setAttribute('aria-checked', chosen);
      thumb.tabIndex = i === index ? 0 : -1;
    });
    const more = real && this.facts.total > n ? `; the first of ${count(this.facts.total)}` : '';
    say(this.stripNote, image.name + more);
  }

  // The image as large as its room allows, and the band above the same stretch as the charts
  fit() {
    const width = this.room.clientWidth, gap = 12;
    if (!width) return; // it is not in the page yet
    const most = Math.min(this.comparing ? 320 : 384, Math.max(120, Math.floor(.72 * width - gap)), width - gap - 120);
    const large = pixelsOnPage(most, this.facts.size);
    const small = Math.min(Math.max(Math.round(large * .4), 124), width - gap - large);
    for (const view of Object.values(this.views)) view.fit(most, small);
    const chart = this.charts[0];
    for (const editor of Object.values(this.editors)) {
      editor.fit(chart.width, LEFT, Math.round(chart.width - chart.right));
    }
    this.wake();
  }

  close() {
    this.leave();
    this.playing = null;
    this.watch?.disconnect();
    for (const editor of Object.values(this.editors ?? {})) editor.close();
    for (const chart of this.charts ?? []) chart.watch.disconnect();
  }
}

// A line of Python and a button that copies it
class CodeLine {
  constructor(colour) {
    this.text = h('code');
    this.copier = button('Copy', 'Copy this line', () => this.copy(), { class: 'plain' });
    this.note = h('span', { class: 'quiet', role: 'status' });
    this.element = h('div', { class: 'schedule-line-of-code', style: `--hue:${colour}` },
      h('span', { class: 'quiet' }, 'to paste'), this.text, this.copier, this.note);
  }

  write(expression) {
    const text = `CDA(schedule=${expression || '…'})`;
    if (this.text.textContent === text) return;
    say(this.text, text);
    say(this.note, expression ? '' : 'A function without a name: paste what made it.');
    allow(this.copier, Boolean(expression), 'This schedule is a function without a name');
  }

  async copy() {
    const copied = await copyText(this.text);
    say(this.note, copied ? 'Copied.' : 'The browser does not let a page copy: the line is marked, press Ctrl C.');
    clearTimeout(this.later);
    if (copied) this.later = setTimeout(() => say(this.note, ''), 2000);
  }
}

// The text of an element to the clipboard; where a page may not write there, it is marked and copied the old way
async function copyText(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    const selection = getSelection();
    selection.selectAllChildren(element);
    return document.execCommand('copy');
  }
}
