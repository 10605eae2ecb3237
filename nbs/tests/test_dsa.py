"Siamese augmentation: what it refuses"
import pytest
import torch

from ddnb.core.basics import InputError, seeded
from ddnb.data.dsa import draw_dsa, strategy


@pytest.mark.parametrize('settings', [dict(operations=('sharpen',)), dict(operations=()), dict(rule='two')])
def test_unknown_operations_and_rules_are_refused(settings):
    with pytest.raises(InputError, match='operations|rule'): draw_dsa(1, 1, 16, seeded(0), **settings)


def test_an_unknown_strategy_is_refused():
    message = "choose one of \\['one', 'idc', 'idc-walk', 'idc-match'\\]"
    with pytest.raises(InputError, match=message): strategy('two', flips=True)


@pytest.mark.parametrize('size', [16, 18, 21, 22, 28, 32])
def test_the_hole_is_half_the_side_rounded_up(size):
    "DSA: ⌊size/2 + ½⌋ pixels, centred anywhere from edge to edge"
    side = int(size / 2 + .5)
    draw = draw_dsa(1, 400, size, seeded(size), ('cutout',))
    holes = draw(torch.ones(400, 1, size, size)) == 0
    rows = holes.any(3).sum(2)
    assert rows.max() == side
    inside = rows == side
    assert (holes.sum((1, 2, 3))[inside[:, 0]] <= side * side).all()
    assert draw.hole.min() == 0 and draw.hole.max() == size - side % 2


@pytest.mark.parametrize('size', [16, 20, 32, 36, 52, 64])
def test_a_crop_shifts_by_up_to_an_eighth_rounded_up_at_half(size):
    draw = draw_dsa(1, 400, size, seeded(size), ('crop',))
    pixels = (draw.affine[:, :, 2] * (size - 1) / 2).round()
    assert pixels.max() == -pixels.min() == int(size / 8 + .5)


@pytest.mark.parametrize('operations', [('colour',), ('flip',), ('cutout',), ('colour', 'cutout')])
def test_idc_s_rule_goes_without_what_is_left_out(operations):
    draw = draw_dsa(1, 40, 16, seeded(0), operations, rule='idc')
    assert (draw.colour is not None) == ('colour' in operations)
    assert (draw.hole is not None) == ('cutout' in operations)
    assert (draw.affine is not None) == ('flip' in operations)
