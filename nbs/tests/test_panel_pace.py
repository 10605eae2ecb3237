"A panel costs a run nothing that counts: pace, memory, widgets"
import os, statistics, sys, time
from pathlib import Path
import pytest
sys.path.insert(0, str(Path(__file__).parent))
import lab as L
from test_panels import until

@pytest.fixture
def stripes(tmp_path):
    "Starts the small method that 31_panels defines, with other settings"
    import nbformat
    cells = [c.source for c in nbformat.read(L.ROOT/'nbs'/'31_panels.ipynb', 4).cells if c.cell_type == 'code']
    (tmp_path/'stripes_of_page.py').write_text('import time, torch, numpy as np, tempfile\nfrom pathlib import Path\nfrom dataclasses import dataclass\nfrom ddnb.core.basics import seeded\nfrom ddnb.core.config import known\nfrom ddnb.core.run import Event, Method\n' + next(c for c in cells if 'class Stripes(Method)' in c).split('home = Path')[0])
    sys.path.insert(0, str(tmp_path))
    import stripes_of_page
    sys.path.remove(str(tmp_path))
    return lambda **how: stripes_of_page.Stripes(**how).start(folder=tmp_path/f'run{time.time()}')

def rss() -> float: "Megabytes of this process"; return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6

@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='memory is read from /proc')
def test_memory_stays_flat_and_widgets_are_reused(stripes):
    from ddnb.view.panel import Panel
    from ipywidgets.widgets.widget import _instances
    run = stripes(steps=2000, wait=.003)
    panel = Panel.of(run)
    until(lambda: run.last and run.last['step'] >= 200, 'it gets going')
    began, widgets, most = rss(), len(_instances), 0.
    while run.alive: most = max(most, abs(rss() - began)); time.sleep(.1)
    panel.refresh()
    print(f'\nmemory moved by {most:.1f} MB over {run.last["step"] - 200:,} steps')
    assert run.state == 'done' and panel.time.at == 2000 and most <= 20 and len(_instances) == widgets
    panel.close()
    assert len(_instances) < widgets - 30

LOOKS = 5 # a second at most: a look waits a tenth of a second, and rests as long

@pytest.mark.skipif(not hasattr(time, 'pthread_getcpuclockid'), reason="a thread's own CPU time is not to be had")
def test_a_run_keeps_its_pace_under_a_panel(tmp_path):
    "Pairs of windows in one run, the painter at work and at rest: steps per second in the median pair, best of three tries. Where other programs take the processor away (this process gets less than nine tenths of a core), the clock measures them; there the CPU time of a look says which part of a core the painter would take."
    from ddnb.methods.cda import CDA
    from ddnb.data.load import load
    from ddnb.view.recovery import RecoveryPanel
    from ddnb.train.train import squeeze
    teacher = squeeze(load('digits'), epochs=1, progress=False)
    run = CDA.preset('digits', steps=100_000).start(teacher, folder=tmp_path/'run')
    panel = RecoveryPanel(run)
    draw, steps, found, looks = panel.once, lambda: run.memory.get('step', 0), [], []
    painter = time.pthread_getcpuclockid(panel._thread.ident)
    def work():
        began = time.clock_gettime(painter)
        draw()
        looks.append(time.clock_gettime(painter) - began)
    def window(f, seconds=1.2) -> tuple: # steps a second, share of a core that there was
        panel.once = f
        time.sleep(.15)
        a, t, c = steps(), time.perf_counter(), time.process_time()
        time.sleep(seconds)
        wall = time.perf_counter() - t
        return (steps() - a) / wall, (time.process_time() - c) / wall
    def ratio() -> float:
        looks.clear()
        pairs = [(window(work), window(lambda: None)) for _ in range(5)]
        starved = min(share for pair in pairs for _, share in pair) < .9
        print('\n' + ('starved: by the CPU time of a look' if starved else 'by the clock'), end='')
        return 1 - LOOKS * statistics.fmean(looks) if starved else statistics.median(a / b for (a, _), (b, _) in pairs)
    try:
        until(lambda: steps() > 20, 'it gets going', 60)
        while len(found) < 3 and max(found, default=0) < .95: found.append(ratio())
        print(f'; steps per second with the panel against without: {", ".join(f"{f:.1%}" for f in found)}')
    finally: run.stop().wait(); panel.close()
    assert max(found) >= .95, found
