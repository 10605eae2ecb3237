"Crop schedules and mosaics: what they refuse, and what a run folder remembers of them"
import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms import RandomResizedCrop
from torchvision.transforms import functional as TF

from ddnb.core.basics import InputError, seeded
from ddnb.core.config import from_config, registered, to_config
from ddnb.data.views import (
    RATIO,
    apply_holes,
    apply_views,
    bounds,
    close_mosaics,
    cosine,
    open_mosaics,
    photo_matrices,
    random_boxes,
    random_holes,
    random_mix,
    random_views,
    reverse,
    step,
)


@pytest.mark.parametrize('settings', [dict(lo=0), dict(lo=.5, hi=.4), dict(hi=1.2), dict(milestone=2)])
def test_bounds_outside_the_image_are_refused(settings):
    with pytest.raises(InputError, match='crop bounds|milestone'): cosine(**settings)


def test_the_schedules_are_those_that_are_registered():
    assert list(registered('schedule')) == ['constant', 'step', 'linear', 'cosine', 'reverse']


@pytest.mark.parametrize('schedule', [cosine(.5, .2, .9), reverse(step(.3))])
def test_a_schedule_comes_back_from_a_run_folder(schedule):
    again = from_config(to_config(schedule))
    assert again == schedule
    assert torch.equal(bounds(again, 50), bounds(schedule, 50))


@pytest.mark.parametrize('schedule', [cosine, lambda p: p, lambda p: ('a', 'b'), lambda p: (.1, .2, .3)])
def test_what_is_no_schedule_is_told_how_to_be_one(schedule):
    with pytest.raises(InputError, match='does not turn progress into'): bounds(schedule, 10)


@pytest.mark.parametrize('schedule', [lambda p: (0, 1), lambda p: (.5, .4), lambda p: (.5, 1.1)])
def test_a_schedule_that_leaves_the_image_is_told_where(schedule):
    with pytest.raises(InputError, match=r'at step \[0\] of 10'): bounds(schedule, 10)


def test_the_first_wrong_step_is_named():
    with pytest.raises(InputError, match=r'at step \[7\] of 10'): bounds(lambda p: (1 - 1.6 * p, 1), 10)


def test_mosaics_need_a_factor_of_the_size():
    images = torch.zeros(1, 1, 16, 16)
    with pytest.raises(InputError, match='16-pixel images have no 3×3 tiles'): open_mosaics(images, 3)


def test_a_batch_is_mixed_as_often_as_asked():
    def share_of_mixed(probability):
        draws = [random_mix('mixup', 8, 16, seeded(i), .8, probability) for i in range(400)]
        return sum(d.share < 1 for d in draws) / len(draws)
    assert share_of_mixed(0.) == 0
    assert share_of_mixed(1.) == 1
    assert abs(share_of_mixed(.5) - .5) < 3 * math.sqrt(.25 / 400) + .01


def test_the_tiles_of_a_new_mosaic_are_not_averaged():
    "IDC begins with every second pixel, as its code resizes by the nearest"
    images = torch.rand(8, 1, 16, 16, generator=seeded(0))
    tiles = close_mosaics(images, 2)
    assert torch.equal(tiles[0, :, :8, 8:], F.interpolate(images[1:2], size=(8, 8))[0])


def test_a_hole_has_one_colour_in_all_of_its_pixels():
    holes = random_holes(200, 16, .5, seeded(0))
    x = torch.rand(200, 3, 16, 16, generator=seeded(1))
    shown = apply_holes(x, holes)
    changed = (shown != x).any(1)
    assert changed.sum((1, 2)).max() == 64 and changed.any(2).sum(1).max() == 8
    assert changed.sum((1, 2)).min() >= 16, 'its centre lies in the image'
    for image, place, hole in zip(shown[:20], changed[:20], holes[:20]):
        assert torch.equal(image[:, place], hole[4:, None].expand(3, int(place.sum())))
    assert apply_holes(x[:, :1], holes).shape == (200, 1, 16, 16)


# ---- whole photographs

def photo_views(height, width, n, seed=0, lo=.08, **options):
    extents = torch.tensor([[height, width]]).repeat(n, 1)
    return random_views(torch.full((n,), lo), torch.ones(n), extents, seeded(seed), **options)


def standard_errors(a, b):
    "Difference of two means in units of its standard error"
    error = (a.var() / len(a) + b.var() / len(b)).sqrt()
    return ((a.mean() - b.mean()).abs() / error.clamp(min=1e-12)).item() if error > 0 else float(a.mean() != b.mean())


@pytest.mark.parametrize('height, width', [(375, 500), (500, 333), (64, 64), (60, 480), (700, 90)])
def test_boxes_of_a_photo_are_those_of_torchvision(height, width):
    "Area, aspect and place, in the photo's own pixels; the last two are often too oblong for any box"
    n = 1000
    torch.manual_seed(0)
    blank = torch.zeros(1, height, width)
    theirs = torch.tensor([RandomResizedCrop.get_params(blank, (.08, 1.), RATIO) for _ in range(n)]).double()
    ours = photo_views(height, width, n)[:, :4].double()
    assert (ours[:, 0] + ours[:, 2] <= height).all() and (ours[:, 1] + ours[:, 3] <= width).all()
    facts = []
    for top, left, h, w in (ours.T, theirs.T):
        aspect = (w / h).log()
        free = [((height - h > 0), top / (height - h)), ((width - w > 0), left / (width - w))]
        places = [place[there] for there, place in free]
        facts.append([h * w / (height * width), aspect, aspect.square(), *places, *(p.square() for p in places)])
    for a, b in zip(*facts): assert standard_errors(a, b) < 4
    given_up = [(b[:, 3] == min(width, round(height * 4 / 3))) & (b[:, 2] == min(height, round(width * 4 / 3)))
                for b in (ours, theirs)]
    assert standard_errors(*(g.double() for g in given_up)) < 4
    if width == 480: assert given_up[0].any() and (ours[given_up[0]][:, 1] == (480 - 80) // 2).all()


def test_boxes_reach_the_edges_of_a_wide_photo():
    views = photo_views(60, 180, 400)
    assert views[:, 1].min() == 0 and (views[:, 1] + views[:, 3]).max() == 180
    covered = [((views[:, 1] <= x) & (x < views[:, 1] + views[:, 3])).float().mean() for x in (10, 90, 170)]
    assert covered[1] > covered[0] > .05 and covered[2] > .05


def test_a_square_photo_has_the_boxes_of_an_image():
    lo, hi, extents = torch.full((500,), .08), torch.ones(500), torch.full((500, 2), 32)
    views = random_views(lo, hi, extents, seeded(3), shift=2)
    assert torch.equal(views[:, :7], random_views(lo, hi, 32, seeded(3), shift=2))
    assert torch.equal(views[:, 7:], extents)


def test_the_largest_box_has_the_ratio_that_is_allowed():
    "What torchvision falls back to, in the centre; of a square the whole"
    extents = torch.tensor([[50, 400], [400, 50], [50, 50], [50, 60]])
    boxes = random_boxes(torch.ones(4), torch.ones(4), extents, seeded(0))
    assert boxes.tolist() == [[0, 166, 50, 67], [166, 0, 67, 50], [0, 0, 50, 50], [0, 0, 50, 60]]


@pytest.mark.parametrize('side, size', [(48, 16), (48, 48), (20, 32)])
def test_a_crop_of_a_photo_is_that_of_torchvision(side, size):
    "Where nothing is squeezed: shrunk with antialiasing, or enlarged"
    photo = torch.rand(1, 3, side, side, generator=seeded('photo'))
    for view in photo_views(side, side, 60, seed=1):
        top, left, h, w, flip, *_ = view.tolist()
        theirs = TF.resized_crop(photo, top, left, h, w, [size, size], antialias=True)
        if flip: theirs = TF.hflip(theirs)
        assert torch.allclose(apply_views(photo, view[None], size), theirs, atol=1e-5)


def test_a_crop_shows_nothing_of_what_surrounds_it():
    "White outside of the box, black inside, and the box between the pixels of the square"
    photo = torch.ones(1, 1, 90, 120)
    photo[..., 30:60, 40:100] = 0
    squeezed = TF.resize(photo, [45, 45], antialias=True)      # the box begins at 15 and ends at 30, 15 and 37.5
    view = torch.tensor([[32, 44, 26, 52, 0, 0, 0, 90, 120]])  # a little inside, as the squeeze blurs its edge
    assert apply_views(squeezed, view, 20).max() < .2
    rows, columns = photo_matrices(view, 45, 20)
    assert rows.shape == columns.shape == (1, 20, 45)
    assert torch.allclose(rows.sum(-1), torch.ones(1, 20)) and torch.allclose(columns.sum(-1), torch.ones(1, 20))
    assert max(rows[..., :16].max(), rows[..., 29:].max(), columns[..., :16].max(), columns[..., 36:].max()) < 1e-5


def test_the_smallest_boxes_have_weights():
    "A box of one pixel of an enormous photo lies inside a pixel of its square"
    views = torch.tensor([[999, 17, 1, 1, 0, 0, 0, 1000, 3000], [0, 2999, 1, 1, 1, 0, 0, 1000, 3000]])
    for matrices in photo_matrices(views, 30, 8):
        assert torch.isfinite(matrices).all() and torch.allclose(matrices.sum(-1), torch.ones(2, 8))
