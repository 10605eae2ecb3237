"What the scripts of the panels compute: ticks, lines that break, numbers in words. Skipped where there is no browser."
from pathlib import Path

import lab as L
import pytest

from ddnb.view import front

SCRIPTS = ('front.js', 'charts.js', 'images.js')


@pytest.fixture(scope='module')
def ask():
    "Evaluates an expression in a page that has the scripts"
    if why := L.missing(): pytest.skip(why)
    with L.browser() as page:
        folder = Path(front.__file__).parent
        page.add_script_tag(content='\n'.join((folder/name).read_text() for name in SCRIPTS))
        yield page.evaluate
        assert not page.complaints


@pytest.mark.parametrize('lo, hi, expected', [
    (.2, 3.9, [.2, .5, 1, 2]),
    (.3, 60, [1, 10]),
    (5.5, 8, []),  # no round number lies between
])
def test_ticks_of_a_logarithmic_axis_are_few_round_numbers(ask, lo, hi, expected):
    assert ask(f'powers({lo}, {hi})') == pytest.approx(expected)


def test_an_axis_over_many_powers_has_few_ticks(ask):
    assert len(ask('powers(1e-17, 1)')) <= 5


def test_ticks_of_a_straight_axis_are_few_and_inside(ask):
    assert ask('roundNumbers(0, 400, 4)') == [0, 100, 200, 300, 400]
    assert ask('roundNumbers(-.3, .3, 3)') == pytest.approx([-.2, 0, .2])


def test_a_line_breaks_where_a_value_is_missing(ask):
    points = '[[0, 1], [1, 2], [2, null], [3, 4], [4, 5]]'
    assert ask(f'path({points}, x => x, y => y)').count('M') == 2


def test_no_spike_is_lost_where_points_are_thinned(ask):
    thinned = ask('thin(Array.from({length: 5000}, (_, i) => [i, i === 3333 ? 9 : Math.sin(i) / 9]), 300)')
    assert len(thinned) <= 301 and [3333, 9] in thinned


def test_numbers_are_said_as_a_person_says_them(ask):
    said = {'percent(.123)': '12.3 %', 'points(-.05)': '−5.0', 'points(.05)': '+5.0', 'brief(-0.03124)': '−0.0312',
            'brief(1234)': '1,234', 'brief(0)': '0', 'brief(NaN)': '–', 'duration(61)': '61 s',
            'duration(5400)': '1 h 30 min',
            "plural(1, 'image')": '1 image', "plural(1200, 'image')": '1,200 images'}
    assert {words: ask(words) for words in said} == said


def test_pixels_are_whole_where_images_are_small(ask):
    assert ask('wholeZoom(47, 16)') == 32 and ask('wholeZoom(96, 16)') == 96 and ask('wholeZoom(60, 224)') == 60
    assert ask('fitting(16, 10, 10, 600, 600)') == 48


@pytest.mark.parametrize('size, columns, rows, width, height', [(8, 2, 10, 528, 485), (16, 10, 10, 540, 480),
                                                                (32, 24, 3, 900, 600), (64, 3, 40, 500, 400)])
def test_tiles_are_as_large_as_the_room_allows(ask, size, columns, rows, width, height):
    "No larger tile shows all images, in lines that are broken or in columns of classes; where none does, rows scroll"
    def lines(px, across):
        each = (((width - 24 * (across - 1)) / across - 60) + 1) // (px + 1)
        if each < 1 or across > 1 and each < columns: return None
        return -(-rows // across) * -(-columns // each)

    def fits(px): return any((n := lines(px, a)) and n * (px + 1) <= height for a in range(1, min(4, rows) + 1))
    found = ask(f'fittingAcross({size}, {columns}, {rows}, {width}, {height}, 60)')
    larger = [px for px in ask(f'tileSizes({size})') if px > found['px']]
    assert not any(map(fits, larger)), f'{larger} would fit too'
    assert fits(found['px']) or found['px'] <= 48, 'what does not fit is scrolled'
