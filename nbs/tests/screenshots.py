"Screenshots of every panel in JupyterLab's light and dark theme: python nbs/tests/screenshots.py [OUT] [NAME …]"
import sys, tempfile, time
from pathlib import Path
sys.path.insert(0, str(Path(__file__).parent))
from lab import Lab, ROOT, browser, failures, notebook, open_notebook, run_all

PREPARE = '''import os; os.environ.setdefault('OMP_NUM_THREADS', '1')
from pathlib import Path
from ddnb.all import *
from ddnb.panels import Panel
from ddnb.recovery_panel import RecoveryPanel
real = load('digits')
home = Path({home!r})
if not (home/'teacher').exists(): squeeze(real, epochs=12, progress=False).save(home/'teacher')
teacher = Teacher.load(home/'teacher')
def made(name, **how): return CDA.preset('digits', **how).start(teacher, folder=home/name)
'''
SCENES = { # name → the cell that shows it, and what to do before the picture is taken
    'recovery': ("r = made('cosine', steps=200)\nr.wait()\nr", lambda page: None),
    'compare': ("a, b = made('cosine', steps=200).wait(), made('constant', steps=200, schedule=constant()).wait()\nRecoveryPanel(a, b)", lambda page: None),
}

def take(out, names=(), themes=(False, True)):
    "One PNG a scene and theme in `out`, cut to the panel"
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        for dark in themes:
            for name in names or SCENES:
                cell, act = SCENES[name]
                notebook(Path(home)/f'{name}.ipynb', PREPARE.format(home=str(Path(home)/'work')), cell)
                with Lab(home, dark) as lab, browser(height=1100) as page:
                    open_notebook(page, lab, f'{name}.ipynb')
                    run_all(page, 300_000)
                    page.wait_for_selector('.ddnb', timeout=30_000)
                    act(page)
                    time.sleep(1.5)
                    wide = page.evaluate("() => { const e = [...document.querySelectorAll('.jp-OutputArea-output')].filter(e => e.querySelector('.ddnb')); return e.map(x => [x.scrollWidth, x.clientWidth]) }")
                    panel = page.locator('.ddnb').last
                    panel.scroll_into_view_if_needed()
                    panel.screenshot(path=str(out/f'{name}-{"dark" if dark else "light"}.png'))
                    page.screenshot(path=str(out/f'page-{name}-{"dark" if dark else "light"}.png'))
                    print(name, 'dark' if dark else 'light', 'output area: content, room =', wide, page.said[:3], failures(page))

if __name__ == '__main__': take(sys.argv[1] if len(sys.argv) > 1 else ROOT/'nbs'/'images', sys.argv[2:])
