// What every panel is made of: elements, numbers in words, and the store that holds what the runs have said.
// The scripts of this folder are joined into one ES module (see nbs/view/10_front.ipynb). They draw in three homes:
// a live widget, a page of the documentation, a saved file. Only the first has a kernel to ask.

// ---- elements ------------------------------------------------------------------------------------------------------

const SVG_SPACE = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat().filter(c => c !== null && c !== undefined && c !== false));
  return element;
}

const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG_SPACE, tag), attributes, children);

// Children are replaced only where the text differs: what a pointer or a screen reader rests on stays.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function button(text, title, onclick, attributes = {}) {
  return h('button', { type: 'button', title, onclick, ...attributes }, text);
}

// What cannot work now is disabled, and its tooltip says why.
function allow(element, allowed, why = '') {
  element.dataset.title ??= element.title;
  element.disabled = !allowed;
  element.title = allowed ? element.dataset.title : why || element.dataset.title;
}

// A button that goes while it has the focus gives it to its panel: the keys go on working.
function show(element, shown) {
  const focused = !shown && !element.hidden && element.contains(element.getRootNode().activeElement);
  element.hidden = !shown;
  if (focused) element.closest('.panel')?.focus({ preventScroll: true });
}

// ---- numbers in words ----------------------------------------------------------------------------------------------

const minus = text => text.replace('-', '−');
const percent = v => minus((100 * v).toFixed(1)) + ' %';
const count = n => Math.round(n).toLocaleString('en-US');
const points = v => (v > 0 ? '+' : '') + minus((100 * v).toFixed(1));
const plural = (n, one, many = one + 's') => `${count(n)} ${n === 1 ? one : many}`;

function brief(v) { // three digits: '0.0312', '4.87', '58.2', '1,234'
  if (typeof v !== 'number' || !Number.isFinite(v)) return '–';
  if (v === 0) return '0';
  const size = Math.abs(v);
  if (size >= 1e6) return minus(v.toExponential(1)).replace('e+', 'e');
  if (size >= 100) return minus(count(v));
  if (size >= 1e-3) return minus(String(+v.toPrecision(3)));
  return minus(v.toExponential(0));
}

function duration(seconds) {
  const s = Math.round(seconds);
  if (s < 100) return `${s} s`;
  if (s < 5400) return `${Math.round(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

// ---- what the runs have said ---------------------------------------------------------------------------------------

class RunRecord {
  constructor(key) {
    this.key = key;
    this.about = null;        // what does not change: name, kind, classes, schedule, …
    this.events = [];         // { step, total, time, note, scalars }, in order
    this.frames = new Map();  // step → { png, n, size, labels }
    this.state = { state: 'new', words: '' };
    this.extra = {};          // name → what came later: scores, phases, real images
  }

  get total() { return this.events.at(-1)?.total ?? this.about?.total ?? 1; }
  get last() { return this.events.at(-1) ?? null; }

  get steps() { // that the slider stops at: those with images, and the one at which the run rests
    const steps = this.frames.size ? [...this.frames.keys()] : this.events.map(e => e.step);
    if (this.last && !steps.includes(this.last.step)) steps.push(this.last.step);
    return steps.sort((a, b) => a - b);
  }

  // the last item at or before a step (the first one where there is none)
  eventAt(step) { return lastBefore(this.events, step, e => e.step); }

  frameAt(step) {
    const at = lastBefore([...this.frames.keys()].sort((a, b) => a - b), step, v => v);
    return at === null ? null : { step: at, ...this.frames.get(at) };
  }

  points(name) {
    return this.events.filter(e => typeof e.scalars[name] === 'number').map(e => [e.step, e.scalars[name]]);
  }
}

function lastBefore(items, at, place) {
  let found = items[0] ?? null;
  for (const item of items) if (place(item) <= at) found = item; else break;
  return found;
}

class Store {
  constructor(send = null) {
    this.runs = new Map();
    this.facts = {};            // name → what is said of no run: the studio's state
    this.send = send;           // (message) => void, or null where no kernel listens
    this.listeners = new Set();
    this.questions = new Map(); // number → resolve
    this.asked = 0;
    this.waiting = false;
  }

  get live() { return this.send !== null; }

  run(key) {
    if (!this.runs.has(key)) this.runs.set(key, new RunRecord(key));
    return this.runs.get(key);
  }

  // Every message may come twice: a browser that opens late makes the kernel say all again.
  take(message, buffers = []) {
    const take = Store.takes[message.kind];
    if (take) take(this, message, buffers);
    this.changed();
  }

  changed() {
    if (this.waiting) return;
    this.waiting = true;
    const tell = () => { this.waiting = false; for (const f of [...this.listeners]) f(); };
    document.hidden ? setTimeout(tell, 100) : requestAnimationFrame(tell);
  }

  on(f) {
    this.listeners.add(f);
    return () => this.listeners.delete(f);
  }

  order(name, facts = {}) { this.send?.({ kind: 'order', name, ...facts }); }

  // A question to the kernel; its answer is { value, buffers }, or null where no kernel listens.
  ask(name, facts = {}) {
    if (!this.live) return Promise.resolve(null);
    const id = ++this.asked;
    return new Promise(resolve => {
      this.questions.set(id, resolve);
      this.send({ kind: 'ask', id, name, ...facts });
    });
  }
}

Store.takes = {
  run(store, { key, about }) { store.run(key).about = about; },
  events(store, { key, from, events }) {
    const run = store.run(key);
    events.forEach((event, i) => { run.events[from + i] = event; });
    run.events = run.events.filter(Boolean);
  },
  restart(store, { key }) { // the run's folder was taken by another run
    store.runs.delete(key);
    store.run(key);
  },
  frames(store, { key, frames }, buffers) {
    const run = store.run(key), same = labels => run.labels?.length === labels?.length && run.labels?.every((v, i) => v === labels[i]);
    frames.forEach((frame, i) => {
      if (!same(frame.labels)) run.labels = frame.labels; // those of most steps are alike: they are held once
      run.frames.set(frame.step, { ...frame, labels: run.labels, png: blob(buffers[i]) });
    });
  },
  thinned(store, { key, steps }) { // a run records more pictures than a browser should hold
    for (const step of steps) store.run(key).frames.delete(step);
  },
  state(store, { key, ...state }) { store.run(key).state = state; },
  extra(store, { key, name, value }, buffers) {
    store.run(key).extra[name] = { value, pictures: buffers.map(blob) };
  },
  fact(store, { name, value }, buffers) { store.facts[name] = { value, pictures: buffers.map(blob) }; },
  answer(store, { id, value }, buffers) {
    store.questions.get(id)?.({ value, pictures: buffers.map(blob) });
    store.questions.delete(id);
  },
};

const blob = bytes => bytes instanceof Blob ? bytes : new Blob([bytes], { type: 'image/png' });

function fromBase64(text) {
  const bytes = atob(text);
  return Uint8Array.from(bytes, c => c.charCodeAt(0));
}
