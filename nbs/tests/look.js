// Opens each of `pages` in a frame and writes down what is there, as JSON in <pre id=seen>.
const seen = {}
const wait = ms => new Promise(resolve => setTimeout(resolve, ms))

function isFlat(figure) { // has no size, or no picture
  const hidden = figure.closest('[hidden]')
  return (!hidden && figure.getBoundingClientRect().width < 8) || (figure.tagName == 'IMG' && !figure.naturalWidth)
}

function isStuck(record) { // does the panel stay where it is when the timeline moves?
  const slider = record.querySelector('.time input')
  if (!slider) return true
  const says = frame => {
    slider.value = frame
    slider.dispatchEvent(new record.ownerDocument.defaultView.Event('input', {bubbles: true}))
    return record.querySelector('.time output').textContent
  }
  return says('0') === says(slider.max)
}

async function searchResults(page) { // once their number has settled
  const count = () => page.querySelectorAll('#search-results li').length
  for (let i = 0, last = -1; i < 50 && (!count() || count() != last); i++) {
    last = count()
    await wait(200)
  }
  return [...page.querySelectorAll('#search-results li a')].map(a => a.textContent)
}

async function look(name) {
  const frame = document.createElement('iframe')
  frame.width = 1280
  frame.height = 2000
  const loaded = new Promise(resolve => frame.onload = resolve)
  frame.src = name
  document.body.append(frame)
  await loaded
  const page = frame.contentDocument
  const view = frame.contentWindow
  if (view.MathJax && view.MathJax.startup) await view.MathJax.startup.promise
  const figures = [...page.querySelectorAll('.cell_output svg, article img')].filter(e => !e.closest('.ddnb-record'))
  const records = [...page.querySelectorAll('.ddnb-record')]
  if (records.length) await wait(500)
  const stuck = []
  for (const record of records) stuck.push(isStuck(record))
  seen[name] = {
    figures: figures.length,
    flat: figures.filter(isFlat).length,
    math: page.querySelectorAll('.math').length,
    set: page.querySelectorAll('.math mjx-container').length,
    wrong: page.querySelectorAll('mjx-merror').length,
    wide: Math.max(0, page.documentElement.scrollWidth - 1280),
    records: records.length,
    stuck: stuck.filter(Boolean).length,
  }
  if (name.startsWith('search.html?')) {
    seen[name].results = await searchResults(page)
    seen[name].excerpts = [...page.querySelectorAll('#search-results p.context')].map(p => p.textContent)
  }
  frame.remove()
}

async function lookAtAll() {
  for (const name of pages) await look(name).catch(error => seen[name] = {error: String(error)})
  document.body.innerHTML = '<pre id=seen>' + JSON.stringify(seen).replaceAll('<', '&lt;') + '</pre>'
  document.title = 'done'
}

lookAtAll()
