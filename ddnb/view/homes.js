// The three homes of the front end: a live widget, places in a page of the documentation, a saved file.

const APPS = { // what a widget or a record asks for → (element, store) => a function that cleans up
  panel: (el, store) => panelApp(el, store),
  schedules: (el, store) => schedulesApp(el, store),
  runs: (el, store) => runsApp(el, store),
  studio: (el, store) => studioApp(el, store),
};

const stores = new WeakMap(); // a widget may be seen in several places: all of them have one store

function storeOf(model) {
  if (stores.has(model)) return stores.get(model);
  const store = new Store(message => model.send(message));
  stores.set(model, store);
  model.on('msg:custom', (message, buffers) => store.take(message, buffers));
  store.send({ kind: 'hello' });
  return store;
}

function render({ model, el }) {
  const room = h('div', { class: 'ddnb' });
  el.append(room);
  return APPS[model.get('app')](room, storeOf(model));
}

function mount(el) { // a place with a record in it
  const { app, messages } = JSON.parse(el.querySelector('script[type="application/json"]').textContent);
  const store = new Store();
  for (const [message, pictures] of messages) store.take(message, pictures.map(fromBase64));
  const room = h('div', { class: 'ddnb' });
  el.replaceChildren(room);
  APPS[app](room, store);
}

function mountAll(root = document) {
  for (const el of root.querySelectorAll('.ddnb-record')) {
    if (el.dataset.mounted) continue;
    el.dataset.mounted = 'yes';
    mount(el);
  }
}

// a page that is opened from a folder may load no module: there these two lines are left out
export { mountAll };
export default { initialize: ({ model }) => { storeOf(model); }, render };
