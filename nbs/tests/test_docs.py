"What is shown to readers: names that say what they are, notebooks of a bearable size, prose before code"
import json, re
from pathlib import Path
import pytest
from reference import read_cells, undocumented

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

def names():
    "Every name of every module of the library, and those of `ddnb.all` above them"
    import importlib, ddnb.all
    found = {}
    for p in MODULES: found |= {k: v for k, v in vars(importlib.import_module(f'ddnb.{p.stem}')).items() if getattr(v, '__module__', f'ddnb.{p.stem}') == f'ddnb.{p.stem}'}
    return found | {n: getattr(ddnb.all, n) for n in ddnb.all.__all__}

def exists(code, known):
    "Is this a setting of a class, or an expression that can be evaluated?"
    owner, _, field = code.partition('.')
    if re.fullmatch(r'\w+\.\w+', code) and field in getattr(known.get(owner), '__dataclass_fields__', {}): return True
    try: eval(code, dict(known))
    except Exception: return False
    return True

def here_column():
    "(line, the code in its third column) of the tables paper → here"
    rows = [line for kind, _, source, _ in read_cells(ROOT/'nbs/guide/glossary.ipynb') if kind == 'markdown' for line in source.splitlines() if line.count('|') == 5 and '---' not in line and '| here |' not in line]
    return [(r, re.findall(r'`([^`]+)`', r.split('|')[3])) for r in rows]

def test_the_glossary_names_what_exists():
    known, rows = names(), here_column()
    assert len(rows) > 100
    assert not [r for r, codes in rows if not codes and r.split('|')[3].strip() != '–'], 'neither a name nor a dash'
    assert not [c for _, codes in rows for c in codes if not exists(c, known)]
    assert not any(exists(c, known) for c in ('CDA.alpha', 'CDA(alpha=1)', 'nothing', "protocol('mine')")) and exists('CDA.ipc', known)

def test_the_glossary_leaves_no_setting_out():
    known, said = names(), {c for _, codes in here_column() for c in codes}
    parents = {c: [b.__name__ for b in known[c].__mro__ if b.__name__ in known] for c in ('CDA', 'PDD', 'CCFS', 'MTT', 'IDC', 'DC', 'DM', 'Recipe')}
    left_out = [f'{c}.{f}' for c, up in parents.items() for f in known[c].__dataclass_fields__ if not said & {f'{p}.{f}' for p in up}]
    assert not left_out

def test_the_readme_shows_the_results_as_they_are():
    text, files = (ROOT/'README.md').read_text(encoding='utf-8'), sorted((ROOT/'data/results').glob('*.json'))
    rows = [(p.stem, r) for p in files for r in json.loads(p.read_text())['rows']]
    assert len(files) > 1 and not [(f, r['name'], r['protocol']) for f, r in rows if f not in text or r['protocol'] not in text or f'{100 * r["mean"]:.1f} ± {100 * r["std"]:.1f}' not in text], 'run the cell in index.ipynb again, then readme()'
