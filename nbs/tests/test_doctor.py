"The import doctor: every fault is named, no healthy set is accused, and what is mended is the set as it was"
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import skip_without

from ddnb.core.basics import InputError, normalise, seeded, to_unit
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.data.readers import StoredSet, from_tensors, read_set, rough_whitening
from ddnb.data.spaces import make_space
from ddnb.train.doctor import diagnose, enlargement, order_test, quick_teacher, tile_edge, usual_reason


@pytest.fixture(scope='module')
def real(): return load('digits', size=12)


@pytest.fixture(scope='module')
def teacher(real): return quick_teacher(real)


@pytest.fixture(scope='module')
def small(real):
    "Like a distilled set: noise and more contrast than is shown"
    few = real.train.subset(4, seed=1)
    x = to_unit(few.images)
    x = x + .15 * torch.randn(x.shape, generator=seeded(1, 'doctor'))
    learned = (x - x.mean()) * 1.2 + x.mean()
    return DistilledSet(learned.clamp(0, 1), few.labels, real.classes, unclipped=learned)


@pytest.fixture(scope='module')
def z(real, small): return normalise(small.as_learned, real.train.mean, real.train.std)


# ---- healthy

def test_healthy_sets_get_a_clean_bill(real, teacher, small, z, tmp_path):
    np.savez(tmp_path/'x.npz', images=z.numpy(), labels=small.labels.numpy(), mean=real.train.mean, std=real.train.std)
    small.save(tmp_path/'set')
    small.export(tmp_path/'pngs')
    soft = F.one_hot(small.labels, 10) * .8 + .02
    sets = dict(set=small, clipped=replace(small, unclipped=None), npz=tmp_path/'x.npz', folder=tmp_path/'set',
                pngs=tmp_path/'pngs', soft=replace(small, soft_labels=soft), pair=(small.images, small.labels),
                random=DistilledSet(to_unit(real.train.subset(3).images), real.train.subset(3).labels, real.classes,
                                    source=['real'] * 30))
    for name, s in sets.items():
        told = diagnose(s, real, teacher)
        assert told.healthy and not told.notes, f'{name}: {told}'
        assert 'clean bill' in str(told) and any('class order' in line for line in told.in_order)


def test_without_a_teacher_the_rest_is_told(real, small):
    told = diagnose(small, real, quick=False)
    assert told.healthy and told.teacher == '' and 'no teacher' in told.unknown[0]


def test_a_quick_teacher_is_trained_where_none_is_given(real, small):
    told = diagnose(small, real)
    assert told.healthy and 'trained for this in' in told.teacher


# ---- broken

SHUFFLED = torch.tensor([3, 0, 1, 2, 8, 4, 9, 5, 6, 7])
SWAPPED = torch.tensor([0, 1, 2, 7, 4, 5, 6, 3, 8, 9])

BROKEN = {
    'class order': lambda s, z, w: (s.images, SHUFFLED[s.labels]),
    'class order of two': lambda s, z, w: (s.images, SWAPPED[s.labels]),
    'normalised': lambda s, z, w: (z, s.labels),
    'whitened': lambda s, z, w: (w.into(s.as_learned), s.labels),
    'value range': lambda s, z, w: (s.images * 255, s.labels),
    'value range around 0': lambda s, z, w: (s.images * 2 - 1, s.labels),
    'layout': lambda s, z, w: (s.images.permute(0, 2, 3, 1), s.labels),
    'layout of rows': lambda s, z, w: (s.images.flatten(1), s.labels),
    'logits': lambda s, z, w: (s.images, F.one_hot(s.labels, 10) * 6. - 2),
    'labels from 1': lambda s, z, w: (s.images, s.labels + 1),
    'enlarged': lambda s, z, w: (s.images.repeat_interleave(4, 2).repeat_interleave(4, 3), s.labels),
    'resolution': lambda s, z, w: (F.interpolate(s.images, size=(20, 20), mode='bilinear'), s.labels),
}


@pytest.mark.parametrize('fault', BROKEN)
def test_every_fault_is_named_and_mended(real, teacher, small, z, fault):
    told = diagnose(BROKEN[fault](small, z, make_space('zca', real.train)), real, teacher)
    name = fault.split(' of ')[0].split(' around')[0]
    assert told.names == [name], str(told)
    assert all(f.evidence and f.remedy for f in told.findings)
    mended = told.mended
    assert torch.equal(mended.labels, small.labels)
    learned = small.as_learned if name in ('normalised', 'whitened') else small.images
    tolerance = .5 if name == 'resolution' else 1e-4
    assert (mended.as_learned - learned).abs().max() < tolerance
    assert diagnose(mended, real, teacher).healthy


def test_faults_that_meet_are_all_named(real, teacher, small, z):
    told = diagnose((z.permute(0, 2, 3, 1), SHUFFLED[small.labels] + 1), real, teacher)
    assert set(told.names) == {'layout', 'normalised', 'labels from 1', 'class order'}
    assert torch.equal(told.mended.labels, small.labels)
    assert (told.mended.as_learned - small.as_learned).abs().max() < 1e-4


def test_the_order_is_said(real, teacher, small):
    told = diagnose((small.images, SWAPPED[small.labels]), real, teacher)
    finding, = told.findings
    assert "'three' shows 'seven', 'seven' shows 'three'" in finding.evidence and '2 of 10' in finding.evidence
    assert finding.remedy == f'labels = torch.tensor({SWAPPED.tolist()})[labels]'
    backwards = diagnose((small.images, 9 - small.labels), real, teacher)
    assert 'the reverse' in backwards.findings[0].evidence


def test_soft_labels_are_put_in_order_with_the_classes(real, teacher, small):
    soft = (F.one_hot(small.labels, 10) * .8 + .02)[:, SHUFFLED.argsort()]
    told = diagnose((small.images, soft), real, teacher)
    assert told.names == ['class order']
    assert torch.equal(told.mended.soft_labels.argmax(1), small.labels)
    assert torch.equal(told.mended.labels, small.labels)


@pytest.mark.parametrize('labels, name', [
    (lambda y: F.one_hot(y, 10).float(), 'one-hot labels'),
    (lambda y: y.float(), 'labels as floats'),
    (lambda y: (F.one_hot(y, 10) * 3.).div(4).softmax(1), 'temperature')])
def test_kinds_of_labels_that_spoil_nothing_are_notes(real, teacher, small, labels, name):
    told = diagnose((small.images, labels(small.labels)), real, teacher)
    assert told.healthy and told.notes == [name]
    assert torch.equal(told.mended.labels, small.labels)


def test_images_that_repeat_or_leak(real, small):
    def names(images, labels): return diagnose((images, labels), real, quick=False).names
    x, y = small.images, small.labels
    assert names(torch.cat([x, x[:3]]), torch.cat([y, y[:3]])) == ['duplicates']
    assert names(torch.cat([x, x[:3]]), torch.cat([y, 9 - y[:3]])) == ['conflicting labels']
    assert names(torch.cat([x, x[:1] * 0 + .5]), torch.cat([y, y[:1]])) == ['blank images']
    tested = to_unit(real.test.images[:1])
    assert names(torch.cat([x, tested]), torch.cat([y, real.test.labels[:1]])) == ['test images']
    few = real.train.subset(1)
    copied = diagnose((to_unit(few.images), few.labels), real, quick=False)
    assert copied.healthy and copied.notes == ['real images']


def test_classes_that_are_missing_unequal_or_named_otherwise(real, teacher, small):
    without = small.take((small.labels != 3).nonzero().flatten())
    assert diagnose(without, real, teacher).names == ['missing classes']
    fewer = diagnose(small.take(list(range(39))), real, teacher)
    assert fewer.healthy and fewer.notes == ['unequal classes']
    renamed = diagnose(replace(small, classes=[f'x{c}' for c in real.classes]), real, teacher)
    assert renamed.names == ['class names']
    turned = replace(small, classes=real.classes[::-1], labels=9 - small.labels)
    letters = replace(real, train=replace(real.train, classes=list('abcdefghij')))
    told = diagnose(replace(turned, classes=list('jihgfedcba')), letters, replace(teacher, classes=list('abcdefghij')))
    assert told.names == ['class names'] and torch.equal(told.mended.labels, small.labels)


def test_tiles_and_enlargements_show():
    x = torch.rand(6, 1, 8, 8, generator=seeded(0)) * .1 + torch.linspace(0, .3, 8)
    tiled = x.clone()
    tiled[..., 4:, :] += .5
    tiled[..., 4:] -= .5
    assert tile_edge(x) < 2 < 2.5 < tile_edge(tiled)
    assert enlargement(x) == 1
    assert enlargement(x.repeat_interleave(3, 2).repeat_interleave(3, 3)) == 3


def test_mosaics_are_named_unless_the_set_says_so(real):
    x = torch.rand(10, 1, 12, 12, generator=seeded(0)) * .05
    x[:, :, 6:] += .5
    x[..., 6:] += .4
    told = diagnose((x, torch.arange(10)), real, quick=False)
    assert told.names == ['tiles'] and told.mended.training.mosaic == 2
    assert diagnose(told.mended, real, quick=False).healthy


def test_labels_mixed_image_by_image_are_no_order(real, teacher, small):
    mixed = small.labels[torch.randperm(40, generator=seeded(3))]
    told = diagnose((small.images, mixed), real, teacher)
    assert told.names == ['unread images'] and 'no other order' in told.findings[0].evidence


def test_a_teacher_that_knows_nothing_accuses_nobody(real, teacher, small):
    ignorant = replace(teacher, net=torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 10)), accuracy=.1)
    for seed in range(3):
        torch.manual_seed(seed)
        torch.nn.init.normal_(ignorant.net[1].weight)
        assert 'class order' not in diagnose(small, real, ignorant).names


def test_weak_answers_are_no_evidence():
    "Nor are answers that confuse whole classes"
    y = torch.arange(10).repeat_interleave(5)
    alarms = 0
    for seed in range(20):
        g = seeded(seed, 'weak')
        confusion = torch.randn(10, 10, generator=g)[y]
        alarms += order_test(torch.randn(50, 10, generator=g) + F.one_hot(y, 10) * 1.5 + confusion * .7, y).wrong
    assert alarms == 0


def test_usual_reasons_of_an_order_are_said():
    names = [f'class {i:02d}' for i in range(12)]
    assert 'sorted as text' in usual_reason(torch.tensor([0, 1, 10, 11, *range(2, 10)]), names)
    assert 'by the alphabet' in usual_reason(torch.tensor([1, 0]), ['b', 'a'])
    assert 'moved by 1' in usual_reason(torch.tensor([1, 2, 0]), ['a', 'b', 'c'])
    assert usual_reason(torch.tensor([2, 0, 1, 3]), list('abcd')) == ''


def test_what_is_no_set_is_refused(real, small, tmp_path):
    for thing, problem in ((small, 'not real data'), ):
        with pytest.raises(InputError, match=problem): diagnose(thing, small)
    with pytest.raises(InputError, match='no set of images'): diagnose(3, real)
    with pytest.raises(InputError, match='there is no'): diagnose(tmp_path/'x', real)
    with pytest.raises(InputError, match='no images'): diagnose((small.images[:0], small.labels[:0]), real)
    with pytest.raises(InputError, match='labels run up to 12'): diagnose((small.images, small.labels + 3), real)
    with pytest.raises(InputError, match='not finite'): diagnose((small.images / 0, small.labels), real)
    with pytest.raises(InputError, match='40 images but'): diagnose((small.images, small.labels[:3]), real)
    with pytest.raises(InputError, match='square'): diagnose((small.images[..., :4], small.labels), real)


def test_a_report_is_json_and_no_markup(real, small):
    told = diagnose(replace(small, provenance=dict(method='<script>')), real, quick=False)
    json.dumps(told.to_json())
    assert '<script>' not in told._repr_html_()


# ---- published sets, as they are and broken on purpose

CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'.split()


@pytest.fixture(scope='module')
def cifar():
    skip_without('cifar-10-batches-py')
    whole = load('cifar10')
    return replace(whole, train=whole.train.subset(200), test=whole.test.subset(50))


@pytest.fixture(scope='module')
def cifar_teacher(cifar): return quick_teacher(cifar)


@pytest.fixture
def published(pack, cifar):
    folder = pack/'distilled-samples'
    return {name: read_set(folder/name, real=cifar)
            for name in ('dc_cifar10_ipc1.npz', 'dc_cifar10_ipc10.npz', 'tesla_cifar10_ipc10.png')}


def broken(s, cifar):
    "The same images and labels, in each of the usual ways to get them wrong: name of the fault → tensors"
    x, y = s.images, s.labels
    some = to_unit(cifar.train.images[1000:1600]) # the whitening by all images takes half a minute
    return {
        'class order': (x, torch.tensor([4, 7, 0, 9, 2, 1, 8, 3, 5, 6])[y]),
        'normalised': (normalise(s.as_learned, cifar.train.mean, cifar.train.std), y),
        'whitened': (rough_whitening(some, s.as_learned), y),
        'value range': (x * 255, y),
        'layout': (x.permute(0, 2, 3, 1), y),
        'channel order': (x.flip(1), y),
        'logits': (x, F.one_hot(y, 10) * 6. - 2),
        'labels from 1': (x, y + 1),
        'enlarged': (x.repeat_interleave(4, 2).repeat_interleave(4, 3), y),
        'duplicates': (torch.cat([x, x[:2]]), torch.cat([y, y[:2]])),
        'missing classes': (x[y > 0], y[y > 0]),
    }


def test_published_sets_are_healthy_and_their_faults_are_named(cifar, cifar_teacher, published):
    for name, s in published.items():
        told = diagnose(s, cifar, cifar_teacher)
        assert told.healthy, str(told)
        for fault, tensors in broken(s, cifar).items():
            told = diagnose(tensors, cifar, cifar_teacher)
            assert told.names == [fault], f'{name}, {fault}: {told}'


def test_sheets_of_other_data_are_told_by_size_and_classes(pack, cifar):
    folder = pack/'distilled-samples'
    fruit = read_set(folder/'mtt_imagefruit_ipc1.png', rows=2, columns=5, classes=[f'fruit {i}' for i in range(10)])
    assert diagnose(fruit, cifar, quick=False).names == ['resolution', 'class names']
    stored = StoredSet(*(t for t in (fruit.images, fruit.labels)))
    assert diagnose(stored, cifar, quick=False).names == ['resolution']
    assert isinstance(from_tensors(fruit.images, fruit.labels), DistilledSet)
