"The panels in a real JupyterLab and a headless Chromium: what a person would click and see. Skipped with the reason where there is no browser."
import dataclasses, json, os, sys, time
from pathlib import Path
import pytest
sys.path.insert(0, str(Path(__file__).parent))
import lab as L

EVIL = '<img src=x onerror=alert(1)>'
STORY = ('''from dataclasses import replace
from ddnb.all import *
from ddnb.panels import Panel
from ddnb.recovery_panel import RecoveryPanel
from ddnb.schedule_panel import SchedulePanel
real = load('digits')
names = [%r, *real.classes[1:]]
real = replace(real, train=replace(real.train, classes=names), test=replace(real.test, classes=names))
teacher = squeeze(real, 'convnet2-w16-batch', epochs=2, progress=False)''' % EVIL,
"run = CDA.preset('digits', ipc=4, steps=20_000).start(teacher, folder='run')\nrun",
'SchedulePanel()')

@pytest.fixture(scope='module')
def page(tmp_path_factory):
    "The story's notebook, all cells run"
    if why := L.missing(): pytest.skip(why)
    home = tmp_path_factory.mktemp('lab')
    L.notebook(home/'story.ipynb', *STORY)
    with L.Lab(home) as lab, L.browser() as page:
        page.home, page.alerts = home, []
        page.on('dialog', lambda d: (page.alerts.append(d.message), d.dismiss()))
        L.open_notebook(page, lab, 'story.ipynb')
        L.run_all(page)
        page.wait_for_selector('.ddnb-stack img', timeout=30_000)
        yield page

def picture(page, panel) -> str:
    "A fingerprint of the bytes of a panel's image"
    return panel.locator('.ddnb-stack img').first.evaluate("async e => { const b = await (await fetch(e.src)).arrayBuffer(), h = await crypto.subtle.digest('SHA-256', b); return [...new Uint8Array(h)].slice(0, 12).join('.') }")

def steps_done(page, panel) -> int: return int(panel.locator('[role=progressbar]').get_attribute('aria-valuenow'))
def press(panel, name): panel.get_by_role('button', name=name).click()
def until(f, what, seconds=20):
    "Wait until f() holds, and return what it gives"
    end = time.monotonic() + seconds
    while not (found := f()): assert time.monotonic() < end, what; time.sleep(.05)
    return found

@pytest.mark.e2e
def test_a_run_is_watched_paused_rewound_stopped_and_reopened(page):
    panel = page.locator('.ddnb').first
    page.evaluate("() => { window.frames_seen = 0; new MutationObserver(() => window.frames_seen++).observe(document.querySelector('.ddnb-stack img'), {attributes: true, attributeFilter: ['src']}) }")
    began = time.monotonic()
    until(lambda: page.evaluate('window.frames_seen') >= 10, 'ten frames', 40)
    rate = page.evaluate('window.frames_seen') / (time.monotonic() - began)
    assert rate <= 10, 'no more than ten encoded frames a second'
    assert EVIL in panel.locator('.ddnb-over .name').first.inner_text() and not page.alerts, 'a class name is text'

    press(panel, 'Pause')
    panel.get_by_text('Paused at step').wait_for(timeout=10_000)
    rest = json.loads((page.home/'run'/'status.json').read_text())['step']
    until(lambda: steps_done(page, panel) == rest, 'the bar shows the last step', 5)
    time.sleep(1)
    assert json.loads((page.home/'run'/'events.jsonl').read_text().splitlines()[-1])['step'] == rest == steps_done(page, panel), 'no step goes by'
    press(panel, 'Resume')
    until(lambda: steps_done(page, panel) > rest, 'it goes on')

    newest = picture(page, panel)
    handle = panel.locator('.noUi-handle').first
    handle.focus()
    page.keyboard.press('Home')
    panel.get_by_text('step 1 of').wait_for(timeout=10_000)
    assert until(lambda: (p := picture(page, panel)) != newest and p, 'an earlier image') and steps_done(page, panel) > 1

    asked = time.time()
    press(panel, 'Stop and keep')
    panel.get_by_text('Stopped at step').wait_for(timeout=10_000)
    said = json.loads((page.home/'run'/'status.json').read_text())
    assert said['status'] == 'stopped'
    print(f'\n{rate:.1f} frames a second; Stop was heard, with a checkpoint, {1000 * (said["time"] - asked):.0f} ms after the click')
    page.heard = said['time'] - asked
    handle.focus()
    for _ in range(int(float(handle.get_attribute('aria-valuemax')))): page.keyboard.press('ArrowRight')
    panel.get_by_text(f'step {said["step"]:,} of').wait_for(timeout=10_000)
    time.sleep(.5)
    last = picture(page, panel)

    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    time.sleep(1)
    L.wait_idle(page)
    page.evaluate("""() => { const n = window.jupyterapp.shell.currentWidget.content;
        n.model.sharedModel.insertCell(n.widgets.length, {cell_type: 'code', source: "from ddnb.recovery_panel import *\\nfrom ddnb.panels import Panel\\nPanel.open('run')"});
        n.activeCellIndex = n.widgets.length - 1; window.jupyterapp.commands.execute('notebook:run-cell') }""")
    again = page.locator('.jp-Cell').last.locator('.ddnb')
    again.wait_for(timeout=40_000)
    again.get_by_text('Stopped at step').wait_for(timeout=10_000)
    until(lambda: picture(page, again) == last, 'the same picture')
    assert not L.failures(page), L.failures(page)

@pytest.mark.e2e
def test_stop_is_heard_at_once(page):
    assert getattr(page, 'heard', 0) <= .3, f'{page.heard:.2f} s from the click to the checkpoint'

@pytest.mark.e2e
def test_sliders_change_curve_and_boxes(page):
    L.run_all(page)
    panel = page.locator('.ddnb').nth(1)
    code, boxes, curves = (lambda: panel.locator('code').inner_text()), (lambda: panel.locator('svg').first.inner_html()), (lambda: panel.locator('svg').nth(1).inner_html())
    before = code(), boxes(), curves()
    handle = panel.locator('.jupyter-widgets', has_text='milestone').locator('.noUi-handle').first
    handle.focus()
    for _ in range(30): page.keyboard.press('ArrowLeft')
    until(lambda: code() == 'CDA(schedule=cosine(0.7))', 'the code says the milestone')
    until(lambda: boxes() != before[1] and curves() != before[2], 'boxes and curve follow')
    assert not page.said, page.said
