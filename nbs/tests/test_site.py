"The documentation site: built from the notebooks as they are, no dead link, and looked at in a browser that can reach nothing else"
import functools, http.server, json, re, shutil, subprocess, threading
import pytest
from ddnb.core.basics import InputError
from build import _installed, build_site, dead_links, Project, slug

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
TOOLS = ('sphinx', 'myst-nb', 'furo', 'sphinx-copybutton', 'sphinx-mathjax-offline')
NBS = __file__.rsplit('/', 2)[0]
LOOK = '''<!doctype html><body><script>
const pages = PAGES, found = {}, wait = ms => new Promise(r => setTimeout(r, ms))
async function look(page) {
  const f = document.createElement('iframe'); f.width = 1280; f.height = 2000
  const loaded = new Promise(r => f.onload = r)
  f.src = page; document.body.append(f); await loaded
  const d = f.contentDocument, w = f.contentWindow
  if (w.MathJax && w.MathJax.startup) await w.MathJax.startup.promise
  const figures = [...d.querySelectorAll('.cell_output svg, article img')]
  const seen = {figures: figures.length, flat: figures.filter(e => (!e.closest('[hidden]') && e.getBoundingClientRect().width < 8) || (e.tagName == 'IMG' && !e.naturalWidth)).length,
    math: d.querySelectorAll('.math').length, set: d.querySelectorAll('.math mjx-container').length, wrong: d.querySelectorAll('mjx-merror').length,
    wide: Math.max(0, d.documentElement.scrollWidth - 1280), films: 0, stuck: 0}
  for (const film of d.querySelectorAll('.film')) { const t = film.querySelector('input'), shown = () => [...film.querySelectorAll('[data-frame]')].filter(e => e.getBoundingClientRect().height > 8).map(e => e.dataset.frame).join()
    seen.films++
    for (const at of ['0', t.max]) { t.value = at; t.dispatchEvent(new w.Event('input')); if (shown() != at) seen.stuck++ } }
  if (page.startsWith('search.html?')) { const n = () => d.querySelectorAll('#search-results li').length
    for (let i = 0, last = -1; i < 50 && (!n() || n() != last); i++) { last = n(); await wait(200) }
    seen.results = [...d.querySelectorAll('#search-results li a')].map(a => a.textContent) }
  found[page] = seen; f.remove()
}
(async () => { for (const p of pages) await look(p).catch(e => found[p] = {error: String(e)}); document.body.innerHTML = '<pre id=found>' + JSON.stringify(found).replaceAll('<', '&lt;') + '</pre>'; document.title = 'done' })()
</script>'''

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    missing = [p for p in TOOLS if not _installed(p)]
    if missing: pytest.skip(f'no {", ".join(missing)}: pip install "ddnb[docs]"')
    return build_site(tmp_path_factory.mktemp('site')/'docs', root=f'{NBS}/..')

@pytest.fixture(scope='module')
def seen(site):
    "What a browser sees on every page"
    browser = next((b for b in ('chromium', 'chromium-browser', 'google-chrome') if shutil.which(b)), None)
    if not browser: pytest.skip('no chromium')
    pages = sorted(p.name for p in site.glob('*.html')) + [f'search.html?q={q}' for q in ('CDA', 'crop+schedule', 'forgetting+score')]
    (site/'look.html').write_text(LOOK.replace('PAGES', json.dumps(pages)))
    quiet = type('Quiet', (http.server.SimpleHTTPRequestHandler,), dict(log_message=lambda *_: None))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']
    try: got = subprocess.run([browser, *flags, f'--user-data-dir={site.parent/"browser"}', '--virtual-time-budget=120000', '--dump-dom', f'http://127.0.0.1:{server.server_port}/look.html'], capture_output=True, text=True, timeout=100)
    finally: server.shutdown(); (site/'look.html').unlink()
    found = re.search(r'<pre id="found">(.*?)</pre>', got.stdout, re.S)
    assert found, f'the browser did not come to an end: {got.stderr[-500:]}'
    return json.loads(found[1].replace('&lt;', '<').replace('&gt;', '>').replace('&amp;', '&'))

def test_every_notebook_has_a_page(site):
    project = Project(f'{NBS}/..')
    assert not [p.stem for p in project.notebooks if not (site/f'{slug(p.stem)}.html').exists()]
    html = (site/'cda.html').read_text()
    assert 'default_exp' not in html and 'id="ddnb.methods.cda.CDA"' in html and 'source/cda.html#L-' in html and 'images per class' in html

def test_no_dead_links(site):
    assert dead_links(site) == []
    broken = site/'broken.html'
    broken.write_text('<a href="cda.html#nowhere">x</a>')
    assert dead_links(site) == [('broken.html', 'cda.html#nowhere')]
    broken.unlink()

def test_nothing_comes_from_outside(site):
    for p in site.glob('*.html'):
        assert not re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+', p.read_text()), p.name

def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path/'mine.txt').write_text('keep')
    with pytest.raises(InputError, match='other files'): build_site(tmp_path, root=f'{NBS}/..')

def test_figures_and_math_show(seen):
    wrong = {p: s for p, s in seen.items() if s.get('error') or s['flat'] or s['wrong'] or s['math'] != s['set'] or s['wide']}
    assert not wrong, wrong
    assert sum(s['figures'] for s in seen.values()) > 30 and sum(s['math'] for s in seen.values()) > 20

def test_recorded_frames_move(seen):
    assert {p for p, s in seen.items() if s.get('films')} >= {'docs.html', 'tutorial_cda.html', 'tutorial_pdd.html', 'tutorial_ccfs.html'} and not [p for p, s in seen.items() if s.get('stuck')]

def test_search_finds(seen):
    for words, page in (('CDA', 'CDA'), ('crop+schedule', 'Glossary'), ('forgetting+score', 'Glossary')):
        results = seen[f'search.html?q={words}']['results']
        assert any(page in r for r in results), (words, results)
