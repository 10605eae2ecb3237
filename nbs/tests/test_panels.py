"""The panels in a real JupyterLab and a headless Chromium: what a person would click and see.

Skipped with the reason where there is no browser."""
import base64
import io
import json
import re
import shutil
import time

import lab as L
import nbformat
import numpy as np
import pytest
from budgets import as_tested
from PIL import Image

EVIL = '<img src=x onerror=alert(1)>'
FIRST = f'''from dataclasses import replace
from ddnb.all import *
from ddnb.methods.difficulty import one_pass
real = load('digits')
names = [{EVIL!r}, *real.classes[1:]]
real = replace(real, train=replace(real.train, classes=names), test=replace(real.test, classes=names))
teacher = squeeze(real, 'convnet2-w16-batch', epochs=2, progress=False)
SchedulePanel()'''


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    "A browser beside a JupyterLab that serves the tour, with the small budgets of the tests, and an empty notebook"
    if why := L.missing(): pytest.skip(why)
    home = tmp_path_factory.mktemp('lab')
    (home/'guide').mkdir()
    tour = as_tested(nbformat.read(L.ROOT/'nbs/guide/tour.ipynb', 4), 'guide/tour')
    nbformat.write(tour, home/'guide/tour.ipynb')
    shutil.copytree(L.ROOT/'nbs/images', home/'images')  # that it shows
    L.notebook(home/'panels.ipynb', FIRST)
    with L.Lab(home, OMP_NUM_THREADS='1') as lab, L.browser() as page:
        page.home, page.lab, page.alerts = home, lab, []

        def answer(dialog):
            if dialog.type == 'beforeunload':
                dialog.accept()
                return
            page.alerts.append(dialog.message)
            dialog.dismiss()
        page.on('dialog', answer)
        yield page


@pytest.fixture(scope='module')
def panels(page):
    "The notebook of the panels below, its first cell run"
    L.open_notebook(page, page.lab, 'panels.ipynb')
    L.run_all(page)
    return page


@pytest.fixture(autouse=True)
def quiet(page):
    "Nothing in the browser's console, no error in a cell, and class names are text"
    page.complaints.clear()
    yield
    assert not page.complaints
    assert not page.alerts
    assert not L.failures(page)


def picture(panel):
    "A fingerprint of the bytes of a panel's image"
    return panel.locator('.ddnb-stack img').first.evaluate("""async e => {
        const b = await (await fetch(e.src)).arrayBuffer(), h = await crypto.subtle.digest('SHA-256', b);
        return [...new Uint8Array(h)].slice(0, 12).join('.') }""")


def steps_done(panel): return int(panel.locator('[role=progressbar]').get_attribute('aria-valuenow'))


def press(panel, name): panel.get_by_role('button', name=name).click()


def until(f, what, seconds=20):
    "Wait until f() holds, and return what it gives"
    end = time.monotonic() + seconds
    while not (value := f()):
        assert time.monotonic() < end, what
        time.sleep(.05)
    return value


@pytest.mark.e2e
def test_the_tour_then_a_run_watched_paused_rewound_stopped_and_reopened(page):
    folder = page.home/'guide/run'
    def status(): return json.loads((folder/'status.json').read_text())
    def last_record(): return json.loads((folder/'events.jsonl').read_text().splitlines()[-1])
    L.open_notebook(page, page.lab, 'guide/tour.ipynb')
    L.run_all(page, 300_000)
    start = "run = CDA.preset('digits', ipc=4, steps=20_000).start(teacher, folder='run')\nrun"
    panel = L.run_cell(page, start)
    panel.locator('.ddnb-stack img').first.wait_for(timeout=30_000)
    panel.locator('.ddnb-stack img').first.evaluate("""e => { window.frames_seen = 0;
        new MutationObserver(() => window.frames_seen++).observe(e, {attributes: true, attributeFilter: ['src']}) }""")
    began = time.monotonic()
    until(lambda: page.evaluate('window.frames_seen') >= 10, 'ten frames', 60)
    rate = page.evaluate('window.frames_seen') / (time.monotonic() - began)
    assert rate <= 10, 'no more than ten encoded frames a second'

    press(panel, 'Pause')
    panel.get_by_text('Paused at step').wait_for(timeout=10_000)
    rest = status()['step']
    until(lambda: steps_done(panel) == rest, 'the bar shows the last step', 5)
    time.sleep(1)
    assert last_record()['step'] == rest == steps_done(panel), 'no step goes by'
    press(panel, 'Resume')
    until(lambda: steps_done(panel) > rest, 'it goes on')

    newest = picture(panel)
    handle = panel.locator('.noUi-handle').first
    handle.focus()
    page.keyboard.press('Home')
    panel.get_by_text('step 1 of').wait_for(timeout=10_000)
    until(lambda: picture(panel) != newest, 'an earlier image')
    assert steps_done(panel) > 1

    clicked = time.time()
    press(panel, 'Stop and keep')
    panel.get_by_text('Stopped at step').wait_for(timeout=10_000)
    assert status()['state'] == 'stopped'
    page.seconds_to_stop = status()['time'] - clicked
    print(f'\n{rate:.1f} frames a second; Stop was heard, with a checkpoint, '
          f'{1000 * page.seconds_to_stop:.0f} ms after the click')
    handle.focus()
    for _ in range(int(float(handle.get_attribute('aria-valuemax')))): page.keyboard.press('ArrowRight')
    panel.get_by_text(f'step {status()["step"]:,} of').wait_for(timeout=10_000)
    time.sleep(.5)
    last = picture(panel)

    page.evaluate('() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()')
    time.sleep(1)
    L.wait_idle(page)
    again = L.run_cell(page, "from ddnb.all import *\nPanel.open('run')")
    again.get_by_text('Stopped at step').wait_for(timeout=10_000)
    until(lambda: picture(again) == last, 'the same picture')
    press(again, 'Resume')  # from the checkpoint, in the new kernel
    until(lambda: status()['state'] == 'running', 'it goes on from its folder')
    press(again, 'Stop and keep')
    again.get_by_text('Stopped at step').wait_for(timeout=10_000)


@pytest.mark.e2e
def test_stop_is_heard_at_once(page):
    if not hasattr(page, 'seconds_to_stop'): pytest.skip('no run was stopped')
    assert page.seconds_to_stop <= .3, f'{page.seconds_to_stop:.2f} s from the click to the checkpoint'


@pytest.mark.e2e
def test_sliders_change_curve_and_boxes(panels):
    panel = panels.locator('.schedules').first
    panel.locator('.schedule-boxes').first.wait_for()
    def code(): return panel.locator('code').first.inner_text()
    def boxes(): return panel.locator('.schedule-boxes').first.inner_html()
    def curves(): return panel.locator('.schedule-line').first.get_attribute('d')
    boxes_before, curves_before = boxes(), curves()
    panel.get_by_role('slider', name='milestone').first.focus()
    for _ in range(30): panels.keyboard.press('ArrowLeft')
    until(lambda: code() == 'CDA(schedule=cosine(0.7))', 'the code says the milestone')
    until(lambda: boxes() != boxes_before and curves() != curves_before, 'boxes and curve follow')


SELECT = """scores = one_pass(teacher, real.train)['margin']
method = CCFS(ipc=4, alpha=0, phases=2, protocol='ccfs(epochs=2)')
run = method.start(None, teacher, real, scores, folder='ccfs').wait()
run"""


@pytest.mark.e2e
def test_a_click_on_a_bar_shows_real_images_with_label_and_score(panels):
    from ddnb.data.load import load
    panel = L.run_cell(panels, SELECT)
    strip = panel.locator('.widget-html', has_text='images with a score of').last
    assert not strip.count(), 'nothing is shown before a bar is chosen'
    panel.locator('.ddnb-bars button').nth(12).click()
    strip.wait_for(timeout=20_000)
    text = strip.inner_text()
    n = int(re.search(r'(\d+) shown', text)[1])
    low, high = map(float, re.search(r'score of (\S+) to (\S+),', text).groups())
    images, captions = strip.locator('figure div'), strip.locator('figcaption').all_inner_texts()
    assert 1 <= n == images.count() == len(captions)
    assert 'url(' in images.first.evaluate('e => getComputedStyle(e).backgroundImage')
    assert images.first.bounding_box()['width'] >= 48

    style = strip.locator('div[style*="--sheet:url"]').get_attribute('style')
    sheet = Image.open(io.BytesIO(base64.b64decode(re.search(r'base64,([^)]+)', style)[1])))
    tiles = np.array(sheet)[:16, :, 0].reshape(16, n, 16).swapaxes(0, 1)
    real = load('digits').train
    label_of = {x.numpy().tobytes(): int(y) for x, y in zip(real.images[:, 0], real.labels)}
    for tile, caption in zip(tiles, captions):
        label, score = re.match(r'(.+) (\S+)\n', caption).groups()
        assert label == [EVIL, *real.classes[1:]][label_of[np.ascontiguousarray(tile).tobytes()]]
        assert low - .01 <= float(score) <= high + .01, caption


STAGES = """base = DM.preset('digits', net='convnet2-w8', steps=120, real_batch=32)
run = PDD(base, stages=3, ipc=1, pool=2, transition_epochs=5).start(real, folder='pdd')
run"""
WATCH_STAGES = """() => { window.fills = []; window.watching = setInterval(() => {
    const p = [...document.querySelectorAll('.ddnb')].find(e => e.innerText.includes('given stages 1–2'));
    if (!p) return;
    const n = [...p.querySelectorAll('.ddnb-stack')].filter(e => e.offsetParent).length;
    if (n !== window.fills.at(-1)) window.fills.push(n) }, 50) }"""


@pytest.mark.e2e
def test_the_stages_fill_one_after_another(panels):
    panels.evaluate(WATCH_STAGES)
    panel = L.run_cell(panels, STAGES)
    panel.get_by_text('Done: run.result()').wait_for(timeout=60_000)
    grids = panel.locator('.ddnb-stack img')
    until(lambda: panel.locator('.ddnb-stack img:visible').count() == 3, 'three grids')
    fills = panels.evaluate('() => { clearInterval(window.watching); return window.fills }')
    assert [n for n in fills if n] == [1, 2, 3], f'stages that were to be seen, one look after another: {fills}'
    assert panel.locator('.ddnb-over .name').first.inner_text() == EVIL
    assert len({grids.nth(i).evaluate('e => [e.naturalWidth, e.src].join()') for i in range(3)}) == 3


STUDIO = """from ddnb.view.studio import Studio
studio = Studio('studio')
studio.real, studio.teacher = real, teacher
studio.form.fields['steps'].value = 30
studio"""
DECLARE = '''from dataclasses import dataclass
from ddnb.data.images import DistilledSet

@known('method')
@dataclass(frozen=True)
class FirstImages(Method):
    "The first images of the data"
    ipc: int = 1  # images per class
    def stream(self, real, state):
        small = real.train.subset(self.ipc)
        x = small.images.float() / 255
        yield Event(1, 1, images=lambda: x)
        return DistilledSet(x, small.labels, real.classes)'''


@pytest.mark.e2e
def test_a_method_declared_in_a_cell_is_chosen_and_run_in_the_studio(panels):
    L.run_cell(panels, STUDIO)
    panel = panels.locator('.ddnb').filter(has_text='1 · data and teacher').first
    press(panel, 'Start')
    panel.get_by_text('Done: run.result()').wait_for(timeout=60_000)
    L.add_cell(panels, DECLARE)
    menu = panel.locator('.widget-dropdown', has_text='method').locator('select').first
    until(lambda: 'FirstImages' in menu.inner_text(), 'the new method is offered')
    menu.select_option('FirstImages')
    panel.get_by_text('The first images of the data').wait_for(timeout=10_000)
    press(panel, 'Start')
    until(lambda: (panels.home/'studio/firstimages-001/result').exists(), 'its result')
    panel.get_by_text('Done: run.result()').last.wait_for(timeout=10_000)
