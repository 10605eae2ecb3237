"""Crop schedules in the browser: the same bounds and boxes as in Python, the editor and the panel under mouse and keys.

All on pages without a kernel: nothing answers. Skipped with the reason where the browser is missing."""
import json
import math
import random

import lab as L
import pytest
import torch

from ddnb.core.basics import seeded
from ddnb.data.views import constant, cosine, linear, random_boxes, reverse, step
from ddnb.view import page as front_end
from ddnb.view.schedules import SchedulePanel, expression, schedule_from, schedule_json, schedule_kinds

pytestmark = pytest.mark.e2e

LIGHT = dict(blue='#3b6fb6', amber='#d98e04', violet='#7b5ea7', red='#c0392b', green='#2e8b57', bg='#fff',
             soft='#f6f7f9', line='#e2e4e8', ink='#1d2025', quiet='#6b7078')
DARK = dict(blue='#6fa0e0', amber='#eda938', violet='#a98bd6', red='#e57368', green='#63b98a', bg='#16181b',
            soft='#1e2125', line='#33373d', ink='#e8eaed', quiet='#9aa0a8')
NAMES = 'bounds, randomBoxes, seededRandom, scheduleExpression, scheduleWords, ScheduleEditor, Store, APPS, h'


def sheets():
    "The style sheets, with that of the schedules"
    return front_end.style()


def document(body='', theme=LIGHT, width='auto'):
    "A page with the front end, whose names stand in `window`"
    colours = ';'.join(f'--{name}:{value}' for name, value in theme.items())
    return (f'<!doctype html><meta charset=utf-8><style>:root {{ {colours} }} '
            f'body {{ margin: 0; background: var(--bg); color: var(--ink); font: 13px sans-serif }} '
            f'.ddnb {{ width: {width} }} '
            '.chart text { font-size: 11px; fill: var(--quiet) } .chart .title { fill: var(--ink) } '
            '.chart .value { fill: var(--ink-of) } .chart .line { fill: none }'
            f'{sheets()}</style>{body}<script type=module>{front_end.script()}\n'
            f'Object.assign(window, {{ {NAMES} }}); mountAll(); window.ready = true</script>')


@pytest.fixture(scope='module')
def tab():
    if why := L.missing(): pytest.skip(why)
    with L.browser(1100, 800) as page: yield page


@pytest.fixture
def page(tab):
    "A page at 1100 pixels that complains of nothing until the end"
    tab.complaints.clear()
    tab.set_viewport_size(dict(width=1100, height=800))
    yield tab
    assert not tab.complaints, tab.complaints


def show(page, html):
    page.goto('about:blank')  # nothing stays of the page before
    page.set_content(html)
    page.wait_for_function('window.ready')
    return page


def random_schedules(n, seed=0):
    "Schedules of every kind, with random settings"
    draw = random.Random(seed)
    for i in range(n):
        lo = draw.uniform(.001, .9)
        settings = dict(lo=lo, hi=draw.uniform(lo, 1))
        make = (constant, step, linear, cosine)[i % 4]
        if make is not constant: settings['milestone'] = draw.choice([0., .5, 1., draw.random()])
        schedule = make(**settings)
        yield reverse(schedule) if draw.random() < .4 else schedule
    yield schedule_from(dict(values=[[draw.uniform(.1, .5), draw.uniform(.5, 1)] for _ in range(101)], reversed=True))


# ---- what is computed ----

def test_bounds_are_those_of_python(page):
    show(page, document())
    draw = random.Random(1)
    schedules = list(random_schedules(200))
    places = [0, .25, .5, 1 - 1e-9, 1, *(draw.random() for _ in range(25))]
    ours = [[schedule(p) for p in places] for schedule in schedules]
    theirs = page.evaluate('([schedules, places]) => schedules.map(s => places.map(p => bounds(s, p)))',
                           [[_as_json(s) for s in schedules], places])
    worst = max(abs(a - b) for x, y in zip(ours, theirs) for p, q in zip(x, y) for a, b in zip(p, q))
    assert worst < 1e-12, worst


def _as_json(schedule):
    "`schedule_json`, but a table keeps its own points"
    forwards = getattr(schedule, 'schedule', schedule)
    if hasattr(forwards, 'values'): return dict(values=forwards.values, reversed=forwards is not schedule)
    return schedule_json(schedule)


SAME_DRAWS = '''([lo, hi, size, numbers]) => {
    let at = 0;
    return randomBoxes(lo, hi, size, numbers.length / 22, () => numbers[at++]) }'''


def test_the_same_draws_give_the_same_boxes(page):
    show(page, document())
    for lo, hi, size in ((.08, 1, 32), (.3, .5, 16), (.95, 1, 8), (1, 1, 28), (.01, .02, 8)):
        n = 300
        lows, highs = (torch.full((n,), v, dtype=torch.float64) for v in (lo, hi))
        ours = random_boxes(lows, highs, size, seeded(3, size)).tolist()
        again = seeded(3, size)
        tries = torch.rand(n, 10, 2, generator=again, dtype=torch.float64).flatten(1)
        corners = torch.rand(n, 2, generator=again, dtype=torch.float64)
        numbers = torch.cat([tries, corners], 1).flatten().tolist()
        theirs = page.evaluate(SAME_DRAWS, [lo, hi, size, numbers])
        assert theirs == ours, f'{lo} to {hi} of {size} pixels'


MANY_BOXES = '([lo, hi, size, n, seed]) => randomBoxes(lo, hi, size, n, seededRandom(seed))'


@pytest.mark.parametrize('lo, hi', [(.08, 1.), (.5, 1.), (.9, 1.), (.2, .3)])
def test_boxes_of_the_browsers_generator_are_like_those_of_torch(page, lo, hi):
    show(page, document())
    n, size = 20_000, 32
    lows, highs = (torch.full((n,), v, dtype=torch.float64) for v in (lo, hi))
    ours = random_boxes(lows, highs, size, seeded(0)).double()
    theirs = torch.tensor(page.evaluate(MANY_BOXES, [lo, hi, size, n, 7])).double()

    def facts(boxes):
        top, left, height, width = boxes.unbind(1)
        area = height * width / size**2
        slack = (size - height).clamp(min=1)
        return dict(area=area, whole=(area == 1).double(), aspect=(width / height).log(),
                    wide=(width / height).log()**2, top=top / slack, left=left / (size - width).clamp(min=1))
    a, b = facts(ours), facts(theirs)
    for name in a:
        error = ((a[name].var() + b[name].var()) / n).sqrt()
        assert abs(a[name].mean() - b[name].mean()) <= 4.5 * error + 1e-12, name


def test_a_seed_is_a_seed(page):
    show(page, document())
    def draw(n, seed): return page.evaluate(MANY_BOXES, [.08, 1, 32, n, seed])
    assert draw(20, 5) == draw(20, 5)
    assert draw(20, 5) != draw(20, 6)
    assert draw(30, 5)[:20] == draw(20, 5), 'more boxes leave the first as they are'


def test_the_line_of_code_makes_the_schedule(page):
    show(page, document())
    makers = dict(schedule_kinds(), reverse=reverse)
    schedules = [cosine(), step(), step(.3), linear(.7, lo=.2), constant(hi=.5), *list(random_schedules(60))[:-1]]
    for schedule in schedules:
        code = page.evaluate('scheduleExpression', schedule_json(schedule))
        assert eval(code, {}, makers) == schedule, code
        assert eval(expression(schedule), {}, makers) == schedule
    assert page.evaluate('scheduleExpression', schedule_json(cosine(.6))) == expression(cosine(.6)) == 'cosine(0.6)'
    def wave(progress): return .2, .9
    assert page.evaluate('scheduleExpression', schedule_json(reverse(wave))) == 'reverse(wave)'


@pytest.mark.parametrize('schedule, words', [
    (cosine(), 'cosine, 8 % to 100 %'), (cosine(.6), 'cosine until 60 %, 8 % to 100 %'),
    (reverse(step(.3, lo=.25)), 'step at 30 % backwards, 25 % to 100 %'),
    (constant(hi=.55), 'constant, 8 % to 55 %'), (lambda p: (.1, .9), 'the function without a name, 10 % to 90 %')])
def test_a_schedule_in_words(page, schedule, words):
    show(page, document())
    assert page.evaluate('scheduleWords', schedule_json(schedule)) == words


# ---- the editor ----

EDIT = '''value => {
    window.changes = [];
    window.editor = new ScheduleEditor({ value, change: v => changes.push(v) });
    document.querySelector('.ddnb').replaceChildren(editor.element) }'''


@pytest.fixture
def editor(page):
    "A function that opens an editor with a schedule as a form has it, 240 pixels wide"
    def begin(schedule):
        show(page, document('<div class=ddnb></div>', width='240px'))
        page.evaluate(EDIT, schedule_json(schedule))
        page.wait_for_function("editor.width === 240")
        return page
    return begin


def value(page): return schedule_from(page.evaluate('editor.value'))


def drag(page, handle, dx, dy, steps=8):
    box = handle.locator('.mark-of').bounding_box()
    x, y = box['x'] + box['width'] / 2, box['y'] + box['height'] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=steps)
    page.mouse.up()


def test_handles_are_sliders_for_keys(editor):
    page = editor(cosine())
    names = page.get_by_role('slider').evaluate_all('all => all.map(e => e.getAttribute("aria-label"))')
    assert len(names) == 3 and all(names)
    low = page.get_by_role('slider', name='smallest lower bound')
    low.focus()
    for key in ('ArrowUp', 'ArrowUp', 'PageUp', 'ArrowDown'): page.keyboard.press(key)
    assert value(page) == cosine(lo=.19)
    assert low.get_attribute('aria-valuenow') == '19' and low.get_attribute('aria-valuetext') == '19 %'
    page.get_by_role('slider', name='upper bound').focus()
    page.keyboard.press('Home')
    assert value(page) == cosine(lo=.19, hi=.19), 'the upper bound stops at the lower'
    page.keyboard.press('End')
    page.get_by_role('slider', name='milestone').focus()
    for _ in range(30): page.keyboard.press('ArrowLeft')
    assert value(page) == cosine(.7, lo=.19)
    assert page.locator('.schedule-words').inner_text() == 'cosine until 70 %, 19 % to 100 %'
    assert page.evaluate('changes.at(-1)') == schedule_json(cosine(.7, lo=.19))


def test_ends_are_dragged(editor):
    page = editor(cosine())
    drag(page, page.locator('.schedule-handle.hi'), 0, 20)
    hi = value(page).hi
    assert .5 < hi < .8 and value(page) == cosine(hi=hi)
    drag(page, page.locator('.schedule-handle.lo'), -88, 0)
    assert value(page) == cosine(.6, hi=hi), 'sideways, the low end takes the milestone with it'
    drag(page, page.locator('.schedule-handle.lo'), 0, -12)
    assert value(page).lo > .2 and value(page).milestone == .6
    drag(page, page.locator('.schedule-handle.milestone'), 44, 30)
    assert value(page).milestone == .8
    drag(page, page.locator('.schedule-handle.lo'), 500, 500)
    assert value(page) == cosine(1., lo=.01, hi=hi), 'a drag ends at the bounds'


def test_kind_backwards_and_reset(editor):
    page = editor(linear(.8, lo=.2))
    again, menu = page.get_by_role('button', name='reset'), page.locator('select')
    assert again.is_disabled()
    menu.select_option('constant')
    assert value(page) == constant(lo=.2) and not page.locator('.schedule-handle.milestone').is_visible()
    menu.select_option('step')
    assert value(page) == step(.8, lo=.2), 'the milestone of before'
    page.get_by_label('run backwards').check()
    assert value(page) == reverse(step(.8, lo=.2))
    handle = page.get_by_role('slider', name='milestone')
    assert handle.get_attribute('aria-valuetext') == '20 % of the run'
    handle.focus()
    page.keyboard.press('ArrowRight')
    assert value(page) == reverse(step(.79, lo=.2)), 'the handle goes where the arrow points'
    again.click()
    assert value(page) == linear(.8, lo=.2) and again.is_disabled()
    assert len(page.evaluate('changes')) == 5


def test_a_constant_schedule_has_a_milestone_for_the_next_kind(editor):
    page = editor(constant(lo=.3))
    page.locator('select').select_option('cosine')
    assert value(page) == cosine(lo=.3)


def test_set_from_outside_says_nothing_and_is_where_reset_goes(editor):
    page = editor(cosine())
    page.evaluate('v => editor.set(v)', schedule_json(step(.3)))
    assert value(page) == step(.3) and page.evaluate('changes') == []
    page.get_by_label('run backwards').check()
    page.evaluate('editor.set(editor.value)')
    page.get_by_role('button', name='reset').click()
    assert value(page) == step(.3)


def test_a_function_is_shown_as_a_table(editor):
    def wave(progress): return .5 - .4 * math.cos(9 * progress)**2, .9
    page = editor(wave)
    assert 'the function wave' in page.locator('.schedule-words').inner_text()
    assert 'table of its values' in page.locator('.schedule-hint').text_content()
    assert page.get_by_role('slider').count() == 0 or not page.get_by_role('slider').first.is_visible()
    page.locator('select').select_option('cosine')
    assert value(page) == cosine()
    page.locator('select').select_option('function')
    assert value(page)(.37) == pytest.approx(wave(.37), abs=2e-3)


# ---- the panel ----

@pytest.fixture(scope='module')
def record():
    "Messages of a panel over real digits"
    panel = SchedulePanel(schedule=cosine(.6))
    messages = panel.everything()
    panel.close()
    return messages


@pytest.fixture
def panel(page, record):
    "The panel on a page without a kernel"
    show(page, document(front_end.record_html(record, 'schedules')))
    page.locator('.schedule-strip canvas').first.wait_for()
    return page


def code(page, i=0): return page.locator('.schedule-code code').nth(i).inner_text()
def place(page): return page.locator('.schedule-place').inner_text()
def boxes(page): return page.locator('.schedule-boxes').first.inner_html()
def heat(page): return page.locator('.schedule-heat').first.inner_html()
def title(page): return page.locator('.schedule-title').first.inner_text()


def settled(page): # what is painted in the next frame
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')


def test_a_drag_changes_boxes_band_curves_and_code(panel):
    assert code(panel) == 'CDA(schedule=cosine(0.6))'
    before = boxes(panel), heat(panel), panel.locator('.schedule-curves .line').first.get_attribute('d')
    handle = panel.locator('.schedule-handle.milestone').first
    width = panel.locator('.schedule-band').first.bounding_box()['width'] - 46 - 52
    drag(panel, handle, -.2 * width, 0)
    settled(panel)
    milestone = float(code(panel).removeprefix('CDA(schedule=cosine(').removesuffix('))'))
    assert milestone == pytest.approx(.4, abs=.04)
    after = boxes(panel), heat(panel), panel.locator('.schedule-curves .line').first.get_attribute('d')
    assert all(a != b for a, b in zip(before, after)), 'boxes, centres and curves follow'
    assert title(panel) == '12 crops, area 8.0 to 100.0 %', 'at 40 % the milestone is reached'


def test_boxes_lie_where_the_bounds_say(panel):
    panel.locator('.schedules').focus()
    panel.keyboard.press('Home')
    settled(panel)
    zoom = panel.locator('.schedule-image').first.bounding_box()['width']
    sides = panel.locator('.schedule-boxes').first.locator('.over-line').evaluate_all(
        'all => all.map(e => [+e.getAttribute("width") + 2, +e.getAttribute("height") + 2])')
    assert len(sides) == 12 and all(w == h == zoom for w, h in sides), 'a cosine begins with whole images'
    opacity = panel.locator('.schedule-heat rect').nth(17 * 17 // 2).first.get_attribute('fill-opacity')
    assert float(opacity) == 1, 'all centres in the middle'
    panel.keyboard.press('End')
    settled(panel)
    areas = panel.locator('.schedule-boxes').first.locator('.over-line').evaluate_all(
        'all => all.map(e => (+e.getAttribute("width") + 2) * (+e.getAttribute("height") + 2))')
    assert min(areas) < .5 * zoom**2 and max(areas) <= zoom**2


def test_keys_move_the_clock(panel):
    panel.locator('.schedules').focus()
    panel.keyboard.press('Home')
    for _ in range(3): panel.keyboard.press('ArrowRight')
    panel.keyboard.press('ArrowLeft')
    settled(panel)
    assert place(panel) == '2 % of the run'
    panel.keyboard.press('End')
    settled(panel)
    assert place(panel) == '100 % of the run'
    slider = panel.locator('.schedule-time input')
    assert slider.input_value() == '100' and slider.get_attribute('aria-valuetext') == '100 % of the run'


def test_every_control_is_reached_by_tab(panel):
    panel.locator('.schedules').focus()
    reached = set()
    for _ in range(40):
        panel.keyboard.press('Tab')
        name = panel.evaluate('''() => { const e = document.activeElement;
            return e.getAttribute('aria-label') || e.textContent || e.parentElement.textContent }''')
        reached.add(name.strip())
    wanted = {'image 4', 'boxes drawn, 1 to 60', '⟳ other boxes', 'second schedule', 'upper bound of the crop area',
              'smallest lower bound of the crop area', 'kind of schedule', 'run backwards', 'Play',
              'progress of the run, percent', '1×', '2×', '4×', 'Copy'}
    assert not wanted - reached, wanted - reached


def test_play_while_nothing_answers(page, record):
    "A kernel that is busy, or dead: orders go out, no word comes back"
    show(page, document('<div class=ddnb></div>'))
    page.evaluate('''async messages => {
        window.orders = [];
        const store = new Store(m => { orders.push(m); if (orders.length > 1) throw new Error('the kernel is gone') });
        for (const [message, pictures] of messages) {
            const bytes = pictures.map(p => Uint8Array.from(atob(p), c => c.charCodeAt(0)));
            store.take(message, bytes);
        }
        APPS.schedules(document.querySelector('.ddnb'), store) }''', json.loads(front_end.recorded(record))['messages'])
    page.locator('.schedule-strip canvas').first.wait_for()
    page.locator('.schedules').focus()
    page.keyboard.press('Home')
    page.get_by_role('button', name='4×').click()
    page.locator('.schedules').focus()
    page.keyboard.press(' ')
    page.wait_for_function("() => parseInt(document.querySelector('.schedule-place').textContent) > 10")
    assert page.get_by_role('button', name='Pause').is_visible()
    first = boxes(page)
    page.wait_for_function("() => document.querySelector('.schedule-place').textContent === '100 % of the run'",
                           timeout=20_000)
    page.get_by_role('button', name='Play', exact=True).wait_for()
    assert boxes(page) != first
    for kind in ('linear', 'step'):
        page.locator('.schedule-editor select').first.select_option(kind)
        page.wait_for_timeout(300)
    assert [o['value']['kind'] for o in page.evaluate('orders')] == ['linear', 'step']
    assert page.evaluate('orders[0]') == dict(
        kind='order', name='schedule', which='schedule', value=schedule_json(linear(.6))), 'the kernel is told'
    assert code(page) == 'CDA(schedule=step(0.6))'


def test_speeds(panel):
    panel.locator('.schedules').focus()

    def seconds(speed):
        panel.keyboard.press('Home')
        panel.get_by_role('button', name=speed).click()
        panel.locator('.schedules').focus()
        return panel.evaluate('''async () => {
            const percent = () => parseInt(document.querySelector('.schedule-place').textContent);
            const began = performance.now();
            document.querySelector('.schedule-time .play').click();
            while (percent() < 20) await new Promise(requestAnimationFrame);
            document.querySelector('.schedule-time .play').click();
            return (performance.now() - began) / 1000 }''')
    assert seconds('1×') == pytest.approx(2, abs=.6)
    assert seconds('4×') == pytest.approx(.5, abs=.4)


def wait_for_place(page, text): # pointers are heard a frame late
    page.wait_for_function('text => document.querySelector(".schedule-place").textContent === text', arg=text)


def test_a_pointer_on_a_chart_previews_and_a_click_goes_there(panel):
    chart = panel.locator('.schedule-curves .chart').nth(2)  # two bands stand before the charts
    chart.hover(position=dict(x=46, y=50))
    wait_for_place(panel, '0 % of the run')
    assert panel.locator('.schedule-time input').input_value() == '40', 'the slider stays'
    panel.mouse.move(5, 5)
    wait_for_place(panel, '40 % of the run')
    chart.click(position=dict(x=46, y=50))
    panel.mouse.move(5, 5)
    wait_for_place(panel, '0 % of the run')
    assert panel.locator('.schedule-time input').input_value() == '0'


def test_a_second_schedule_beside_it(panel):
    assert panel.locator('.schedule-view:visible').count() == 1
    panel.get_by_role('checkbox', name='second schedule').check()
    settled(panel)
    assert panel.locator('.schedule-view:visible').count() == 2
    assert panel.locator('.schedule-editor:visible').count() == 2
    assert code(panel, 1) == 'CDA(schedule=constant())'
    assert panel.locator('.schedule-curves .line').count() == 4
    panel.get_by_role('checkbox', name='second schedule').uncheck()
    settled(panel)
    assert panel.locator('.schedule-view:visible').count() == 1


def test_images_and_boxes_are_chosen(panel):
    note, first = panel.locator('.schedule-note'), boxes(panel)
    panel.get_by_role('button', name='other boxes').click()
    settled(panel)
    assert boxes(panel) != first
    count = panel.get_by_label('boxes drawn')
    count.fill('30')
    settled(panel)
    assert title(panel).startswith('30 crops')
    for wrong, n in (('900', '60'), ('', '60'), ('-3', '60')):
        count.fill(wrong)
        count.blur()
        assert count.input_value() == n, 'the field says what is drawn'
    panel.locator('.schedule-strip button').nth(6).click()
    settled(panel)
    assert note.inner_text().startswith('real image 7 of 200')
    panel.keyboard.press('ArrowLeft')
    settled(panel)
    assert note.inner_text().startswith('real image 6 of 200')
    assert place(panel) == '40 % of the run', 'arrows on images choose images'


def test_the_line_is_copied(panel):
    line = panel.locator('.schedule-line-of-code').first
    line.get_by_role('button', name='Copy').click()
    line.get_by_text('Copied.').wait_for()
    panel.evaluate('''() => { const t = document.createElement('textarea'); t.id = 'pasted'; document.body.append(t);
        t.focus() }''')
    panel.keyboard.press('Control+V')
    assert panel.locator('#pasted').input_value() == 'CDA(schedule=cosine(0.6))'


RUN_FRAMES = '''async messages => {
    const store = new Store();
    const read = pictures => pictures.map(p => Uint8Array.from(atob(p), c => c.charCodeAt(0)));
    for (const [message, pictures] of messages) store.take(message, read(pictures));
    window.store = store;
    APPS.schedules(document.querySelector('.ddnb'), store) }'''


def test_images_of_a_run_as_they_form(page, record):
    from ddnb.view.feed import picture
    (message, pictures), = record
    fact = dict(message, value=dict(message['value'], run='r', steps=100))
    dark, light = torch.zeros(20, 3, 16, 16), torch.ones(20, 3, 16, 16)
    frames = dict(kind='frames', key='r', frames=[dict(step=s, n=20, size=16, labels=[]) for s in (0, 50)])
    run = dict(kind='run', key='r', about=dict(name='r', total=100))
    messages = [(fact, pictures), (run, []), (frames, [picture(dark), picture(light)])]
    show(page, document('<div class=ddnb></div>'))
    page.evaluate(RUN_FRAMES, json.loads(front_end.recorded(messages))['messages'])
    page.get_by_role('button', name='being recovered').click()
    page.locator('.schedules').focus()

    def shade():
        return page.evaluate('''() => {
            const image = document.querySelector('.schedule-image');
            return image.getContext('2d').getImageData(8, 8, 1, 1).data[0] }''')
    for key, value, step_ in (('Home', 0, 0), ('End', 255, 50), ('Home', 0, 0)):
        page.keyboard.press(key)
        note = f'recovered image 4 of 20: step {step_}'
        page.wait_for_function('note => document.querySelector(".schedule-note").textContent === note', arg=note)
        assert shade() == value
    page.get_by_role('button', name='real images').click()
    page.wait_for_function('document.querySelector(".schedule-note").textContent.startsWith("real image 4 of 200")')


def test_the_kernels_word_is_seen_but_an_old_one_undoes_nothing(page, record):
    show(page, document('<div class=ddnb></div>'))
    page.evaluate(RUN_FRAMES, json.loads(front_end.recorded(record))['messages'])
    page.locator('.schedule-editor select').first.select_option('step')
    (message, _), = record
    say = '''value => { const old = store.facts.schedules.pictures;
        store.take({ kind: 'fact', name: 'schedules', value }, old) }'''
    page.evaluate(say, message['value'])
    settled(page)
    settled(page)
    assert code(page) == 'CDA(schedule=step(0.6))'
    page.evaluate(say, dict(message['value'], schedule=schedule_json(linear())))
    settled(page)
    settled(page)
    assert code(page) == 'CDA(schedule=linear())'


SIDEWAYS = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'
CLIPPED = '''() => [...document.querySelectorAll('.schedules :is(button, code, label, canvas)')]
    .filter(e => e.offsetParent && !e.closest('.schedule-strip'))
    .filter(e => e.getBoundingClientRect().right > innerWidth + .5).map(e => e.outerHTML.slice(0, 120))'''


@pytest.mark.parametrize('width', [390, 700, 1100])
def test_it_fits(panel, width):
    panel.set_viewport_size(dict(width=width, height=800))
    for both in (False, True):
        panel.get_by_role('checkbox', name='second schedule').set_checked(both)
        panel.wait_for_timeout(150)
        assert panel.evaluate(SIDEWAYS) <= 0
        assert not panel.evaluate(CLIPPED)
        band, chart = (panel.locator(f'.schedule-curves {name}').first for name in ('.schedule-line', '.line'))
        ends = [(b['x'], b['x'] + b['width']) for b in (band.bounding_box(), chart.bounding_box())]
        assert ends[0] == pytest.approx(ends[1], abs=3), 'band and charts share an axis'


CONTRAST = '''() => {
    const parse = c => c.match(/[\\d.]+/g).map(Number);
    const light = c => { const [r, g, b] = parse(c).map(v => { v /= 255;
        return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 }); return .2126 * r + .7152 * g + .0722 * b };
    const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
        if ((parse(c)[3] ?? 1) > 0) return c } return 'rgb(255, 255, 255)' };
    const own = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    return [...document.querySelectorAll('.schedules *')].filter(e => own(e) && e.getClientRects().length)
        .filter(e => !e.disabled && getComputedStyle(e).visibility === 'visible').map(e => {
        const style = getComputedStyle(e), ink = e.closest('svg') ? style.fill : style.color;
        const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
        return [(a + .05) / (b + .05), e.textContent.trim().slice(0, 40), ink] }).sort((x, y) => x[0] - y[0])[0] }'''


@pytest.mark.parametrize('theme', ['light', 'dark'])
def test_words_stand_out(page, record, theme):
    show(page, document(front_end.record_html(record, 'schedules'), theme=LIGHT if theme == 'light' else DARK))
    page.locator('.schedule-strip canvas').first.wait_for()
    page.get_by_role('checkbox', name='second schedule').check()
    settled(page)
    worst = page.evaluate(CONTRAST)
    assert worst[0] >= 4.5, worst
