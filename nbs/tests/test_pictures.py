"""Each panel beside a small reference of itself, in both themes.

`python nbs/tests/test_pictures.py [NAME …]` makes the references anew: look at them before they are committed.

Both pictures are cut into blocks of 24 × 24 pixels, and the mean colours of the blocks are compared. Another machine's
fonts move the ink within a block or into the next: on average over all blocks a colour may be off by 4 of 255 steps,
and of 100 blocks 3 may be off by more than 40."""
import os
import sys
import tempfile
from pathlib import Path

import lab as L
import numpy as np
import pytest
from PIL import Image
from screenshots import quantised
from test_recorded import PANELS, small_runs, write_pages

HERE = Path(__file__).parent/'pictures'
BLOCK, MEAN, FAR, SHARE = 24, 4., 40., .03
THEMES = ('light', 'dark')

pytestmark = pytest.mark.e2e


def take(page, path, name, theme, out):
    "A picture of the panel on the page at `path`"
    whole = name in ('data', 'studio')  # one screen
    page.set_viewport_size(dict(width=1440, height=900) if whole else dict(width=960, height=720))
    page.emulate_media(color_scheme=theme, reduced_motion='reduce')
    page.goto(path.as_uri())
    if name not in ('teacher', 'runs', 'data'): page.wait_for_selector('.panel[data-shown]')
    page.wait_for_function("""() => [...document.querySelectorAll('.ddnb canvas')].every(c => {
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        return !c.getClientRects().length || d.some(v => v) })""")
    page.evaluate('() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))')
    page.locator('.ddnb').first.screenshot(path=str(out), animations='disabled')
    return out


def blocks(path):
    "Mean colours of the blocks of a picture, (rows, columns, 3)"
    with Image.open(path) as picture: x = np.asarray(picture.convert('RGB'), float)
    rows, columns = (n // BLOCK for n in x.shape[:2])
    x = x[:rows * BLOCK, :columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK, 3)
    return x.mean((1, 3))


def difference(a, b):
    "Mean absolute difference of two pictures, and the share of blocks that are far apart; of the room both have"
    a, b = blocks(a), blocks(b)
    assert abs(a.shape[0] - b.shape[0]) <= 1 and a.shape[1] == b.shape[1], f'{a.shape} and {b.shape} blocks'
    rows = min(len(a), len(b))
    off = np.abs(a[:rows] - b[:rows]).mean(2)
    return off.mean(), (off > FAR).mean()


@pytest.fixture(scope='module')
def pages(tmp_path_factory):
    "Name of a panel → the page that shows it"
    home = os.environ.get('DDNB_PANEL_RUNS') or tmp_path_factory.mktemp('pictures')/'runs'
    return write_pages(small_runs(home), tmp_path_factory.mktemp('pages'))


@pytest.fixture(scope='module')
def page():
    if why := L.missing(): pytest.skip(why)
    with L.browser(960, 720) as page: yield page


@pytest.mark.parametrize('theme', THEMES)
@pytest.mark.parametrize('name', PANELS)
def test_a_panel_looks_like_its_reference(page, pages, tmp_path, name, theme):
    reference = HERE/f'{name}-{theme}.png'
    assert reference.stat().st_size <= 60_000
    mean, far = difference(reference, take(page, pages[name], name, theme, tmp_path/'now.png'))
    print(f'\n{name}, {theme}: off by {mean:.2f}, {far:.1%} of the blocks are far off')
    assert mean <= MEAN and far <= SHARE


def make(names=()):
    "Make the references anew"
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as d, L.browser(960, 720) as page:
        pages = write_pages(small_runs(os.environ.get('DDNB_PANEL_RUNS') or f'{d}/runs'), Path(d))
        for name in names or PANELS:
            for theme in THEMES:
                out = take(page, pages[name], name, theme, HERE/f'{name}-{theme}.png')
                print(out.name, f'{quantised(out, 60_000) / 1000:.0f} kB')


if __name__ == '__main__': make(sys.argv[1:])
