"Selections: what each needs is asked for, and classes that are too small are named"
import pytest
import torch

from ddnb.core.basics import InputError, seeded
from ddnb.core.config import registered
from ddnb.data.load import load
from ddnb.methods.difficulty import Difficulty
from ddnb.methods.select import SELECTIONS, neighbours, pick_random, select


@pytest.fixture(scope='module')
def images(): return load('digits').train.subset(20)


@pytest.fixture(scope='module')
def scores(images):
    "Every score that a rule asks for, all of them noise"
    names = {rule.score for rule in SELECTIONS.values()} - {'', 'any'}
    def noise(name): return torch.randn(len(images), generator=seeded(name))
    return {name: Difficulty(noise(name), name, name != 'aum', images.identity) for name in names}


@pytest.fixture(scope='module')
def features(images): return torch.randn(len(images), 6, generator=seeded('features'))


def test_the_registry_has_the_rules_of_the_field():
    assert SELECTIONS is registered('selection')
    rules = {'random', 'easiest', 'hardest', 'window', 'aum', 'ccs', 'herding', 'k-center', 'moderate', 'd2'}
    assert rules <= set(SELECTIONS)


@pytest.mark.parametrize('name', SELECTIONS)
def test_a_selection_is_balanced_and_repeats_itself(images, scores, features, name):
    indices = select(name, images, 4, scores, features)
    assert images.labels[indices].tolist() == [c for c in range(10) for _ in range(4)]
    assert len(indices.unique()) == 40
    assert torch.equal(indices, select(name, images, 4, scores, features))


@pytest.mark.parametrize('name', [name for name, rule in SELECTIONS.items() if rule.score])
def test_a_selection_by_a_score_asks_for_it(images, features, name):
    with pytest.raises(InputError, match='needs (a|the) score'): select(name, images, 4, features=features)
    with pytest.raises(InputError, match='needs (a|the) score'): select(name, images, 4, {}, features)


def test_a_selection_named_after_a_score_takes_no_other(images, scores):
    with pytest.raises(InputError, match="needs the score 'forgetting', it got 'el2n'"):
        select('forgetting', images, 4, scores['el2n'])
    assert torch.equal(select('hardest', images, 4, scores['el2n']), select('el2n', images, 4, scores))


def test_scores_of_other_images_are_refused(images, scores):
    backwards = images.take(torch.arange(199, -1, -1))
    with pytest.raises(InputError, match='other images'): select('aum', backwards, 4, scores)


@pytest.mark.parametrize('name', [name for name, rule in SELECTIONS.items() if rule.features])
def test_a_selection_by_features_asks_for_those_of_all_images(images, scores, features, name):
    for wrong in (None, features[:-1]):
        with pytest.raises(InputError, match='needs features of the 200 images'): select(name, images, 4, scores, wrong)


def test_an_unknown_selection_is_refused_with_those_there_are(images):
    with pytest.raises(InputError, match="no selection 'best'.*\n.*'random', 'easiest'"): select('best', images, 4)


@pytest.mark.parametrize('ipc', [0, 21])
def test_a_class_that_is_too_small_is_named(images, ipc):
    with pytest.raises(InputError, match=f'{ipc} images a class were asked for, class 0 holds 20'):
        pick_random(None, images.labels, ipc, seeded(0))


def test_neighbours_are_the_same_in_any_chunks(features):
    distances, indices = neighbours(features, 4)
    again, same = neighbours(features, 4, rows=7)
    assert torch.equal(indices, same) and torch.allclose(distances, again)
    assert not (indices == torch.arange(len(features))[:, None]).any()  # nobody is its own neighbour
