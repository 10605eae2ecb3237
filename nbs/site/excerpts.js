// Excerpts of the search show formulas as plain text: see plain_math.py.
if (typeof Search !== 'undefined') {
  const htmlToText = Search.htmlToText
  Search.htmlToText = (html, anchor) => {
    const page = new DOMParser().parseFromString(html, 'text/html')
    for (const formula of page.querySelectorAll('.math[data-plain]')) formula.textContent = formula.dataset.plain
    return htmlToText(page.documentElement.outerHTML, anchor)
  }
}
