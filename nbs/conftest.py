"`pytest` runs every notebook in a real Jupyter kernel, and checks that library, README and notebooks agree"
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NBS = Path(__file__).parent
ROOT = NBS.parent
sys.path[:0] = [str(ROOT), str(NBS/'tests'), str(NBS/'site')]

import warm  # noqa: E402 - found by the line above
from budgets import BUDGETS, as_tested, page_name  # noqa: E402

# real images beside the checkout, with an `unpack.py` that writes the official files
PACK = Path(os.environ.get('DDNB_TEST_PACK', ROOT.parent/'shared'/'data'))

os.environ['PYTHONPATH'] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))  # for the kernels
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')  # a worker a core: more threads would only wait for each other


def pytest_xdist_auto_num_workers(config): return min(os.cpu_count() or 1, 8)


def pytest_xdist_make_scheduler(config, log):
    "A file stays with one worker: its fixtures (a built site, a server, a teacher) are made once"
    from xdist.scheduler import LoadFileScheduling
    config.option.loadscopereorder = False  # the order is ours, not by the number of a file's tests
    return LoadFileScheduling(config, log)


def pytest_collection_modifyitems(items):
    "Files that drive a browser or are slow come first, so that no worker is left with one of them at the end"
    def takes_long(item): return any(item.get_closest_marker(name) for name in ('e2e', 'slow'))
    first = {item.path for item in items if takes_long(item)}
    items.sort(key=lambda item: item.path not in first)


def pytest_configure(config):
    "Names the markers, and unpacks the real images where they lie beside the checkout"
    config.addinivalue_line('markers', 'e2e: drives a real browser')
    config.addinivalue_line('markers', 'faults: kills, damages or starves something')
    config.addinivalue_line('markers', 'slow: takes more than half a minute')
    warm.kernels()
    if hasattr(config, 'workerinput'): return  # the first process does it for all
    unpacked = ROOT/'data'
    if (PACK/'unpack.py').exists() and not (unpacked/'tiny-imagenet-200').exists():
        command = [sys.executable, str(PACK/'unpack.py'), str(unpacked)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    scores = unpacked/'difficulty-scores'  # published scores, which a page compares ours with
    if (PACK/scores.name).is_dir() and not scores.exists(): scores.symlink_to(PACK/scores.name)


@pytest.fixture
def pack():
    "Folder with published scores and distilled samples"
    if not (PACK/'distilled-samples').is_dir():
        pytest.skip(f'no published samples in {PACK} (set DDNB_TEST_PACK)')
    return PACK


def skip_without(name):
    "Skips with the reason where the project's data folder lacks `name`"
    if not (ROOT/'data'/name).is_dir(): pytest.skip(f'no {name} in {ROOT/"data"}: see data/README.md')


@pytest.fixture
def data_folder():
    "Gives the project's data folder if it holds what is asked for, and skips with the reason otherwise"
    def find(name):
        skip_without(name)
        return ROOT/'data'
    return find


def pytest_collect_file(file_path, parent):
    "Every notebook below `nbs`, in whatever folder, and the checks of the project as a whole"
    hidden = any(part[0] in '._' for part in file_path.relative_to(NBS).parts)
    if file_path.suffix == '.ipynb' and not hidden: return NotebookFile.from_parent(parent, path=file_path)
    if file_path == NBS/'conftest.py': return ProjectChecks.from_parent(parent, path=file_path)


class NotebookFile(pytest.File):
    def collect(self): yield NotebookItem.from_parent(self, name='run')


class NotebookItem(pytest.Item):
    "A notebook, run from top to bottom in a kernel of its own and in its own folder, with the budgets of the tests"

    def runtest(self):
        nb = nbformat.read(self.path, 4)
        code = '\n'.join(c.source for c in nb.cells if c.cell_type == 'code')
        for name in re.findall(r'^# needs: (\S+)', code, re.M): skip_without(name)
        nb = as_tested(nb, page_name(self.path, NBS))
        resources = {'metadata': {'path': str(self.path.parent)}}
        with tempfile.TemporaryDirectory() as runs:  # runs that name no folder go here
            client = NotebookClient(nb, timeout=600, kernel_name='python3', resources=resources,
                                    shutdown_kernel='immediate')  # a second is saved: nothing is left to do
            client.execute(env=dict(os.environ, DDNB_RUNS=runs))

    def repr_failure(self, excinfo):
        plain = isinstance(excinfo.value, (CellExecutionError, ValueError))
        return str(excinfo.value) if plain else super().repr_failure(excinfo)

    def reportinfo(self): return self.path, 0, page_name(self.path, NBS)


class ProjectChecks(pytest.File):
    def collect(self):
        for check in (library_matches_notebooks, notebooks_match_library, notebooks_are_clean, readme_matches_index,
                      budgets_match_pages):
            yield CheckItem.from_parent(self, name=check.__name__, check=check)


class CheckItem(pytest.Item):
    "One of the functions below, run as a test"

    def __init__(self, *, check, **kwargs):
        super().__init__(**kwargs)
        self.check = check

    def runtest(self): self.check()

    def reportinfo(self): return ROOT, 0, self.name


def library_matches_notebooks(): compare_with_copy('nbdev_export', ROOT/'ddnb')


def notebooks_match_library(): compare_with_copy('nbdev_update', NBS)


def notebooks_are_clean(): compare_with_copy('nbdev_clean', NBS)


def readme_matches_index():
    "README.md is what the index gives"
    from reference import readme_text
    same = readme_text(NBS/'index.ipynb') == (ROOT/'README.md').read_text(encoding='utf-8')
    remedy = 'python nbs/site/build.py --readme'
    if not same: pytest.fail(f'README.md is not what index.ipynb gives: {remedy}', pytrace=False)


def budgets_match_pages():
    "Every page of `BUDGETS` is there, and holds each of its texts exactly once"
    problems = []
    for page in BUDGETS:
        path = NBS/f'{page}.ipynb'
        if not path.exists():
            problems.append(f'{page}: no such page')
            continue
        try: as_tested(nbformat.read(path, 4), page)
        except ValueError as e: problems.append(f'{page}: {e}')
    if problems: pytest.fail('\n'.join(problems), pytrace=False)


def sources(folder):
    "Modules and notebooks below a folder, path → bytes"
    paths = (p for p in folder.rglob('*') if p.suffix in ('.py', '.ipynb'))
    return {p.relative_to(folder): p.read_bytes() for p in paths
            if not {'__pycache__', '.ipynb_checkpoints'} & set(p.parts)}


def nbdev_program(command):
    "Where a command of nbdev 2 or 3 lies: 'nbdev_export', which the newer one calls nbdev-export"
    folder = Path(sys.executable).parent
    programs = [folder/command, folder/command.replace('_', '-')]
    return str(next((p for p in programs if p.exists()), programs[0]))


def compare_with_copy(command, folder):
    "Runs a command of nbdev in a copy of the checkout and fails if that changes anything in `folder`"
    with tempfile.TemporaryDirectory() as d:
        copy = Path(d)/ROOT.name
        copy.mkdir()
        for part in ('nbs', 'ddnb', 'README.md', 'LICENSE', 'settings.ini', 'pyproject.toml', 'setup.py'):
            if (ROOT/part).is_dir(): shutil.copytree(ROOT/part, copy/part, ignore=shutil.ignore_patterns('__pycache__'))
            else: shutil.copy(ROOT/part, copy/part)
        subprocess.run([nbdev_program(command)], cwd=copy, check=True, capture_output=True, text=True)
        here = sources(folder)
        there = sources(copy/folder.relative_to(ROOT))
    changed = sorted(str(k) for k in here.keys() | there.keys() if here.get(k) != there.get(k))
    if changed: pytest.fail(f'run `{command}`: {changed}', pytrace=False)
