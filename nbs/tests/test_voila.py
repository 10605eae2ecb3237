"""The same panels and the studio under Voila: a page with widgets and no code.

Skipped with the reason where Voila or the browser is missing."""
import importlib.util
import json

import lab as L
import pytest
from pages import until
from test_panels import at_step, picture, press, says, steps_done
from test_studio_browser import press_primary, put, status

STORY = ("""from ddnb.all import *
real = load('digits')
teacher = squeeze(real, 'convnet2-w16-batch', epochs=1, progress=False)
teacher.save('runs/taught')""",
         """run = CDA.preset('digits', ipc=2, steps=20_000).start(teacher, folder='run')
run""", "Studio('runs')")

# what its page complains of without any panel: an icon font from the net, a Lab extension that it does not bring
VOILAS_OWN = ('fontawesome', 'shareKey')


@pytest.mark.e2e
def test_panels_and_the_studio_under_voila(tmp_path):
    if why := L.missing(): pytest.skip(why)
    if not importlib.util.find_spec('voila'): pytest.skip('voila is not installed: pip install voila')
    L.notebook(tmp_path/'story.ipynb', *STORY)
    with L.Voila(tmp_path, OMP_NUM_THREADS='1') as voila, L.browser() as page:
        page.goto(voila.url('story.ipynb'), timeout=120_000)
        panel = page.locator('.ddnb', has=page.locator('.panel')).first
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

        studio = page.locator('.ddnb .studio')
        studio.get_by_text('digits is loaded; taught teaches').wait_for(timeout=60_000)
        studio.evaluate('e => e.scrollIntoView()')
        put(studio, 'per class', 1)
        put(studio, 'steps', 5)
        press_primary(studio, 'Start CDA')
        until(lambda: (tmp_path/'runs/cda-001/result').exists(), lambda: status(studio), 120)
        studio.locator('.grid canvas').first.wait_for(timeout=30_000)
        put(studio, 'students', 1)
        studio.locator('.studio-drawer').get_by_label('epochs').fill('1')
        press_primary(studio, 'Judge')
        until(lambda: studio.locator('.scores tbody tr').count() == 1, 'its score is there', 120)
        press_primary(studio, 'Export')
        studio.get_by_text('✓ exported to').wait_for(timeout=30_000)
        assert len(list((tmp_path/'runs/cda-001/export').rglob('*.png'))) == 10
        assert not [c for c in page.complaints if not any(own in c for own in VOILAS_OWN)]
