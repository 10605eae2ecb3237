"The house: which module may import which, no pickle, and methods that run without notebook packages"
import ast, re, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MODULES = {m[1]: nb.stem for nb in (ROOT/'nbs').glob('*.ipynb') if (m := re.search(r'"#\| default_exp (\w+)"', nb.read_text()))}
SOURCES = {m: (ROOT/'ddnb'/f'{m}.py').read_text() for m in MODULES}

def imported(source):
    "Names of the modules that a source imports, the last part of each (ddnb.data.images → images)"
    found = set()
    for n in ast.walk(ast.parse(source)):
        if isinstance(n, ast.Import): found |= {a.name for a in n.names}
        if isinstance(n, ast.ImportFrom): found.add(n.module.split('.')[-1] if n.level and n.module else n.module or '')
    return found

def test_rooms_use_only_earlier_rooms():
    assert len(MODULES) > 10
    late = [(m, o) for m, s in SOURCES.items() for o in imported(s) & set(MODULES) if MODULES[o] >= MODULES[m]]
    assert len(imported(SOURCES['cda']) & set(MODULES)) > 3 # it does see the imports
    assert not late, f'a room uses a later one: {late}'

def test_nothing_that_computes_needs_notebook_packages():
    panels = {m for m, room in MODULES.items() if '31_panel' <= room < '33'} # the rooms with widgets
    assert not [(m, o) for m, s in SOURCES.items() for o in imported(s) & panels if m not in panels | {'all', 'cli'}], 'only panels use panels'
    bad = {m: found for m, s in SOURCES.items() if m not in panels | {'docs', 'site'} and (found := {i.split('.')[0] for i in imported(s)} & {'ipywidgets', 'IPython', 'fastcore', 'nbdev', 'nbformat'})}
    assert not bad
    code = "import sys\nfor m in ('ipywidgets', 'IPython', 'fastcore', 'nbdev'): sys.modules[m] = None\nfrom ddnb.all import *\nfrom ddnb.app.cli import main\nprint(len(CDA.preset('digits', steps=2, ipc=1).make(squeeze(load('digits'), 'convnet2-w8-batch', epochs=1, progress=False))))"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip() == '10'

def test_no_pickle():
    for m, s in SOURCES.items():
        for call in re.findall(r'torch\.load\([^\n]*', s): assert 'weights_only=True' in call, f'{m}: {call}'
        assert not re.search(r'pickle\.(loads?|dumps?)\(|allow_pickle=True|np\.save\(', s), m
    writes = [m for m, s in SOURCES.items() if 'torch.save' in s]
    assert writes == ['images'], writes # the export that DC's and MTT's evaluators read

def test_public_names_have_docstrings():
    missing = [f'{m}.{n.name}' for m, s in SOURCES.items() for n in ast.parse(s).body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and not n.name.startswith('_') and not ast.get_docstring(n)]
    assert not missing, missing
