"Scores of difficulty: which data they belong to, what a log can tell, and files that others published"
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ddnb.core.basics import InputError
from ddnb.core.config import register, registered
from ddnb.data.load import load
from ddnb.methods.difficulty import (
    Difficulty,
    Score,
    TrainingLog,
    features,
    one_pass,
    published,
    scores_of,
    true_margin,
)
from ddnb.train.nets import last_linear, make_net
from ddnb.train.train import Teacher, squeeze


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def places(real):
    "Scores that are the images' places"
    return Difficulty(torch.arange(len(real.train)).float(), 'place', True, real.train.identity)


def without_linear_layer(real):
    "A teacher that ends in a convolution"
    net = nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())
    return Teacher(net, 'convolution', real.classes, 1, 8, real.train.mean, real.train.std)


def test_a_score_of_ones_own_is_measured_wherever_scores_are():
    def gini(z, y): return 1 - z.softmax(1).square().sum(1)
    z, y = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    register('score', 'gini', Score('1 − Σ p²', True, measure=gini))
    try:
        assert torch.equal(scores_of(z, y)['gini'], gini(z, y))
        log = TrainingLog(6)
        log(0, torch.arange(6), z, y)
        assert torch.equal(log.scores()['gini'], gini(z, y))
        register('score', 'gini', Score('1 − Σ p²', True, measure=lambda z, y: z))
        with pytest.raises(InputError, match=r"the score 'gini' gives \(6, 3\) for 6 examples"): scores_of(z, y)
    finally: del registered('score')['gini']


def test_scores_of_other_images_are_refused(real, places):
    with pytest.raises(InputError, match='1,438 scores'): places.check_data(real.test)
    backwards = real.train.take(torch.arange(len(real.train)).flip(0))
    with pytest.raises(InputError, match='another order'): places.check_data(backwards)


@pytest.mark.parametrize('scores', [torch.zeros(3, 2), torch.tensor([0., torch.nan]), torch.tensor([torch.inf])])
def test_scores_that_are_no_list_of_finite_numbers_are_refused(scores):
    with pytest.raises(InputError, match='no list of finite numbers'): Difficulty(scores, 'aum', False, '')


def test_harder_is_higher_whatever_the_orientation():
    scores = torch.tensor([1., 2.])
    assert Difficulty(scores, 'loss', True, '').harder.tolist() == [1, 2]
    assert Difficulty(scores, 'aum', False, '').harder.tolist() == [-1, -2]


def test_identity_depends_on_all_that_scores_are():
    scores = torch.tensor([1., 2.])
    kinds = [(scores, 'aum', False, 'a'), (scores, 'aum', True, 'a'), (scores, 'aum', False, 'b'),
             (scores, 'loss', False, 'a'), (-scores, 'aum', False, 'a')]
    assert len({Difficulty(*kind).identity for kind in kinds}) == len(kinds)


def test_a_folder_without_scores_names_those_inside(places, tmp_path):
    with pytest.raises(InputError, match='give the folder that `save` wrote'): Difficulty.load(tmp_path)
    places.save(tmp_path/'place')
    with pytest.raises(InputError, match=r"choose one of those inside: \['place'\]"): Difficulty.load(tmp_path)
    assert Difficulty.load(tmp_path/'place').identity == places.identity


@pytest.mark.parametrize('name', ['difficulty', 'forgetting'])
def test_shell_and_forms_read_scores_by_the_name_of_the_input(places, tmp_path, name):
    assert registered('input')[name].read(places.save(tmp_path/'place')).identity == places.identity


def test_a_part_has_the_scores_of_its_images(real, places):
    few = real.train.subset(3)
    part = places.part(real.train, few)
    part.check_data(few)
    assert torch.equal(part.scores, few.index.float()) and part.about['part_of'] == places.data_id


def test_what_is_no_part_is_refused(real, places):
    others = real.test.take(torch.arange(30))
    with pytest.raises(InputError, match='no part of the first'): places.part(real.train, others)
    few = real.train.subset(3)
    mislabelled = replace(few, labels=few.labels.flip(0))
    with pytest.raises(InputError, match='no part of the first'): places.part(real.train, mislabelled)
    with pytest.raises(InputError, match='1,438 scores'): places.part(real.test, few)


def test_every_score_of_one_look_is_registered_with_its_orientation():
    z, y = torch.tensor([[9., 0, 0], [1., 0, 0], [0., 3, 0]]), torch.tensor([0, 0, 0])  # easy, less so, wrong
    scores = scores_of(z, y, torch.ones(3))
    assert {'forgetting', *scores} == set(registered('score'))
    for name in set(scores) - {'margin', 'confidence', 'entropy'}:  # these three know no label
        harder = scores[name] if registered('score')[name].higher_is_harder else -scores[name]
        assert harder[0] < harder[1] < harder[2], name
    for name in ('margin', 'confidence', 'entropy'):
        harder = scores[name] if registered('score')[name].higher_is_harder else -scores[name]
        assert harder[0] < harder[1], name
    assert 'grand' not in scores_of(z, y)
    assert true_margin(z, y).tolist() == [9, 1, -3]


def test_a_log_lets_go_of_the_network(real):
    log = TrainingLog(len(real.train))
    teacher = squeeze(real, 'convnet1-w4', epochs=1, progress=False, watch=log)
    assert set(log.scores()) == set(registered('score'))
    assert not last_linear(teacher.net)._forward_pre_hooks and not log.inputs


def test_a_log_follows_one_network_at_a_time(real):
    nets = [make_net('convnet1-w4', 10, 1, 8, seed) for seed in (0, 1)]
    log = TrainingLog(8)
    for net in nets: log.follow(net)
    assert [len(last_linear(net)._forward_pre_hooks) for net in nets] == [0, 1]


def test_a_log_of_a_network_without_a_linear_layer_has_no_grand(real):
    net, log = without_linear_layer(real).net, TrainingLog(4)
    log.follow(net)
    x, y = real.train.images[:4].float(), real.train.labels[:4]
    log(0, torch.arange(4), net(x).detach(), y)
    assert set(registered('score')) - set(log.scores()) == {'grand'}


def test_an_empty_log_and_one_of_other_images_are_refused(real):
    with pytest.raises(InputError, match='the log is empty'): TrainingLog(3).scores()
    with pytest.raises(InputError, match='the log is of 3 examples'): TrainingLog(3).difficulties(real.train)


def test_features_need_a_linear_layer(real):
    teacher = without_linear_layer(real)
    for measure in (lambda: features(teacher, real.train.images), lambda: one_pass(teacher, real.train)):
        with pytest.raises(InputError, match='no linear layer'): measure()


def test_one_pass_takes_the_images_in_their_order_whatever_the_batch(real):
    teacher = squeeze(real, 'convnet1-w4', epochs=1, progress=False)
    images = real.train.take(torch.arange(1005))  # more than one batch
    whole, last = one_pass(teacher, images), one_pass(teacher, images.take(torch.arange(1000, 1005)))
    for name in whole: assert torch.allclose(whole[name].scores[1000:], last[name].scores, atol=1e-5), name


def test_published_scores_come_by_the_place_in_the_whole_split(real, tmp_path):
    path = tmp_path/'forgetting_CIFAR10.npy'
    np.save(path, np.arange(50_000, dtype=np.float32))
    few = replace(real.train, name='cifar10').subset(2)
    difficulty = published(path, few)
    difficulty.check_data(few)
    assert torch.equal(difficulty.scores, few.index.float())
    assert (difficulty.name, difficulty.higher_is_harder) == ('forgetting', True)


def test_published_scores_of_other_data_are_refused(real, tmp_path):
    few = replace(real.train, name='cifar10').subset(2)
    path = tmp_path/'forgetting_CIFAR10.npy'
    with pytest.raises(InputError, match='is not there'): published(path, few)
    np.save(path, np.arange(50_000, dtype=np.float32))
    with pytest.raises(InputError, match='10 classes of digits'): published(path, real.train)
    np.save(path, np.arange(49_999, dtype=np.float32))
    with pytest.raises(InputError, match='holds 49,999 scores'): published(path, few)


def test_published_scores_with_other_labels_are_refused(real, tmp_path):
    few = replace(real.train, name='cifar10').subset(2)
    path = tmp_path/'cscores_CIFAR10.npz'
    scores, labels = np.zeros(50_000, dtype=np.float32), np.zeros(50_000, dtype=np.int64)
    labels[few.index] = few.labels
    np.savez(path, scores=scores, labels=labels)
    assert not published(path, few).higher_is_harder
    np.savez(path, scores=scores, labels=labels + 1)
    with pytest.raises(InputError, match='labels in cscores_CIFAR10.npz are not those'): published(path, few)
