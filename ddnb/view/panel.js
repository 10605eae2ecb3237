// One run, or two beside each other: images, charts, and one timeline that moves them all.

const BLUE = 'var(--blue)', AMBER = 'var(--edge)', VIOLET = 'var(--violet)', QUIET = 'var(--quiet)';
const PHASES = ['var(--phase1)', 'var(--phase2)', 'var(--phase3)', 'var(--phase4)'];
const phaseColour = i => PHASES[i % PHASES.length];

const TITLES = {
  ce: 'cross-entropy of the crops', bn: 'BatchNorm mismatch', loss: 'loss', lr: 'learning rate',
  step_size: 'step size of the students', accuracy: 'test accuracy', train_loss: 'training loss', train_accuracy: 'training accuracy' };
const titleOf = name => TITLES[name] ?? name.replaceAll('_', ' ');
const isLoss = name => name.includes('loss') || name === 'ce' || name === 'bn';
const isShare = name => name.includes('accuracy');

// ---- the clock -----------------------------------------------------------------------------------------------------

// The step in view. Everything that shows a step listens to it.
class Clock {
  constructor(changed) {
    this.steps = [0];
    this.index = 0;
    this.live = true;     // follows the run
    this.speed = 1;
    this.timer = null;    // of playing
    this.preview = null;  // a step that the pointer rests on
    this.changed = changed;
  }

  get at() { return this.preview ?? this.steps[this.index] ?? 0; }
  get playing() { return this.timer !== null; }

  follow(steps) { // new steps have been recorded
    const at = this.steps[this.index];
    this.steps = steps.length ? steps : [0];
    this.index = this.live ? this.steps.length - 1 : this.nearest(at);
  }

  nearest(x) {
    return this.steps.reduce((best, step, i) => Math.abs(step - x) < Math.abs(this.steps[best] - x) ? i : best, 0);
  }

  go(index) {
    this.live = false;
    this.preview = null;
    this.index = Math.min(Math.max(index, 0), this.steps.length - 1);
    this.changed();
  }

  rest(x) { // the pointer rests on a chart, or leaves it
    this.preview = x === null ? null : this.steps[this.nearest(x)];
    this.changed();
  }

  follows() {
    this.play(false);
    this.live = true;
    this.index = this.steps.length - 1;
    this.changed();
  }

  play(on) {
    clearInterval(this.timer);
    this.timer = null;
    if (on) {
      this.live = false;
      if (this.index >= this.steps.length - 1) this.index = -1; // from the beginning
      const every = Math.max(1, Math.round(this.steps.length / 240)); // a long run plays in half a minute at most
      this.timer = setInterval(() => {
        if (this.index >= this.steps.length - 1) return this.play(false);
        this.preview = null;
        this.index = Math.min(this.index + every, this.steps.length - 1);
        this.changed();
      }, 120 / this.speed);
    }
    this.changed();
  }
}

// ---- the panel -----------------------------------------------------------------------------------------------------

class RunPanel {
  constructor(store, keys) {
    this.store = store;
    this.keys = keys;
    this.clock = new Clock(() => this.show());
    this.element = h('div', { class: 'panel', tabindex: 0, role: 'group', 'aria-label': 'a run' });
    this.bar = new RunBar(this);
    this.time = new TimeBar(this);
    this.tools = h('div', { class: 'tools' });
    this.main = h('div', { class: 'main' });
    this.inside = h('div', { class: 'inside' }, this.bar.element, this.tools, this.main, this.time.element);
    this.large = new Large(this.inside);
    this.element.append(this.inside, this.large.element);
    this.element.addEventListener('keydown', e => this.key(e));
    this.stopListening = store.on(() => this.refresh());
    this.refresh();
  }

  get runs() { return this.keys.map(key => this.store.run(key)); }
  get run() { return this.runs[0]; }

  dispose() {
    this.stopListening();
    this.clock.play(false);
    this.view?.dispose?.();
  }

  // New facts have come: bring everything up to date.
  refresh() {
    if (this.runs.some(r => !r.about)) {
      this.main.replaceChildren(h('p', { class: 'quiet empty' }, 'Waiting for the run …'));
      return;
    }
    const kind = this.keys.length > 1 ? 'compare' : this.run.about.kind;
    if (kind !== this.kind) {
      this.kind = kind;
      this.view = new (VIEWS[kind] ?? PlainView)(this);
      this.tools.replaceChildren(...this.view.tools());
      this.main.replaceChildren(...this.view.panes());
      this.element.setAttribute('aria-label', `${this.runs.map(r => r.about.name).join(' and ')}, ${this.run.about.method}`);
    }
    this.clock.follow(this.view.steps());
    this.bar.refresh();
    this.view.refresh();
    this.show();
  }

  // Another step is in view.
  show() {
    if (!this.view) return;
    this.time.show();
    this.view.show(this.clock.at);
  }

  enlarge(index, name, order, nameOf, step = this.clock.at, run = this.run, origin = 'synthetic') {
    this.clock.play(false);
    this.large.show({ run, index, step, name, order, nameOf, origin, store: this.store });
  }

  key(e) {
    const field = e.target.closest('input:not([type=range]):not([type=checkbox]), textarea, select, [role=slider], .divider');
    if (field || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === ' ' && e.target.closest('button, [role=button], input[type=checkbox], summary')) return;
    const { clock } = this;
    const act = {
      ' ': () => clock.play(!clock.playing),
      ArrowRight: () => clock.go(clock.index + 1), ArrowLeft: () => clock.go(clock.index - 1),
      Home: () => clock.go(0), End: () => clock.go(Infinity),
      l: () => clock.follows(), L: () => clock.follows(),
      '+': () => this.view?.zoomBy(1), '-': () => this.view?.zoomBy(-1),
    }[e.key];
    if (!act) return;
    e.preventDefault();
    e.stopPropagation(); // the notebook has its own keys
    act();
  }
}

// ---- what is going on ----------------------------------------------------------------------------------------------

class RunBar {
  constructor(panel) {
    this.panel = panel;
    this.name = h('b');
    this.state = h('span', { class: 'state' });
    this.track = h('span', { class: 'track', role: 'progressbar', 'aria-label': 'progress of the run' }, h('i'));
    this.facts = h('span', { class: 'quiet facts' });
    const order = name => () => panel.keys.forEach(key => panel.store.order(name, { key }));
    this.resume = button('▶ Resume', 'Go on from here', order('resume'));
    this.pause = button('❚❚ Pause', 'Rest after the present step', order('pause'));
    this.stop = button('■ Stop', 'End after the present step and keep a checkpoint', order('stop'));
    this.exports = h('select', { class: 'save', 'aria-label': 'save as', title: 'Write the run as a file into its folder',
      onchange: () => this.export(this.exports.value) }, h('option', { value: '' }, 'Save as …'));
    this.words = h('div', { class: 'words', role: 'status', 'aria-live': 'polite' });
    this.element = h('div', { class: 'run-head' },
      h('div', { class: 'run-bar' }, this.name, this.state, this.track, this.facts, h('span', { class: 'space' }),
        this.resume, this.pause, this.stop, this.exports), this.words);
  }

  async export(format) {
    this.exports.value = '';
    this.written = 'Writing …';
    this.refresh();
    const lines = [];
    for (const key of this.panel.keys) {
      const answer = await this.panel.store.ask('export', { key, format });
      lines.push(answer.value.problem ?? `Written: ${answer.value.path}`);
    }
    this.written = lines.join(' ');
    this.refresh();
  }

  refresh() {
    if (this.exports.options.length === 1) { // what a run can be saved as is said with it
      const saves = Object.entries(this.panel.run.about.saves ?? {}); // a record has none
      this.exports.append(...saves.map(([format, words]) => h('option', { value: format }, words)));
    }
    const { runs, store } = this.panel, states = new Set(runs.map(r => r.state.state)), { state } = runs[0];
    say(this.name, runs.map(r => r.about.name).join(' and '));
    say(this.state, runs.length > 1 ? '' : state.state);
    this.state.dataset.state = state.state;
    const done = runs[0].last?.step ?? 0, total = runs[0].total, at = ['running', 'elsewhere'].includes(state.state);
    this.track.firstChild.style.width = `${100 * done / Math.max(total, 1)}%`;
    fill(this.track, { 'aria-valuenow': done, 'aria-valuemin': 0, 'aria-valuemax': total }, []);
    const facts = [runs[0].last ? `${count(done)} of ${count(total)}` : '', at && state.pace ? `${brief(state.pace)} steps/s` : '',
      at && state.left ? `${duration(state.left)} left` : '', runs[0].about.said,
      state.lost ? `images of ${count(runs[0].frames.size)} of ${count(runs[0].frames.size + state.lost)} recorded steps are kept` : ''].filter(Boolean).join(' · ');
    say(this.facts, facts);
    this.facts.title = facts; // where it is narrow the end of the line is cut
    const any = (...names) => names.some(n => states.has(n));
    const controls = store.live;
    show(this.resume, controls && any('paused', 'stopped', 'failed', 'interrupted'));
    show(this.pause, controls && any('running', 'pausing'));
    show(this.stop, controls && any('running', 'pausing', 'paused'));
    show(this.exports, controls);
    allow(this.pause, any('running'), 'it rests after the present step');
    const trouble = store.facts.trouble?.value, failed = runs.find(r => r.state.problem)?.state;
    const said = failed ? `✕ ${failed.problem}` : runs.map(r => r.state.words).filter((w, i, all) => w && all.indexOf(w) === i).join(' ');
    this.words.classList.toggle('error', Boolean(failed || trouble));
    const sentence = [said, failed?.remedy ? `What to do: ${failed.remedy}.` : '', trouble ?? '', this.written ?? ''].filter(Boolean).join(' ');
    say(this.words, sentence);
    this.words.classList.toggle('nothing', !sentence); // it stays there for those who listen
  }
}

// ---- the timeline --------------------------------------------------------------------------------------------------

class TimeBar {
  constructor(panel) {
    this.panel = panel;
    const { clock } = panel;
    this.play = button('▶', 'Play (Space)', () => clock.play(!clock.playing), { class: 'play' });
    this.back = button('◀', 'One recorded step back (←)', () => clock.go(clock.index - 1), { 'aria-label': 'one recorded step back' });
    this.on = button('▶', 'One recorded step on (→)', () => clock.go(clock.index + 1), { 'aria-label': 'one recorded step on' });
    this.range = h('input', { type: 'range', min: 0, value: 0, 'aria-label': 'recorded step', oninput: () => this.goTo(+this.range.value) });
    this.words = h('output', {});
    this.speeds = [1, 2, 4].map(x => button(`${x}×`, `Play ${x} times as fast`, () => {
      clock.speed = x;
      clock.playing ? clock.play(true) : this.show();
    }, { class: 'speed' }));
    this.live = button('● live', 'Follow the run (L)', () => clock.follows(), { class: 'live' });
    this.element = h('div', { class: 'time' }, this.play, this.back, this.on, this.range, this.words, h('span', { class: 'row' }, ...this.speeds), this.live);
  }

  goTo(index) { // the slider's own value is read before anything is painted: painting sets it
    const { clock } = this.panel;
    clock.play(false);
    clock.go(index);
  }

  show() {
    const { clock, view, runs } = this.panel;
    const at = clock.preview === null ? clock.index : clock.nearest(clock.preview);
    say(this.play, clock.playing ? '❚❚' : '▶');
    this.play.setAttribute('aria-label', clock.playing ? 'Pause playing' : 'Play');
    this.range.max = clock.steps.length - 1;
    this.range.value = at;
    const words = view.clockWords(clock.at);
    this.range.setAttribute('aria-valuetext', words);
    say(this.words, words);
    this.speeds.forEach((b, i) => b.setAttribute('aria-pressed', String([1, 2, 4][i] === clock.speed)));
    const resting = runs.every(r => ['done', 'stopped', 'failed', 'interrupted'].includes(r.state.state));
    show(this.live, !resting);
    this.live.setAttribute('aria-pressed', String(clock.live));
  }
}

// ---- what all views share ------------------------------------------------------------------------------------------

class View {
  constructor(panel) {
    this.panel = panel;
    this.zoom = 0;
    this.charts = new Map(); // name → Chart
    this.images = h('div', { class: 'pane images' });
    this.side = h('div', { class: 'pane charts', tabindex: 0, role: 'region', 'aria-label': 'charts' });
    this.watch = new ResizeObserver(() => { this.arrange(); this.show(panel.clock.at); });
    this.watch.observe(this.images);
  }

  get run() { return this.panel.run; }
  get store() { return this.panel.store; }

  dispose() { this.watch.disconnect(); }
  steps() { return this.run.steps; }
  panes() { return [this.images, this.side]; }
  tools() { return [this.sizeTool(), h('span', { class: 'space' }), keysTool()]; }
  clockWords(at) { return `step ${count(at)} of ${count(this.run.total)}`; }
  arrange() {}

  sizeTool() {
    return h('span', { class: 'row' }, h('span', { class: 'quiet' }, 'size'),
      button('−', 'Smaller images (−)', () => this.zoomBy(-1), { 'aria-label': 'smaller images' }),
      button('+', 'Larger images (+)', () => this.zoomBy(1), { 'aria-label': 'larger images' }));
  }

  zoomBy(by) {
    this.zoom = Math.min(Math.max(this.zoom + by, -3), 6);
    this.arrange();
    this.show(this.panel.clock.at);
  }

  // pixels of a tile: as they fit, then as the size control says
  zoomed(px, size) {
    if (size > 48) return Math.round(Math.max(24, px * 1.25 ** this.zoom));
    return size * Math.max(1, Math.round(px / size) + this.zoom);
  }

  // One chart by its name, made once, drawn again with other data.
  chart(name, options) {
    const { clock } = this.panel;
    const all = { hover: x => clock.rest(x), pick: x => { clock.play(false); clock.go(clock.nearest(x)); }, ...options };
    if (!this.charts.has(name)) this.charts.set(name, new Chart(all));
    else this.charts.get(name).update(all);
    return this.charts.get(name).element;
  }

  // A line for each run of a scalar; where a run's lines break, its value is null.
  lines(name) {
    const { runs } = this.panel, colours = [BLUE, VIOLET];
    return runs.map((run, i) => ({ name: runs.length > 1 ? run.about.name : '', colour: colours[i], points: this.pointsOf(run, name) }))
      .filter(l => l.points.length);
  }

  pointsOf(run, name) { return run.points(name); }

  scalarCharts(names, options = {}) {
    return names.map((name, i) => this.chart(name, { title: titleOf(name), lines: this.lines(name), of: this.length(),
      log: isLoss(name), share: isShare(name), axis: i === names.length - 1 ? 'step' : null,
      height: i === names.length - 1 ? 120 : 104, ...options }));
  }

  length() { return Math.max(...this.panel.runs.map(r => r.total)); }

  scalars() { // names of the numbers that were recorded, in the order they came
    const names = new Set();
    for (const run of this.panel.runs) for (const e of run.events) {
      for (const [name, v] of Object.entries(e.scalars)) if (typeof v === 'number') names.add(name);
    }
    return [...names];
  }

  place(elements) { // charts are moved only where their order changes
    const now = elements.flat().filter(Boolean);
    if (now.length === this.side.children.length && now.every((e, i) => this.side.children[i] === e)) return;
    this.side.replaceChildren(...now);
  }

  moveCharts(at) { for (const chart of this.charts.values()) if (!chart.still) chart.at(at); }
}

const keysTool = () => h('span', { class: 'quiet keys' }, 'Space plays · ← → step · click enlarges');

// ---- any run: a grid and a chart for each number --------------------------------------------------------------------

class PlainView extends View {
  constructor(panel) {
    super(panel);
    this.grid = new Grid({ pick: i => this.enlarge(i) });
    this.only = null;   // a class, or all
    this.page = 0;
    this.real = null;   // { value, pictures } of real images
    this.beside = false;
    this.doubts = false;
    this.pager = h('div', { class: 'row pager' });
    this.verdict = h('div', { class: 'quiet', 'aria-live': 'polite' });
    this.images.append(this.grid.element, this.pager, this.verdict);
  }

  tools() {
    this.classes = h('select', { 'aria-label': 'class', title: 'Show one class alone', onchange: () => this.choose(this.classes.value) },
      h('option', { value: '' }, 'all classes'), ...this.run.about.classes.map((name, c) => h('option', { value: c }, name)));
    const can = this.run.about.can ?? [];
    return [this.run.about.classes.length > 1 ? this.classes : null, this.sizeTool(),
      can.includes('real') ? this.check('real images beside', on => this.showReal(on)) : null,
      can.includes('opinion') ? this.check('mark what the teacher doubts', on => this.showDoubts(on)) : null,
      h('span', { class: 'space' }), keysTool()].filter(Boolean);
  }

  check(text, f) {
    const box = h('input', { type: 'checkbox', onchange: () => f(box.checked) });
    return h('label', {}, box, text);
  }

  choose(value) {
    this.only = value === '' ? null : +value;
    this.page = 0;
    this.again();
  }

  again() {
    this.arrange();
    this.show(this.panel.clock.at);
  }

  async showReal(on) {
    this.beside = on;
    if (on && !this.real) this.real = this.run.extra.real ?? await this.store.ask('real', { key: this.run.key });
    if (this.real?.value?.problem) {
      say(this.verdict, this.real.value.problem);
      this.real = null;
    }
    this.again();
  }

  async showDoubts(on) {
    this.doubts = on;
    say(this.verdict, '');
    if (!on) this.grid.mark(new Set(), () => '');
    else await this.ask();
  }

  async ask() { // what the teacher sees in the images in view
    const frame = this.frame, soon = this.panel.clock.live && performance.now() - this.asked < 1500;
    if (!frame || this.asking || soon) return; // asking costs the run time: not ten times a second
    this.asking = true;
    const recorded = this.run.extra.opinions;
    const known = recorded?.value.step === frame.step ? recorded : null;
    const answer = known ?? await this.store.ask('opinion', { key: this.run.key, step: frame.step });
    this.asking = false;
    this.asked = performance.now();
    if (!answer) { say(this.verdict, 'A page without a kernel knows what the teacher says of the last step only.'); return; }
    if (answer.value.problem) { say(this.verdict, answer.value.problem); return; }
    const { images } = answer.value, { classes } = this.run.about;
    const doubts = new Set(frame.labels.map((label, i) => images[i]?.top[0][0] !== label ? i : null).filter(i => i !== null));
    this.grid.mark(doubts, i => `the teacher sees ${classes[images[i].top[0][0]]}, ${percent(images[i].top[0][1])}`);
    const n = frame.labels.length;
    say(this.verdict, `At step ${count(frame.step)} the teacher agrees with ${n - doubts.size} of ${plural(n, 'label')}; framed: it sees another class.`);
    if (this.doubts && this.frame.step !== frame.step) this.ask();
  }

  rows(frame) {
    const all = byClass(frame.labels, frame.n, this.run.about.classes);
    return this.only === null ? all : all.filter(r => r.label === this.only);
  }

  arrange(at = this.panel.clock.at) {
    const frame = this.run.frameAt(at);
    this.frame = frame;
    const width = this.images.clientWidth - 28;
    if (!frame || width <= 0) return;
    const rows = this.rows(frame), pages = Math.max(1, Math.ceil(rows.length / ROWS_A_PAGE));
    this.page = Math.min(this.page, pages - 1);
    const part = rows.slice(this.page * ROWS_A_PAGE, (this.page + 1) * ROWS_A_PAGE);
    const real = this.beside && this.real ? this.realOf() : null;
    const beside = real ? 3.2 : 0, longest = Math.max(0, ...part.map(r => r.indices.length));
    const height = Math.max(320, this.images.clientHeight - 40);
    const { px, across } = fittingAcross(frame.size, Math.min(longest, TILES_A_ROW) + beside, part.length, width, height, namesWidth(part), !real);
    this.grid.arrange(part, frame.size, this.zoomed(px, frame.size), real, this.zoom > 0 ? 1 : across);
    if (real) this.grid.drawReal(this.real.pictures, this.real.value.size);
    this.say(frame, part, rows, pages);
  }

  realOf() { // class → up to three real images
    const of = new Map();
    this.real.value.labels.forEach((label, k) => {
      if (!of.has(label)) of.set(label, []);
      if (of.get(label).length < 3) of.get(label).push([0, k]);
    });
    return of;
  }

  say(frame, part, rows, pages) { // nothing is hidden without a word
    const shown = part.reduce((n, r) => n + r.indices.length, 0), all = this.run.about.images ?? frame.n;
    const turn = by => { this.page += by; this.again(); };
    const back = button('◀', 'The classes before', () => turn(-1)), on = button('▶', 'The next classes', () => turn(1));
    allow(back, this.page > 0, 'these are the first');
    allow(on, this.page < pages - 1, 'these are the last');
    const words = shown < all ? `${count(shown)} of ${plural(Math.max(all, frame.n), 'image')}` : '';
    const classes = pages > 1 ? `, classes ${this.page * ROWS_A_PAGE + 1} to ${this.page * ROWS_A_PAGE + part.length} of ${rows.length}` : '';
    const why = frame.n < all ? ' (a running method records the first ones; the finished set has all)' : '';
    this.pager.replaceChildren(...(pages > 1 ? [back, on] : []), h('span', { class: 'quiet' }, words + classes + (shown < all ? why : '')));
  }

  async show(at) {
    this.moveCharts(at);
    const frame = this.run.frameAt(at);
    if (!frame) return;
    const other = JSON.stringify([frame.labels, frame.n, frame.size]);
    if (this.arranged !== other) { this.arranged = other; this.arrange(at); }
    this.frame = frame;
    const bitmap = sheets.ready(frame.png) ?? await sheets.read(frame.png);
    if (!bitmap || this.frame.step !== frame.step) return;
    this.grid.draw(bitmap);
    this.panel.element.dataset.shown = frame.step;
    if (this.doubts && !this.panel.clock.playing) this.ask();
  }

  enlarge(i) {
    const rows = this.rows(this.frame), nameOf = k => rows.find(r => r.indices.includes(k))?.name ?? '';
    this.panel.enlarge(i, nameOf(i), rows.flatMap(r => r.indices), nameOf);
  }

  refresh() {
    const frame = this.run.frameAt(this.panel.clock.at);
    if (!frame) this.place([...this.charted(), this.empty()]);
    else this.place(this.charted());
    this.images.classList.toggle('without', !this.run.frames.size);
  }

  empty() {
    this.nothing ??= h('p', { class: 'quiet' }, 'No images were recorded yet.');
    return this.run.frames.size ? null : this.nothing;
  }

  charted() { return this.scalarCharts(this.scalars()).concat(scoresOf(this.run) ?? []); }
}

// ---- a recovery: crop schedule, losses, mismatch by layer ------------------------------------------------------------

class RecoveryView extends PlainView {
  charted() {
    const of = this.length(), { run } = this;
    const schedule = run.about.schedule ? [this.scheduleChart(of)] : [];
    const names = this.scalars().filter(n => n === 'ce' || n === 'bn');
    return [...schedule, ...this.scalarCharts(names), this.layers(), scoresOf(run)];
  }

  scheduleChart(of) {
    const shapes = this.panel.runs.filter(r => r.about.schedule).map((run, i) => {
      const colour = [BLUE, VIOLET][i], block = run.about.block ?? run.total, points = [];
      for (let start = 0; start < run.total; start += block) {
        for (const [share, lo, hi] of run.about.schedule) points.push([start + share * block, lo, hi]);
      }
      const name = this.panel.runs.length > 1 ? run.about.name : '≥';
      return { band: { colour, points }, line: { name, colour, points: points.map(p => [p[0], p[1]]) } };
    });
    return this.chart('schedule', { title: 'area of the crops, share of the image', of, range: [0, 1], share: true,
      lines: shapes.map(s => s.line), bands: shapes.map(s => s.band) });
  }

  layers() {
    this.layerRoom ??= h('div');
    return this.run.events.some(e => Array.isArray(e.scalars.layers)) ? this.layerRoom : null;
  }

  drawLayers(at) {
    if (!this.layerRoom) return;
    const colours = [BLUE, VIOLET], groups = [], starts = [];
    this.panel.runs.forEach((run, i) => {
      const with_ = run.events.filter(e => Array.isArray(e.scalars.layers));
      const event = lastBefore(with_, at, e => e.step);
      if (!event) return;
      groups.push({ values: event.scalars.layers, colour: colours[i] });
      starts.push(with_[0].scalars.layers);
    });
    if (!groups.length) return;
    this.layerRoom.replaceChildren(bars({ title: 'BatchNorm mismatch by layer (outline: at the first step)', groups,
      start: starts[0], words: 'layer', width: Math.max(280, this.side.clientWidth - 28) }));
  }

  async show(at) {
    this.drawLayers(at);
    await super.show(at);
  }
}

// ---- two runs: one over the other, cut where the pointer is ---------------------------------------------------------

class CompareView extends RecoveryView {
  constructor(panel) {
    super(panel);
    this.second = new Grid();
    this.split = .5;
    this.stack = h('div', { class: 'stack' });
    this.divider = h('input', { type: 'range', min: 0, max: 100, value: 50, class: 'divider', 'aria-label': 'where the first run ends and the second begins',
      oninput: () => this.cut(this.divider.value / 100) });
    this.rule = h('div', { class: 'cut', 'aria-hidden': 'true' });
    const [a, b] = panel.runs;
    this.legend = h('div', { class: 'legend' }, h('b', { style: `color:${BLUE}` }, `◧ ${a.about.name}`), h('span', { class: 'quiet' }, ` ${a.about.said ?? ''}`),
      h('span', { class: 'space' }), h('span', { class: 'quiet' }, `${b.about.said ?? ''} `), h('b', { style: `color:${VIOLET}` }, `${b.about.name} ◨`));
    this.stack.append(this.grid.element, h('div', { class: 'second' }, this.second.element), this.rule);
    this.images.replaceChildren(h('div', { class: 'compare-room' }, this.legend, this.stack, this.divider));
    this.stack.addEventListener('pointermove', e => {
      const box = this.stack.getBoundingClientRect();
      this.cut((e.clientX - box.left) / box.width);
    });
  }

  tools() { return [this.sizeTool(), h('span', { class: 'space' }), h('span', { class: 'quiet keys' }, 'move the pointer across the images · Space plays')]; }
  length() { return 100; } // runs of different length share an axis in percent
  clockWords(at) { return `${Math.round(at)} % of both runs`; }

  steps() {
    const shares = this.panel.runs.flatMap(r => r.steps.map(s => +(100 * s / r.total).toFixed(3)));
    return [...new Set(shares)].sort((a, b) => a - b);
  }

  pointsOf(run, name) { return run.points(name).map(([x, y]) => [100 * x / run.total, y]); }
  stepOf(run, at) { return at / 100 * run.total; }

  scheduleChart() {
    const shapes = this.panel.runs.filter(r => r.about.schedule).map((run, i) => {
      const block = (run.about.block ?? run.total) / run.total * 100, points = [];
      for (let start = 0; start < 100 - 1e-6; start += block) {
        for (const [share, lo, hi] of run.about.schedule) points.push([start + share * block, lo, hi]);
      }
      return { band: { colour: [BLUE, VIOLET][i], points }, line: { name: run.about.name, colour: [BLUE, VIOLET][i], points: points.map(p => [p[0], p[1]]) } };
    });
    return this.chart('schedule', { title: 'area of the crops, share of the image', of: 100, range: [0, 1], share: true,
      lines: shapes.map(s => s.line), bands: shapes.map(s => s.band) });
  }

  charted() {
    const names = this.scalars(), some = this.panel.runs.some(r => r.about.schedule);
    const charts = names.map((name, i) => this.chart(name, { title: titleOf(name), lines: this.lines(name), of: 100, log: isLoss(name),
      share: isShare(name), axis: i === names.length - 1 ? '% of run' : null, height: i === names.length - 1 ? 128 : 112 }));
    return [some ? this.scheduleChart() : null, ...charts];
  }

  layers() { return null; }
  drawLayers() {}

  cut(share) {
    this.split = Math.min(Math.max(share, 0), 1);
    this.divider.value = 100 * this.split;
    this.stack.querySelector('.second').style.clipPath = `inset(0 0 0 ${100 * this.split}%)`;
    this.rule.style.left = `${100 * this.split}%`;
  }

  arrange(at = this.panel.clock.at) {
    const frames = this.panel.runs.map(r => r.frameAt(this.stepOf(r, at))), width = this.images.clientWidth - 28;
    if (frames.some(f => !f) || width <= 0) return;
    const rows = frames.map((f, i) => byClass(f.labels, f.n, this.panel.runs[i].about.classes).slice(0, ROWS_A_PAGE));
    const longest = Math.max(...rows.flat().map(r => r.indices.length));
    const { px, across } = fittingAcross(frames[0].size, Math.min(longest, TILES_A_ROW), rows[0].length, width, Math.max(320, this.images.clientHeight - 72), namesWidth(rows[0]));
    [this.grid, this.second].forEach((grid, i) => grid.arrange(rows[i], frames[i].size, this.zoomed(px, frames[0].size), null, this.zoom > 0 ? 1 : across));
    this.cut(this.split);
  }

  async show(at) {
    this.moveCharts(at);
    const frames = this.panel.runs.map(r => r.frameAt(this.stepOf(r, at)));
    if (frames.some(f => !f)) return;
    const other = JSON.stringify(frames.map(f => [f.labels, f.n]));
    if (this.arranged !== other) { this.arranged = other; this.arrange(at); }
    this.now = at;
    const bitmaps = await Promise.all(frames.map(f => sheets.read(f.png)));
    if (this.now !== at) return;
    [this.grid, this.second].forEach((grid, i) => { if (bitmaps[i]) grid.draw(bitmaps[i]); });
    this.panel.element.dataset.shown = at;
  }

  refresh() { this.place(this.charted()); }
}

// ---- stages: classes are rows, stages are columns --------------------------------------------------------------------

class StagesView extends View {
  constructor(panel) {
    super(panel);
    this.table = h('div', { class: 'stages', role: 'group', 'aria-label': 'images of each stage' });
    this.note = h('div', { class: 'quiet' });
    this.images.append(this.note, this.table);
    this.tiles = []; // of each stage: index → canvas
  }

  get stages() { return this.run.about.stages; }

  // stage number → its last frame at or before a step
  framesAt(at) {
    const of = new Map();
    for (const event of this.run.events) {
      if (event.step > at) break;
      if (event.scalars.stage !== undefined && this.run.frames.has(event.step)) of.set(event.scalars.stage, { step: event.step, ...this.run.frames.get(event.step) });
    }
    return of;
  }

  rowsOf(frame, stage) {
    const { classes } = this.run.about;
    if (frame.labels?.length) return byClass(frame.labels, frame.n, classes);
    const each = this.stages[stage]?.ipc ?? 1;
    return byClass(range(0, frame.n).map(i => Math.floor(i / each)), frame.n, classes);
  }

  arrange(at = this.panel.clock.at) {
    const frames = this.framesAt(at), width = this.images.clientWidth - 28;
    if (!frames.size || width <= 0) return;
    const rows = new Map([...frames].map(([number, frame]) => [number, this.rowsOf(frame, this.stageIndex(number))]));
    const first = [...frames.values()][0], size = first.size;
    const classes = [...rows.values()][0], most = Math.max(...this.stages.map(s => s.ipc));
    const each = (width - namesWidth(classes)) / this.stages.length - 12; // pixels of a stage; its images are broken into lines
    const px = this.zoomed(fitting(size, most, classes.length, each, Math.max(320, this.images.clientHeight - 60)), size);
    const wide = s => Math.max(px + 1, Math.min(s.ipc * (px + 1), Math.floor((each + 1) / (px + 1)) * (px + 1)));
    const layout = JSON.stringify([[...rows], px]);
    if (layout === this.layout) return;
    this.layout = layout;
    this.tiles = this.stages.map(() => new Map());
    const head = [h('span'), ...this.stages.map(s => h('div', { class: 'stage-head' }, h('b', {}, s.title), h('span', { class: 'quiet' }, ` ${s.given}`)))];
    const body = classes.flatMap(({ label, name }) => [h('div', { class: 'grid-name', title: name }, name),
      ...this.stages.map((stage, j) => this.cell(j, label, name, rows.get(stage.number), size, px, stage.ipc))]);
    this.table.style.gridTemplateColumns = `max-content ${this.stages.map(s => `minmax(${wide(s)}px, ${Math.max(wide(s), Math.min(150, Math.floor(each)))}px)`).join(' ')}`;
    this.table.replaceChildren(...head, ...body);
    const hidden = this.table.scrollWidth > this.table.clientWidth + 1;
    say(this.note, hidden ? `${this.stages.length} stages: scroll to the right for the rest` : '');
  }

  stageIndex(number) { return this.stages.findIndex(s => s.number === number); }

  cell(j, label, name, rows, size, px, ipc) {
    const row = rows?.find(r => r.label === label);
    if (!row) return h('div', { class: 'grid-row waiting', style: `min-width:${px}px;min-height:${px}px` });
    return h('div', { class: 'grid-row' }, ...row.indices.map((i, k) => {
      const said = `${name}, ${this.stages[j].title}, image ${k + 1}`;
      const canvas = tile(px, size, { role: 'button', tabindex: k || this.tiles[j].size ? -1 : 0, 'aria-label': said, title: said });
      const open = () => this.enlarge(j, i);
      canvas.addEventListener('click', open);
      canvas.addEventListener('keydown', e => { if (e.key === 'Enter') { e.stopPropagation(); open(); } });
      this.tiles[j].set(i, canvas);
      return canvas;
    }));
  }

  enlarge(j, i) {
    const frame = this.framesAt(this.panel.clock.at).get(this.stages[j].number), rows = this.rowsOf(frame, j);
    const nameOf = k => rows.find(r => r.indices.includes(k))?.name ?? '';
    this.panel.enlarge(i, nameOf(i), rows.flatMap(r => r.indices), nameOf, frame.step, this.run, this.stages[j].title);
  }

  // a line breaks where the next stage begins
  pointsOf(run, name) {
    const out = [];
    let before = null;
    for (const e of run.events) {
      if (typeof e.scalars[name] !== 'number') continue;
      if (before !== null && e.scalars.stage !== before) out.push([e.step, null]);
      out.push([e.step, e.scalars[name]]);
      before = e.scalars.stage;
    }
    return out;
  }

  borders() {
    const { events } = this.run;
    return events.filter((e, i) => i && e.scalars.stage !== events[i - 1].scalars.stage).map(e => e.step);
  }

  refresh() {
    const names = this.scalars().filter(n => n !== 'stage');
    const order = [...names.filter(n => n === 'loss'), ...names.filter(n => n === 'step_size'), ...names.filter(n => n.includes('accuracy'))];
    const charts = this.scalarCharts(order, { marks: this.borders() });
    this.place([charts, this.accuracy(), scoresOf(this.run)]);
    this.arrange();
  }

  // accuracy after each stage, for the orders in which students were given the stages; random real images beside them
  accuracy() {
    const rows = (this.run.extra.scores?.value ?? []).filter(r => r.stages?.length > 1);
    if (!rows.length) return null;
    const style = { progressive: BLUE, sequential: VIOLET, union: 'var(--green)' };
    const lines = rows.map(r => ({ name: r.control ? 'random real' : r.order, colour: r.control ? AMBER : style[r.order] ?? QUIET,
      points: r.stages.map((v, i) => [i + 1, v]) }));
    const element = this.chart('by stage', { title: 'test accuracy after each stage', lines, from: 1, of: Math.max(2, rows[0].stages.length),
      share: true, axis: 'stages', dots: true, height: 150, right: 140, hover: null, pick: null });
    const chart = this.charts.get('by stage');
    chart.still = true;
    chart.at(rows[0].stages.length);
    return element;
  }

  async show(at) {
    this.moveCharts(at);
    const frames = this.framesAt(at);
    const key = JSON.stringify([...frames.keys()]);
    if (key !== this.stagesShown) { this.stagesShown = key; this.layout = null; this.arrange(at); }
    this.now = at;
    for (const [number, frame] of frames) {
      const bitmap = await sheets.read(frame.png), j = this.stageIndex(number);
      if (this.now !== at) return;
      if (bitmap) for (const [i, canvas] of this.tiles[j] ?? []) draw(canvas, bitmap, i, frame.size);
    }
    this.panel.element.dataset.shown = at;
  }
}

// ---- a selection: the set by source and phase, difficulty, supply ----------------------------------------------------

class SelectionView extends View {
  constructor(panel) {
    super(panel);
    this.bin = null;   // of the histogram
    this.only = null;  // class
    this.top = h('div');
    this.head = h('div', { class: 'row' });
    this.strip = h('div', { class: 'strip' });
    this.images.append(this.top, this.head, this.strip);
    this.supplyRoom = h('div');
    this.most = 120;   // images in view
  }

  get selection() { return this.run.extra.selection; }
  get phases() { return this.selection?.value.phases ?? []; }
  steps() { return this.phases.length ? this.phases.map((p, i) => i + 1) : [0]; }
  clockWords(at) { return this.phases.length ? `phase ${at} of ${this.run.about.phases ?? this.phases.length}` : 'no phase is done yet'; }
  tools() { return [this.sizeTool(), h('span', { class: 'space' }), h('span', { class: 'quiet keys' }, 'a bar or a class filters the set · Space plays the phases')]; }

  refresh() { this.paint(this.panel.clock.at); }
  show(at) { if (at !== this.painted) this.paint(at); }
  arrange() { this.paintStrip(this.panel.clock.at); }

  paint(at) {
    this.painted = at;
    if (!this.phases.length) {
      this.top.replaceChildren(h('p', { class: 'quiet' }, 'The first filter is being trained. What it chooses is shown here.'));
      this.place([this.training()]);
      return;
    }
    this.paintHistogram(at);
    this.paintStrip(at);
    this.paintSupply(at);
    this.place([this.supplyRoom, this.filters(at), this.training(), scoresOf(this.run)]);
    this.panel.element.dataset.shown = at;
  }

  paintHistogram(at) {
    const { edges, counts, byClass: of } = this.selection.value;
    if (!edges) {
      this.top.replaceChildren(h('p', { class: 'quiet' }, 'This selection went by the scores of each filter, which no folder keeps: there is no histogram of all images.'));
      return;
    }
    const all = this.only === null ? counts : of[this.only];
    const parts = this.phases.slice(0, at).map(p => {
      const part = all.map(() => 0);
      p.bins.forEach((b, k) => { if (this.only === null || p.labels[k] === this.only) part[b]++; });
      return part;
    });
    const total = all.reduce((a, b) => a + b, 0), wide = Math.max(300, this.images.clientWidth - 28);
    const whose = this.only === null ? '' : ` of ${this.run.about.classes[this.only]}`;
    this.top.replaceChildren(histogram({ title: `${this.selection.value.score} of ${count(total)} real images${whose} (log scale)${wide > 420 ? '; colour: chosen in which phase' : ''}`,
      all, parts, colours: parts.map((_, i) => phaseColour(i)), names: parts.map((_, i) => `phase ${i + 1}`), chosen: this.bin,
      words: i => `${brief(edges[i])} to ${brief(edges[i + 1])}`, width: wide,
      pick: bin => { this.bin = bin; this.unchosen = null; this.paint(at); if (bin !== null) this.askBin(bin); } }));
  }

  // the real images of a bar that were not chosen: only a kernel knows them
  async askBin(bin) {
    const answer = await this.store.ask('bin', { key: this.run.key, bin, only: this.only });
    if (this.bin !== bin || !answer || answer.value.problem) return;
    this.unchosen = answer;
    this.paintStrip(this.panel.clock.at);
  }

  items(at) { // of the set, as filtered: { picture, k, size, colour, words }
    const { classes } = this.run.about, out = [];
    const small = this.run.extra.distilled;
    if (small && this.bin === null) small.value.labels.forEach((label, k) => out.push({ label, source: small, k, colour: BLUE,
      caption: classes[label], words: `${classes[label]}, distilled` }));
    this.phases.slice(0, at).forEach((p, i) => p.indices.forEach((index, k) => {
      if (this.bin !== null && p.bins?.[k] !== this.bin) return;
      out.push({ label: p.labels[k], source: this.selection, picture: i, k, colour: phaseColour(i), score: p.scores[k],
        caption: classes[p.labels[k]], words: `${classes[p.labels[k]]}, ${this.selection.value.score} ${brief(p.scores[k])}, chosen in phase ${i + 1}` });
    }));
    if (this.bin !== null && this.unchosen) this.unchosen.value.labels.forEach((label, k) => out.push({ label, source: this.unchosen, k, colour: 'var(--line)',
      score: this.unchosen.value.scores[k], caption: classes[label], words: `${classes[label]}, ${brief(this.unchosen.value.scores[k])}, not chosen` }));
    const mine = this.only === null ? out : out.filter(o => o.label === this.only);
    return mine.sort((a, b) => (a.score ?? -Infinity) - (b.score ?? -Infinity));
  }

  paintStrip(at) {
    if (!this.phases.length) return;
    const items = this.items(at), some = items.slice(0, this.most), size = this.selection.value.size;
    const px = size > 48 ? Math.round(64 * 1.25 ** this.zoom) : size * Math.max(1, Math.floor(52 / size) + this.zoom);
    const filter = this.bin === null && this.only === null ? null
      : button('✕ show all', 'Take the filter away', () => { this.bin = this.only = null; this.paint(at); }, { class: 'link' });
    const more = items.length > some.length
      ? button('show more', 'Show the next 240', () => { this.most += 240; this.paintStrip(at); }, { class: 'link' }) : null;
    const chosen = items.filter(o => o.source === this.selection).length, made = items.filter(o => o.colour === BLUE).length;
    const words = this.bin === null ? `the set after phase ${at}: ${count(made)} distilled, ${count(chosen)} real, easiest first` : `${plural(this.inBin(), 'image')} of this difficulty, ${chosen} chosen${this.store.live ? '' : ' (a page without a kernel shows those)'}`;
    this.head.replaceChildren(...[h('span', { class: 'title2' }, words), h('span', { class: 'quiet' }, items.length > some.length ? `${some.length} of ${count(items.length)} shown` : ''), filter, more].filter(Boolean));
    const figures = some.map((o, i) => {
      const canvas = tile(px, o.source.value.size ?? size, { role: 'button', tabindex: i ? -1 : 0, 'aria-label': o.words, title: o.words, style: `width:${px}px;height:${px}px;outline-color:${o.colour}` });
      sheets.read(o.source.pictures[o.picture ?? 0]).then(b => { if (b) draw(canvas, b, o.k, o.source.value.size ?? size); });
      canvas.addEventListener('click', () => this.enlarge(some, i));
      canvas.addEventListener('keydown', e => { if (e.key === 'Enter') { e.stopPropagation(); this.enlarge(some, i); } });
      return h('figure', {}, canvas, px >= 40 ? h('figcaption', { title: o.caption }, o.caption) : null);
    });
    this.strip.style.setProperty('--tile', `${Math.max(px, 44)}px`);
    this.strip.replaceChildren(...figures);
  }

  enlarge(items, i) { // one image of the set alone, its neighbours by ← and →
    const o = items[i], size = o.source.value.size ?? this.selection.value.size;
    const frame = { step: 0, png: o.source.pictures[o.picture ?? 0], size };
    const run = { about: this.run.about, frameAt: () => frame };
    this.panel.large.show({ run, index: i, place: o.k, step: 0, name: o.caption, order: range(0, items.length),
      facts: o.words, alone: true, turn: next => this.enlarge(items, next) });
  }

  inBin() {
    const { counts, byClass: of } = this.selection.value;
    return (this.only === null ? counts : of[this.only])[this.bin];
  }

  // supply against need of all classes, the shortest supply first
  paintSupply(at) {
    const { classes } = this.run.about, phases = this.phases.slice(0, at), last = phases.at(-1);
    const rows = classes.map((name, c) => ({ c, name, chosen: phases.map(p => p.labels.filter(l => l === c).length),
      have: last.candidates?.[c], want: last.need?.[c] ?? 0 }));
    const short = r => r.have === undefined ? 0 : Math.max(0, r.want - r.have);
    rows.sort((a, b) => short(b) - short(a) || a.c - b.c);
    const most = Math.max(1, ...rows.map(r => r.chosen.reduce((x, y) => x + y, 0)));
    const line = r => {
      const pick = () => { this.only = this.only === r.c ? null : r.c; this.unchosen = null; this.paint(at); };
      const total = r.chosen.reduce((x, y) => x + y, 0);
      const said = short(r) ? `${r.have} candidates of ${r.want} wanted` : `${total} chosen`;
      return h('button', { type: 'button', class: 'supply', 'aria-pressed': String(this.only === r.c), title: `Show ${r.name} alone; ${said}`, onclick: pick },
        h('span', { class: 'name' }, r.name), h('span', { class: 'stackbar' }, ...r.chosen.map((n, i) => h('i', { style: `width:${100 * n / most}%;background:${phaseColour(i)}` }))),
        h('span', { class: 'num' }, count(total)), h('span', { class: 'quiet' }, short(r) ? `▾ ${r.want - r.have} short` : ''));
    };
    this.supplyRoom.replaceChildren(h('div', { class: 'title2' }, 'chosen of each class (click to filter)'), h('div', { class: 'supplies' }, ...rows.map(line)));
  }

  filters(at) {
    const kinds = [['all', 'real', AMBER], ['unselected', 'unchosen', QUIET], ['test', 'test', BLUE]];
    const lines = kinds.map(([key, name, colour]) => ({ name, colour, points: this.phases.map((p, i) => [i + 1, p[key]]).filter(p => typeof p[1] === 'number') })).filter(l => l.points.length);
    if (!lines.length) return null;
    const { clock } = this.panel;
    const element = this.chart('filters', { title: 'accuracy of each phase’s filter', lines, from: 1, of: Math.max(2, this.phases.length), share: true,
      axis: 'phase', dots: true, height: 140, right: 140, hover: null, pick: x => clock.go(clock.nearest(x)) });
    const chart = this.charts.get('filters');
    chart.still = true;
    chart.at(at);
    return element;
  }

  training() {
    const names = this.scalars().filter(n => n.includes('loss'));
    return names.length ? this.chart('training', { title: `${titleOf(names[0])} of the filters`, lines: this.lines(names[0]), of: this.run.total, log: true,
      axis: 'step', height: 110, hover: null, pick: null }) : null;
  }
}

// ---- a teacher: accuracy by epoch, what it takes for what ------------------------------------------------------------

class TeacherView extends View {
  constructor(panel) {
    super(panel);
    this.confusion = h('canvas', { class: 'confusion', role: 'img' });
    this.names = h('div', { class: 'confusion-names', 'aria-hidden': 'true' });
    this.words = h('p', { class: 'quiet' });
    this.classes = h('div', { class: 'supplies' });
    fill(this.images, { tabindex: 0, role: 'region', 'aria-label': 'what the teacher takes for what' }, []); // it may scroll
    this.images.append(h('div', { class: 'teacher-room' },
      h('div', {}, h('div', { class: 'title2' }, 'what is taken for what (rows: the label; columns, in the same order: what the teacher sees)'),
        h('div', { class: 'confusion-room' }, this.names, this.confusion), this.words),
      h('div', {}, h('div', { class: 'title2' }, 'accuracy of each class on the test images'), this.classes)));
  }

  tools() { return [h('span', { class: 'space' }), h('span', { class: 'quiet keys' }, 'hover on a chart to look back')]; }

  refresh() {
    this.place(this.scalarCharts(this.scalars()));
    const known = this.run.extra.teacher?.value;
    show(this.images, Boolean(known)); // while it is trained the charts have all the room
    this.panel.main.classList.toggle('charts-only', !known);
    if (known && known !== this.known) this.arrange();
  }

  arrange() { // colours are known once it is in the page
    this.known = this.run.extra.teacher?.value;
    if (this.known && this.images.isConnected) this.paint(this.known.confusion);
  }

  paint(rows) {
    const { classes } = this.run.about, n = rows.length, px = Math.max(4, Math.min(56, Math.floor(300 / n)));
    const line = (row, c) => {
      const all = row.reduce((a, b) => a + b, 0), share = all ? row[c] / all : 0;
      return h('div', { class: 'supply' }, h('span', { class: 'name' }, classes[c]), h('span', { class: 'stackbar' }, h('i', { style: `width:${100 * share}%;background:${BLUE}` })),
        h('span', { class: 'num' }, percent(share)), h('span', { class: 'quiet' }, worst(row, c, classes)));
    };
    this.classes.replaceChildren(...rows.map(line));
    this.names.replaceChildren(...(px < 12 ? [] : classes.map(name => h('div', { class: 'grid-name', style: `height:${px}px;line-height:${px}px`, title: name }, name))));
    this.confusion.width = this.confusion.height = n * px;
    const context = this.confusion.getContext('2d'), blue = getComputedStyle(this.confusion).getPropertyValue('--blue');
    rows.forEach((row, i) => row.forEach((v, j) => {
      const all = row.reduce((a, b) => a + b, 0) || 1;
      context.globalAlpha = v ? Math.min(1, .08 + .92 * v / all) : .03;
      context.fillStyle = blue;
      context.fillRect(j * px, i * px, px - 1, px - 1);
    }));
    this.confusion.setAttribute('aria-label', `confusion matrix of ${n} classes`);
    this.confusion.onpointermove = e => {
      const box = this.confusion.getBoundingClientRect(), i = Math.floor((e.clientY - box.top) / px), j = Math.floor((e.clientX - box.left) / px);
      if (rows[i]?.[j] !== undefined) say(this.words, `${classes[i]} seen as ${classes[j]}: ${plural(rows[i][j], 'image')}`);
    };
  }

  show(at) { this.moveCharts(at); }
}

function worst(row, c, classes) { // what a class is most often taken for
  const other = row.map((v, j) => j === c ? 0 : v), most = Math.max(...other);
  return most ? `${most} as ${classes[other.indexOf(most)]}` : '';
}

const VIEWS = { recovery: RecoveryView, stages: StagesView, selection: SelectionView, teacher: TeacherView, plain: PlainView, compare: CompareView };

// ---- scores beside their controls --------------------------------------------------------------------------------------

const rooms = new WeakMap(); // a run's table is made once for each set of rows

function scoresOf(run) {
  const extra = run.extra.scores;
  if (!extra?.value?.length) return null;
  if (!rooms.has(extra)) rooms.set(extra, scoreTable(extra.value));
  return rooms.get(extra);
}

function scoreTable(rows) {
  const controls = rows.filter(r => r.control);
  const of = r => controls.find(c => c.protocol === r.protocol && c.net === r.net && c.ipc === r.ipc) ?? null;
  const lowest = Math.min(...rows.map(r => r.mean - r.std)), from = Math.max(0, Math.floor(10 * lowest) / 10);
  const line = r => {
    const control = of(r), gap = control ? r.mean - control.mean : null;
    const clear = control && Math.abs(gap) > 2 * Math.hypot(r.std, control.std);
    const verdict = gap === null ? 'no control' : clear ? 'beyond both spreads' : 'within the spread';
    return h('div', { class: 'score' },
      h('span', { class: 'quiet how' }, `${r.protocol} · ${r.net} · ${plural(r.repeats, 'student')}`),
      h('span', { class: 'num' }, h('b', {}, percent(r.mean)), ` ± ${(100 * r.std).toFixed(1)}`),
      h('span', { class: 'num' + (clear && gap > 0 ? ' up' : '') }, gap === null ? '–' : points(gap), ' ', h('span', { class: 'quiet' }, verdict)),
      interval({ mean: r.mean, std: r.std, control: control?.mean ?? null, from, width: 120 }));
  };
  const sets = rows.filter(r => !r.control && !r.whole);
  return h('div', {}, h('div', { class: 'title2' }, 'test accuracy, mean ± spread; points to random real images (amber)'), ...sets.map(line));
}

// ---- the panel as a widget -----------------------------------------------------------------------------------------------

function panelApp(el, store) {
  let panel = null, keys = '';
  const look = () => {
    const now = store.facts.shown?.value ?? [...store.runs.keys()];
    if (!now.length || JSON.stringify(now) === keys) return;
    keys = JSON.stringify(now);
    panel?.dispose();
    panel = new RunPanel(store, now);
    el.replaceChildren(panel.element);
  };
  const stop = store.on(look);
  el.append(h('p', { class: 'quiet empty' }, 'Waiting for the kernel …'));
  look();
  return () => {
    stop();
    panel?.dispose();
  };
}
