"The report of the demo: its first sentence, its chart, its page, and what a browser shows of it"
import re
from dataclasses import replace

import pytest
from lab import browser, missing

from ddnb.app.demo import (
    NAMES,
    Captioned,
    Chart,
    Clock,
    Report,
    clear_gap,
    finding,
    image_strip,
    judged,
    methods,
    report,
    score_table,
    settings_words,
)
from ddnb.core.run import versions
from ddnb.data.load import load
from ddnb.methods.ccfs import CCFS
from ddnb.methods.cda import CDA
from ddnb.methods.matching import DM, IDC
from ddnb.methods.pdd import PDD
from ddnb.train.evaluate import CONTROL, Row, Scores
from ddnb.train.train import squeeze


def row(name, mean, ipc=1., std=.01, repeats=3, **more):
    changes = dict(dict(protocol='idc', net='convnet3', best=mean, chance=.1), **more)
    return Row(name, ipc=ipc, std=std, repeats=repeats, mean=mean, **changes)


control = row(CONTROL, .7, control_of=['large', 'small', 'noisy'])


# ---- the sentence ----------------------------------------------------------------------------------------------

def test_the_largest_clear_gain_is_told_with_control_and_spread():
    rows = Scores([control, row('small', .8), row('large', .9), row('noisy', .99, std=.2)])
    text = finding(rows)
    assert 'made by large' in text and '90.0 %' in text and '70.0 %' in text and '20.0 points' in text
    spread = 2 * (1 + 1) ** .5
    assert f'{20 / spread:.1f} times the spread over 3 students' in text


def test_a_loss_or_a_gain_within_the_spread_is_no_finding():
    for other in (row('small', .5), row('small', .72), row('small', .9, repeats=1)):
        assert finding(Scores([control, other])).startswith('No distilled set beats')


def test_a_set_without_control_is_not_judged():
    assert not judged(Scores([control, row('alone', .9)]))
    assert clear_gap(row('small', .9), control) == pytest.approx(20)


def test_other_protocols_stay_out_of_the_sentence():
    there = replace(control, protocol='idc-progressive')
    rows = Scores([control, row('small', .8), there, row('large', .99, protocol='idc-progressive')])
    assert 'made by small' in finding(rows)


# ---- chart and table -------------------------------------------------------------------------------------------

def test_the_chart_has_a_line_a_set_on_one_scale():
    chart = Chart(Scores([control, row('small', .8), row('large', .9)]))
    assert [(line['name'], line['x'], line['control_x']) for line in chart.lines] == [
        ('large', 75, 25), ('small', 50, 25)]
    assert [text for _, text in chart.ticks] == ['60 %', '70 %', '80 %', '90 %', '100 %']
    html = chart._repr_html_()
    assert '+20.0' in html and 'A guess is right in 10.0 %' in html


def test_the_table_says_what_is_within_the_spread():
    lines = score_table(Scores([control, row('small', .72), row('large', .5)])).lines
    assert [line[5] for line in lines] == ['+2.0 (within the spread)', '−20.0']


# ---- the page --------------------------------------------------------------------------------------------------

def test_settings_are_words():
    for method in methods(False).values():
        words = settings_words(method)
        assert not re.search(r'\b[A-Z]\w*\(', words), words
    assert settings_words(CDA(ipc=3)).startswith('ipc 3, steps 1000, schedule ')


def test_a_page_without_panels_has_no_script():
    page = Report('plain').add('', 'text').add('more', versions(), folded=True).html()
    assert '<script' not in page
    assert '<details>' in page


def test_words_are_no_markup():
    page = Report('<q>').add('<q>', Captioned(Chart(Scores([control, row('small', .9)])), '<q>'), {'<q>': '<q>'}).html()
    assert page.count('&lt;q&gt;') == 6  # the title twice
    assert '<q>' not in page


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "The report of tiny runs"
    out = tmp_path_factory.mktemp('demo')
    real = load('digits').subset(30)
    teacher = squeeze(real, 'convnet2-w16-batch', epochs=3, progress=False)
    tiny = dict(net='convnet2-w8', steps=2, real_batch=8)
    dm = DM(ipc=2, **tiny)
    chosen = {
        'idc': IDC(ipc=1, stops=2, net_images=32, **tiny),
        'dm': dm,
        'pdd': PDD(base=dm, stages=2, ipc=1, pool=1, transition_epochs=1),
        'cda': CDA.preset('digits', ipc=2, steps=3),
        'ccfs': CCFS(ipc=4, alpha=.5, phases=2, protocol='ccfs(epochs=1)'),
    }
    runs, sets = {}, {}
    for key in NAMES:
        inputs = dict(cda=(teacher,), ccfs=(sets.get('dm'), teacher, real)).get(key, (real,))
        runs[key] = chosen[key].start(*inputs, folder=out/key).wait()
        sets[key] = runs[key].result()
    rows = [row(CONTROL, .7, float(ipc), control_of=names) for ipc, names in (
        (1, ['IDC']), (2, ['DM', 'PDD over DM', 'CDA']), (4, ['CCFS over DM']))]
    means = {'IDC': .94, 'DM': .8, 'PDD over DM': .85, 'CDA': .3, 'CCFS over DM': .72}
    rows += [row(name, mean, 2.) for name, mean in means.items()]
    stages = dict(protocol='idc-progressive', order='progressive', stages=[.5, .6], stage_stds=[.1, .1])
    rows.append(row('PDD over DM', .6, 2., **stages))
    clock = Clock()
    clock.parts = {'teacher': 1.5, 'IDC': 2.5}
    page = report(real, teacher, runs, sets, Scores(rows), clock)
    page.save(out/'report.html')
    return dict(path=out/'report.html', real=real, sets=sets, rows=Scores(rows))


def test_the_page_opens_with_the_finding_and_folds_the_settings(made):
    page = made['path'].read_text()
    body = page[page.index('<main>'):]
    opening = re.search(r'<p class="lead">(.*?)</p>', body)[1]
    assert opening.startswith('2 images a class, made by IDC')
    order = ['class="lead"', 'class="scores"', 'class="strip"', 'ddnb-record', 'class="numbers"', '<details>']
    assert [body.index(mark) for mark in order] == sorted(body.index(mark) for mark in order)
    assert 'teacher' in body[body.index('<details>'):] and '4 s' in body
    assert len(page) < 3_000_000


def test_every_figure_of_the_page_has_a_caption(made):
    page = made['path'].read_text()
    figures = re.findall(r'<figure.*?</figure>', page[page.index('<main>'):page.index('</main>')], re.S)
    assert len(figures) == 9
    assert not [figure[:80] for figure in figures if '<figcaption>' not in figure]


def test_the_page_shows_no_reprs_and_asks_for_nothing(made):
    page = made['path'].read_text()
    visible = re.sub(r'<(script|style).*?</\1>', '', page, flags=re.S)
    assert not re.search(r'\b(CDA|IDC|DM|PDD|CCFS|Teacher|DistilledSet)\(', visible)
    outside = re.compile(r'(?:src|href)=["\']?(?:https?:)?//|url\(["\']?(?:https?:)?//|@import')
    assert not outside.search(page)


def test_the_strip_has_a_row_a_set(made):
    strip = image_strip(made['real'], made['sets'])
    assert [name for name, _, _ in strip.lines] == ['real', 'CDA', 'IDC', 'PDD over DM', 'CCFS over DM']
    assert all(uri.startswith('data:image/png') for _, _, uri in strip.lines)
    assert strip._repr_html_().count('<img') == 5


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_page_stands_in_both_widths_and_themes(made):
    with browser() as page:
        for width in (1280, 390):
            for theme in ('light', 'dark'):
                page.set_viewport_size(dict(width=width, height=900))
                page.emulate_media(color_scheme=theme)
                page.goto(f'file://{made["path"]}')
                page.wait_for_selector('.ddnb-record[data-mounted] .panel .time input')
                assert page.evaluate('document.documentElement.scrollWidth') <= width
                assert page.locator('.ddnb-record .panel').count() == 3
                light = page.evaluate('getComputedStyle(document.body).backgroundColor') == 'rgb(255, 255, 255)'
                assert light == (theme == 'light')
        assert not page.complaints
