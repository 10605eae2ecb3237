"Crop schedules and mosaics: what they refuse, and what a run folder remembers of them"
import math

import pytest
import torch
import torch.nn.functional as F

from ddnb.core.basics import InputError, seeded
from ddnb.core.config import from_config, registered, to_config
from ddnb.data.views import (
    apply_holes,
    bounds,
    close_mosaics,
    cosine,
    open_mosaics,
    random_holes,
    random_mix,
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
