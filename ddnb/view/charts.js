// Charts that share one clock: two thin axes, at most five ticks, names at line ends, a crosshair on all of them.

const LEFT = 46, RIGHT = 104, TOP = 24; // pixels for numbers, for names at line ends, and for the title

// ---- scales and ticks ----------------------------------------------------------------------------------------------

function roundNumbers(lo, hi, most = 4) {
  const raw = (hi - lo) / most || 1, unit = 10 ** Math.floor(Math.log10(raw));
  const each = unit * [1, 2, 5, 10].find(m => unit * m >= raw * .999);
  const out = [];
  for (let k = Math.ceil(lo / each - 1e-9); k * each <= hi + 1e-9 * each; k++) out.push(+(k * each).toPrecision(12));
  return out;
}

function powers(lo, hi, most = 4) { // some of 1, 2, 5, 10, 20, 50 … in [lo, hi]
  const inside = [];
  for (let k = Math.floor(Math.log10(lo)); k <= Math.ceil(Math.log10(hi)); k++) {
    for (const m of [1, 2, 5]) if (m * 10 ** k >= lo * .999 && m * 10 ** k <= hi * 1.001) inside.push(m * 10 ** k);
  }
  const tens = inside.filter(v => Math.abs(Math.log10(v) % 1) < 1e-6 || Math.abs(Math.abs(Math.log10(v) % 1) - 1) < 1e-6);
  const values = inside.length > most && tens.length > 1 ? tens : inside;
  const every = Math.max(1, Math.ceil(values.length / most));
  return values.filter((v, i) => i % every === 0);
}

function scale(lo, hi, a, b, log = false) {
  const f = log ? v => Math.log10(Math.max(v, 1e-300)) : v => v;
  const span = f(hi) - f(lo) || 1;
  const place = v => a + (f(v) - f(lo)) / span * (b - a);
  place.back = pixel => { // only of the straight x axis
    const share = Math.min(Math.max((pixel - a) / (b - a), 0), 1);
    return lo + share * (hi - lo);
  };
  return place;
}

// At most two points a pixel, the smallest and the largest of each: no spike is lost.
function thin(points, most = 600) {
  if (points.length <= most) return points;
  const bucket = Math.ceil(points.length / (most / 2)), out = [];
  for (let i = 0; i < points.length; i += bucket) {
    const part = points.slice(i, i + bucket), values = part.map(p => p[1]).filter(v => v !== null);
    if (!values.length) { out.push(part[0]); continue; }
    const low = part.find(p => p[1] === Math.min(...values)), high = part.find(p => p[1] === Math.max(...values));
    out.push(...(low === high ? [low] : [low, high].sort((a, b) => a[0] - b[0])));
    if (part.some(p => p[1] === null)) out.push([part.at(-1)[0], null]);
  }
  return out;
}

function path(points, x, y) { // it breaks where there are no data
  let d = '', pen = 'M';
  for (const [a, b] of thin(points)) {
    if (b === null) { pen = 'M'; continue; }
    d += `${pen}${x(a).toFixed(1)} ${y(b).toFixed(1)}`;
    pen = 'L';
  }
  return d;
}

// ---- a chart over time ---------------------------------------------------------------------------------------------

// options: title; lines [{name, colour, points}]; bands [{colour, points: [x, low, high]}]; of: length of the x axis;
//   from: its beginning; log; range [lo, hi]; share: values are shares, written in percent; axis: words for what x
//   counts, numbers only where given; marks: x of upright rules; dots: points are drawn as dots too; height;
//   hover(x or null), pick(x): what the pointer does
class Chart {
  constructor(options) {
    this.root = svg('svg', { class: 'chart', role: 'img' });
    this.element = h('div', { class: 'chart-room' }, this.root);
    this.width = 360;
    this.now = null;
    this.update(options);
    this.watch = new ResizeObserver(([entry]) => {
      const width = Math.round(entry.contentRect.width);
      if (!width || width === this.width) return;
      this.width = width;
      this.draw();
    });
    this.watch.observe(this.element);
    const where = e => this.x.back((e.clientX - this.root.getBoundingClientRect().left) * this.scaleX);
    this.root.addEventListener('pointermove', e => this.options.hover?.(where(e)));
    this.root.addEventListener('pointerleave', () => this.options.hover?.(null));
    this.root.addEventListener('click', e => this.options.pick?.(where(e)));
  }

  get scaleX() { return this.width / (this.root.getBoundingClientRect().width || this.width); }

  update(options) {
    this.options = { from: 0, height: 108, ...options };
    this.draw();
  }

  format(v) { return this.options.share ? percent(v) : brief(v); }

  range() {
    const { lines = [], bands = [], range } = this.options;
    if (range) return range;
    const values = lines.flatMap(l => l.points.map(p => p[1])).concat(bands.flatMap(b => b.points.flatMap(p => p.slice(1))));
    const known = values.filter(v => v !== null && Number.isFinite(v));
    if (!known.length) return [0, 1];
    let lo = Infinity, hi = -Infinity;
    for (const v of known) { if (v < lo) lo = v; if (v > hi) hi = v; }
    if (lo < hi) return [lo, hi];
    return this.options.log && lo > 0 ? [lo / 2, hi * 2] : [lo - .5, hi + .5];
  }

  draw() {
    const { title, lines = [], bands = [], of, from, axis, marks = [], height } = this.options;
    const [lo, hi] = this.range();
    this.log = Boolean(this.options.log) && lo > 0;
    this.right = this.width - (this.options.right ?? RIGHT); // the same for all that share time
    this.bottom = height - (axis ? 20 : 8);
    this.x = scale(from, Math.max(of, from + 1e-9), LEFT, this.right);
    this.y = scale(lo, hi, this.bottom - 2, TOP + 2, this.log);
    this.root.setAttribute('viewBox', `0 0 ${this.width} ${height}`);
    this.root.setAttribute('height', height);
    this.root.setAttribute('aria-label', this.words());
    this.cross = svg('g', { class: 'now' });
    this.root.replaceChildren(
      svg('text', { x: 0, y: 12, class: 'title' }, title), ...this.axes(lo, hi),
      ...marks.map(m => svg('path', { class: 'mark', d: `M${this.x(m)} ${TOP}V${this.bottom}` })),
      ...bands.map(b => this.band(b)),
      ...lines.map(l => svg('path', { class: 'line', d: path(l.points, this.x, this.y), stroke: l.colour })),
      ...(this.options.dots ? lines.flatMap(l => l.points.map(p => this.dot(l, p))) : []), this.cross);
    this.at(this.now);
  }

  words() { // for those who do not see it
    const ends = (this.options.lines ?? []).map(l => {
      const last = l.points.findLast?.(p => p[1] !== null);
      return last ? `${l.name || 'value'} ${this.format(last[1])}` : '';
    });
    return [this.options.title, ...ends].filter(Boolean).join('; ');
  }

  band({ points, colour }) {
    const upper = points.map(p => `${this.x(p[0]).toFixed(1)},${this.y(p[2]).toFixed(1)}`);
    const lower = [...points].reverse().map(p => `${this.x(p[0]).toFixed(1)},${this.y(p[1]).toFixed(1)}`);
    return svg('polygon', { class: 'band', points: [...upper, ...lower].join(' '), fill: colour });
  }

  dot(line, [x, y]) {
    if (y === null) return null;
    return svg('circle', { cx: this.x(x), cy: this.y(y), r: 2.5, fill: line.colour });
  }

  axes(lo, hi) {
    const { axis, of, from } = this.options;
    const out = [svg('path', { class: 'axis', d: `M${LEFT} ${TOP}V${this.bottom}H${this.right}` })];
    const round = this.log ? powers(lo, hi) : [], said = new Set();
    const values = round.length > 1 ? round : roundNumbers(lo, hi, 3); // one tick alone says nothing of the scale
    for (const v of values) {
      const text = this.options.share ? `${+(100 * v).toPrecision(4)} %` : brief(v);
      if (said.has(text)) continue;
      said.add(text);
      out.push(svg('text', { x: LEFT - 6, y: this.y(v) + 3.5, 'text-anchor': 'end', class: 'tick' }, minus(text)));
      out.push(svg('path', { class: 'axis', d: `M${LEFT - 3} ${this.y(v)}h3` }));
    }
    if (!axis) return out;
    const whole = from === 1 || of > 8;
    for (const v of roundNumbers(from, of, 4).filter(v => !whole || Number.isInteger(v))) {
      out.push(svg('text', { x: this.x(v), y: this.bottom + 15, 'text-anchor': 'middle', class: 'tick' }, count2(v)));
      out.push(svg('path', { class: 'axis', d: `M${this.x(v)} ${this.bottom}v3` }));
    }
    out.push(svg('text', { x: this.right + 24, y: this.bottom + 15, class: 'tick' }, axis));
    return out;
  }

  // The present point: a rule through the chart, a dot on each line, names and values beside its end.
  at(x) {
    this.now = x;
    if (x === null || x === undefined) { this.cross.replaceChildren(); return; }
    const parts = [svg('path', { class: 'rule', d: `M${this.x(x).toFixed(1)} ${TOP - 4}V${this.bottom}` })], ends = [];
    for (const line of this.options.lines ?? []) {
      const point = lastBefore(line.points, x, p => p[0]);
      if (!point || point[1] === null || point[0] > x) continue;
      parts.push(svg('circle', { cx: this.x(point[0]), cy: this.y(point[1]), r: 3, fill: line.colour }));
      ends.push({ line, value: point[1], pixel: this.y(point[1]) });
    }
    this.cross.replaceChildren(...parts, ...this.names(ends));
  }

  names(ends) { // at least 13 pixels apart, none below the axis
    ends.sort((a, b) => a.pixel - b.pixel);
    let low = TOP - 13;
    return ends.map(({ line, value, pixel }, i) => {
      low = Math.max(low + 13, Math.min(pixel, this.bottom - 13 * (ends.length - 1 - i)));
      const most = Math.floor(((this.options.right ?? RIGHT) - 8) / 6.6) - this.format(value).length - 1;
      const name = line.name && line.name.length > most ? line.name.slice(0, most - 1) + '…' : line.name;
      const text = `${name ? name + ' ' : ''}${this.format(value)}`;
      return svg('text', { x: this.right + 8, y: low + 4, class: 'value', style: `--ink-of:${line.colour}` }, text);
    });
  }
}

const count2 = v => Number.isInteger(v) ? count(v) : brief(v);

// ---- bars ----------------------------------------------------------------------------------------------------------

// Counts by bin; a part of each bar for each phase; a click on a bar calls pick(bin or null).
function histogram({ title, all, parts, colours, names, chosen, pick, words, width = 420, height = 150 }) {
  const left = 8, right = width - 8, bottom = height - 20, each = (right - left) / all.length;
  const top = Math.log1p(Math.max(1, ...all)), y = v => bottom - Math.log1p(v) / top * (bottom - TOP - 4);
  const root = svg('svg', { class: 'chart hist', viewBox: `0 0 ${width} ${height}`, height, role: 'group', 'aria-label': title });
  root.append(svg('text', { x: 0, y: 12, class: 'title' }, title));
  all.forEach((n, i) => {
    const x = left + i * each, wide = Math.max(1, each - 1.5);
    root.append(svg('rect', { class: 'all', x, y: y(n), width: wide, height: bottom - y(n) }));
    let below = 0;
    parts.forEach((part, j) => {
      if (part[i]) root.append(svg('rect', { x, y: y(below + part[i]), width: wide, height: y(below) - y(below + part[i]), fill: colours[j] }));
      below += part[i];
    });
    const said = `${plural(n, 'image')} with ${words(i)}, ${below} chosen`;
    const hit = svg('rect', { class: 'hit' + (chosen === i ? ' on' : ''), x, y: TOP, width: each, height: bottom - TOP,
      tabindex: 0, role: 'button', 'aria-pressed': String(chosen === i), 'aria-label': said });
    hit.append(svg('title', {}, said));
    const choose = () => pick(chosen === i ? null : i);
    hit.addEventListener('click', choose);
    hit.addEventListener('keydown', e => { if (e.key === 'Enter') { e.stopPropagation(); choose(); } });
    root.append(hit);
  });
  root.append(svg('text', { x: left, y: height - 5, class: 'tick' }, 'easy'),
    svg('text', { x: right, y: height - 5, 'text-anchor': 'end', class: 'tick' }, 'hard →'));
  const legend = h('div', { class: 'legend' }, ...names.map((name, j) =>
    h('span', {}, h('i', { class: 'swatch', style: `background:${colours[j]}` }), name)));
  return h('div', {}, root, legend);
}

// Values side by side with an outline of where they began: the mismatch of each layer.
function bars({ title, groups, start = [], top, words, width = 360, height = 108 }) {
  const n = Math.max(0, ...groups.map(g => g.values.length)), right = width - 60, bottom = height - 20;
  const hi = top || Math.max(1e-9, ...start, ...groups.flatMap(g => g.values));
  const y = scale(0, hi, bottom, TOP + 2), each = (right - LEFT) / Math.max(n, 1), wide = Math.max(1, Math.min(28, each * .7));
  const root = svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, height, role: 'img', 'aria-label': title });
  root.append(svg('text', { x: 0, y: 12, class: 'title' }, title));
  for (const v of roundNumbers(0, hi, 3)) root.append(svg('text', { x: LEFT - 6, y: y(v) + 3.5, 'text-anchor': 'end', class: 'tick' }, brief(v)));
  root.append(svg('path', { class: 'axis', d: `M${LEFT} ${TOP}V${bottom}H${right}` }));
  for (let i = 0; i < n; i++) {
    const x = LEFT + i * each + (each - wide) / 2, part = wide / groups.length;
    if (i < start.length) root.append(svg('rect', { class: 'outline', x, y: y(start[i]), width: wide, height: bottom - y(start[i]) }));
    groups.forEach(({ values, colour }, k) => {
      if (i >= values.length) return;
      const upper = y(Math.min(values[i], hi));
      root.append(svg('rect', { x: x + k * part, y: upper, width: part, height: bottom - upper, fill: colour },
        svg('title', {}, `${i + 1}: ${brief(values[i])}`)));
    });
    if (n <= 12 || i === 0 || i === n - 1) root.append(svg('text', { x: x + wide / 2, y: bottom + 15, 'text-anchor': 'middle', class: 'tick' }, String(i + 1)));
  }
  root.append(svg('text', { x: right + 12, y: bottom + 15, class: 'tick' }, words));
  return h('div', { class: 'chart-room' }, root);
}

// A mean and its spread on a scale from 0 to 1, the control as an upright rule.
function interval({ mean, std, control = null, from = 0, width = 180, height = 18, colour = 'var(--blue)' }) {
  const place = scale(from, 1, 6, width - 6), y = height / 2;
  const x = v => place(Math.min(Math.max(v, from), 1));
  const said = `${percent(mean)} ± ${(100 * std).toFixed(1)}` + (control === null ? '' : `, random real ${percent(control)}`);
  const root = svg('svg', { class: 'interval', width, height, viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': said });
  root.append(svg('title', {}, said), svg('path', { class: 'axis', d: `M6 ${y}H${width - 6}` }));
  if (control !== null) root.append(svg('path', { class: 'control', d: `M${x(control)} 2V${height - 2}` }));
  root.append(svg('path', { d: `M${x(mean - std)} ${y}H${x(mean + std)}`, stroke: colour, 'stroke-width': 3, opacity: .4 }),
    svg('circle', { cx: x(mean), cy: y, r: 4, fill: colour }));
  return root;
}
