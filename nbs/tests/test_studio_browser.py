"""The studio in a real JupyterLab, by mouse and by keyboard: from data, and from own photos, to an exported set.

Skipped with the reason where there is no browser."""
import io
import json
import re
import time
import zipfile

import lab as L
import numpy as np
import pytest
from PIL import Image
from test_recorded import CONTRAST

pytestmark = pytest.mark.e2e


def draw_photos(folder):
    "Three classes of patterns, 60 × 48 pixels, in a folder of class folders"
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :60]
    for kind in ('checks', 'dots', 'stripes'):
        (folder/kind).mkdir(parents=True)
        for i in range(30):
            period = rng.integers(4, 8)
            a, b = x // period, y // period
            which = dict(checks=a + b, dots=a * b, stripes=b)[kind]
            colours = rng.integers(40, 255, (2, 3))
            Image.fromarray(colours[which % 2].astype('uint8')).save(folder/kind/f'{i}.png')


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    "A browser of 1440 × 900 pixels beside a JupyterLab, and a notebook with the studio on an empty folder"
    if why := L.missing(): pytest.skip(why)
    home = tmp_path_factory.mktemp('studio')
    draw_photos(home/'photos')
    L.notebook(home/'studio.ipynb', "from ddnb.all import *\nStudio('runs')")
    with L.Lab(home, OMP_NUM_THREADS='1') as lab, L.browser(1440, 900) as page:
        page.home, page.lab = home, lab
        yield page


@pytest.fixture
def studio(page):
    "The studio in view; its notebook is run where it is not"
    if not page.locator('.ddnb .studio').count(): open_studio(page)
    page.complaints.clear()
    yield page.locator('.ddnb .studio')
    assert not page.complaints
    assert not L.failures(page)


def open_studio(page):
    L.open_notebook(page, page.lab, 'studio.ipynb')
    L.run_all(page)
    page.locator('.ddnb .studio .primary').wait_for(timeout=60_000)
    page.locator('.ddnb .studio').evaluate('e => e.scrollIntoView()')


def until(condition, what, seconds=60):
    "Wait until condition() holds"
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(.1)


def status(studio): return studio.get_by_role('status').first.inner_text()


def press_primary(studio, words, seconds=60):
    "Press the one primary button once it says so; it is in view, wherever the work stands"
    primary = studio.locator('.primary')
    said = lambda: f'{primary.inner_text()!r} in place of {words!r}: {status(studio)}'
    until(lambda: words in primary.inner_text() and primary.is_enabled(), said, seconds)
    box = primary.bounding_box()
    assert 0 <= box['y'] and box['y'] + box['height'] <= 900, 'the next step is in view'
    primary.click()


def turn_to(studio, step): studio.locator('.studio-head .step', has_text=step).click()


def put(studio, label, value):
    "Type into the field of that label that is in view"
    field = studio.get_by_label(label, exact=True).locator('visible=true').first
    field.fill(str(value))
    field.blur()


def result_of(page, name): return page.home/'runs'/name/'result'


def train_a_teacher(page, studio, epochs, name='teacher-001'):
    turn_to(studio, 'teacher')
    put(studio, 'epochs', epochs)
    press_primary(studio, 'Train')
    until(lambda: result_of(page, name).exists(), lambda: status(studio), 120)


def test_from_own_photos_to_an_exported_set_by_mouse(page, studio):
    "Folder → classes, sizes, what is cut off → preset by size → cost → teacher → live run → judged → export and card"
    side = studio.locator('.studio-side')
    studio.get_by_text('digits is loaded').wait_for(timeout=60_000)
    turn_to(studio, 'digits')
    studio.get_by_label('data', exact=True).select_option(label='my own photos …')
    studio.get_by_text('use: 3 classes').first.click()
    studio.get_by_text('photos is loaded').wait_for(timeout=30_000)
    turn_to(studio, 'photos')
    side.get_by_text('60 × 48 pixels: the short side becomes 32, and the centre is cut out').wait_for(timeout=10_000)
    names = studio.locator('.real-pane .grid-name').all_inner_texts()
    assert names == ['checks · 24', 'dots · 24', 'stripes · 24'], 'classes, and how many images each has'
    assert studio.locator('.real-pane canvas').count() == 72, 'all of them are in view'
    assert studio.locator('.crop').evaluate_all(CROPPED) == [.8] * 3, 'of 60 pixels 48 stay'
    turn_to(studio, 'CDA')
    assert studio.get_by_label('preset').input_value() == 'cifar10'
    assert studio.get_by_text('the nearest to yours (32 pixels, 3 classes)').count()
    put(studio, 'per class', 1)
    put(studio, 'steps', 150)

    turn_to(studio, 'teacher')
    put(studio, 'epochs', 2)
    studio.get_by_role('button', name='How long?').click()
    cost = studio.locator('.cost')
    until(lambda: re.fullmatch(r'about .+, then CDA about .+', cost.inner_text()), 'both are told', 60)
    press_primary(studio, 'Train')
    until(lambda: result_of(page, 'teacher-001').exists(), lambda: status(studio), 120)
    until(lambda: 'Start CDA' in studio.locator('.primary').inner_text(), lambda: status(studio))
    assert re.fullmatch('about .+', cost.inner_text()), 'it was measured before the teacher was trained'

    press_primary(studio, 'Start CDA')
    until(lambda: studio.locator('.grid canvas').count() == 3, 'it is seen while it works')
    studio.get_by_role('button', name='Stop').click()
    until(lambda: studio.get_by_text('Stopped at step').count(), 'the run is stopped')
    studio.get_by_text('can be judged and exported as it is').wait_for(timeout=10_000)
    studio.get_by_role('button', name='Judge it unfinished').click()
    studio.get_by_text('marked as unfinished').wait_for(timeout=10_000)
    put(studio, 'students', 1)
    studio.locator('.studio-drawer').get_by_label('epochs').fill('1')
    press_primary(studio, 'Judge unfinished')
    until(lambda: (page.home/'runs/cda-001/scores.json').exists(), lambda: status(studio), 120)
    rows = json.loads((page.home/'runs/cda-001/scores.json').read_text())
    assert {row['name'] for row in rows} == {'cda-001 (unfinished)', 'random real'}
    press_primary(studio, 'Export unfinished')
    studio.get_by_text('✓ exported to').wait_for(timeout=30_000)
    exported = page.home/'runs/cda-001/export'
    assert len(list(exported.rglob('*.png'))) == 3
    studio.get_by_text('Its card').click()
    assert 'unfinished' in studio.get_by_label('the card').inner_text()
    with page.expect_download() as download: studio.get_by_role('button', name='Download .zip').click()
    assert any(name.endswith('.png') for name in zipfile.ZipFile(download.value.path()).namelist())


CROPPED = """all => all.map(e => +(e.querySelector('.stays').offsetWidth / e.offsetWidth).toFixed(2))"""


def test_a_stopped_run_is_carried_on_by_mouse(page, studio):
    studio.locator('.runs').get_by_role('button', name='cda-001').click()
    studio.locator('.run-bar').get_by_role('button', name='Resume').click()
    until(lambda: result_of(page, 'cda-001').exists(), lambda: status(studio), 180)


def test_stages_and_a_selection_follow(page, studio):
    turn_to(studio, 'photos')
    studio.get_by_label('data', exact=True).select_option('digits')
    studio.get_by_text('1,438 images').first.wait_for(timeout=30_000)
    train_a_teacher(page, studio, 1, 'teacher-002')
    turn_to(studio, 'CDA')
    studio.get_by_role('button', name='PDD').click()
    studio.get_by_label('base', exact=True).select_option('DM')
    put(studio, 'stages', 2)
    put(studio, 'steps', 10)
    studio.get_by_text('advanced', exact=True).locator('visible=true').first.click()
    put(studio, 'epochs between', 1)
    press_primary(studio, 'Start PDD')
    until(lambda: result_of(page, 'pdd-001').exists(), lambda: status(studio), 180)
    studio.get_by_text('stage 2').first.wait_for(timeout=10_000)
    turn_to(studio, 'PDD')
    studio.get_by_role('button', name='CCFS').click()
    studio.get_by_label('begins with').select_option('')
    press_primary(studio, 'Start CCFS')
    until(lambda: result_of(page, 'ccfs-001').exists(), lambda: status(studio), 180)
    studio.locator('.hist .hit').first.wait_for(timeout=20_000)


def test_two_runs_are_compared(page, studio):
    studio.get_by_label('compare cda-001').check()
    studio.get_by_label('compare pdd-001').check()
    studio.locator('.divider').wait_for(timeout=10_000)
    studio.get_by_label('compare cda-001').uncheck()
    studio.get_by_label('compare pdd-001').uncheck()


def test_all_is_there_after_a_restart(page, studio):
    page.evaluate('() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()')
    L.wait_idle(page)
    L.run_all(page)
    studio = page.locator('.ddnb .studio').last
    for name in ('cda-001', 'pdd-001', 'ccfs-001'):
        studio.get_by_role('button', name=name).first.wait_for(timeout=30_000)
    studio.get_by_role('button', name='ccfs-001').first.click()
    studio.locator('.hist .hit').first.wait_for(timeout=20_000)
    studio.locator('.tabs').get_by_text('Code').click()
    assert 'CCFS' in studio.get_by_label('Python', exact=True).inner_text()


def test_the_studio_in_jupyterlab_dark(page, studio):
    def theme(name):
        page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', { theme: t })", name)
    def brightness():
        with Image.open(io.BytesIO(studio.screenshot())) as picture: return np.asarray(picture.convert('L')).mean()
    studio = page.locator('.ddnb .studio').last
    assert brightness() > 150
    theme('JupyterLab Dark')
    until(lambda: brightness() < 80, 'all of it is dark, the sheets of the set but not their ground')
    assert page.evaluate(CONTRAST) == []
    theme('JupyterLab Light')
    until(lambda: brightness() > 150, 'and light again')


def test_a_wrong_number_is_told_at_its_field_and_goes_when_it_is_right(page, studio):
    studio = page.locator('.ddnb .studio').last
    turn_to(studio, 'digits')
    turn_to(studio, 'CDA')
    put(studio, 'per class', 0)
    error = studio.locator('.field', has_text='per class').locator('.field-error')
    until(lambda: 'too small' in error.inner_text(), 'the error is at its field')
    assert studio.locator('.primary').is_disabled()
    put(studio, 'per class', 2)
    until(lambda: not error.inner_text() and studio.locator('.primary').is_enabled(), 'it goes when it is right')


def test_the_studio_by_keyboard(page, studio):
    studio = page.locator('.ddnb .studio').last
    steps = studio.get_by_label('steps', exact=True).locator('visible=true').first
    steps.focus()
    page.keyboard.press('Control+a')
    page.keyboard.type('20')
    primary = studio.locator('.primary')
    for _ in range(80): # backwards through the form to the header
        page.keyboard.press('Shift+Tab')
        if primary.evaluate('e => e === document.activeElement'): break
    until(lambda: 'Start CDA' in primary.inner_text() and primary.is_enabled(), lambda: status(studio))
    page.keyboard.press('Enter')
    until(lambda: result_of(page, 'cda-002').exists(), lambda: status(studio), 120)
