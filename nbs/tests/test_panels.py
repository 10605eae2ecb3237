"""The panels in a real JupyterLab and a headless Chromium: what a person would click and see.

Skipped with the reason where there is no browser. What needs no kernel is tested in test_recorded.py."""
import json
import re
import shutil

import lab as L
import nbformat
import pytest
from budgets import as_tested
from pages import EVIL, until

pytestmark = pytest.mark.e2e

FIRST = f'''from dataclasses import replace
from ddnb.all import *
from ddnb.methods.difficulty import one_pass
from ddnb.view.panel import Panel
import time
real = load('digits')
names = [{EVIL!r}, *real.classes[1:]]
real = replace(real, train=replace(real.train, classes=names), test=replace(real.test, classes=names))
teacher = squeeze(real, 'convnet2-w16-batch', epochs=2, progress=False)'''


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


# what JupyterLab complains of itself: cells that a kernel before this one has left, or that it takes out of the page
LABS_OWN = ('widget model not found', 'The node to be removed is not a child')


@pytest.fixture(autouse=True)
def quiet(page):
    "Nothing in the browser's console, no error in a cell, and class names are text"
    page.complaints.clear()
    yield
    assert not [c for c in page.complaints if not any(own in c for own in LABS_OWN)]
    assert not page.alerts
    assert not L.failures(page)


def picture(panel):
    "A fingerprint of the images in view"
    return panel.locator('.images').first.evaluate(
        'e => [...e.querySelectorAll("canvas.tile")].map(c => c.toDataURL()).join()')


def steps_done(panel): return int(panel.locator('[role=progressbar]').get_attribute('aria-valuenow'))


def press(panel, name): panel.get_by_role('button', name=name).first.click()


def says(panel, words): panel.locator('.words', has_text=words).wait_for(timeout=20_000)


def at_step(panel, step):
    "Wait until the timeline is there, and an image of that step or the last one before it is in view"
    until(lambda: panel.locator('.time output').inner_text().startswith(f'step {step:,} of'), f'step {step}')
    until(lambda: int(panel.locator('.panel').get_attribute('data-shown')) <= step, 'its image')


def test_the_tour_runs(page):
    L.open_notebook(page, page.lab, 'guide/tour.ipynb')
    L.run_all(page, 300_000)
    assert page.locator('.ddnb .panel').count()


START = "run = CDA.preset('digits', ipc=4, steps=20_000).start(teacher, folder='run')\nrun"


def test_a_run_is_watched_paused_rewound_while_the_kernel_is_busy_resumed_stopped_and_reopened(panels):
    page, folder = panels, panels.home/'run'
    def status(): return json.loads((folder/'status.json').read_text())
    panel = L.run_cell(page, START)
    panel.evaluate("e => { e.id = 'watched' }")  # other cells come after it
    panel = page.locator('#watched')
    panel.locator('.panel[data-shown]').wait_for(timeout=30_000)
    first = picture(panel)
    until(lambda: picture(panel) != first, 'it is live')

    press(panel, 'Pause')
    says(panel, 'Paused at step')
    rest = status()['step']
    until(lambda: steps_done(panel) == rest, 'the bar shows the last step')
    at_step(panel, rest)
    newest = picture(panel)
    press(panel, 'Resume')
    until(lambda: steps_done(panel) > rest, 'it goes on')

    L.add_cell(page, "busy = time.time()\nwhile time.time() < busy + 6: pass")
    kernel = 'window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status'
    until(lambda: page.evaluate(kernel) == 'busy', 'a cell keeps the kernel busy')
    panel.locator('.panel').focus()
    page.keyboard.press('Home')
    at_step(panel, 1)
    assert picture(panel) != newest
    page.keyboard.press('ArrowRight')
    until(lambda: panel.locator('.panel').get_attribute('data-shown') != '1', 'the slider works')
    panel.locator('.grid canvas').first.click()
    panel.locator('.says-row').first.wait_for(timeout=30_000)  # kernels hear messages between cells
    assert panel.locator('.card h3').inner_text().startswith(EVIL)
    page.keyboard.press('Escape')
    L.wait_idle(page)

    press(panel, 'Stop')
    says(panel, 'Stopped at step')
    assert status()['state'] == 'stopped'
    page.keyboard.press('End')
    at_step(panel, status()['step'])
    last = picture(panel)

    page.evaluate('() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()')
    page.wait_for_function(f"() => {kernel} !== 'idle'", timeout=10_000)
    L.wait_idle(page)
    again = L.run_cell(page, FIRST + "\nPanel.open('run')")
    says(again, 'Stopped at step')
    until(lambda: picture(again) == last, 'the same picture')
    press(again, 'Resume')  # from the checkpoint, in the new kernel
    until(lambda: status()['state'] == 'running', 'it goes on from its folder')
    press(again, 'Stop')
    says(again, 'Stopped at step')


def test_a_page_that_is_loaded_again_shows_all_again(panels):
    page = panels
    panel = L.run_cell(page, "CDA.preset('digits', ipc=1, steps=40).start(teacher, folder='short').wait()")
    at_step(panel, 40)
    before, step = picture(panel), panel.locator('.time output').inner_text()
    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    page.goto(page.lab.url('panels.ipynb').replace('&reset', ''))
    page.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')")
    L.wait_idle(page)
    page.evaluate("() => { const n = window.jupyterapp.shell.currentWidget.content;"
                  "n.activeCellIndex = n.widgets.length - 1; n.scrollToItem(n.widgets.length - 1) }")
    panel = page.locator('.jp-Cell').last.locator('.ddnb').first
    panel.wait_for(timeout=20_000)
    until(lambda: panel.locator('.time output').inner_text() == step, 'the same step')
    until(lambda: picture(panel) == before, 'the same images')


def test_the_panel_follows_the_theme(panels):
    page = panels
    panel = L.run_cell(page, 'SchedulePanel()')
    def look(): return panel.evaluate('e => { const s = getComputedStyle(e); return [s.backgroundColor, s.color] }')
    def theme(name):
        page.evaluate("t => window.jupyterapp.commands.execute('apputils:change-theme', { theme: t })", name)
    light = look()
    theme('JupyterLab Dark')
    until(lambda: look()[0] != light[0], 'it is dark')
    ground, ink = (sum(map(float, re.findall(r'[\d.]+', c)[:3])) for c in look())
    theme('JupyterLab Light')
    until(lambda: look() == light, 'it is light again')
    assert ground < 150 < 500 < ink


STAGES = """base = DM.preset('digits', net='convnet2-w8', steps=60, real_batch=32)
run = PDD(base, stages=3, ipc=1, pool=2, transition_epochs=3).start(real, folder='pdd')
run"""
WATCH_STAGES = """() => { window.fills = []; window.watching = setInterval(() => {
    const p = [...document.querySelectorAll('.ddnb .stages')].at(-1);
    if (!p) return;
    const n = p.querySelectorAll('canvas').length / 10;
    if (n !== window.fills.at(-1)) window.fills.push(n) }, 50) }"""


def test_the_stages_fill_one_after_another(panels):
    panels.evaluate(WATCH_STAGES)
    panel = L.run_cell(panels, STAGES)
    panel.locator('.state', has_text='done').wait_for(timeout=60_000)
    until(lambda: panel.locator('.stages canvas').count() == 30, 'three stages of ten')
    fills = panels.evaluate('() => { clearInterval(window.watching); return window.fills }')
    assert [n for n in fills if n] == [1, 2, 3], f'stages that were to be seen, one look after another: {fills}'
    assert panel.locator('.grid-name').first.inner_text() == EVIL


SELECT = """scores = one_pass(teacher, real.train)['margin']
method = CCFS(ipc=4, alpha=0, phases=2, protocol='ccfs(epochs=2)')
method.start(None, teacher, real, scores, folder='ccfs').wait()"""
DRAWN = """all => all.filter(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
    return d.some(v => v !== d[0]) }).length"""


def test_a_click_on_a_bar_shows_real_images_with_their_labels(panels):
    panel = L.run_cell(panels, SELECT)
    bar = panel.locator('.hist .hit').nth(12)
    bar.wait_for(timeout=60_000)
    n = int(bar.get_attribute('aria-label').split()[0])
    bar.click()
    figures = panel.locator('.strip figure')
    until(lambda: figures.count() == min(n, 120), 'all of its images, chosen or not')
    until(lambda: panel.locator('.strip canvas').evaluate_all(DRAWN) == figures.count(), 'they are drawn')
    captions = figures.all_inner_texts()
    assert set(captions) <= {EVIL, 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine'}
    titles = panel.locator('.strip canvas').evaluate_all('all => all.map(c => c.title)')
    assert all(t.startswith(c) and ('chosen' in t) for t, c in zip(titles, captions))
