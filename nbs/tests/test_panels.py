"The panels in a real JupyterLab and a headless Chromium: what a person would click and see. Skipped with the reason where there is no browser."
import base64, io, json, re, shutil, sys, time
from pathlib import Path
import numpy as np, pytest
from PIL import Image
sys.path.insert(0, str(Path(__file__).parent))
import lab as L

EVIL = '<img src=x onerror=alert(1)>'
FIRST = '''from dataclasses import replace
from ddnb.all import *
from ddnb.methods.difficulty import one_pass
real = load('digits')
names = [%r, *real.classes[1:]]
real = replace(real, train=replace(real.train, classes=names), test=replace(real.test, classes=names))
teacher = squeeze(real, 'convnet2-w16-batch', epochs=2, progress=False)
SchedulePanel()''' % EVIL

@pytest.fixture(scope='module')
def page(tmp_path_factory):
    "A browser beside a JupyterLab that serves the tour, with the small budgets of the tests, and an empty notebook"
    if why := L.missing(): pytest.skip(why)
    home = tmp_path_factory.mktemp('lab')
    shutil.copy(L.ROOT/'nbs'/'tour.ipynb', home)
    shutil.copytree(L.ROOT/'nbs'/'images', home/'images') # that it shows
    L.notebook(home/'panels.ipynb', FIRST)
    with L.Lab(home, IN_TEST='1', OMP_NUM_THREADS='1') as lab, L.browser() as page:
        page.home, page.lab, page.alerts = home, lab, []
        page.on('dialog', lambda d: d.accept() if d.type == 'beforeunload' else (page.alerts.append(d.message), d.dismiss()))
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
    page.said.clear()
    yield
    assert not page.said and not page.alerts and not L.failures(page), (page.said, page.alerts, L.failures(page))

def picture(page, panel) -> str:
    "A fingerprint of the bytes of a panel's image"
    return panel.locator('.ddnb-stack img').first.evaluate("async e => { const b = await (await fetch(e.src)).arrayBuffer(), h = await crypto.subtle.digest('SHA-256', b); return [...new Uint8Array(h)].slice(0, 12).join('.') }")

def steps_done(panel) -> int: return int(panel.locator('[role=progressbar]').get_attribute('aria-valuenow'))
def press(panel, name): panel.get_by_role('button', name=name).click()
def until(f, what, seconds=20):
    "Wait until f() holds, and return what it gives"
    end = time.monotonic() + seconds
    while not (found := f()): assert time.monotonic() < end, what; time.sleep(.05)
    return found

def said(page) -> dict: return json.loads((page.home/'run'/'status.json').read_text())

@pytest.mark.e2e
def test_the_tour_then_a_run_watched_paused_rewound_stopped_and_reopened(page):
    L.open_notebook(page, page.lab, 'tour.ipynb')
    L.run_all(page, 300_000)
    panel = L.run_cell(page, "run = CDA.preset('digits', ipc=4, steps=20_000).start(teacher, folder='run')\nrun")
    panel.locator('.ddnb-stack img').first.wait_for(timeout=30_000)
    panel.locator('.ddnb-stack img').first.evaluate("e => { window.frames_seen = 0; new MutationObserver(() => window.frames_seen++).observe(e, {attributes: true, attributeFilter: ['src']}) }")
    began = time.monotonic()
    until(lambda: page.evaluate('window.frames_seen') >= 10, 'ten frames', 60)
    rate = page.evaluate('window.frames_seen') / (time.monotonic() - began)
    assert rate <= 10, 'no more than ten encoded frames a second'

    press(panel, 'Pause')
    panel.get_by_text('Paused at step').wait_for(timeout=10_000)
    rest = said(page)['step']
    until(lambda: steps_done(panel) == rest, 'the bar shows the last step', 5)
    time.sleep(1)
    assert json.loads((page.home/'run'/'events.jsonl').read_text().splitlines()[-1])['step'] == rest == steps_done(panel), 'no step goes by'
    press(panel, 'Resume')
    until(lambda: steps_done(panel) > rest, 'it goes on')

    newest = picture(page, panel)
    handle = panel.locator('.noUi-handle').first
    handle.focus()
    page.keyboard.press('Home')
    panel.get_by_text('step 1 of').wait_for(timeout=10_000)
    assert until(lambda: (p := picture(page, panel)) != newest and p, 'an earlier image') and steps_done(panel) > 1

    asked = time.time()
    press(panel, 'Stop and keep')
    panel.get_by_text('Stopped at step').wait_for(timeout=10_000)
    assert said(page)['status'] == 'stopped'
    page.heard = said(page)['time'] - asked
    print(f'\n{rate:.1f} frames a second; Stop was heard, with a checkpoint, {1000 * page.heard:.0f} ms after the click')
    handle.focus()
    for _ in range(int(float(handle.get_attribute('aria-valuemax')))): page.keyboard.press('ArrowRight')
    panel.get_by_text(f'step {said(page)["step"]:,} of').wait_for(timeout=10_000)
    time.sleep(.5)
    last = picture(page, panel)

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    time.sleep(1)
    L.wait_idle(page)
    again = L.run_cell(page, "from ddnb.all import *\nPanel.open('run')")
    again.get_by_text('Stopped at step').wait_for(timeout=10_000)
    until(lambda: picture(page, again) == last, 'the same picture')
    press(again, 'Resume') # from the checkpoint, in the new kernel
    until(lambda: steps_done(again) > said(page)['step'] - 1 and said(page)['status'] == 'running', 'it goes on from its folder')
    press(again, 'Stop and keep')
    again.get_by_text('Stopped at step').wait_for(timeout=10_000)

@pytest.mark.e2e
def test_stop_is_heard_at_once(page):
    if not hasattr(page, 'heard'): pytest.skip('no run was stopped')
    assert page.heard <= .3, f'{page.heard:.2f} s from the click to the checkpoint'

@pytest.mark.e2e
def test_sliders_change_curve_and_boxes(panels):
    panel = panels.locator('.ddnb').first
    code, boxes, curves = (lambda: panel.locator('code').inner_text()), (lambda: panel.locator('svg').first.inner_html()), (lambda: panel.locator('svg').nth(1).inner_html())
    before = code(), boxes(), curves()
    handle = panel.locator('.jupyter-widgets', has_text='milestone').locator('.noUi-handle').first
    handle.focus()
    for _ in range(30): panels.keyboard.press('ArrowLeft')
    until(lambda: code() == 'CDA(schedule=cosine(0.7))', 'the code says the milestone')
    until(lambda: boxes() != before[1] and curves() != before[2], 'boxes and curve follow')

SELECT = """scores = one_pass(teacher, real.train)['margin']
run = CCFS(ipc=4, alpha=0, phases=2, protocol='ccfs(epochs=2)').start(None, teacher, real, scores, folder='ccfs').wait()
run"""

@pytest.mark.e2e
def test_a_click_on_a_bar_shows_real_images_with_label_and_score(panels):
    from ddnb.data.load import load
    panel = L.run_cell(panels, SELECT)
    strip = panel.locator('.widget-html', has_text='images with a score of').last
    assert not strip.count(), 'nothing is shown before a bar is chosen'
    panel.locator('.ddnb-bars button').nth(12).click()
    strip.wait_for(timeout=20_000)
    shown = int(re.search(r'(\d+) shown', strip.inner_text())[1])
    images = strip.locator('figure div')
    assert 1 <= shown == images.count() == strip.locator('figcaption').count()
    sheet = re.search(r'base64,([^)]+)', strip.locator('div[style*="--sheet:url"]').get_attribute('style'))[1]
    tiles = np.array(Image.open(io.BytesIO(base64.b64decode(sheet))))[:16].reshape(16, shown, 16, 3).swapaxes(0, 1)
    real = load('digits').train
    seen = {x.numpy().tobytes(): int(y) for x, y in zip(real.images[:, 0], real.labels)}
    low, high = map(float, re.search(r'score of (\S+) to (\S+),', strip.inner_text()).groups())
    for tile, caption in zip(tiles, strip.locator('figcaption').all_inner_texts()):
        label, score = re.match(r'(.+) (\S+)\n', caption).groups()
        assert label == [EVIL, *real.classes[1:]][seen[np.ascontiguousarray(tile[..., 0]).tobytes()]] and low - .01 <= float(score) <= high + .01, caption
    assert 'url(' in images.first.evaluate("e => getComputedStyle(e).backgroundImage") and images.first.bounding_box()['width'] >= 48

STAGES = """base = DM.preset('digits', net='convnet2-w8', steps=120, real_batch=32)
run = PDD(base, stages=3, ipc=1, pool=2, transition_epochs=5).start(real, folder='pdd')
run"""

@pytest.mark.e2e
def test_the_stages_fill_one_after_another(panels):
    panels.evaluate("""() => { window.fills = []; window.watching = setInterval(() => {
        const p = [...document.querySelectorAll('.ddnb')].find(e => e.innerText.includes('given stages 1–2'));
        if (p) { const n = [...p.querySelectorAll('.ddnb-stack')].filter(e => e.offsetParent).length; if (n !== window.fills.at(-1)) window.fills.push(n) } }, 50) }""")
    panel = L.run_cell(panels, STAGES)
    panel.get_by_text('Done: run.result()').wait_for(timeout=60_000)
    until(lambda: panel.locator('.ddnb-stack img:visible').count() == 3, 'three grids')
    fills = panels.evaluate('() => { clearInterval(window.watching); return window.fills }')
    assert [n for n in fills if n] == [1, 2, 3], f'stages that were to be seen, one look after another: {fills}'
    assert panel.locator('.ddnb-over .name').first.inner_text() == EVIL
    assert len({panel.locator('.ddnb-stack img').nth(i).evaluate('e => [e.naturalWidth, e.src].join()') for i in range(3)}) == 3
