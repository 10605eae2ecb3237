"What is shown to readers: names that say what they are, notebooks of a bearable size, prose before code"
import re
from pathlib import Path
import pytest
from ddnb.docs import read_cells, undocumented

ROOT = Path(__file__).parent.parent.parent
MODULES = sorted(p for p in (ROOT/'ddnb').glob('*.py') if p.stem[0] != '_')
NOTEBOOKS = sorted((ROOT/'nbs').glob('*.ipynb'))

@pytest.mark.parametrize('path', MODULES, ids=lambda p: p.stem)
def test_public_names_say_what_they_are(path):
    lacking = undocumented(path.read_text(encoding='utf-8'))
    assert not lacking, f'{path.stem}: no docstring, or no word about a parameter: {", ".join(lacking)}'

def test_the_check_sees_what_lacks():
    assert undocumented('def f(word): return word') == ['f', 'f(word)'] and undocumented('def f(word): # a text\n    "Twice it"') == [] == undocumented('def f(word):\n    "Twice `word`"')

@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_notebooks_are_books(path):
    "A title and a line below it, at most 500 kB, prose before the first visible code, no error kept in an output"
    cells = read_cells(path)
    assert path.stat().st_size <= 500_000, f'{path.stat().st_size / 1000:.0f} kB'
    assert cells[0][0] == 'markdown' and cells[0][2].startswith('# '), 'it begins with no title'
    assert path.stem == 'index' or re.match(r'# .+\n\n> .+', cells[0][2]), 'no line below the title says what it is'
    assert not [o for *_, outputs in cells for o in outputs if o['output_type'] == 'error']
    headings = [m for kind, _, source, _ in cells if kind == 'markdown' for m in re.findall(r'^# ', re.sub(r'^```.*?^```', '', source, flags=re.M | re.S), re.M)]
    assert len(headings) == 1, 'a page has one title'

def test_readers_find_their_way():
    "Every notebook can be reached from the index or from a page that can"
    shown = lambda p: '\n'.join(source if kind == 'markdown' else ''.join(t for o in outputs for t in o.get('data', {}).get('text/markdown', [])) for kind, _, source, outputs in read_cells(p))
    links = {p.stem: set(re.findall(r'\]\((?:nbs/)?([\w.-]+)\.ipynb', shown(p))) for p in NOTEBOOKS}
    known = {p.stem for p in NOTEBOOKS}
    assert not {(a, b) for a, found in links.items() for b in found if b not in known}, 'a link leads to no notebook'
    reached, todo = set(), ['index', 'tour']
    while todo:
        n = todo.pop()
        if n not in reached: reached.add(n); todo += links[n]
    assert not known - reached, f'nothing leads to {known - reached}'

def test_no_page_mentions_a_machine():
    for p in [*NOTEBOOKS, ROOT/'README.md']:
        found = re.findall(r'/(?:root|home|tmp|work)/[\w./-]+', p.read_text(encoding='utf-8'))
        assert not [f for f in found if not f.startswith('/tmp/tmp')], f'{p.name}: {found[:3]}'

def test_what_is_shown_is_run():
    "No cell of a page for readers is left out when the tests run it"
    for p in NOTEBOOKS:
        left_out = [source[:60] for kind, said, source, _ in read_cells(p) if kind == 'code' and (said.get('eval', '').lower() == 'false' or said.keys() & {'notest', 'slow'})]
        assert p.stem[0].isdigit() or not left_out, f'{p.name}: {left_out}'
