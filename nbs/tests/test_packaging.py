"What `pip install` takes along: every module, style sheet and template, and nothing that git leaves out"
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def files(folder):
    "What lies in a folder, Python's own caches aside"
    return {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file() and '__pycache__' not in p.parts}


def test_everything_of_the_library_is_installed(tmp_path):
    if not importlib.util.find_spec('setuptools'): pytest.skip('no setuptools here')
    copy = tmp_path/'copy'
    shutil.copytree(ROOT/'ddnb', copy/'ddnb', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.py', 'settings.ini', 'pyproject.toml', 'README.md', 'LICENSE'): shutil.copy(ROOT/name, copy)
    command = [sys.executable, 'setup.py', '-q', 'build_py', '--build-lib', str(tmp_path/'built')]
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert files(tmp_path/'built/ddnb') == files(ROOT/'ddnb')
    assert {'data/load.py', 'app/report.css', 'app/report.html.j2'} <= files(ROOT/'ddnb')


def test_git_keeps_the_library_and_leaves_data_out():
    if not shutil.which('git') or not (ROOT/'.git').exists(): pytest.skip('no git checkout')

    def ignored(path):
        return subprocess.run(['git', 'check-ignore', '-q', path], cwd=ROOT).returncode == 0
    assert not [path for path in files(ROOT/'ddnb') if ignored(f'ddnb/{path}')]
    assert not ignored('data/README.md') and not ignored('nbs/data/00_images.ipynb')
    assert ignored('data/cifar-10-batches-py') and ignored('demo/report.html')


def test_importing_loads_nothing_that_most_work_does_not_need():
    """torchvision brings torch's compiler with it, which takes as long to load as all of torch; matplotlib and SciPy
    take as long as all of ddnb"""
    heavy = ('torchvision', 'torch._dynamo', 'sklearn', 'matplotlib', 'scipy')
    program = f'import sys, ddnb.all; print([name for name in {heavy} if name in sys.modules])'
    assert subprocess.run([sys.executable, '-c', program], capture_output=True, text=True).stdout == '[]\n'
