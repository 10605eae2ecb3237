"""The same panels under Voila: a page with widgets and no code.

Skipped with the reason where Voila or the browser is missing."""
import importlib.util
import json

import lab as L
import pytest
from pages import until
from test_panels import at_step, picture, press, says, steps_done

STORY = ("""from ddnb.all import *
real = load('digits')
teacher = squeeze(real, 'convnet2-w16-batch', epochs=1, progress=False)""",
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
        panel = page.locator('.ddnb', has=page.locator('.panel')).last
        panel.locator('.panel[data-shown]').wait_for(timeout=60_000)
        first = picture(panel)
        until(lambda: picture(panel) != first, 'the images change')
        press(panel, 'Pause')
        says(panel, 'Paused at step')
        rest = steps_done(panel)
        panel.locator('.panel').focus()
        page.keyboard.press('Home')
        at_step(panel, 1)
        press(panel, 'Resume')
        until(lambda: steps_done(panel) > rest, 'it goes on')
        press(panel, 'Stop')
        says(panel, 'Stopped at step')
        assert json.loads((tmp_path/'run/status.json').read_text())['state'] == 'stopped'
        assert not [c for c in page.complaints if not any(own in c for own in VOILAS_OWN)]
