"`pytest` runs every notebook in a real Jupyter kernel, and checks that library, README and notebooks agree"
import os, re, shutil, subprocess, sys, tempfile
from pathlib import Path
import nbformat, pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NBS, ROOT = Path(__file__).parent, Path(__file__).parent.parent
SKIP = re.compile(r'^\s*#\|\s*(eval:\s*false|notest\b)', re.M | re.I)
PACK = Path(os.environ.get('DDNB_TEST_PACK', ROOT.parent/'shared'/'data')) # real images beside the checkout, with an `unpack.py` that writes the official files

sys.path.insert(0, str(ROOT))
os.environ['PYTHONPATH'] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])]) # kernels import this checkout
os.environ['IN_TEST'] = '1' # as nbdev_test does
if 'PYTEST_XDIST_WORKER' in os.environ: os.environ.setdefault('OMP_NUM_THREADS', '1') # a worker a core: more threads would only wait for each other

def pytest_xdist_auto_num_workers(config): return min(os.cpu_count() or 1, 8)

def pytest_xdist_make_scheduler(config, log):
    "A file stays with one worker: its fixtures (a built site, a server, a teacher) are made once"
    from xdist.scheduler import LoadFileScheduling
    return LoadFileScheduling(config, log)

def pytest_configure(config):
    for line in ('e2e: drives a real browser', 'faults: kills, damages or starves something', 'slow: takes more than half a minute'): config.addinivalue_line('markers', line)
    unpacked = ROOT/'data'
    if (PACK/'unpack.py').exists() and not (unpacked/'tiny-imagenet-200').exists() and not hasattr(config, 'workerinput'):
        subprocess.run([sys.executable, str(PACK/'unpack.py'), str(unpacked)], check=True, stdout=subprocess.DEVNULL)
    scores = unpacked/'difficulty-scores' # published scores, which a page compares ours with
    if (PACK/scores.name).is_dir() and not scores.exists() and not hasattr(config, 'workerinput'): scores.symlink_to(PACK/scores.name)

@pytest.fixture
def pack():
    "Folder with published scores and distilled samples"
    if not (PACK/'distilled-samples').is_dir(): pytest.skip(f'no published samples in {PACK} (set DDNB_TEST_PACK)')
    return PACK

@pytest.fixture
def data_folder():
    "Gives the project's data folder if it holds what is asked for, and skips with the reason otherwise"
    def find(name):
        if not (ROOT/'data'/name).is_dir(): pytest.skip(f'no {name} in {ROOT/"data"}: see data/README.md')
        return ROOT/'data'
    return find

def pytest_collect_file(file_path, parent):
    hidden = any(p[0] in '._' for p in file_path.relative_to(NBS).parts)
    if file_path.suffix == '.ipynb' and not hidden: return NotebookFile.from_parent(parent, path=file_path)
    if file_path == NBS/'conftest.py': return ProjectChecks.from_parent(parent, path=file_path)

class NotebookFile(pytest.File):
    def collect(self): yield NotebookItem.from_parent(self, name='run')

class NotebookItem(pytest.Item):
    "A notebook, run from top to bottom in a kernel of its own"
    def runtest(self):
        nb = nbformat.read(self.path, 4)
        for name in re.findall(r'^# needs: (\S+)', '\n'.join(c.source for c in nb.cells if c.cell_type == 'code'), re.M):
            if not (ROOT/'data'/name).is_dir(): pytest.skip(f'no {name} in {ROOT/"data"}: see data/README.md')
        for c in nb.cells: # what nbdev_test leaves out
            if c.cell_type == 'code' and (SKIP.search(c.source) or 'nbdev_export(' in c.source): c.source = ''
        with tempfile.TemporaryDirectory() as runs: # runs that name no folder go here
            kernel_env = dict(os.environ, DDNB_RUNS=runs)
            NotebookClient(nb, timeout=600, kernel_name='python3', resources={'metadata': {'path': str(NBS)}}).execute(env=kernel_env)
    def repr_failure(self, excinfo): return str(excinfo.value) if isinstance(excinfo.value, CellExecutionError) else super().repr_failure(excinfo)
    def reportinfo(self): return self.path, 0, self.path.name

class ProjectChecks(pytest.File):
    def collect(self):
        for name in ('library_matches_notebooks', 'notebooks_are_clean', 'readme_matches_index'): yield CheckItem.from_parent(self, name=name)

class CheckItem(pytest.Item):
    "Makes the library, the clean notebooks or the README again in a copy, and compares"
    def runtest(self):
        if self.name.startswith('readme'):
            from reference import readme_text
            if readme_text(NBS/'index.ipynb') != (ROOT/'README.md').read_text(encoding='utf-8'): pytest.fail('README.md is not what index.ipynb gives: python -c "from reference import readme; readme()"', pytrace=False)
            return
        with tempfile.TemporaryDirectory() as d: self.compare(Path(d)/ROOT.name)

    def compare(self, copy):
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns('.git', '.venv*', '*.egg-info', 'data', 'demo', '__pycache__'))
        command, part = ('nbdev_export', 'ddnb') if self.name.startswith('library') else ('nbdev_clean', 'nbs')
        env = {k: v for k, v in os.environ.items() if k != 'IN_TEST'} # with IN_TEST set, nbdev_export leaves _modidx.py alone
        subprocess.run([str(Path(sys.executable).parent/command)], cwd=copy, check=True, capture_output=True, text=True, env=env)
        a, b = ({p.relative_to(r/part): p.read_bytes() for p in (r/part).rglob('*') if p.suffix in ('.py', '.ipynb') and not {'__pycache__', '.ipynb_checkpoints'} & set(p.parts)} for r in (ROOT, copy))
        bad = sorted(str(k) for k in a.keys() | b.keys() if a.get(k) != b.get(k))
        if bad: pytest.fail(f'run `{command}`: {bad}', pytrace=False)
    def reportinfo(self): return ROOT, 0, self.name
