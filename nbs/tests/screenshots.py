"Screenshots of every panel in JupyterLab's light and dark theme: python nbs/tests/screenshots.py [OUT] [NAME …]"
import sys
import tempfile
import time
from pathlib import Path

from lab import ROOT, Lab, browser, failures, notebook, open_notebook, run_all
from PIL import Image

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
SCENES = {  # name → the cell that shows the panel
    'recovery': "made('cosine').wait()",
    'compare': """other = made('constant', schedule=constant()).wait()
RecoveryPanel(Run.open(home/'runs'/'cosine'), other)""",
    'schedules': 'SchedulePanel(schedule=cosine(.6))',
    'runs': """small = {name: Run.open(home/'runs'/name).result() for name in ('cosine', 'constant')}
rows = evaluate(small, real, teacher, protocol('hard').replace(epochs=100), repeats=3)
rows.save(home/'runs'/'cosine'/'scores.json')
panel = RunsPanel(home/'runs')
panel.scores.columns[4][0].click()
panel""",
    'studio': """import os; os.chdir(home)
studio = Studio('runs')
studio.real, studio.teacher, studio.form.fields['steps'].value = real, teacher, 400
studio.start()
studio.run.wait()
studio""",
    'stages': """base = DM.preset('digits', steps=80, lr=3.)
run = PDD(base, stages=3, ipc=2, pool=4, transition_epochs=30).start(real, folder=home/'stages').wait()
orders = [protocol(p).replace(epochs=60) for p in ('idc-progressive', 'idc-sequential', 'idc')]
rows = evaluate(run.result(), real, None, orders, nets='convnet3-w32', repeats=2)
whole = {'all real images': real.train}
rows += evaluate(whole, real, None, protocol('idc').replace(epochs=20), nets='convnet3-w32', repeats=1)
rows.save(run.folder/'scores.json')
StagesPanel(run)""",
    # the small method that the panel's own page defines: its cells up to the run
    'selection': """import nbformat
page = nbformat.read({root!r} + '/nbs/view/15_selection.ipynb', 4)
cells = [c.source for c in page.cells if c.cell_type == 'code' and not c.source.startswith('#| default_exp')]
last = next(i for i, source in enumerate(cells) if 'EasyFirst().start(' in source)
exec('\\n'.join(cells[:last + 1]))
panel = SelectionPanel(run)
panel.bars[12].click()
panel""",
}
THEMES = dict(light='JupyterLab Light', dark='JupyterLab Dark')


def take(out, names=(), home=None):
    """One PNG a scene and theme in `out`, cut to the panel; says where content is wider than its room.

    `home` keeps the runs for the next time."""
    out, names = Path(out), names or list(SCENES)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(home or scratch)
        cells = [SCENES[name].replace('{root!r}', repr(str(ROOT))) for name in names]
        notebook(home/'scenes.ipynb', PREPARE.format(home=str(home)), *cells)
        with Lab(home) as lab, browser(height=1400) as page:
            open_notebook(page, lab, 'scenes.ipynb')
            run_all(page, 400_000)
            for theme, title in THEMES.items():
                page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", title)
                time.sleep(2)
                for i, name in enumerate(names): shoot(page, i, out/f'panel-{name}-{theme}.png')
            print('console:', page.complaints, 'cells:', failures(page))


def shoot(page, i, path):
    "Save the panel of the i-th output that has one"
    output = page.locator('.jp-OutputArea-output').filter(has=page.locator('.ddnb')).nth(i)
    panel = output.locator('.ddnb').first  # the studio has panels inside
    panel.scroll_into_view_if_needed()
    time.sleep(1)
    panel.screenshot(path=str(path))
    with Image.open(path) as picture: small = picture.convert('RGB').quantize(256, dither=Image.Dither.NONE)
    small.save(path, optimize=True)
    room = panel.evaluate("""e => { const o = e.closest('.jp-OutputArea-output');
        return [o.scrollWidth, o.clientWidth] }""")
    print(path.name, 'content and room:', room)


if __name__ == '__main__': take(sys.argv[1] if len(sys.argv) > 1 else ROOT/'nbs/images', sys.argv[2:])
