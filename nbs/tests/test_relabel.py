"Stored labels: the set, the seed and the statistics that they belong to"
from dataclasses import replace

import pytest
import torch

from ddnb.core.basics import InputError, seeded, to_unit
from ddnb.data.images import DistilledSet, Photos
from ddnb.data.load import load
from ddnb.data.views import close_mosaics
from ddnb.train.evaluate import Protocol, evaluate, examples, protocol, student, teach
from ddnb.train.relabel import StoredLabels, label_bytes, relabel
from ddnb.train.train import Recipe, batch_slices, plan_epoch, show, squeeze

NET = 'convnet2-w8-batch'


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def teacher(real): return squeeze(real, NET, epochs=1, progress=False)


@pytest.fixture(scope='module')
def small(real): return real.train.subset(10)


@pytest.fixture(scope='module')
def folder(small, real, teacher, tmp_path_factory):
    folder = tmp_path_factory.mktemp('stored')/'labels'
    relabel(small, real, teacher, 'rd3(epochs=3)', folder)
    return folder


def test_stored_labels_train_like_those_on_the_fly(small, real, teacher, folder):
    brief = protocol('rd3(epochs=3)', real)
    live = student(small, real, NET, brief.on(NET), 0, teach(teacher, brief.recipe))
    stored = StoredLabels(folder).student(small, real, NET)
    assert stored.curve.keys() == live.curve.keys()
    assert abs(stored.last - live.last) < .05  # float16 against float32


def test_the_protocol_comes_back_whole(real, folder):
    assert StoredLabels(folder).protocol == protocol('rd3(epochs=3)', real)
    assert StoredLabels(folder).protocol.on(NET).smooth == 2


@pytest.mark.parametrize('changes', [dict(seed=1), dict(stats='batch'), dict(protocol='rd3(epochs=4)')])
def test_a_folder_holds_labels_of_one_kind(changes, small, real, teacher, folder):
    arguments = dict(dict(protocol='rd3(epochs=3)'), **changes)
    with pytest.raises(InputError, match='another set, teacher or recipe'):
        relabel(small, real, teacher, folder=folder, **arguments)


def test_a_folder_holds_labels_of_one_set(real, teacher, folder):
    with pytest.raises(InputError, match='another set'):
        relabel(real.train.subset(10, seed=1), real, teacher, 'rd3(epochs=3)', folder)


def test_a_protocol_with_hard_labels_is_refused(small, real, teacher, tmp_path):
    with pytest.raises(InputError, match='hard labels'): relabel(small, real, teacher, 'hard', tmp_path/'labels')


def test_misspelt_statistics_write_nothing(small, real, teacher, tmp_path):
    with pytest.raises(InputError) as refusal:
        relabel(small, real, teacher, 'kd(epochs=1)', tmp_path/'labels', stats='bach')
    assert "'batch'" in refusal.value.remedy
    assert not (tmp_path/'labels').exists()


def test_labels_that_do_not_fit_on_the_disk_are_refused(small, real, teacher, tmp_path):
    with pytest.raises(InputError, match='GB free'):
        relabel(small, real, teacher, f'rd3(epochs={10**13})', tmp_path/'labels')
    assert not (tmp_path/'labels/labels.json').exists()


def test_other_images_are_refused(small, real, folder):
    stored = StoredLabels(folder)
    with pytest.raises(InputError, match='100 images'): stored.student(real.train.subset(5), real, NET)
    backwards = small.take(torch.arange(99, -1, -1))
    with pytest.raises(InputError, match='other images'): stored.student(backwards, real, NET)


def test_mixup_has_no_box(small, real, teacher, tmp_path):
    relabel(small, real, teacher, 'sre2l(epochs=2)', tmp_path/'labels', stats='batch')
    assert all(mix.box == () for mix in StoredLabels(tmp_path/'labels').plans(1).mixes)


def test_a_folder_without_labels_is_refused(tmp_path):
    with pytest.raises(InputError, match='no stored labels'): StoredLabels(tmp_path)


def test_the_row_says_whose_statistics_labelled(small, real, teacher, tmp_path):
    relabel(small, real, teacher, 'kd(epochs=1)', tmp_path/'labels', stats='batch')
    rows = StoredLabels(tmp_path/'labels').evaluate(small, real, NET, repeats=1)
    assert [r.protocol for r in rows] == ['kd(epochs=1, stats=batch)']
    assert [r.protocol for r in evaluate(small, real, teacher, 'kd(epochs=1)', NET, 1, False, stats='batch',
                                         hard=False)] == ['kd(epochs=1, stats=batch)']


@pytest.fixture(scope='module')
def mosaics(real):
    images = to_unit(real.train.subset(8).images)
    about = dict(training=dict(mosaic=2))
    return DistilledSet(close_mosaics(images, 2), torch.arange(10).repeat_interleave(2), real.classes, provenance=about)


def test_the_tiles_of_a_mosaic_are_labelled(mosaics, real, teacher, tmp_path):
    "Each tile gets the labels of the views that a student sees of it"
    size = relabel(mosaics, real, teacher, 'rd3(epochs=2)', tmp_path/'labels')
    assert size == label_bytes(80, 10, 2)
    stored = StoredLabels(tmp_path/'labels')
    data = examples(mosaics, real, 'cpu', stored.recipe)
    label = teach(teacher, stored.recipe)
    for epoch in range(2):
        plan = stored.plans(epoch)
        for b, place in enumerate(batch_slices(len(data.labels), stored.recipe.batch)):
            x = show(data, plan.batch(epoch, b, place))
            assert torch.allclose(stored.label(x, epoch, b), label(x, epoch, b), atol=.02)
    assert 0 <= stored.student(mosaics, real, NET).last <= 1


def test_holes_are_stored(small, real, teacher, tmp_path):
    recipe = Recipe(epochs=1, labels='teacher', cutout=.5, crop='resized')
    relabel(small, real, teacher, Protocol('holes', recipe), tmp_path/'labels')
    plan = StoredLabels(tmp_path/'labels').plans(0)
    assert torch.equal(plan.holes, plan_epoch(len(small), small.size, recipe, False, 0, 0).holes)


def test_images_of_another_size_than_the_teacher_s_are_refused(real, teacher, tmp_path):
    smaller = load('digits', size=12)
    for data, labels in ((smaller, smaller.train.subset(2)), (real, smaller.train.subset(2))):
        with pytest.raises(InputError, match='12×12'): relabel(labels, data, teacher, 'kd(epochs=1)', tmp_path/'labels')
    assert not (tmp_path/'labels').exists()


@pytest.mark.parametrize('width, kind', [(60, torch.int16), (40_000, torch.int32)])
def test_views_of_whole_photos_are_stored(real, teacher, tmp_path, width, kind):
    "With the height and width of the photo that each is a box of; the labels are those of the crops"
    pixels = torch.randint(0, 256, (20, 1, 24, 24), dtype=torch.uint8, generator=seeded('photos'))
    photos = Photos(pixels, torch.tensor([[50, width]]).repeat(20, 1))
    small = replace(real.train.subset(2), photos=photos)
    size = relabel(small, real, teacher, 'rd3(epochs=1)', tmp_path/'labels')
    assert size == label_bytes(20, 10, 1, photos=True) == 20 * (20 + 22)
    assert relabel(small, real, teacher, 'kd(epochs=1)', tmp_path/'kd', dry_run=True) == label_bytes(20, 10, 1)
    stored = StoredLabels(tmp_path/'labels')
    assert stored._read(0)['views'].dtype == kind
    data, plan = examples(small, real, 'cpu', stored.recipe), stored.plans(0)
    assert torch.equal(plan.views, data.plan(stored.recipe, 0, 0).views) and plan.views.shape == (20, 9)
    x = show(data, plan.batch(0, 0, slice(0, 20)))
    assert torch.allclose(stored.label(x, 0, 0), teacher.logits(x), atol=.02)
    assert 0 <= stored.student(small, real, NET).last <= 1
    with pytest.raises(InputError, match='other images'): stored.student(replace(small, photos=None), real, NET)
