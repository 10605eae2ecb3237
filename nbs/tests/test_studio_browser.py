"""The studio in a real JupyterLab, by mouse and by keyboard: from data, and from own photos, to an exported set.

Skipped with the reason where there is no browser."""
import json
import time

import lab as L
import numpy as np
import pytest
from PIL import Image

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


def train_a_teacher(page, studio, epochs):
    turn_to(studio, 'teacher')
    put(studio, 'epochs', epochs)
    press_primary(studio, 'Train')
    until(lambda: result_of(page, 'teacher-001').exists(), lambda: status(studio), 120)


def test_from_digits_to_an_exported_set_by_mouse(page, studio):
    train_a_teacher(page, studio, 4)
    put(studio, 'steps', 60)
    press_primary(studio, 'Start CDA')
    until(lambda: (page.home/'runs/cda-001/events.jsonl').exists(), lambda: status(studio))
    studio.get_by_role('button', name='Stop').click()
    until(lambda: studio.get_by_text('Stopped at step').count(), 'the run is stopped')
    studio.get_by_role('button', name='Resume').first.click()
    until(lambda: result_of(page, 'cda-001').exists(), lambda: status(studio), 180)

    turn_to(studio, 'judge')
    put(studio, 'students', 1)
    studio.locator('.studio-drawer').get_by_label('epochs').fill('2')
    press_primary(studio, 'Judge')
    until(lambda: (page.home/'runs/cda-001/scores.json').exists(), lambda: status(studio), 120)
    rows = json.loads((page.home/'runs/cda-001/scores.json').read_text())
    assert {row['name'] for row in rows} >= {'random real'}
    press_primary(studio, 'Export')
    studio.get_by_text('is exported to').wait_for(timeout=30_000)
    exported = [p for p in (page.home/'runs').rglob('*') if p.is_dir() and p.name.startswith('export')]
    assert exported and list(exported[0].rglob('*.png'))


def test_stages_and_a_selection_follow(page, studio):
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
    assert 'CCFS' in studio.locator('pre').inner_text()


def test_own_photos_are_chosen_by_mouse(page, studio):
    studio = page.locator('.ddnb .studio').last
    turn_to(studio, 'digits')
    studio.get_by_label('data', exact=True).select_option(label='a folder of my own …')
    studio.get_by_text('use: 3 classes').first.click()
    studio.get_by_text('photos is loaded').wait_for(timeout=30_000)
    turn_to(studio, 'photos')
    studio.locator('.studio-side').get_by_text('the centre is cut out').wait_for(timeout=10_000)
    turn_to(studio, 'CDA')
    assert studio.get_by_label('preset').input_value() != 'digits'


def test_a_wrong_number_is_told_at_its_field_and_goes_when_it_is_right(page, studio):
    studio = page.locator('.ddnb .studio').last
    turn_to(studio, 'photos')
    studio.get_by_label('data', exact=True).select_option('digits')
    studio.get_by_text('1,438 images').first.wait_for(timeout=30_000)
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
