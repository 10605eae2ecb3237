"A JupyterLab of its own and a headless Chromium in it, for the tests in a browser and for the screenshots"
import glob, json, os, secrets, shutil, socket, subprocess, sys, tempfile, time, urllib.request
from contextlib import contextmanager
from pathlib import Path

FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-default-apps', '--disable-sync']
SETTINGS = {'@jupyterlab/apputils-extension/notification': {'fetchNews': 'false', 'checkForUpdates': False}}
ROOT = Path(__file__).resolve().parents[2]

def chromium() -> str | None:
    "Path of a Chromium, or None"
    return next((p for n in ('chromium', 'chromium-browser', 'google-chrome') if (p := shutil.which(n))), None) or next(iter(glob.glob(os.path.expanduser('~/.cache/ms-playwright/chromium*/chrome-linux*/chrome'))), None)

def missing() -> str | None:
    "What a test in a browser would lack here, or None"
    try: import playwright.sync_api, jupyterlab # noqa: F401
    except ImportError as e: return f'{e.name} is not installed: pip install playwright jupyterlab'
    return None if chromium() else 'there is no chromium: apt-get install chromium, or playwright install chromium'

def free_port() -> int:
    with socket.socket() as s: s.bind(('127.0.0.1', 0)); return s.getsockname()[1]

class Server:
    "A program on 127.0.0.1 with folders of its own, serving `root`; `env`: more variables for it and its kernels"
    def __init__(self, root, **env): self.root, self.port, self.env = Path(root), free_port(), env

    def start(self, *command, ready: str):
        "Run it as a module of this Python, and wait until `ready` (an address) answers"
        env = dict(os.environ, PYTHONPATH=str(ROOT), DDNB_RUNS=str(self.tmp/'runs'), JUPYTER_CONFIG_DIR=str(self.tmp/'config'), JUPYTER_RUNTIME_DIR=str(self.tmp/'runtime'), JUPYTER_DATA_DIR=str(self.tmp/'data'),
                   JUPYTERLAB_SETTINGS_DIR=str(self.tmp/'settings'), JUPYTERLAB_WORKSPACES_DIR=str(self.tmp/'spaces'), IPYTHONDIR=str(self.tmp/'ipython'))
        env.pop('IN_TEST', None)
        self.log = open(self.tmp/'server.log', 'w')
        self.process, end = subprocess.Popen([sys.executable, '-m', *command], env=env | self.env, cwd=self.root, stdout=self.log, stderr=subprocess.STDOUT), time.monotonic() + 60
        while True:
            try: urllib.request.urlopen(ready, timeout=2).read(); return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end: said = (self.tmp/'server.log').read_text()[-2000:]; self.__exit__(); raise RuntimeError(said or f'{command[0]} did not start')
                time.sleep(.1)

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
        return self.start('jupyterlab', '--no-browser', '--allow-root', '--ServerApp.ip=127.0.0.1', f'--ServerApp.port={self.port}', '--ServerApp.port_retries=0', f'--IdentityProvider.token={self.token}', f'--ServerApp.root_dir={self.root}',
                          '--LabApp.expose_app_in_browser=True', '--LabApp.extension_manager=readonly', '--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate', ready=f'http://127.0.0.1:{self.port}/api?token={self.token}')

    def url(self, name: str) -> str: "Address of a notebook"; return f'http://127.0.0.1:{self.port}/lab/tree/{name}?token={self.token}&reset'

class Voila(Server):
    "Voila on the notebooks of a folder; a page runs its notebook from top to bottom when it is opened"
    def __enter__(self):
        self.tmp = Path(tempfile.mkdtemp(prefix='ddnb-voila-'))
        return self.start('voila', str(self.root), '--no-browser', '--Voila.ip=127.0.0.1', f'--port={self.port}', ready=f'http://127.0.0.1:{self.port}/voila/static/voila.js')

    def url(self, name: str) -> str: "Address of a notebook"; return f'http://127.0.0.1:{self.port}/voila/render/{name}'

@contextmanager
def browser(width: int = 1280, height: int = 900):
    "A page of a headless Chromium; `page.said` collects what its console calls an error"
    from playwright.sync_api import sync_playwright
    with sync_playwright() as pw:
        app = pw.chromium.launch(executable_path=chromium(), headless=True, args=FLAGS)
        page = app.new_page(viewport=dict(width=width, height=height))
        page.said = []
        page.on('console', lambda m: page.said.append(f'{m.text[:300]} {m.location.get("url", "")[-80:]}') if m.type == 'error' else None)
        page.on('pageerror', lambda e: page.said.append(str(e)[:300]))
        try: yield page
        finally: app.close()

def open_notebook(page, lab: Lab, name: str):
    "Open it and wait until its kernel is idle"
    page.goto(lab.url(name))
    page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=60_000)
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    wait_idle(page)

def wait_idle(page, timeout: int = 60_000):
    page.wait_for_function("() => { const w = window.jupyterapp.shell.currentWidget, k = w && w.sessionContext && w.sessionContext.session && w.sessionContext.session.kernel; return k && k.connectionStatus === 'connected' && k.status === 'idle' }", timeout=timeout)

def run_all(page, timeout: int = 120_000):
    "Run all cells and wait for the last"
    page.evaluate("() => { window.ran = null; window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => window.ran = 'yes', e => window.ran = 'no: ' + e) }")
    page.wait_for_function('() => window.ran !== null', timeout=timeout)
    assert page.evaluate('window.ran') == 'yes', page.evaluate('window.ran')
    assert not (bad := failures(page)), bad

def failures(page) -> list:
    "Errors that cells printed, in view or not"
    return page.evaluate("""() => [...window.jupyterapp.shell.currentWidget.content.model.cells].flatMap(c => c.type === 'code' ? c.outputs.toJSON() : [])
        .filter(o => o.output_type === 'error' || o.name === 'stderr').map(o => (o.evalue || [].concat(o.text).join('')).slice(-600))""")

def run_cell(page, source: str):
    "Add a cell at the end and run it; returns the place of its panel"
    page.evaluate("""source => { const n = window.jupyterapp.shell.currentWidget.content;
        n.model.sharedModel.insertCell(n.widgets.length, {cell_type: 'code', source});
        n.activeCellIndex = n.widgets.length - 1; window.jupyterapp.commands.execute('notebook:run-cell') }""", source)
    panel = page.locator('.jp-Cell').last.locator('.ddnb')
    panel.wait_for(timeout=60_000)
    return panel

def notebook(path, *cells: str):
    "Write a notebook with these code cells"
    import nbformat
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells], metadata={'kernelspec': {'display_name': 'python3', 'language': 'python', 'name': 'python3'}})
    nbformat.write(nb, path)
    return path
