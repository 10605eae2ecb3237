"The training loop and teachers: what is refused, and a step that never waits for the host"
from dataclasses import replace

import pytest
import torch

from ddnb.core.basics import InputError
from ddnb.core.config import registered
from ddnb.data.load import load
from ddnb.data.spaces import Pixels
from ddnb.train.nets import make_net
from ddnb.train.train import Examples, Recipe, Teacher, read_teacher, squeeze, train


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def teacher(real): return squeeze(real, 'convnet2-w8-batch', epochs=1, progress=False)


def examples(n=8, device='cpu'):
    labels = torch.arange(n, device=device) % 10
    soft = torch.full((n, 10), .1, device=device)
    return Examples(torch.zeros(n, 1, 16, 16, device=device), labels, Pixels(), soft=soft)


@pytest.mark.parametrize('changes, problem', [
    (dict(optimiser='lion'), "optimiser='lion'"),
    (dict(crop='random'), "crop='random'"),
    (dict(labels='soft'), "labels='soft'"),
    (dict(epochs=0), 'epochs=0'),
    (dict(batch=1), 'batch=1'),
    (dict(dsa='one', labels='teacher'), 'siamese'),
    (dict(lr='fast'), 'lr'),
])
def test_a_recipe_refuses_what_it_does_not_know(changes, problem):
    with pytest.raises(InputError, match=problem): Recipe(**changes)


def test_labels_that_nobody_gives_are_refused():
    net = make_net('convnet2-w8', 10, 1, 16)
    by_teacher = Recipe(labels='teacher')
    with pytest.raises(InputError, match="labels='teacher'"): next(train(net, examples(), by_teacher, {}))
    with pytest.raises(InputError, match="labels='hard'"): next(train(net, examples(), Recipe(), {}, label=print))
    without = replace(examples(), soft=None)
    with pytest.raises(InputError, match="set's own"): next(train(net, without, Recipe(labels='own'), {}))


def test_a_teacher_whose_network_has_no_known_name_is_not_loaded(teacher, tmp_path):
    replace(teacher, name='mine').save(tmp_path/'mine')
    with pytest.raises(InputError) as refusal: Teacher.load(tmp_path/'mine')
    assert 'folder=' in refusal.value.remedy


def test_misspelt_statistics_are_refused(teacher, real):
    with pytest.raises(InputError) as refusal: teacher.logits(real.test.images[:2], stats='runing')
    assert "'running'" in refusal.value.remedy


def test_squeeze_takes_real_data(real):
    with pytest.raises(InputError) as refusal: squeeze(real.train)
    assert 'squeeze(real)' in refusal.value.remedy


def test_a_watched_squeeze_has_no_folder(real, tmp_path):
    with pytest.raises(InputError, match='both given'): squeeze(real, watch=print, folder=tmp_path/'run')


def test_a_shell_reads_a_teacher_by_its_folder(teacher, tmp_path):
    teacher.save(tmp_path/'teacher')
    assert read_teacher(tmp_path/'teacher').identity == teacher.identity
    assert registered('input')['teacher'].read is read_teacher
    with pytest.raises(InputError, match='no classifier'): read_teacher('torchvision:resnet19')


@pytest.mark.parametrize('changes', [
    dict(crop='resized', mix='cutmix'),
    dict(crop='pad', labels='own', precision='bf16'),
    dict(dsa='idc', mix='cutmix', mix_share=.5),
    dict(optimiser='adamw', mix='mixup'),
])
def test_a_step_never_waits_for_the_host(changes):
    "On the meta device there are no numbers, so a step that reads one would fail"
    net = make_net('convnet2-w8-batch', 10, 1, 16).to('meta')
    events = list(train(net, examples(device='meta'), Recipe(epochs=2, batch=4, **changes), {}))
    assert len(events) == 4
    assert events[-1].scalars['loss'].device.type == 'meta'
