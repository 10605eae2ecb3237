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
from ddnb.view.schedules import SchedulePanel
from ddnb.view.runs import RunsPanel
from ddnb.view.studio import Studio
real = load('digits')
home = Path({home!r})
if not (home/'teacher'/'teacher.json').exists(): squeeze(real, progress=False).save(home/'teacher')
teacher = Teacher.load(home/'teacher')
from ddnb.methods.difficulty import one_pass
def made(name, **how): return CDA.preset('digits', **how).start(teacher, folder=home/'runs'/name)
'''
SCENES = {  # name → the cell that shows the panel
    'recovery': "made('cosine').wait()",
    'compare': """other = made('constant', schedule=constant()).wait()
Panel(Run.open(home/'runs'/'cosine'), other)""",
    'schedules': 'SchedulePanel(schedule=cosine(.6))',
    'runs': """small = {name: Run.open(home/'runs'/name).result() for name in ('cosine', 'constant')}
rows = evaluate(small, real, teacher, protocol('hard').replace(epochs=100), repeats=3)
rows.save(home/'runs'/'cosine'/'scores.json')
RunsPanel(home/'runs')""",
    'studio': """import os, time; os.chdir(home)
if not (home/'runs'/'teacher-001').exists(): teacher.save(home/'runs'/'teacher-001')
small = made('cda-001').wait().result()
evaluate(small, real, teacher, 'hard(epochs=60)', repeats=2).save(home/'runs'/'cda-001'/'scores.json')
studio = Studio('runs')
studio.desk.wait()
studio.desk.do('open', run='cda-001')
studio""",
    'stages': """base = DM.preset('digits', steps=80, lr=3.)
run = PDD(base, stages=3, ipc=2, pool=4, transition_epochs=30).start(real, folder=home/'stages').wait()
orders = [protocol(p).replace(epochs=60) for p in ('idc-progressive', 'idc-sequential', 'idc')]
rows = evaluate(run.result(), real, None, orders, nets='convnet3-w32', repeats=2)
whole = {'all real images': real.train}
rows += evaluate(whole, real, None, protocol('idc').replace(epochs=20), nets='convnet3-w32', repeats=1)
rows.save(run.folder/'scores.json')
run""",
    'selection': """scores = one_pass(teacher, real.train)['margin']
method = CCFS.preset('digits', ipc=10, phases=3, protocol='ccfs(epochs=20)')
method.start(Run.open(home/'runs'/'cosine').result(), teacher, real, scores, folder=home/'selection').wait()""",
    'teacher': """squeeze(real, progress=False, folder=home/'squeeze')
Panel.open(home/'squeeze')""",
    'large': "Panel(Run.open(home/'runs'/'cosine'))",
}
ACTS = {  # name → what is clicked before the picture is taken
    'large': '.grid canvas >> nth=42',
    'selection': '.hist .hit >> nth=12',
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
        with Lab(home) as lab, browser(1440, 1400) as page:
            open_notebook(page, lab, 'scenes.ipynb')
            run_all(page, 400_000)
            for theme, title in THEMES.items():
                page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', {theme: t})", title)
                time.sleep(2)
                for i, name in enumerate(names): shoot(page, i, name, out/f'panel-{name}-{theme}.png')
            print('console:', page.complaints, 'cells:', failures(page))


def shoot(page, i, name, path):
    "Save the panel of the i-th output that has one, in at most 120 kB"
    output = page.locator('.jp-OutputArea-output').filter(has=page.locator('.ddnb')).nth(i)
    panel = output.locator('.ddnb').first
    panel.scroll_into_view_if_needed()
    if name in ACTS and not panel.locator('.card').count() and not panel.locator('.hit.on').count():
        panel.locator(ACTS[name]).click()
    if name == 'large': panel.locator('.film canvas.real').nth(2).wait_for()
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
    time.sleep(1)
    panel.screenshot(path=str(path))
    size = quantised(path, 120_000)
    room = panel.evaluate("""e => { const o = e.closest('.jp-OutputArea-output');
        return [o.scrollWidth, o.clientWidth] }""")
    print(path.name, f'{size / 1000:.0f} kB, content and room:', room)


def quantised(path, most):
    "Rewrite a picture with 256 colours, or as many fewer as keep it below so many bytes; its size"
    with Image.open(path) as picture: picture = picture.convert('RGB')
    for colours in (256, 128, 64, 32, 16):
        picture.quantize(colours, dither=Image.Dither.NONE).save(path, optimize=True)
        if path.stat().st_size <= most: break
    return path.stat().st_size


if __name__ == '__main__': take(sys.argv[1] if len(sys.argv) > 1 else ROOT/'nbs/images', sys.argv[2:])
