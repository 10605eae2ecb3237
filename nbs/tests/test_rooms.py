"The order of folders and notebooks, no pickle, methods that run without notebook packages, and a clean `ruff check`"
import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import warm

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ['core', 'data', 'train', 'methods', 'view', 'app']  # each may use those before it
NOTEBOOK_PACKAGES = {'ipywidgets', 'IPython', 'fastcore', 'nbdev', 'nbformat'}


def exported_module(notebook):
    "What a notebook's `default_exp` says, 'methods.cda', or ''"
    line = re.search(r'"#\| default_exp ([\w.]+)', notebook.read_text(encoding='utf-8'))
    return line[1] if line else ''


NOTEBOOKS = sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)
MODULES = {p: exported_module(p) for p in NOTEBOOKS}
PAGES = {m: p.relative_to(ROOT/'nbs').with_suffix('').as_posix() for p, m in MODULES.items() if m}  # module → page
SOURCES = {m: (ROOT/'ddnb'/f'{m.replace(".", "/")}.py').read_text(encoding='utf-8') for m in PAGES}
PANELS = {m for m, page in PAGES.items() if re.match(r'view/[23]\d_', page)}  # the modules with widgets


def imports(source, module=''):
    "Full names of the modules that a source imports, also inside functions: 'ddnb.data.images', 'torch'"
    package = ['ddnb', *module.split('.')[:-1]]
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import): names |= {a.name for a in node.names}
        if not isinstance(node, ast.ImportFrom): continue
        parents = package[:len(package) - node.level + 1] if node.level else []
        base = '.'.join([*parents, *filter(None, [node.module])])
        names |= {base, *(f'{base}.{a.name}' for a in node.names)}  # `from . import run` names a module too
    return names


def used_modules(source, module):
    "Which modules of the library a source imports, without the package's name: {'data.images', …}"
    return {n.removeprefix('ddnb.') for n in imports(source, module)} & PAGES.keys() - {module}


def place(module):
    "What is compared: the folder's place in `FOLDERS` and the notebook's number; `all` comes last"
    folder, _, name = PAGES[module].rpartition('/')
    if not folder: return len(FOLDERS), 0
    return FOLDERS.index(folder), int(name.split('_')[0])


def uses_of_later_modules(sources):
    "(module, the later one it uses) for sources by module"
    return [(m, used) for m, source in sources.items() for used in used_modules(source, m) if place(used) >= place(m)]


def test_modules_use_only_what_stands_before_them():
    assert len(PAGES) > 20
    assert len(used_modules(SOURCES['methods.cda'], 'methods.cda')) > 3  # it does see the imports
    assert not uses_of_later_modules(SOURCES)


@pytest.mark.parametrize('module, line', [
    ('core.run', 'from ..data.load import RealData'),          # a folder further down
    ('data.images', 'def f():\n    import ddnb.train.nets'),   # also inside a function
    ('core.basics', 'from .run import Run'),                   # a later notebook of the same folder
    ('methods.cda', 'from ..all import *'),
])
def test_a_use_of_a_later_module_is_seen(module, line):
    changed = {module: f'{SOURCES[module]}\n{line}\n'}
    assert uses_of_later_modules(changed)


def test_numbers_of_a_folder_differ():
    numbered = [m for m in PAGES if '/' in PAGES[m]]
    places = [place(m) for m in numbered]
    assert len(set(places)) == len(places), sorted(PAGES.values())


def test_a_notebook_and_its_module_share_folder_and_name():
    for module, page in PAGES.items():
        assert re.sub(r'(^|/)\d\d_', r'\1', page).replace('/', '.') == module


def test_every_module_has_a_notebook():
    modules = [p for p in (ROOT/'ddnb').rglob('*.py') if p.stem[0] != '_' and '.ipynb_checkpoints' not in p.parts]
    assert sorted('.'.join(p.relative_to(ROOT/'ddnb').with_suffix('').parts) for p in modules) == sorted(PAGES)


def test_the_library_does_without_the_site():
    "What builds the documentation is no part of the installed library"
    site = {p.stem for p in (ROOT/'nbs/site').glob('*.py')}
    assert {'build', 'reference'} <= site
    assert not [(m, s) for m, source in SOURCES.items() for s in imports(source, m) & site]


def test_only_panels_use_panels():
    users = {m for m, source in SOURCES.items() if used_modules(source, m) & PANELS}
    assert len(PANELS) > 5
    assert not users - PANELS - {'all', 'app.cli'}


def test_nothing_that_computes_needs_notebook_packages():
    needed = {m: {n.split('.')[0] for n in imports(source, m)} & NOTEBOOK_PACKAGES for m, source in SOURCES.items()}
    assert needed['view.panel']
    assert not [m for m, packages in needed.items() if packages and m not in PANELS]


WITHOUT_NOTEBOOK_PACKAGES = f'''
import sys
packages = {sorted(NOTEBOOK_PACKAGES)}
loaded = [name for name in sys.modules if name.split('.')[0] in packages]
for name in packages + loaded: sys.modules[name] = None
from ddnb.all import *
from ddnb.app.cli import main
teacher = squeeze(load('digits'), 'convnet2-w8-batch', epochs=1, progress=False)
print(len(CDA.preset('digits', steps=2, ipc=1).make(teacher)))
'''


def test_a_method_runs_without_notebook_packages():
    done = warm.python('-c', WITHOUT_NOTEBOOK_PACKAGES, cwd=ROOT)
    assert done.stdout.strip() == '10', done.stderr


def test_no_pickle():
    for module, source in SOURCES.items():
        for call in re.findall(r'torch\.load\([^\n]*', source): assert 'weights_only=True' in call, f'{module}: {call}'
        assert not re.search(r'pickle\.(loads?|dumps?)\(|allow_pickle=True|np\.save\(', source), module
    writers = [m for m, source in SOURCES.items() if 'torch.save' in source]
    assert writers == ['data.images'], writers  # the export that DC's and MTT's evaluators read


def test_ruff_has_nothing_to_say():
    "Line lengths, one statement a line, unused names, sorted imports: the rules are in pyproject.toml"
    program = shutil.which('ruff', path=Path(sys.executable).parent) or shutil.which('ruff')
    if not program: pytest.skip("no ruff here: pip install -e '.[dev]' brings it")
    command = [program, 'check', '--no-cache', '--output-format', 'concise', 'ddnb', 'nbs']
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-4000:]
