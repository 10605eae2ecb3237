"A JupyterLab of its own and a headless Chromium in it, for the tests in a browser and for the screenshots"
import glob
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import warm

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-default-apps', '--disable-sync']
SETTINGS = {
    '@jupyterlab/apputils-extension/notification': {'fetchNews': 'false', 'checkForUpdates': False}}


def chromium():
    "Path of a Chromium, or None"
    for name in ('chromium', 'chromium-browser', 'google-chrome'):
        if shutil.which(name): return shutil.which(name)
    by_playwright = os.path.expanduser('~/.cache/ms-playwright/chromium*/chrome-linux*/chrome')
    return next(iter(glob.glob(by_playwright)), None)


def missing():
    "What a test in a browser would lack here, or None"
    try:
        import jupyterlab  # noqa: F401
        import playwright.sync_api  # noqa: F401
    except ImportError as e: return f'{e.name} is not installed: pip install playwright jupyterlab'
    if chromium(): return None
    return 'there is no chromium: apt-get install chromium, or playwright install chromium'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Server:
    "A program on 127.0.0.1 with folders of its own, serving `root`; `env`: more variables for it and its kernels"

    def __init__(self, root, **env):
        self.root, self.env = Path(root), env
        self.port = free_port()
        self.address = f'http://127.0.0.1:{self.port}'

    def start(self, *command, ready):
        "Run it as a module of this Python, and wait until `ready` (a path at its address) answers"
        self.log = open(self.tmp/'server.log', 'w')
        command = [sys.executable, '-m', *command]
        self.process = subprocess.Popen(command, env=self.environment() | self.env, cwd=self.root,
                                        stdout=self.log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 150
        while not self.answers(ready):
            if self.process.poll() is not None or time.monotonic() > end:
                output = (self.tmp/'server.log').read_text()[-2000:]
                self.__exit__()
                raise RuntimeError(output or f'{command[2]} did not start')
            time.sleep(.1)
        return self

    def environment(self):
        "Variables of a server that neither reads nor writes anything of the user's own"
        folders = dict(JUPYTER_CONFIG_DIR='config', JUPYTER_RUNTIME_DIR='runtime', JUPYTER_DATA_DIR='data',
                       JUPYTERLAB_SETTINGS_DIR='settings', JUPYTERLAB_WORKSPACES_DIR='spaces', IPYTHONDIR='ipython',
                       DDNB_RUNS='runs')
        return dict(os.environ, PYTHONPATH=str(ROOT), **{name: str(self.tmp/f) for name, f in folders.items()})

    def warm_kernels(self, name):
        "Have the kernels begin with PyTorch in memory; `name` of the file that the server reads its settings from"
        config = self.tmp/'config'/name
        config.parent.mkdir(exist_ok=True)
        config.write_text(warm.server_config())

    def answers(self, path):
        try: urllib.request.urlopen(f'{self.address}/{path}', timeout=2).read()
        except OSError: return False
        return True

    def __exit__(self, *_):
        self.process.terminate()
        try: self.process.wait(15)
        except subprocess.TimeoutExpired: self.process.kill()
        self.log.close()
        shutil.rmtree(self.tmp, ignore_errors=True)


class Lab(Server):
    "JupyterLab with a token"
    token = secrets.token_hex(16)

    def __enter__(self):
        self.tmp = Path(tempfile.mkdtemp(prefix='ddnb-lab-'))
        for name, values in SETTINGS.items():
            path = self.tmp/'settings'/f'{name}.jupyterlab-settings'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        self.warm_kernels('jupyter_server_config.py')
        options = ['--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={self.port}',
                   '--ServerApp.port_retries=0', f'--IdentityProvider.token={self.token}',
                   f'--ServerApp.root_dir={self.root}', '--LabApp.expose_app_in_browser=True',
                   '--LabApp.extension_manager=readonly',
                   '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate']
        return self.start('jupyterlab', *options, ready=f'api?token={self.token}')

    def url(self, name):
        "Address of a notebook"
        return f'{self.address}/lab/tree/{name}?token={self.token}&reset'


class Voila(Server):
    "Voila on the notebooks of a folder; a page runs its notebook from top to bottom when it is opened"

    def __enter__(self):
        self.tmp = Path(tempfile.mkdtemp(prefix='ddnb-voila-'))
        self.warm_kernels('voila.py')
        options = [str(self.root), '--no-browser', '--Voila.ip=127.0.0.1', f'--port={self.port}']
        return self.start('voila', *options, ready='voila/static/voila.js')

    def url(self, name):
        "Address of a notebook"
        return f'{self.address}/voila/render/{name}'


@contextmanager
def browser(width=1280, height=900):
    "A page of a headless Chromium; `page.complaints` collects what its console calls an error"
    from playwright.sync_api import sync_playwright
    with sync_playwright() as pw:
        app = pw.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS)
        page = app.new_page(viewport=dict(width=width, height=height))
        page.complaints = []

        def heard(message):
            place = message.location.get('url', '')[-80:]
            if message.type == 'error': page.complaints.append(f'{message.text[:300]} {place}')
        page.on('console', heard)
        page.on('pageerror', lambda e: page.complaints.append(str(e)[:300]))
        try: yield page
        finally: app.close()


def open_notebook(page, lab, name):
    "Open it and wait until its kernel is idle"
    page.goto(lab.url(name))
    page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')",
                           timeout=60_000)
    page.evaluate('() => window.jupyterapp.shell.collapseLeft()')
    wait_idle(page)


def wait_idle(page, timeout=60_000):
    page.wait_for_function("""() => {
        const session = window.jupyterapp.shell.currentWidget?.sessionContext?.session;
        return session?.kernel?.connectionStatus === 'connected' && session.kernel.status === 'idle' }""",
        timeout=timeout)


def run_all(page, timeout=120_000):
    "Run all cells and wait for the last"
    page.evaluate("""() => { window.ran = null;
        window.jupyterapp.commands.execute('notebook:run-all-cells')
            .then(() => window.ran = 'yes', e => window.ran = 'no: ' + e) }""")
    page.wait_for_function('() => window.ran !== null', timeout=timeout)
    assert page.evaluate('window.ran') == 'yes', page.evaluate('window.ran')
    assert not failures(page), failures(page)


def failures(page):
    "Errors that cells printed, in view or not"
    return page.evaluate("""() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
        .flatMap(c => c.type === 'code' ? c.outputs.toJSON() : [])
        .filter(o => o.output_type === 'error' || o.name === 'stderr')
        .map(o => (o.evalue || [].concat(o.text).join('')).slice(-600))""")


def add_cell(page, source):
    "Add a cell at the end and run it"
    page.evaluate("""source => { const n = window.jupyterapp.shell.currentWidget.content;
        n.model.sharedModel.insertCell(n.widgets.length, {cell_type: 'code', source});
        n.activeCellIndex = n.widgets.length - 1; window.jupyterapp.commands.execute('notebook:run-cell') }""", source)


def run_cell(page, source):
    "Add a cell at the end and run it; returns the place of its panel, while that cell is the last"
    add_cell(page, source)
    panel = page.locator('.jp-Cell').last.locator('.ddnb').first  # the studio has panels inside
    panel.wait_for(timeout=60_000)
    return panel


def notebook(path, *cells):
    "Write a notebook with these code cells"
    import nbformat
    kernel = {'display_name': 'python3', 'language': 'python', 'name': 'python3'}
    code = [nbformat.v4.new_code_cell(c) for c in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata={'kernelspec': kernel}), path)
    return path
