"Screenshots of every panel in JupyterLab's light and dark theme: python nbs/tests/screenshots.py [OUT] [NAME …]"
import sys, tempfile, time
from pathlib import Path
from PIL import Image
sys.path.insert(0, str(Path(__file__).parent))
from lab import Lab, ROOT, browser, failures, notebook, open_notebook, run_all

PREPARE = '''import os; os.environ.setdefault('OMP_NUM_THREADS', '1')
from pathlib import Path
from ddnb.all import *
from ddnb.view.panel import Panel
from ddnb.view.recovery import RecoveryPanel
from ddnb.view.schedules import SchedulePanel
from ddnb.view.runs import RunsPanel
from ddnb.view.studio import Studio
from ddnb.view.stages import StagesPanel
from ddnb.view.selection import SelectionPanel
real = load('digits')
home = Path({home!r})
if not (home/'teacher'/'teacher.json').exists(): squeeze(real, progress=False).save(home/'teacher')
teacher = Teacher.load(home/'teacher')
def made(name, **how): return CDA.preset('digits', **how).start(teacher, folder=home/'runs'/name)
'''
# the small method that a panel's own page defines: its cells up to the panel
TOY = """import nbformat
cells = [c.source for c in nbformat.read({{root!r}} + '/nbs/{0}.ipynb', 4).cells if c.cell_type == 'code']
cells = cells[:1 + max(i for i, c in enumerate(cells) if 'class {1}' in c)]
exec('\\n'.join(c for c in cells if not c.startswith('#| default_exp')))
{2}"""
SCENES = { # name → the cell that shows the panel
    'recovery': "made('cosine').wait()",
    'compare': "RecoveryPanel(Run.open(home/'runs'/'cosine'), made('constant', schedule=constant()).wait())",
    'schedules': "SchedulePanel(schedule=cosine(.6))",
    'runs': "small = {n: Run.open(home/'runs'/n).result() for n in ('cosine', 'constant')}\nevaluate(small, real, teacher, protocol('hard').replace(epochs=100), repeats=3).save(home/'runs'/'cosine'/'scores.json')\np = RunsPanel(home/'runs')\np.scores.columns[4][0].click()\np",
    'studio': "import os; os.chdir(home)\ns = Studio('runs')\ns.real, s.teacher, s.form.fields['steps'].value = real, teacher, 400\ns.start()\ns.run.wait()\ns",
    'stages': """from ddnb.train.evaluate import Scores
base = DM.preset('digits', steps=80, lr=3.)
run = PDD(base, stages=3, ipc=2, pool=4, transition_epochs=30).start(real, folder=home/'stages').wait()
orders = [protocol(p).replace(epochs=60) for p in ('idc-progressive', 'idc-sequential', 'idc')]
rows = evaluate(run.result(), real, None, orders, nets='convnet3-w32', repeats=2)
rows += evaluate({'all real images': real.train}, real, None, protocol('idc').replace(epochs=20), nets='convnet3-w32', repeats=1)
rows.save(run.folder/'scores.json')
StagesPanel(run)""",
    'selection': TOY.format('31_selection_panel', 'Hardness', 'p = SelectionPanel(run)\np.bars[12].click()\np'),
}
THEMES = dict(light='JupyterLab Light', dark='JupyterLab Dark')

def take(out, names=(), home=None):
    "One PNG a scene and theme in `out`, cut to the panel; says where content is wider than its room. `home` keeps the runs for the next time."
    out, names = Path(out), names or list(SCENES)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(home or scratch)
        notebook(home/'scenes.ipynb', PREPARE.format(home=str(home)), *(SCENES[n].replace('{root!r}', repr(str(ROOT))) for n in names))
        with Lab(home) as lab, browser(height=1400) as page:
            open_notebook(page, lab, 'scenes.ipynb')
            run_all(page, 400_000)
            for theme, title in THEMES.items():
                page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", title)
                time.sleep(2)
                for i, name in enumerate(names):
                    panel = page.locator('.jp-OutputArea-output').filter(has=page.locator('.ddnb')).nth(i).locator('.ddnb').first # the studio has panels inside
                    panel.scroll_into_view_if_needed()
                    time.sleep(1)
                    path = out/f'panel-{name}-{theme}.png'
                    panel.screenshot(path=str(path))
                    with Image.open(path) as im: small = im.convert('RGB').quantize(256, dither=Image.Dither.NONE)
                    small.save(path, optimize=True)
                    print(name, theme, 'content and room:', panel.evaluate("e => { const o = e.closest('.jp-OutputArea-output'); return [o.scrollWidth, o.clientWidth] }"))
            print('console:', page.said, 'cells:', failures(page))

if __name__ == '__main__': take(sys.argv[1] if len(sys.argv) > 1 else ROOT/'nbs'/'images', sys.argv[2:], None)
