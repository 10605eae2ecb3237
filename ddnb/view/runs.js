// All runs of a folder in one table: sorted by a click, opened by another, two ticked ones beside each other.

const RUN_COLUMNS = [ // title, what it is sorted by, what it shows, numbers stand at the right
  ['run', r => r.name, r => r.name],
  ['method', r => r.method, r => r.method],
  ['data', r => r.data, r => r.data],
  ['images a class', r => r.ipc, r => r.ipc === null ? '–' : brief(r.ipc), 'num'],
  ['steps', r => r.step, r => `${count(r.step)} of ${count(r.total)}`, 'num'],
  ['state', r => r.state, r => r.state],
  ['accuracy', r => r.score?.mean, r => r.score ? `${percent(r.score.mean)} ± ${(100 * r.score.std).toFixed(1)}` : '–', 'num'],
  ['to random real', r => r.score?.gap, r => r.score?.gap === undefined || r.score.gap === null ? '–' : points(r.score.gap), 'num'],
  ['protocol', r => r.score?.protocol, r => r.score?.protocol ?? '–'],
];

class RunsTable {
  constructor(store, el) {
    this.store = store;
    this.by = null;      // number of the column it is sorted by
    this.down = false;
    this.ticked = [];    // keys, two at most
    this.open = [];      // keys in the panel
    this.words = h('p', { class: 'quiet', role: 'status', 'aria-live': 'polite' });
    this.head = h('tr', {}, h('th', {}, 'compare'), h('th', {}, h('span', { class: 'unseen' }, 'images')),
      ...RUN_COLUMNS.map(([title, , , kind], i) => h('th', { class: kind, 'aria-sort': 'none' },
        button(title, `Sort by ${title}`, () => this.sort(i), { class: 'link' }))));
    this.body = h('tbody');
    this.room = h('div', { class: 'opened' });
    el.append(h('div', { class: 'table-room' }, h('table', { class: 'runs-table' }, h('thead', {}, this.head), this.body)), this.words, this.room);
    this.stop = store.on(() => this.refresh());
    this.refresh();
  }

  sort(column) {
    this.down = this.by === column ? !this.down : false;
    this.by = column;
    this.paint();
  }

  // numbers and texts in order, what has no value last
  sorted(rows) {
    if (this.by === null) return rows;
    const value = RUN_COLUMNS[this.by][1], missing = v => v === undefined || v === null || v === '' || Number.isNaN(v);
    const known = rows.filter(r => !missing(value(r))), rest = rows.filter(r => missing(value(r)));
    known.sort((a, b) => value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0);
    return [...(this.down ? known.reverse() : known), ...rest];
  }

  refresh() {
    const { value, pictures } = this.store.facts.runs ?? {};
    if (!value || value === this.value) return;
    this.value = value;
    this.pictures = pictures;
    this.paint();
  }

  paint() {
    const { runs, problems } = this.value;
    [...this.head.children].slice(2).forEach((th, i) => {
      th.setAttribute('aria-sort', i !== this.by ? 'none' : this.down ? 'descending' : 'ascending');
      say(th.firstChild, RUN_COLUMNS[i][0] + (i === this.by ? this.down ? ' ▾' : ' ▴' : ''));
    });
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
    this.body.replaceChildren(...this.sorted(runs).map(r => this.line(r)));
    if (focused) this.body.querySelector(`[data-focus="${CSS.escape(focused)}"]`)?.focus();
    const hint = this.ticked.length === 1 ? ' Tick one more to compare.' : runs.length > 1 ? ' Click a run to open it; tick two to compare.' : '';
    say(this.words, (runs.length ? plural(runs.length, 'run') + '.' : 'There are no runs in this folder yet.') + (runs.length ? hint : '')
      + (problems.length ? ` ${problems.join(' ')}` : ''));
    this.words.classList.toggle('error', problems.length > 0);
  }

  line(r) {
    const box = h('input', { type: 'checkbox', 'aria-label': `compare ${r.name}`, 'data-focus': `tick ${r.key}`, onchange: () => this.tick(r.key, box.checked) });
    box.checked = this.ticked.includes(r.key);
    const open = button(r.name, `Open ${r.name}`, () => this.show([r.key]), { class: 'link', 'data-focus': `open ${r.key}` });
    const differs = h('div', { class: 'quiet', title: 'in these settings it differs from the other runs of its method' }, r.differs);
    const cells = RUN_COLUMNS.map(([, , show, kind], i) => h('td', { class: kind }, ...(i ? [show(r)] : [open, r.differs ? differs : null])));
    return h('tr', { class: this.open.includes(r.key) ? 'on' : '' }, h('td', {}, box), h('td', {}, this.thumbnail(r)), ...cells);
  }

  thumbnail(r) {
    if (r.picture === null) return null;
    const image = h('canvas', { class: 'tile', width: r.size, height: r.size, style: 'width:32px;height:32px', role: 'img', 'aria-label': `the first image of ${r.name}` });
    sheets.read(this.pictures[r.picture]).then(bitmap => { if (bitmap) draw(image, bitmap, 0, r.size); });
    return image;
  }

  tick(key, on) {
    this.ticked = on ? [...this.ticked, key].slice(-2) : this.ticked.filter(k => k !== key);
    if (this.ticked.length === 2) this.show(this.ticked);
    else this.paint();
  }

  show(keys) {
    if (keys.length === 1) this.ticked = [];
    this.open = keys;
    this.store.order('open', { keys });
    this.panel?.dispose();
    this.panel = new RunPanel(this.store, keys);
    this.room.replaceChildren(this.panel.element);
    this.paint();
  }

  dispose() {
    this.stop();
    this.panel?.dispose();
  }
}

function runsApp(el, store) {
  const table = new RunsTable(store, el);
  return () => table.dispose();
}
