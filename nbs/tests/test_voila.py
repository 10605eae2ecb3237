"""The same panels under Voila: a page with widgets and no code.

Skipped with the reason where Voila or the browser is missing."""
import importlib.util
import json

import lab as L
import pytest
from test_panels import picture, press, steps_done, until

STORY = ("""from ddnb.all import *
real = load('digits')
teacher = squeeze(real, 'convnet2-w16-batch', epochs=1, progress=False)
SchedulePanel()""",
         """run = CDA.preset('digits', ipc=2, steps=20_000).start(teacher, folder='run')
run""")

# what its page complains of without any panel: an icon font from the net, a Lab extension that it does not bring
VOILAS_OWN = ('fontawesome', 'shareKey')


@pytest.mark.e2e
def test_panels_under_voila(tmp_path):
    if why := L.missing(): pytest.skip(why)
    if not importlib.util.find_spec('voila'): pytest.skip('voila is not installed: pip install voila')
    L.notebook(tmp_path/'story.ipynb', *STORY)
    with L.Voila(tmp_path, OMP_NUM_THREADS='1') as voila, L.browser() as page:
        page.goto(voila.url('story.ipynb'), timeout=120_000)
        schedules = page.locator('.ddnb').filter(has_text='to paste')
        panel = page.locator('.ddnb').filter(has_text='Stop and keep')
        schedules.wait_for(timeout=60_000)
        schedules.get_by_role('slider', name='milestone').first.focus()
        for _ in range(10): page.keyboard.press('ArrowLeft')
        code = schedules.locator('code').first
        until(lambda: code.inner_text() == 'CDA(schedule=cosine(0.9))', 'the slider is heard')
        panel.locator('.ddnb-stack img').first.wait_for(timeout=30_000)
        first = picture(panel)
        until(lambda: picture(panel) != first, 'the images change')
        press(panel, 'Pause')
        panel.get_by_text('Paused at step').wait_for(timeout=10_000)
        rest = steps_done(panel)
        press(panel, 'Resume')
        until(lambda: steps_done(panel) > rest, 'it goes on')
        press(panel, 'Stop and keep')
        panel.get_by_text('Stopped at step').wait_for(timeout=10_000)
        assert json.loads((tmp_path/'run/status.json').read_text())['state'] == 'stopped'
        assert not [c for c in page.complaints if not any(own in c for own in VOILAS_OWN)]
