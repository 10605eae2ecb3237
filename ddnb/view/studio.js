// The studio: data, teacher, method, runs, scores, export and code on one page, drawn from a snapshot of the desk.
// What the desk says comes as three facts: 'studio' (what is seen), 'studio-form' (the settings of the chosen method)
// and 'studio-real' (a sheet of real images). Elements are made once and brought up to date in place.

// ---- small parts ---------------------------------------------------------------------------------------------------

let studioIds = 0;
const studioId = () => `ddnb-studio-${++studioIds}`;

// Children by key, in order: old ones stay, new ones are made, those without an item go.
function keyed(parent, items, keyOf, make, update) {
  const known = parent.keyedChildren ??= new Map(), keys = new Set(items.map(keyOf));
  for (const [key, child] of known) if (!keys.has(key)) { child.element.remove(); known.delete(key); }
  items.forEach((item, i) => {
    const key = keyOf(item);
    if (!known.has(key)) known.set(key, make(item));
    const child = known.get(key);
    if (parent.children[i] !== child.element) parent.insertBefore(child.element, parent.children[i] ?? null);
    update(child, item);
  });
}

function setOptions(select, pairs) { // [[value, words]]
  const layout = JSON.stringify(pairs);
  if (select.layout === layout) return;
  select.layout = layout;
  const value = select.value;
  select.replaceChildren(...pairs.map(([v, words]) => h('option', { value: v }, words)));
  select.value = value;
}

const inFocus = element => element.getRootNode().activeElement === element;

function copyButton(element) { // whose text is copied
  const b = button('Copy', 'Copy to the clipboard', async () => {
    say(b, await copyText(element) ? 'Copied' : 'Marked: press Ctrl C');
    setTimeout(() => say(b, 'Copy'), 2000);
  }, { class: 'plain' });
  return b;
}

// ---- a field -------------------------------------------------------------------------------------------------------

// A label, something to choose or type in, and what is wrong with it. What is typed goes to the desk at once; what the
// desk says comes back, but never over a field that somebody is typing in.
class StudioField {
  constructor({ words, help = '', kind = 'text', choices = [], hint = '', wide = false }, change) {
    this.kind = kind;
    this.change = change;
    const id = studioId(), errorId = studioId(), listId = studioId();
    const common = { id, 'aria-describedby': errorId, title: help };
    this.input = this.makeInput(kind, common, choices, listId, hint);
    this.error = h('div', { class: 'field-error error', id: errorId, 'aria-live': 'polite' });
    this.label = h('label', { for: id, title: help }, words);
    this.element = h('div', { class: wide ? 'field wide' : 'field' }, this.label, this.input, this.list, this.error);
    this.input.addEventListener(kind === 'bool' || this.isSelect ? 'change' : 'input', () => this.tell());
    this.input.addEventListener('keydown', e => { if (e.key === 'Enter') this.input.blur(); });
  }

  get isSelect() { return this.kind === 'choice' || this.kind === 'base'; }

  makeInput(kind, common, choices, listId, hint) {
    if (this.isSelect) {
      const select = h('select', common);
      setOptions(select, choices.map(c => Array.isArray(c) ? c : [c, c]));
      return select;
    }
    if (kind === 'bool') return h('input', { ...common, type: 'checkbox' });
    const numeric = { int: 'numeric', float: 'decimal' }[kind];
    if (kind !== 'suggest') return h('input', { ...common, type: 'text', inputmode: numeric, placeholder: hint, autocomplete: 'off' });
    this.list = h('datalist', { id: listId }, ...choices.map(c => h('option', { value: Array.isArray(c) ? c[0] : c })));
    return h('input', { ...common, type: 'text', list: listId, placeholder: hint, autocomplete: 'off' });
  }

  get value() { return this.kind === 'bool' ? this.input.checked : this.input.value; }

  tell() {
    this.sent = { value: this.value, until: Date.now() + 2000 };
    this.change(this.value);
  }

  put(value) { // what the desk has
    if (this.sent && Date.now() < this.sent.until && String(value) !== String(this.sent.value)) return; // an echo is on its way
    this.sent = null;
    if (this.kind === 'bool') { this.input.checked = Boolean(value); return; }
    if (inFocus(this.input) && !this.isSelect) return;
    const text = value === null || value === undefined ? '' : String(value);
    if (this.input.value !== text) this.input.value = text;
  }

  complain(problem = '') {
    say(this.error, problem ? `✕ ${problem}` : '');
    if (problem) this.input.setAttribute('aria-invalid', 'true'); else this.input.removeAttribute('aria-invalid');
  }

  options(pairs) { setOptions(this.input, pairs); }
}

// A crop schedule: a line that says which, and the editor under it.
class StudioSchedule {
  constructor(field, value, change) {
    this.summary = h('summary', { title: field.help });
    this.error = h('div', { class: 'field-error error', 'aria-live': 'polite' });
    this.words = field.words;
    this.change = v => { this.sent = { text: JSON.stringify(v), until: Date.now() + 2000 }; this.tellWords(v); change(v); };
    this.room = h('div', { class: 'schedule-room' });
    this.kinds = field.choices;
    this.element = h('details', { class: 'schedule-field' }, this.summary, this.room, this.error);
    this.put(value);
  }

  tellWords(value) {
    say(this.summary, `${this.words}: ${scheduleWords(value)}`);
  }

  put(value) {
    const text = JSON.stringify(value);
    if (text === this.text) return;
    if (this.sent && Date.now() < this.sent.until && text !== this.sent.text) return;
    const own = this.sent?.text === text;
    this.sent = null;
    this.text = text;
    this.tellWords(value);
    if (own) return; // the editor shows it already
    if (this.editor) { this.editor.set(value); return; }
    this.editor = new ScheduleEditor({ value, kinds: this.kinds, size: 'small', change: this.change });
    this.room.append(this.editor.element);
  }

  complain(problem = '') { say(this.error, problem ? `✕ ${problem}` : ''); }
}

// The settings of a method, or of the base inside one: first the few that matter, then the rest.
class StudioSettings {
  constructor(fields, prefix, order) {
    this.fields = new Map();
    this.prefix = prefix;
    this.order = order;
    const first = fields.filter(f => f.first), rest = fields.filter(f => !f.first);
    this.more = h('details', {}, h('summary', {}, prefix ? 'advanced settings of the base' : 'advanced'), ...rest.map(f => this.make(f)));
    this.element = h('div', { class: 'settings' }, ...first.map(f => this.make(f)), rest.length ? this.more : null);
  }

  make(field) {
    const name = this.prefix + field.name, change = value => this.order('field', { field: name, value });
    let made;
    if (field.kind === 'schedule') made = new StudioSchedule(field, field.value, change);
    else if (field.kind === 'base') made = new StudioBase(field, this.order);
    else made = new StudioField(field, change);
    this.fields.set(field.name, made);
    return made.element;
  }

  put(values, problems) {
    for (const [name, field] of this.fields) {
      if (field instanceof StudioBase) { field.put(values[name], problems); continue; }
      field.put(values[name]);
      field.complain(problems[this.prefix + name] ?? '');
    }
    const hidden = [...this.more.querySelectorAll('.field-error')].some(e => e.textContent);
    if (hidden) this.more.open = true; // an error is never out of view
  }
}

class StudioBase {
  constructor(field, order) {
    this.forms = new Map(field.forms.map(form => [form.name, form]));
    this.order = order;
    this.menu = new StudioField({ ...field, choices: field.choices }, value => order('base', { value }));
    this.room = h('div');
    this.element = h('div', { class: 'base' }, this.menu.element, this.room);
  }

  put({ name, values }, problems) {
    this.menu.put(name);
    if (this.name !== name) {
      this.name = name;
      this.settings = new StudioSettings(this.forms.get(name).fields, 'base.', this.order);
      this.room.replaceChildren(this.settings.element);
    }
    this.settings.put(values, problems);
  }
}

// ---- header and status ---------------------------------------------------------------------------------------------

class StudioHeader {
  constructor(app) {
    this.app = app;
    this.menu = button('☰ New run', 'Data, teacher, settings and runs', () => app.toggleSide(), { class: 'plain menu', 'aria-expanded': 'false' });
    this.steps = h('nav', { class: 'steps', 'aria-label': 'from data to export' });
    this.cost = h('span', { class: 'quiet cost', 'aria-live': 'polite' });
    this.measure = button('How long?', 'Time a few steps of what comes next', () => app.order('measure'), { class: 'link' });
    this.primary = button('', '', () => {
      const { order, facts } = app.now.primary;
      app.toggleSide(false);
      app.order(order, facts);
    }, { class: 'primary' });
    this.element = h('header', { class: 'studio-head' }, this.menu, this.steps, h('span', { class: 'space' }), this.cost, this.measure, this.primary);
  }

  update({ steps, at, primary, cost, method }) {
    keyed(this.steps, steps, s => s.step, s => this.makeStep(s), (child, s) => {
      say(child.words, s.words);
      say(child.fact, s.fact);
      child.button.setAttribute('aria-current', at === s.step ? 'step' : 'false');
    });
    const starts = primary.order === 'start', trains = primary.order === 'train', known = trains ? cost.teacher : cost.seconds;
    const then = trains && known !== null && cost.seconds !== null ? `, then ${method.name} about ${duration(cost.seconds)}` : '';
    say(this.cost, (starts || trains) && known !== null ? `about ${duration(known)}${then}` : '');
    show(this.measure, (starts || trains) && known === null && cost.possible);
    say(this.primary, starts ? `▶ ${primary.text}` : primary.text);
    allow(this.primary, !primary.why, primary.why);
  }

  makeStep(s) {
    const words = h('b'), fact = h('span', { class: 'quiet' });
    const b = h('button', { type: 'button', class: 'step', onclick: () => this.app.turn(s.step) }, words, fact);
    const element = h('span', { class: 'step-place' }, s.step === 'data' ? null : h('span', { class: 'sep', 'aria-hidden': 'true' }, '▸'), b);
    return { element, button: b, words, fact };
  }
}

class StudioStatus {
  constructor(app) {
    this.app = app;
    this.words = h('span', { class: 'status-words', role: 'status', 'aria-live': 'polite' });
    this.buttons = h('span', { class: 'row' });
    this.bar = h('i');
    this.track = h('span', { class: 'track', role: 'progressbar', 'aria-label': 'progress' }, this.bar);
    this.left = h('span', { class: 'quiet' });
    this.cancel = button('Cancel', 'End this; what is done already stays', () => app.order('cancel'), { class: 'plain' });
    this.why = h('span', { class: 'quiet why' });
    this.element = h('div', { class: 'studio-status' }, this.words, this.buttons, this.track, this.left, this.cancel, h('span', { class: 'space' }), this.why);
  }

  press({ order, facts }) {
    if (order === 'go') this.app.turn(facts.step);
    else this.app.order(order, facts);
  }

  update({ status, job, primary, at }) {
    const error = status.kind === 'error', atField = status.section === 'data' && at === 'data'; // the rest stands there
    const said = [error ? `✕ ${status.words}` : status.words, atField ? '' : status.remedy].filter(Boolean).join(': ');
    say(this.why, job ? '' : primary.why);
    say(this.words, job ? [job.words, job.note].filter(Boolean).join(': ') + ' …' : said);
    this.words.classList.toggle('error', error && !job);
    keyed(this.buttons, job ? [] : status.buttons, b => JSON.stringify(b), b => ({ element: button(b.text, '', () => this.press(b), { class: 'plain' }) }), () => {});
    show(this.track, Boolean(job && job.share !== null));
    show(this.left, Boolean(job && job.share !== null));
    show(this.cancel, Boolean(job?.cancel));
    if (!job || job.share === null) return;
    this.bar.style.width = `${100 * job.share}%`;
    this.track.setAttribute('aria-valuenow', Math.round(100 * job.share));
    say(this.left, `${Math.round(100 * job.share)} %${job.left ? `, ${duration(job.left)} left` : ''}`);
  }
}

// ---- the left side: data -------------------------------------------------------------------------------------------

const OWN_FOLDER = 'my own photos …';

class StudioData {
  constructor(app) {
    this.app = app;
    this.choice = new StudioField({ words: 'data', kind: 'choice', help: 'A data set, or a folder that holds a folder for each class' }, value => this.choose(value));
    this.folder = new StudioField({ words: 'folder', help: 'It holds a folder of images for each class' }, () => {});
    this.folder.input.addEventListener('keydown', e => { if (e.key === 'Enter') this.take(this.folder.value); });
    this.browse = button('Browse …', 'Look for a folder', () => this.look(''), { class: 'plain' });
    this.use = button('Use this folder', 'Load its images', () => this.take(this.folder.value), { class: 'plain' });
    this.size = new StudioField({ words: 'size', kind: 'int', help: 'Pixels along a side that the images are brought to' }, () => {});
    this.size.input.addEventListener('change', () => this.app.order('data', { value: this.app.now.data.picked, size: this.size.value }));
    this.list = h('div', { class: 'folders', hidden: true });
    this.own = h('div', { hidden: true }, this.folder.element, h('div', { class: 'actions' }, this.browse, this.use), this.list, this.size.element);
    this.words = h('p', { class: 'note quiet' });
    this.crops = h('div', { class: 'crops', hidden: true });
    this.element = h('section', {}, h('h4', {}, 'Data'), this.choice.element, this.own, this.words, this.crops);
  }

  // a few photos as they are; what is cut off lies in the shade
  showCrops(fact) {
    if (this.photos === fact) return;
    this.photos = fact;
    this.crops.replaceChildren(...(fact?.value ?? []).map(({ name, width, height, keep }, i) => {
      const image = h('img', { src: URL.createObjectURL(fact.pictures[i]), alt: `a photo of ${name}, ${width} × ${height}`, onload: () => URL.revokeObjectURL(image.src) });
      const stays = h('i', { class: 'stays', style: `width:${100 * keep[0]}%;height:${100 * keep[1]}%` });
      return h('figure', {}, h('span', { class: 'crop' }, image, stays), h('figcaption', { title: name }, name));
    }), h('p', { class: 'quiet' }, 'What lies in the shade is cut off; only random crops of a training reach into it.'));
  }

  choose(value) {
    show(this.own, value === OWN_FOLDER);
    if (value === OWN_FOLDER) { this.wantsFolder = true; this.look(''); } else { this.wantsFolder = false; this.app.order('data', { value }); }
  }

  take(folder) {
    this.app.order('data', { value: folder });
  }

  async look(folder) {
    const answer = await this.app.store.ask('browse', { folder });
    const found = answer?.value;
    if (!found || found.problem) { this.folder.complain(found?.problem ?? ''); return; }
    this.folder.complain('');
    this.folder.put(found.path);
    const line = (path, name, classes) => h('div', { class: 'folder' },
      button(name, path, () => this.look(path), { class: 'link' }),
      classes > 1 ? button(`use: ${classes} classes`, `Load ${path}`, () => { this.folder.input.value = path; this.take(path); }, { class: 'plain' }) : null);
    const near = folder === '' && found.near.length ? [h('div', { class: 'title2' }, 'nearby, with class folders'), ...found.near.map(f => line(f.path, f.name, f.classes))] : [];
    const places = h('div', { class: 'actions' }, ...found.places.map(({ name, path }) => button(name, path, () => this.look(path), { class: 'link' })));
    this.list.replaceChildren(...near, places, h('div', { class: 'title2' }, found.path), line(found.parent, '↑ the folder above', 0), ...found.folders.map(f => line(f.path, f.name, f.classes)));
    show(this.list, true);
  }

  update({ data, status }, photos) {
    this.showCrops(photos);
    const own = data.picked && !data.choices.includes(data.picked);
    this.choice.options([...data.choices.map(c => [c, c]), [OWN_FOLDER, OWN_FOLDER]]);
    this.choice.put(own || this.wantsFolder ? OWN_FOLDER : data.picked);
    show(this.own, Boolean(own || this.wantsFolder));
    if (own && this.taken !== data.picked) { // a folder that was chosen now: its images are what is looked at next
      this.taken = data.picked;
      this.folder.put(data.picked);
    }
    if (own && data.loaded && this.seen !== data.picked) { this.seen = data.picked; show(this.list, false); }
    this.size.put(data.size);
    show(this.size.element, Boolean(own && data.survey));
    show(this.crops, Boolean(own && photos?.value.length));
    const wrong = status.kind === 'error' && status.section === 'data' ? [status.words, status.remedy].filter(Boolean).join(': ') : '';
    (own ? this.folder : this.choice).complain(wrong);
    const { loaded } = data;
    const facts = loaded ? [`${plural(loaded.images, 'image')} to learn from, ${count(loaded.test)} to test`, `${plural(loaded.classes, 'class', 'classes')}, ${loaded.counts}`,
      `${loaded.size} × ${loaded.size} pixels, ${loaded.channels === 1 ? 'grey' : 'colour'}`] : [];
    say(this.words, [data.survey?.words, ...facts].filter(Boolean).join('. ') + (facts.length ? '.' : ''));
  }
}

// ---- the left side: teacher ----------------------------------------------------------------------------------------

class StudioTeacher {
  constructor(app) {
    this.app = app;
    this.words = h('p', { class: 'note' });
    this.epochs = new StudioField({ words: 'epochs', kind: 'int', help: 'How often the next teacher sees all images' }, value => app.order('epochs', { value }));
    this.net = new StudioField({ words: 'network', kind: 'choice', wide: true, help: 'A small network learns in minutes without a GPU; the larger is the one of the benchmarks' }, value => app.order('net', { value }));
    this.train = button('Train another', 'Train one more teacher', () => app.order('train'), { class: 'plain' });
    this.list = h('div', { class: 'runs' });
    this.others = h('h4', {}, 'Teachers of this folder');
    this.element = h('section', {}, h('h4', {}, 'Teacher'), this.words, this.net.element, this.epochs.element, h('div', { class: 'actions' }, this.train), this.others, this.list);
  }

  update({ teacher, runs, primary, selected, status, job }) {
    say(this.words, teacher.training ? `${teacher.training} is being trained.` : teacher.run
      ? `${teacher.run} teaches: ${teacher.net}, right on ${teacher.accuracy || 'an unknown share'} of the test images.`
      : teacher.needed ? 'The method learns from a teacher: a network that is trained on all real images.' : 'This method needs none; some ways of judging do.');
    this.net.options(teacher.nets.map(n => [n, n === teacher.nets[0] ? `${n} (proposed)` : n]));
    show(this.others, teacher.choices.length > 0 || runs.some(r => r.teacher));
    this.net.put(teacher.next_net);
    show(this.net.element, teacher.nets.length > 1);
    this.epochs.put(teacher.epochs);
    this.epochs.complain(status.kind === 'error' && status.section === 'teacher' ? status.words : '');
    show(this.train, primary.order !== 'train');
    allow(this.train, !job && !teacher.training, 'something is at work');
    const own = runs.filter(r => r.teacher), names = new Set(own.map(r => r.name));
    const saved = teacher.choices.filter(name => !names.has(name)).map(name => ({ name, state: 'done', words: 'a saved teacher', current: name === teacher.run, saved: true }));
    keyed(this.list, [...saved, ...own], r => r.name, r => this.make(r), (child, r) => child.update(r, selected));
  }

  make(run) {
    const name = h('b'), words = h('div', { class: 'quiet' }), score = h('div', { class: 'num' });
    const open = h('button', { type: 'button', class: 'open', onclick: () => { if (!run.saved) this.app.order('open', { run: run.name }); } }, name, words);
    const use = button('use', `Have ${run.name} teach`, () => this.app.order('teacher', { run: run.name }), { class: 'plain' });
    const again = button('Resume', `Carry ${run.name} on`, () => this.app.order('resume', { run: run.name }), { class: 'plain' });
    const element = h('div', { class: 'item' }, h('span'), open, h('div', { class: 'num' }, score, use, again));
    return { element, update: (r, selected) => {
      say(name, r.name);
      say(words, `${r.words}${stateWords(r) ? ` · ${stateWords(r)}` : ''}`);
      say(score, r.accuracy === null || r.accuracy === undefined ? '' : percent(r.accuracy));
      const done = r.state === 'done';
      show(use, done);
      show(again, ['stopped', 'interrupted', 'failed'].includes(r.state));
      say(use, r.current ? 'in use' : 'use');
      allow(use, !r.current, 'it teaches already');
      element.classList.toggle('on', selected === r.name);
      if (selected === r.name) open.setAttribute('aria-current', 'true'); else open.removeAttribute('aria-current');
    } };
  }
}

function stateWords(run) { // how it stands, where that is worth a word
  const at = run.step && run.total ? `${count(run.step)} of ${count(run.total)}` : '';
  if (run.elsewhere) return `at work in another program (${run.elsewhere})`;
  if (run.state === 'running') return run.share ? `${Math.round(100 * run.share)} %` : 'begins';
  return { done: '', pausing: 'pausing', paused: `paused at ${at}`, stopping: 'stopping', stopped: `stopped at ${at}`,
    interrupted: `interrupted at ${at}`, failed: '✕ failed' }[run.state] ?? run.state;
}

// ---- the left side: a new run, and the runs ------------------------------------------------------------------------

class StudioForm {
  constructor(app) {
    this.app = app;
    const order = (name, facts) => app.order(name, facts);
    this.seg = h('div', { class: 'seg', role: 'group', 'aria-label': 'method' });
    this.others = h('select', { 'aria-label': 'other methods', title: 'Other methods', onchange: () => { if (this.others.value) order('method', { value: this.others.value }); } });
    this.about = h('p', { class: 'note quiet' });
    this.preset = new StudioField({ words: 'preset', kind: 'choice', help: 'Settings that were published or tried for a data set' }, value => order('preset', { value }));
    this.why = h('p', { class: 'note quiet' });
    this.inputs = h('div');
    this.seldom = h('div');
    this.more = h('details', {}, h('summary', {}, 'more inputs'), this.seldom);
    this.room = h('div');
    this.whole = h('div', { class: 'field-error error', 'aria-live': 'polite' });
    this.element = h('section', {}, h('h4', {}, 'New run'),
      h('div', { class: 'methods' }, this.seg, this.others), this.about, this.preset.element, this.why, this.inputs,
      this.room, this.more, this.whole);
  }

  update({ method }, form) {
    const shown = method.main.slice(0, 3);
    const others = method.choices.filter(name => !shown.includes(name));
    keyed(this.seg, shown, name => name, name => ({ element: button(name, '', () => this.app.order('method', { value: name })) }),
      (child, name) => child.element.setAttribute('aria-pressed', String(method.name === name)));
    setOptions(this.others, [['', '…'], ...others.map(name => [name, name])]);
    this.others.value = others.includes(method.name) ? method.name : '';
    this.others.classList.toggle('on', others.includes(method.name));
    say(this.about, method.about);
    if (form && form.name === method.name) {
      if (form !== this.form) this.build(form);
      this.preset.put(method.preset);
      this.settings.put(method.values, method.problems);
    }
    say(this.why, method.why ? `This preset was ${method.why}.` : '');
    const seldom = method.inputs.filter(i => !i.first);
    for (const [place, inputs] of [[this.inputs, method.inputs.filter(i => i.first)], [this.seldom, seldom]]) {
      keyed(place, inputs, i => `${method.name}.${i.name}`, i => this.makeInput(i), (child, i) => {
        if (i.kind === 'choice') child.options(i.choices);
        child.put(i.value);
        child.complain(method.problems[i.name] ?? '');
      });
    }
    show(this.more, seldom.length > 0);
    if (seldom.some(i => method.problems[i.name])) this.more.open = true;
    say(this.whole, method.problems[''] ? `✕ ${method.problems['']}` : '');
  }

  build(form) {
    this.form = form;
    const names = Object.keys(form.presets);
    this.preset.options(names.map(name => [name, name]));
    show(this.preset.element, names.length > 1);
    this.settings = new StudioSettings(form.fields, '', (name, facts) => this.app.order(name, facts));
    this.room.replaceChildren(this.settings.element);
  }

  makeInput(input) {
    const kind = input.kind === 'folder' ? 'text' : input.kind;
    const hint = input.kind === 'folder' ? 'folder, or nothing' : '';
    return new StudioField({ ...input, kind, hint }, value => this.app.order('input', { field: input.name, value }));
  }
}

class StudioRuns {
  constructor(app) {
    this.app = app;
    this.list = h('div', { class: 'runs' });
    this.words = h('p', { class: 'note quiet' });
    this.element = h('section', {}, h('h4', {}, 'Runs'), this.list, this.words);
  }

  update({ runs, selected, ticked, shown, damaged }) {
    const own = runs.filter(r => !r.teacher);
    keyed(this.list, own, r => r.name, r => this.make(r), (child, r) => child.update(r, shown, ticked));
    const hurt = damaged.length ? `${plural(damaged.length, 'run')} can not be read: ${damaged.join('; ')}. ` : '';
    say(this.words, hurt + (!own.length ? 'None yet. What is started appears here, and stays.' : own.length < 2 ? '' :
      ticked.length === 2 ? `Comparing ${ticked.join(' and ')}.` : ticked.length === 1 ? 'Tick one more to compare.' : 'Tick two runs to compare.'));
    const item = selected !== this.selected && this.list.keyedChildren.get(selected)?.element;
    if (item) this.app.reveal(item);
    this.selected = selected;
  }

  make(run) {
    const name = h('b'), words = h('div', { class: 'quiet' }), score = h('div', { class: 'num' }), gap = h('div', { class: 'num gap' });
    const tick = h('input', { type: 'checkbox', 'aria-label': `compare ${run.name}`, title: 'Tick two to compare', onchange: () => {
      echo = Date.now() + 2000;
      this.app.order('compare', { run: run.name, on: tick.checked });
    } });
    let echo = 0; // until then the desk may not have heard of a tick
    const open = h('button', { type: 'button', class: 'open', onclick: () => this.app.order('open', { run: run.name }) }, name, words);
    const element = h('div', { class: 'item' }, tick, open, h('div', {}, score, gap));
    return { element, update: (r, shown, ticked) => {
      const state = stateWords(r), on = shown.includes(r.name);
      say(name, r.name);
      say(words, [r.words, state].filter(Boolean).join(' · '));
      open.title = r.warning || `${r.method}: ${r.words}`;
      words.classList.toggle('error', r.state === 'failed');
      say(score, r.score === null ? '' : percent(r.score) + (r.spread ? ` ± ${(100 * r.spread).toFixed(1)}` : ''));
      say(gap, r.gap === null ? '' : `${points(r.gap)} to real`);
      gap.classList.toggle('up', r.clear && r.gap >= 0);
      gap.title = r.gap !== null && !r.clear ? 'within the spread of the students: it says nothing yet' : '';
      if (Date.now() > echo || tick.checked === ticked.includes(r.name)) {
        tick.checked = ticked.includes(r.name);
        echo = 0;
      }
      element.classList.toggle('on', on);
      if (on) open.setAttribute('aria-current', 'true'); else open.removeAttribute('aria-current');
    } };
  }
}

// ---- the right side ------------------------------------------------------------------------------------------------

// The real images, class by class.
class StudioReal {
  constructor(app) {
    this.app = app;
    this.grid = new Grid({ label: 'real images, class by class' });
    this.title = h('p', { class: 'note' });
    this.where = h('span', { class: 'quiet' });
    this.back = button('◀', 'The classes before', () => this.turn(-1), { 'aria-label': 'the classes before' });
    this.on = button('▶', 'The next classes', () => this.turn(1), { 'aria-label': 'the next classes' });
    this.pager = h('div', { class: 'row pager' }, this.back, this.where, this.on);
    this.room = h('div', { class: 'real-room' }, this.grid.element);
    this.element = h('div', { class: 'real-pane' }, this.title, this.room, this.pager);
    this.watch = new ResizeObserver(() => this.arrange());
    this.watch.observe(this.room);
  }

  dispose() { this.watch.disconnect(); }

  async turn(by) {
    const answer = await this.app.store.ask('real', { page: this.facts.page + by });
    if (answer?.value) this.take(answer.value, answer.pictures);
  }

  take(facts, pictures) {
    this.facts = facts;
    this.picture = pictures[0];
    this.arrange();
  }

  update(fact, { data, job }) {
    const facts = fact?.value;
    show(this.grid.element, Boolean(facts));
    show(this.pager, Boolean(facts && facts.pages > 1));
    if (!facts) { say(this.title, job ? '' : 'No data are loaded yet: choose a data set, or a folder of your own.'); return; }
    const first = facts.rows.some(r => r.shown < r.count) ? `; of each the first ${count(Math.max(...facts.rows.map(r => r.shown)))} are shown` : '';
    say(this.title, `${data.loaded?.name ?? ''}: the real images to learn from, and how many each class has${first}`);
    if (this.fact !== fact) { this.fact = fact; this.take(facts, fact.pictures); }
  }

  async arrange() {
    const { facts } = this;
    if (!facts) return;
    let i = 0;
    const rows = facts.rows.map(r => ({ label: r.label, name: `${r.name} · ${count(r.count)}`, indices: range(i, i += r.shown) }));
    const width = this.room.clientWidth - 16, height = Math.max(320, this.room.clientHeight - 8);
    if (width <= 0) return;
    const { px, across } = fittingAcross(facts.size, Math.max(...facts.rows.map(r => r.shown)), rows.length, width, height, namesWidth(rows) + 12);
    this.grid.arrange(rows, facts.size, px, null, across);
    const bitmap = await sheets.read(this.picture);
    if (bitmap && this.facts === facts) this.grid.draw(bitmap);
    const last = facts.rows.at(-1).label + 1;
    say(this.where, `classes ${count(facts.rows[0].label + 1)} to ${count(last)} of ${count(facts.classes)}`);
    allow(this.back, facts.page > 0, 'these are the first');
    allow(this.on, facts.page < facts.pages - 1, 'these are the last');
  }
}

// ---- the drawer ----------------------------------------------------------------------------------------------------

class StudioScores {
  constructor(app) {
    this.app = app;
    const set = field => value => app.order('set_judge', { field, value });
    this.protocol = new StudioField({ words: 'protocol', kind: 'choice', help: 'How the students are trained' }, set('protocol'));
    this.repeats = new StudioField({ words: 'students', kind: 'int', help: 'How many are trained; three or more show a spread' }, set('repeats'));
    this.epochs = new StudioField({ words: 'epochs', kind: 'int', help: 'Empty: those of the protocol' }, set('epochs'));
    this.judge = button('', 'Train students on the set and on as many random real images, and test them', () => app.order('judge'), { class: 'plain' });
    this.bar = h('div', { class: 'bar' }, this.protocol.element, this.repeats.element, this.epochs.element, this.judge);
    this.rows = h('tbody');
    this.table = h('table', { class: 'scores' }, h('thead', {}, h('tr', {}, ...[['set', ''], ['per class', 'num'], ['protocol', ''], ['test accuracy', 'num'], ['random real', 'num'], ['gap', 'num'], ['', '']]
      .map(([words, kind]) => h('th', { class: kind, scope: 'col' }, words)))), this.rows);
    this.note = h('p', { class: 'note quiet' });
    this.unfinished = h('p', { class: 'note' });
    this.element = h('div', {}, this.bar, this.unfinished, this.table, this.note);
  }

  update({ judge, scores, job, shown }) {
    this.protocol.options(judge.choices);
    this.protocol.put(judge.protocol);
    this.repeats.put(judge.repeats);
    this.epochs.put(judge.epochs);
    this.epochs.input.placeholder = count(judge.usual);
    for (const name of ['repeats', 'epochs']) this[name].complain(judge.problems[name] ?? '');
    say(this.judge, judge.run && !judge.why ? `Judge ${judge.run}${judge.unfinished ? ' unfinished' : ''}` : 'Judge');
    say(this.unfinished, judge.unfinished ? `${judge.run} was halted: what it has is judged and exported as it is, and marked as unfinished.` : '');
    allow(this.judge, !judge.why && !job && !Object.keys(judge.problems).length, judge.why || Object.values(judge.problems)[0] || 'something is at work');
    show(this.table, scores.length > 0);
    const least = Math.min(1, ...scores.flatMap(r => [r.mean - r.std, r.control ? r.control.mean - r.control.std : 1]));
    const from = Math.max(0, Math.floor(least * 10) / 10);
    keyed(this.rows, scores, r => [r.run, r.set, r.protocol, r.net].join('|'), r => this.make(r), (child, r) => child.update(r, from, shown.includes(r.run)));
    say(this.note, scores.length ? `Mean ± spread of the students after the last epoch; a gap counts where it is larger than both spreads. Scale ${Math.round(100 * from)} to 100 %, upright line: random real images.`
      : 'No set of this folder is judged yet. Students are trained on the set and, beside it, on as many random real images.');
  }

  make(row) {
    const open = button(row.set, `Show ${row.run}`, () => this.app.order('open', { run: row.run }), { class: 'link' });
    const cell = (kind = '') => h('td', { class: kind });
    const [ipc, protocol, mean, control, gap, picture] = [cell('num'), cell(), cell('num'), cell('num'), cell('num'), cell()];
    const element = h('tr', {}, h('td', {}, open), ipc, protocol, mean, control, gap, picture);
    return { element, update: (r, from, on) => {
      element.classList.toggle('on', on);
      say(ipc, brief(r.ipc));
      say(protocol, r.protocol);
      say(mean, score(r));
      say(control, r.control ? score({ ...r.control, repeats: r.repeats }) : '–');
      say(gap, r.gap === null ? '–' : points(r.gap));
      gap.classList.toggle('up', r.clear && r.gap >= 0);
      gap.title = r.gap !== null && !r.clear ? 'within the spread of the students: it says nothing yet' : '';
      const layout = JSON.stringify([r.mean, r.std, r.control, from]);
      if (picture.dataset.layout === layout) return;
      picture.dataset.layout = layout;
      picture.replaceChildren(interval({ ...r, control: r.control?.mean ?? null, from, width: 200, height: 14 }));
    } };
  }
}

const score = r => percent(r.mean) + (r.repeats > 1 ? ` ± ${(100 * r.std).toFixed(1)}` : '');

class StudioExport {
  constructor(app) {
    this.app = app;
    this.formats = h('div', { class: 'seg', role: 'group', 'aria-label': 'format' });
    this.folder = new StudioField({ words: 'folder', help: 'Empty: a free one beside the run' }, value => app.order('set_export', { field: 'folder', value }));
    this.write = button('', 'Write the set for other programs', () => app.order('export'), { class: 'plain' });
    this.path = h('code', { class: 'path' });
    this.copy = copyButton(this.path);
    this.zip = button('Download .zip', 'The exported folder as one file', () => this.download(), { class: 'plain' });
    this.result = h('div', { class: 'row', hidden: true }, h('span', { class: 'up' }, '✓ exported to'), this.path, this.copy, this.zip);
    this.cardText = h('pre', { tabindex: 0, 'aria-label': 'the card' });
    this.card = h('details', { hidden: true }, h('summary', {}, 'Its card: how the set was made'), this.cardText);
    this.note = h('p', { class: 'note quiet' }, 'A card beside the images says how the set was made.');
    this.element = h('div', {}, h('div', { class: 'bar' }, this.formats, this.folder.element, this.write),
      this.result, this.card, this.note);
  }

  async download() {
    const answer = await this.app.store.ask('archive');
    if (!answer?.pictures?.length) return;
    const link = h('a', { href: URL.createObjectURL(new Blob([answer.pictures[0]], { type: 'application/zip' })), download: `${this.app.now.export.run.replaceAll('/', '-')}.zip` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  update({ export: e, job }) {
    keyed(this.formats, e.choices, c => c[0], ([name, words]) => ({ element: button(words, '', () => this.app.order('set_export', { field: 'format', value: name })) }),
      (child, [name]) => child.element.setAttribute('aria-pressed', String(e.format === name)));
    this.folder.put(e.folder);
    this.folder.input.placeholder = e.next;
    this.folder.complain(e.problems.folder ?? '');
    say(this.write, e.run && !e.why ? `Export ${e.run}` : 'Export');
    allow(this.write, !e.why && !job && !e.problems.folder, e.why || e.problems.folder || 'something is at work');
    show(this.result, Boolean(e.done));
    show(this.card, Boolean(e.done?.card));
    show(this.note, !e.done);
    if (!e.done) return;
    say(this.path, e.done.path);
    say(this.cardText, e.done.card);
  }
}

class StudioCode {
  constructor(app) {
    this.text = h('code');
    this.title = h('span', { class: 'quiet' });
    this.element = h('div', {}, h('div', { class: 'row' }, this.title, h('span', { class: 'space' }), copyButton(this.text)), h('pre', { tabindex: 0, 'aria-label': 'Python' }, this.text));
  }

  update({ code }) {
    say(this.title, code.run ? `What made ${code.run}, ready for a new notebook.` : 'What Start would do, ready for a new notebook.');
    say(this.text, code.text);
  }
}

const DRAWERS = [['scores', 'Scores', StudioScores], ['export', 'Export', StudioExport], ['code', 'Code', StudioCode]];

class StudioDrawer {
  constructor(app) {
    this.parts = DRAWERS.map(([name, words, Part]) => {
      const part = new Part(app), id = studioId();
      part.element.id = id;
      part.element.setAttribute('role', 'region');
      part.element.setAttribute('aria-label', words);
      part.element.classList.add('drawer-body');
      const tab = button(words, '', () => this.open(this.name === name ? '' : name), { 'aria-expanded': 'false', 'aria-controls': id });
      return { name, part, tab };
    });
    this.element = h('section', { class: 'studio-drawer' }, h('div', { class: 'tabs' }, ...this.parts.map(p => p.tab)), ...this.parts.map(p => p.part.element));
    this.open('');
  }

  open(name) {
    this.name = name;
    for (const p of this.parts) {
      show(p.part.element, p.name === name);
      p.tab.setAttribute('aria-expanded', String(p.name === name));
    }
  }

  update(now) {
    for (const p of this.parts) p.part.update(now);
    const done = now.export.done?.path ?? '', fresh = this.exported !== undefined && done && done !== this.exported;
    this.exported = done;
    if (fresh) this.open('export'); // where the link is
  }
}

// ---- all of it -----------------------------------------------------------------------------------------------------

class StudioApp {
  constructor(el, store) {
    this.store = store;
    this.header = new StudioHeader(this);
    this.status = new StudioStatus(this);
    this.data = new StudioData(this);
    this.teacher = new StudioTeacher(this);
    this.form = new StudioForm(this);
    this.runs = new StudioRuns(this);
    this.real = new StudioReal(this);
    this.drawer = new StudioDrawer(this);
    this.hide = button('✕', 'Close (Esc)', () => this.toggleSide(false), { class: 'quiet-button hide', 'aria-label': 'Close' });
    this.side = h('aside', { class: 'studio-side', id: studioId(), 'aria-label': 'data, settings and runs' }, this.hide, this.data.element, this.teacher.element, this.form.element, this.runs.element);
    this.main = h('div', { class: 'studio-main', role: 'region', 'aria-label': 'what is in view' }, this.real.element);
    this.element = h('div', { class: 'studio', 'data-lm-suppress-shortcuts': 'true' }, this.header.element, this.status.element, this.side, this.main, this.drawer.element);
    this.element.addEventListener('keydown', e => { if (e.key === 'Escape') this.toggleSide(false); });
    this.main.addEventListener('pointerdown', () => this.toggleSide(false));
    this.header.menu.setAttribute('aria-controls', this.side.id);
    this.panelKeys = '';
    el.append(this.element);
    this.stopListening = store.on(() => this.update());
    this.update();
  }

  get now() { return this.store.facts.studio?.value; }

  order(name, facts = {}) { this.store.order(name, facts); }

  turn(step) { // to a step of the breadcrumb
    this.order('go', { step });
    if (['data', 'teacher', 'method'].includes(step)) this.toggleSide(true);
    const tab = { judge: 'scores', export: 'export' }[step];
    if (tab) this.drawer.open(tab);
  }

  reveal(item) { // scrolls the left side only, never the page around it
    const room = this.side.getBoundingClientRect(), place = item.getBoundingClientRect();
    if (place.bottom > room.bottom) this.side.scrollTop += place.bottom - room.bottom + 8;
    else if (place.top < room.top) this.side.scrollTop -= room.top - place.top;
  }

  // Where it is narrow the left side is a drawer.
  toggleSide(open = !this.side.classList.contains('open')) {
    const was = this.side.classList.contains('open');
    if (open === was) return;
    const below = this.header.element.offsetHeight + this.status.element.offsetHeight;
    this.side.style.setProperty('--below-head', `${below}px`);
    this.side.classList.toggle('open', open);
    this.header.menu.setAttribute('aria-expanded', String(open));
    const narrow = this.header.menu.offsetParent !== null;
    if (narrow) (open ? this.hide : this.header.menu).focus();
  }

  update() {
    const { now } = this;
    this.element.classList.toggle('waiting', !now);
    if (!now) { say(this.status.words, 'Waiting for the kernel …'); return; }
    this.follow(now.at);
    this.header.update(now);
    this.status.update(now);
    show(this.data.element, now.at === 'data');
    show(this.teacher.element, now.at === 'teacher');
    show(this.form.element, !['data', 'teacher'].includes(now.at));
    show(this.runs.element, now.at !== 'teacher');
    this.data.update(now, this.store.facts['studio-photos']);
    this.teacher.update(now);
    this.form.update(now, this.store.facts['studio-form']?.value);
    this.runs.update(now);
    this.drawer.update(now);
    this.showMain(now);
  }

  follow(at) { // the desk has turned to another step: open what belongs to it
    if (at === this.at) return;
    const began = this.at === undefined;
    this.at = at;
    const tab = { judge: 'scores', export: 'scores' }[at];
    if (began ? tab : tab && !this.drawer.name) this.drawer.open(tab);
  }

  showMain(now) {
    const keys = now.at === 'data' ? [] : now.keys ?? [], wanted = JSON.stringify(keys);
    if (wanted !== this.panelKeys) {
      this.panelKeys = wanted;
      this.panel?.dispose();
      this.panel = keys.length ? new RunPanel(this.store, keys) : null;
      this.main.replaceChildren((this.panel ?? this.real).element);
    }
    if (!this.panel) this.real.update(this.store.facts['studio-real'], now);
  }

  dispose() {
    this.stopListening();
    this.panel?.dispose();
    this.real.dispose();
  }
}

function studioApp(el, store) {
  const app = new StudioApp(el, store);
  return () => app.dispose();
}
