"Spaces: what they refuse, and that bytes and floats are the same to them"
from dataclasses import replace

import pytest
import torch

from ddnb.core.basics import InputError, to_unit
from ddnb.data.load import load
from ddnb.data.spaces import SPACES, Zca, make_space, space_of


@pytest.fixture(scope='module')
def real(): return load('digits')


def test_an_unknown_space_is_refused(real):
    with pytest.raises(InputError, match="no space 'lab'"): make_space('lab', real.train)


def test_one_image_cannot_be_whitened(real):
    with pytest.raises(InputError, match='at least 2 images'): Zca(real.train.images[:1])


@pytest.mark.parametrize('kind', SPACES)
def test_bytes_and_floats_are_the_same(real, kind):
    space, images = make_space(kind, real.train), real.test.images[:5]
    assert torch.equal(space.into(images), space.into(to_unit(images)))
    assert torch.allclose(space.back(space.into(images)), to_unit(images), atol=1e-4)


@pytest.mark.parametrize('kind', SPACES)
def test_what_is_inside_is_a_colour(real, kind):
    space = make_space(kind, real.train)
    z = space.back(space.inside(space.into(real.test.images[:5]) * 3))
    assert z.min() > -1e-4 and z.max() < 1 + 1e-4


def test_a_part_of_the_data_has_the_space_of_the_whole(real):
    few = real.train.take(range(300))
    part = replace(real, train=few, fitted_on=real.train)
    assert torch.equal(space_of(part, 'zca').w, make_space('zca', real.train).w)
    assert space_of(part, 'zca') is space_of(real, 'zca')                  # whitening is found once
    assert not torch.allclose(space_of(replace(real, train=few), 'zca').w, space_of(real, 'zca').w, atol=1e-3)
