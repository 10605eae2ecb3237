"Scores of difficulty: which data they belong to, what a log can tell, and files that others published"
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ddnb.core.basics import InputError
from ddnb.core.config import register, registered
from ddnb.core.run import resume
from ddnb.data.load import RealData, load
from ddnb.methods import difficulty as room
from ddnb.methods.difficulty import (
    PUBLISHED,
    Difficulty,
    PublishedScores,
    Score,
    ScoredSqueeze,
    TrainingLog,
    features,
    mean_difficulty,
    one_pass,
    published,
    scores_of,
    true_margin,
)
from ddnb.train.nets import last_linear, make_net
from ddnb.train.train import Recipe, Teacher, squeeze


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
    assert {'forgetting', 'variability', *scores} == set(registered('score'))  # these two need several looks
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


@pytest.fixture
def file(real, tmp_path, monkeypatch):
    "A file of scores for the digits, which are called 'cifar10' here: each image's score is its place"
    monkeypatch.setitem(PUBLISHED, 'forgetting_CIFAR10.npy',
                        PublishedScores('cifar10', 10, len(real.train), 'forgetting', True))
    path = tmp_path/'forgetting_CIFAR10.npy'
    np.save(path, np.arange(len(real.train), dtype=np.float32))
    return path


@pytest.fixture
def official(real): return RealData(real.train, real.test, 'cifar10', dict(name='cifar10'))


def test_published_scores_follow_the_pixels(real, file, official):
    order = torch.randperm(len(real.train), generator=torch.Generator().manual_seed(0))
    exported = replace(real.train, images=real.train.images[order], labels=real.train.labels[order], name='my folder')
    scores = published(file, exported, official)
    scores.check_data(exported)
    assert torch.equal(scores.scores, order.float())
    assert (scores.name, scores.higher_is_harder) == ('forgetting', True)
    few = real.train.subset(2)
    assert torch.equal(published(file, few, official).scores, few.index.float())


def test_equal_images_keep_their_own_places(real, file, official):
    images = real.train.images.clone()
    images[7] = images[3]
    twice = replace(official, train=replace(real.train, images=images))
    assert published(file, twice.train, twice).scores.tolist() == list(range(len(images)))
    exported = replace(twice.train, images=images.flip(0), labels=real.train.labels.flip(0))
    places = published(file, exported, twice).scores
    assert sorted(places.tolist()) == list(range(len(images)))  # each score once


def test_a_name_is_no_proof(real, file, official):
    "Images that are called like the data set and are others"
    darker = replace(real.train, images=real.train.images // 2, name='cifar10')
    with pytest.raises(InputError, match='1,4.. of 1,438 images are none of the training images of cifar10'):
        published(file, darker, official)
    with pytest.raises(InputError, match='1 of 1,438 images'):
        images = real.train.images.clone()
        images[5, 0, 0, 0] ^= 1
        published(file, replace(real.train, images=images), official)


def test_what_is_matched_against_are_the_official_files(real, file, official):
    folder = replace(official, origin=dict(name='/home/me/cifar10'))
    part = replace(official, origin=dict(name='cifar10', then=[['subset', 2, 0]]))
    for other in (folder, part):
        with pytest.raises(InputError, match="load\\('cifar10'\\)"): published(file, real.train, other)
    with pytest.raises(InputError, match='holds 1,437 scores'):
        np.save(file, np.arange(len(real.train) - 1, dtype=np.float32))
        published(file, real.train, official)


def test_labels_beside_published_scores_are_compared(real, official, tmp_path, monkeypatch):
    facts = PublishedScores('cifar10', 10, len(real.train), 'cscore', False)
    monkeypatch.setitem(PUBLISHED, 'cscores_CIFAR10.npz', facts)
    path, scores = tmp_path/'cscores_CIFAR10.npz', np.zeros(len(real.train))
    np.savez(path, scores=scores, labels=real.train.labels.numpy())
    assert not published(path, real.train, official).higher_is_harder
    np.savez(path, scores=scores, labels=real.train.labels.numpy()[::-1])
    with pytest.raises(InputError, match='labels in cscores_CIFAR10.npz are not those'):
        published(path, real.train, official)
    monkeypatch.setitem(PUBLISHED, 'cscores_CIFAR10.npz', replace(facts, labels='another'))
    with pytest.raises(InputError, match='in another order'): published(path, real.train, official)


def test_a_file_that_is_none_and_official_images_that_are_missing(real, file, tmp_path, monkeypatch):
    with pytest.raises(InputError, match='is not there'): published(tmp_path/'scores.npy', real.train)
    monkeypatch.setenv('DDNB_DATA', str(tmp_path))
    with pytest.raises(InputError, match='matched by their pixels'): published(file, real.train)
    file.write_bytes(b'no numbers')
    with pytest.raises(InputError, match='holds no scores'): published(file, real.train)


def test_el2n_does_not_cancel_for_a_good_teacher():
    "Against the definition in float64, from sure and right to sure and wrong"
    y = torch.arange(1000) % 10
    z = torch.randn(1000, 10, generator=torch.Generator().manual_seed(0))
    z[torch.arange(1000), y] += torch.linspace(-20, 30, 1000)
    scores, exact = scores_of(z, y, torch.ones(1000)), z.double().softmax(1)
    others = exact.scatter(1, y[:, None], 0.)
    doubt = others.sum(1)
    el2n = (doubt.square() + others.square().sum(1)).sqrt()
    loss = torch.where(doubt < .5, -torch.log1p(-doubt), -exact.gather(1, y[:, None])[:, 0].log())
    assert (scores['el2n'] > 0).all() and (scores['loss'] > 0).all()
    assert torch.allclose(scores['el2n'].double(), el2n, rtol=1e-4, atol=0)
    assert torch.allclose(scores['grand'].double(), el2n * 2**.5, rtol=1e-4, atol=0)
    assert torch.allclose(scores['loss'].double(), loss, rtol=1e-4, atol=0)


def presented(log, logits, y, batch=4):
    "Present made-up logits (epochs, N, K) to a log, in order"
    for epoch, z in enumerate(logits):
        for indices in torch.arange(len(y)).split(batch):
            if len(indices) > 1: log(epoch, indices, z[indices], y[indices])  # as `train` does
    return log


def test_a_log_takes_one_run(real):
    y, logits = torch.arange(9) % 3, torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    log = presented(TrainingLog(9, early=1), logits, y)
    before = {name: values.clone() for name, values in log.scores().items()}
    with pytest.raises(InputError, match='holds a run already'): presented(log, logits[:1], y)
    assert all(torch.allclose(values, before[name], equal_nan=True) for name, values in log.scores().items())
    one_epoch = presented(TrainingLog(9), logits[:1], y, batch=3)
    with pytest.raises(InputError, match='holds a run already'): presented(one_epoch, logits[:1], y, batch=3)
    late = TrainingLog(9)
    with pytest.raises(InputError, match='was not there before epoch 4'): late(3, torch.arange(9), logits[0], y)


def test_what_was_left_out_of_an_epoch_biases_nothing():
    "Nine examples in batches of four: each epoch leaves a last one out, a different one each time"
    y, order = torch.arange(9) % 3, torch.arange(9)
    logits = torch.randn(3, 9, 3, generator=torch.Generator().manual_seed(0))
    logits[:, 2] = torch.tensor([9., 9., -9.])  # number 2 is never right
    log = TrainingLog(9, early=2)
    for epoch in range(3):
        for indices in order.roll(epoch - 1).split(4)[:2]: log(epoch, indices, logits[epoch, indices], y[indices])
    scores = log.scores()
    left_out = [order.roll(epoch - 1)[-1].item() for epoch in range(3)]
    for i in range(9):
        seen = [scores_of(logits[e], y)['el2n'][i] for e in range(2) if left_out[e] != i]
        assert torch.isclose(scores['el2n'][i], torch.stack(seen).mean(), atol=1e-6)
    never = scores['forgetting'][~(logits.argmax(2) == y).any(0)]
    assert (never == 3).all()


def test_an_image_that_no_epoch_presented_has_no_score(real):
    images = real.train.take(torch.arange(5))
    log = presented(TrainingLog(5), torch.randn(1, 5, 10), images.labels)
    assert log.scores()['aum'].isnan().tolist() == [False] * 4 + [True]
    with pytest.raises(InputError, match='1 of 5 images were never presented'): log.difficulties(images)


def test_scores_in_mid_training_change_nothing(real):
    few = replace(real, train=real.train.subset(2), test=real.test.take(torch.arange(10)))
    logs = [TrainingLog(20), TrainingLog(20)]
    def asking(epoch, *batch):
        logs[1](epoch, *batch)
        logs[1].scores()
    asking.follow = logs[1].follow
    asking.leave = logs[1].leave
    options = dict(net='convnet1-w4', epochs=3, progress=False)
    squeeze(few, watch=logs[0], **options)
    squeeze(few, watch=asking, **options)
    undisturbed, asked = logs[0].scores(), logs[1].scores()
    assert all(torch.equal(undisturbed[name], asked[name]) for name in undisturbed)


def test_a_log_of_mixtures_is_refused(real):
    mixing = Recipe(epochs=1, mix='cutmix')
    with pytest.raises(InputError, match='cutmix'):
        squeeze(real, 'convnet1-w4', recipe=mixing, progress=False, watch=TrainingLog(len(real.train)))


def test_data_maps_are_mean_and_spread_of_the_probability():
    y, logits = torch.arange(8) % 3, torch.randn(5, 8, 3, generator=torch.Generator().manual_seed(0))
    scores = presented(TrainingLog(8), logits, y).scores()
    p = logits.softmax(2)[:, torch.arange(8), y].double()
    assert torch.allclose(scores['probability'].double(), p.mean(0), atol=1e-6)
    assert torch.allclose(scores['variability'].double(), p.std(0, unbiased=False), atol=1e-6)


def test_the_mean_over_several_runs(real, places):
    other = replace(places, scores=places.scores + 3)
    mean = mean_difficulty([places, other])
    assert torch.equal(mean.scores, places.scores + 1.5)
    assert (mean.name, mean.higher_is_harder, mean.data_id) == ('place', True, places.data_id)
    assert mean.about == dict(mean_of=[places.identity, other.identity])
    assert mean_difficulty([dict(a=places), dict(a=other)])['a'].identity == mean.identity
    for wrong in ([], [places, replace(places, data_id='other')], [places, replace(places, name='aum')]):
        with pytest.raises(InputError): mean_difficulty(wrong)


def test_a_log_goes_on_with_its_run(real, tmp_path):
    "Stopped inside an epoch, carried on from the folder: the same teacher, the same scores"
    few = real.subset(6)
    options = dict(net='convnet1-w4', recipe=Recipe(epochs=4, batch=16), progress=False, device='cpu')
    whole = squeeze(few, method=ScoredSqueeze, **options)
    run = ScoredSqueeze('convnet1-w4', options['recipe'], device='cpu').start(few, folder=tmp_path/'run')
    for event in run:
        if event['step'] >= 6: break
    run.stop()
    run.wait()
    carried_on = resume(tmp_path/'run').result()
    assert carried_on.teacher.identity == whole.teacher.identity
    assert set(carried_on.difficulties) == set(whole.difficulties) == set(registered('score'))
    for name, difficulty in whole.difficulties.items():
        assert carried_on.difficulties[name].identity == difficulty.identity, name
    assert Teacher.load(tmp_path/'run'/'result').identity == whole.teacher.identity
    assert Difficulty.load(tmp_path/'run'/'result'/'difficulty'/'aum').identity == whole.difficulties['aum'].identity


def test_one_pass_keeps_no_table_of_all_logits(real, monkeypatch):
    teacher = squeeze(real, 'convnet1-w4', epochs=1, progress=False)
    images = real.train.take(torch.arange(60))
    whole = one_pass(teacher, images)
    largest = []
    measure = room.scores_of
    def watched(z, *more):
        largest.append(len(z))
        return measure(z, *more)
    monkeypatch.setattr(room, 'scores_of', watched)
    again = one_pass(teacher, images, batch=16)
    assert largest == [16, 16, 16, 12]
    for name in whole: assert torch.allclose(whole[name].scores, again[name].scores, atol=1e-5), name
