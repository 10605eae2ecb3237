"The documentation site: built from the notebooks as they are, no dead link, and seen by a browser that is cut off"
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
import warm
from build import (
    CAPTIONS,
    Project,
    build_site,
    contents,
    dead_links,
    is_installed,
    main,
    notebook,
    prose,
    reference,
    slug,
)
from build import TOOLS as PACKAGES
from plain_math import SYMBOLS, plain_math, with_plain_text

from ddnb.core.basics import InputError

ROOT = Path(__file__).parent.parent.parent
needs_a_browser = pytest.mark.e2e
slow = pytest.mark.slow


# ---- the parts, without building anything ----------------------------------------------------------------------

@pytest.fixture(scope='module')
def project(): return Project(ROOT)


@pytest.fixture(scope='module')
def cda(project): return next(p for p in project.notebooks if p.name == 'methods/cda')


def test_a_page_has_the_name_of_its_notebook_without_the_number():
    assert slug('methods/10_cda') == 'methods/cda'
    assert slug('guide/tour') == 'guide/tour'
    assert slug('index') == 'index'


def test_two_notebooks_of_one_page_are_refused(tmp_path):
    (tmp_path/'settings.ini').write_text('[DEFAULT]\nlib_path = ddnb\n')
    (tmp_path/'nbs/data').mkdir(parents=True)
    for name in ('00_load', '01_load'): (tmp_path/f'nbs/data/{name}.ipynb').write_text('{"cells": []}')
    with pytest.raises(InputError, match='data/load.html'): Project(tmp_path)


def test_a_folder_without_notebooks_is_no_checkout(tmp_path):
    with pytest.raises(InputError, match='no checkout'): Project(tmp_path)


def test_names_are_found_in_modules_of_folders(project):
    assert project.find('DistilledSet.save') == 'ddnb.data.images.DistilledSet.save'
    assert project.find('step', 'data.views') == 'ddnb.data.views.step'
    assert project.find('nothing') == ''
    assert project.line('methods.cda', 'CDA') > 20


def test_links_and_names_of_prose(project, cda):
    source = 'See [`13_pdd`](13_pdd.ipynb#stages): `CDA` and `load(…)`, not `x`.\n```python\n`CDA`\n```'
    text = prose(source, cda, project)
    assert '](pdd.ipynb#stages)' in text
    assert '{py:obj}`load(…) <ddnb.data.load.load>`' in text
    assert '`x`' in text and text.endswith('```python\n`CDA`\n```')


def test_links_lead_to_other_folders(project, cda):
    source = '[a](../train/01_train.ipynb) ![b](../images/panel-studio-light.png) [c](../../data/README.md)'
    expected = '[a](../train/train.ipynb) ![b](../images/panel-studio-light.png) [c](../data-readme.md)'
    assert prose(source, cda, project) == expected
    index = next(p for p in project.notebooks if p.name == 'index')
    source = '[a](train/01_train.ipynb) [b](https://example.org)'
    assert prose(source, index, project) == '[a](train/train.ipynb) [b](https://example.org)'


def test_a_callout_becomes_a_directive(project, cda):
    assert prose('::: {.callout-note}\nx\n:::', cda, project) == ':::{note}\nx\n:::'


def test_the_reference_says_what_parameters_are(project, cda):
    source = 'def f(x, seed=0): # images, one a row\n    "Count `x`, see `DistilledSet`"'
    text = reference(source, cda, project)
    assert text.startswith('```{py:currentmodule} ddnb.methods.cda')
    assert '```{py:function} f(x, seed=0)' in text and '- `x`, `seed`: images, one a row' in text
    assert '{py:obj}`DistilledSet <ddnb.data.images.DistilledSet>`' in text
    assert reference('x = 1', cda, project) == ''


def test_a_notebook_becomes_a_page(project, cda):
    sources = [cell['source'] for cell in notebook(cda, project)['cells']]
    assert any('{py:class} CDA(' in source for source in sources)
    assert not any('default_exp' in source for source in sources)


def test_the_sidebar_begins_with_the_guide_and_has_every_page_once(project):
    text = contents(project)
    captions = re.findall(r':caption: "(.+)"', text)
    assert captions[:2] == [CAPTIONS['guide'], CAPTIONS['core']] and captions.index(CAPTIONS['results']) > 5
    pages = re.findall(r'^([\w/-]+)$', text, re.M)
    assert sorted(set(pages)) == sorted(pages)
    assert {p.name for p in project.notebooks} - {'index'} <= set(pages)
    assert pages[0] == 'guide/tour'
    assert pages.index('methods/cda') < pages.index('methods/pdd') < pages.index('methods/ccfs')


@pytest.mark.parametrize('latex, plain', [
    (r'\alpha \le 1', 'α ≤ 1'),
    (r'\frac{\partial L}{\partial x_{t}}', '(∂ L)/(∂ x_t)'),
    (r'\mathcal{L}_{\text{BN}} = \sum_{l} \lVert \mu_l - \hat{\mu}_l \rVert_2', 'L_BN = Σ_l ‖ μ_l - μ_l ‖_2'),
    (r'\begin{aligned} a &= \sqrt{b+1} \\ c &= \{1, 2\} \end{aligned}', 'a = √(b+1) c = {1, 2}'),
    (r'\theta^{(t+1)} \leftarrow \arg\min_\theta \ell', 'θ^(t+1) ← arg min _θ ℓ'),
    (r'50\,\%', '50 %'),
])
def test_formulas_as_text(latex, plain): assert plain_math(latex) == plain


def test_formulas_of_a_page_carry_their_text():
    block = '<div class="math notranslate nohighlight" id="e">\n\\[a &lt; \\alpha\n\\]</div>'
    inline = '<span class="math notranslate nohighlight">\\(x_{i}\\)</span>'
    page = with_plain_text(f'<p>{inline} and</p>{block}')
    assert re.findall('data-plain="(.*?)"', page) == ['x_i', 'a &lt; α']
    assert re.sub(' data-plain="[^"]*"', '', page) == f'<p>{inline} and</p>{block}'


def test_dead_links_are_found(tmp_path):
    (tmp_path/'x').mkdir()
    links = '<a href="x/b.html#there">b</a><a href="#top">up</a><a href="https://example.org">out</a>'
    (tmp_path/'a.html').write_text(f'<h1 id=top></h1>{links}<img src="gone.png">')
    (tmp_path/'x/b.html').write_text('<p id=here></p><a href="../a.html#top">a</a>')
    assert dead_links(tmp_path) == [('a.html', 'x/b.html#there'), ('a.html', 'gone.png')]


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path/'mine.txt').write_text('keep')
    with pytest.raises(InputError, match='other files'): build_site(tmp_path, ROOT)
    assert main(['--out', str(tmp_path)]) == 2
    assert 'other files' in capsys.readouterr().err


# ---- the whole site --------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def site(tmp_path_factory):
    "The site as its program builds it, in a process of its own"
    missing = [p for p in PACKAGES if not is_installed(p)]
    if missing: pytest.skip(f'no {", ".join(missing)}: pip install "ddnb[docs]"')
    out = tmp_path_factory.mktemp('site')/'docs'
    program = f"import sys; sys.path.insert(0, {str(ROOT/'nbs/site')!r}); import build; sys.exit(build.main())"
    built = warm.python('-c', program, '--out', out)
    assert built.returncode == 0, built.stdout + built.stderr
    return out


@slow
def test_every_notebook_has_a_page(site, project):
    assert not [p.name for p in project.notebooks if not (site/f'{p.name}.html').exists()]
    html = (site/'methods/cda.html').read_text()
    assert 'default_exp' not in html
    assert 'id="ddnb.methods.cda.CDA"' in html and '../source/methods/cda.html#L-' in html
    assert 'images per class' in html


@slow
def test_no_dead_links(site):
    broken = site/'broken.html'
    broken.write_text('<a href="methods/cda.html#nowhere">x</a>')
    assert dead_links(site) == [('broken.html', 'methods/cda.html#nowhere')]
    broken.unlink()


@slow
def test_the_search_index_has_no_latex(site):
    index = (site/'searchindex.js').read_text()
    terms = json.loads(index[index.index('{'):index.rindex('}') + 1])['terms']
    assert 'curriculum' in terms
    commands = {'frac', 'mathbb', 'mathcal', 'mathrm', 'lVert', 'lvert', 'rvert', 'begin{align', 'nabla', 'leftarrow',
                'operatornam', 'operatorname', 'sqrt', 'cdot'} - words_of_code()
    assert not commands & terms.keys()


def words_of_code():
    "Words of the notebooks' code, which the index has too, and lower case as the index has them"
    sources = (cell['source'] for p in (ROOT/'nbs').rglob('*.ipynb') for cell in json.loads(p.read_text())['cells']
               if cell['cell_type'] == 'code')
    return set(re.findall(r'[a-z]+', '\n'.join(map(''.join, sources)).lower()))


@slow
def test_every_formula_has_its_text(site):
    pages = [p.read_text() for p in site.rglob('*.html')]
    formulas = [tag for page in pages for tag in re.findall(r'<\w+ class="math notranslate[^>]*>', page)]
    texts = [re.search(r'data-plain="([^"]*)"', tag)[1] for tag in formulas]
    assert len(texts) > 20 and all(texts)
    assert not [text for text in texts if '\\' in text]
    assert any(symbol in ''.join(texts) for symbol in SYMBOLS.values())


@slow
def test_nothing_comes_from_outside(site):
    outside = re.compile(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="(?:https?:)?//[^"]+')
    for path in site.rglob('*.html'): assert not outside.findall(path.read_text()), path.name


# ---- what a browser sees ---------------------------------------------------------------------------------------

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
FLAGS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
    '--virtual-time-budget=120000',
    '--dump-dom',
]
SEARCHES = {  # words → a page they lead to
    'CDA': 'CDA',
    'crop+schedule': 'Glossary',
    'forgetting+score': 'Glossary',
    'mismatch+variance': 'CDA',
}


class Quiet(http.server.SimpleHTTPRequestHandler):
    "Serves files and says nothing"
    def log_message(self, *_): pass


@pytest.fixture(scope='module')
def seen(site):
    "What a browser sees on every page: see look.js"
    browser = next((b for b in BROWSERS if shutil.which(b)), None)
    if not browser: pytest.skip('no chromium')
    pages = sorted(p.relative_to(site).as_posix() for p in site.rglob('*.html') if 'source' not in p.parts)
    pages += [f'search.html?q={words}' for words in SEARCHES]
    script = Path(__file__).with_name('look.js').read_text()
    (site/'look.html').write_text(f'<!doctype html><body><script>const pages = {json.dumps(pages)}\n{script}</script>')
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f'http://127.0.0.1:{server.server_port}/look.html'
    profile = f'--user-data-dir={site.parent/"browser"}'
    try:
        result = subprocess.run([browser, *FLAGS, profile, address], capture_output=True, text=True, timeout=100)
    finally:
        server.shutdown()
        (site/'look.html').unlink()
    report = re.search(r'<pre id="seen">(.*?)</pre>', result.stdout, re.S)
    assert report, f'the browser did not come to an end: {result.stderr[-500:]}'
    return json.loads(report[1].replace('&lt;', '<').replace('&gt;', '>').replace('&amp;', '&'))


@slow
@needs_a_browser
def test_figures_and_math_show(seen):
    def is_wrong(page):
        return page.get('error') or page['flat'] or page['wrong'] or page['math'] != page['set'] or page['wide']
    assert not {name: page for name, page in seen.items() if is_wrong(page)}
    assert sum(page['figures'] for page in seen.values()) > 30
    assert sum(page['math'] for page in seen.values()) > 20


@slow
@needs_a_browser
def test_recorded_panels_play(seen):
    records = {name for name, page in seen.items() if page['records']}
    tutorials = {f'guide/tutorial_{method}.html' for method in ('cda', 'pdd', 'ccfs')}
    assert records >= {'view/record.html', 'guide/tour.html', *tutorials}
    assert not [name for name, page in seen.items() if page['stuck']]


@slow
@needs_a_browser
def test_search_finds(seen):
    for words, page in SEARCHES.items():
        results = seen[f'search.html?q={words}']['results']
        assert any(page in result for result in results), (words, results)


@slow
@needs_a_browser
def test_excerpts_show_no_latex(seen):
    excerpts = [text for words in SEARCHES for text in seen[f'search.html?q={words}']['excerpts']]
    assert len(excerpts) > 10
    assert not [text for text in excerpts if re.search(r'\\(?:\(|\[|[a-z]{2,}[{_ ])', text)]
