"The training loop and teachers: what is refused, and a step that never waits for the host"
import argparse
import re
from dataclasses import replace

import pytest
import torch

from ddnb.core.basics import InputError, seeded
from ddnb.core.config import registered
from ddnb.data.images import Photos
from ddnb.data.load import load
from ddnb.data.spaces import Pixels
from ddnb.data.views import apply_holes, apply_views
from ddnb.train.nets import make_net
from ddnb.train.train import (
    Examples,
    Recipe,
    Teacher,
    batch_slices,
    hard_loss,
    imagenet_ids,
    make_optimiser,
    plan_epoch,
    read_teacher,
    show,
    squeeze,
    train,
)


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
    (dict(cutout=1.), 'cutout=1.0'),
    (dict(label_smoothing=-.1), 'label_smoothing=-0.1'),
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
    dict(crop='resized', cutout=.5, label_smoothing=.2),
])
def test_a_step_never_waits_for_the_host(changes):
    "On the meta device there are no numbers, so a step that reads one would fail"
    net = make_net('convnet2-w8-batch', 10, 1, 16).to('meta')
    events = list(train(net, examples(device='meta'), Recipe(epochs=2, batch=4, **changes), {}))
    assert len(events) == 4
    assert events[-1].scalars['loss'].device.type == 'meta'


def test_adamw_spares_vectors_or_not():
    net = make_net('convnet2-w8-batch', 10, 1, 16)
    spared, = [g for g in make_optimiser(net, Recipe(optimiser='adamw')).param_groups if g['weight_decay'] == 0]
    assert all(p.ndim == 1 for p in spared['params'])
    everything = make_optimiser(net, Recipe(optimiser='adamw', spare_vectors=False)).param_groups
    assert [g['weight_decay'] for g in everything] == [5e-4]
    assert len(everything[0]['params']) == len(list(net.parameters()))


def test_a_hole_comes_after_the_draws_of_before():
    "A recipe without holes draws what it always drew, and one with them draws it too"
    plain = plan_epoch(20, 16, Recipe(batch=8, crop='resized', mix='mixup'), True, 0, 1)
    holes = plan_epoch(20, 16, Recipe(batch=8, crop='resized', mix='mixup', cutout=.5), True, 0, 1)
    assert plain.holes is None and holes.holes.shape == (20, 7)
    assert torch.equal(plain.order, holes.order) and torch.equal(plain.views, holes.views)
    assert [m.share for m in plain.mixes] == [m.share for m in holes.mixes]


def test_what_a_student_sees_has_the_holes_of_its_images():
    data = replace(examples(6), images=torch.ones(6, 1, 16, 16))
    plan = plan_epoch(6, 16, Recipe(batch=4, cutout=.5), False, 0, 0)
    seen = [show(data, plan.batch(0, b, place)) for b, place in enumerate(batch_slices(6, 4))]
    assert torch.equal(torch.cat(seen), apply_holes(data.images, plan.holes))
    assert all((x < 1).any() for x in seen)


def test_smoothed_labels_are_torch_s():
    z = torch.randn(6, 10)
    y = torch.arange(6)
    expected = torch.nn.functional.cross_entropy(z, y, label_smoothing=.2)
    assert torch.equal(hard_loss(z, y, None, .2), expected)


# ---- weights of others

def keys_of_two_writings(state):
    "A ResNet's weights as the other usual code calls them"
    return {re.sub('^fc', 'linear', name).replace('.downsample.', '.shortcut.'): t for name, t in state.items()}


def dc_keys(state, at='features'):
    "A ConvNet's weights as DC's code calls them, or RDED's"
    def there(name):
        block, layer, rest = re.fullmatch(r'(\d+)\.(?:(\d)\.)?(\w+)', name).groups()
        if layer is None: return f'classifier.{rest}'
        return f'features.{4 * int(block) + int(layer)}.{rest}' if at == 'features' else \
            f'layers.{("conv", "norm")[int(layer)]}.{block}.{rest}'
    return {there(name): t for name, t in state.items()}


WRITINGS = {
    'plain': lambda state: state,
    'model and options': lambda state: dict(model=state, args=argparse.Namespace(lr=.1), epoch=50),
    'several GPUs': lambda state: dict(state_dict={f'module.{k}': t for k, t in state.items()}, acc=78.7),
    'compiled and nested': lambda state: dict(net=dict(state_dict={f'_orig_mod.module.{k}': t
                                                                  for k, t in state.items()})),
    'the other ResNet': keys_of_two_writings,
}


@pytest.mark.parametrize('writing', WRITINGS)
def test_weights_of_others_become_a_teacher(writing, real, tmp_path):
    net = make_net('resnet10-w4', 10, 1, 16, seed=3)
    torch.save(WRITINGS[writing](net.state_dict()), tmp_path/'a.pth')
    teacher = Teacher.from_weights(tmp_path/'a.pth', 'resnet10-w4', classes=real.classes, size=16, channels=1,
                                   mean=real.train.mean, std=real.train.std)
    x = real.test.images[:3]
    assert torch.equal(teacher.logits(x), replace(teacher, net=net).logits(x))
    assert teacher.recipe == dict(weights='a.pth')


@pytest.mark.parametrize('at', ['features', 'layers'])
def test_dc_s_and_rded_s_convnets_are_read(at, teacher, real, tmp_path):
    torch.save(dc_keys(teacher.net.state_dict(), at), tmp_path/'a.pt')
    again = Teacher.from_weights(tmp_path/'a.pt', teacher.name, real)
    assert again.identity == teacher.identity
    assert again.accuracy == teacher.accuracy, 'it is measured'
    assert again.data_facts == real.facts and again.flips == real.train.flips
    assert Teacher.load(again.save(tmp_path/'t')).identity == teacher.identity


@pytest.mark.parametrize('net, message', [
    ('convnet2-w4-batch', r'of another size: 0.0.weight is \(8, 1, 3, 3\) there, \(4, 1, 3, 3\) here'),
    ('convnet3-w8-batch', 'missing: 2.0.weight'),
    ('convnet1-w8-batch', 'without a place: 1.0.weight'),
])
def test_weights_that_do_not_fit_are_named(net, message, teacher, real, tmp_path):
    torch.save(teacher.net.state_dict(), tmp_path/'a.pth')
    with pytest.raises(InputError, match=message): Teacher.from_weights(tmp_path/'a.pth', net, real)


def test_files_without_plain_weights_are_refused(teacher, real, tmp_path):
    def read(saved):
        torch.save(saved, tmp_path/'a.pth')
        return Teacher.from_weights(tmp_path/'a.pth', teacher.name, real)
    with pytest.raises(InputError, match='plain weights'): read(teacher.net)
    with pytest.raises(InputError, match="holds \\['epoch'\\]"): read(dict(epoch=3))
    with pytest.raises(InputError, match='holds a list'): read([1, 2])
    with pytest.raises(InputError, match='no file'): Teacher.from_weights(tmp_path/'b.pth', teacher.name, real)
    torch.save(teacher.net.state_dict(), tmp_path/'a.pth')
    with pytest.raises(InputError, match='neither classes'): Teacher.from_weights(tmp_path/'a.pth', teacher.name)


def test_weights_that_only_guess_are_told(real, tmp_path):
    net = make_net('convnet2-w8-batch', 10, 1, 16)
    with torch.no_grad(): net[-1].bias[3] = 1e6
    torch.save(net.state_dict(), tmp_path/'a.pth')
    with pytest.warns(UserWarning, match='about as often as a guess'):
        Teacher.from_weights(tmp_path/'a.pth', 'convnet2-w8-batch', real)


# ---- classes by name

def test_a_teacher_answers_for_some_of_its_classes(teacher, real):
    some = teacher.for_classes(['three', 'one'])
    x = real.test.images[:4]
    assert torch.allclose(some.logits(x), teacher.logits(x)[:, [3, 1]], atol=1e-5)
    assert some.classes == ['three', 'one'] and some.accuracy != some.accuracy
    assert teacher.for_classes(real.classes[::-1]).accuracy == teacher.accuracy
    with pytest.raises(InputError, match="no class 'eleven'"): teacher.for_classes(['one', 'eleven'])
    with pytest.raises(InputError, match="no class 'n01440764'"): teacher.for_classes(['n01440764'])


def test_imagenet_s_folders_are_torchvision_s_classes():
    from torchvision.datasets import Imagenette
    from torchvision.models import ResNet18_Weights
    words, ids = ResNet18_Weights.IMAGENET1K_V1.meta['categories'], imagenet_ids()
    assert ids == sorted(set(ids)) and len(ids) == len(words) == 1000
    for wnid, names in Imagenette._WNID_TO_CLASS.items(): assert words[ids.index(wnid)] == names[0]


@pytest.fixture(scope='module')
def photographed():
    "Forty digits with noise as their whole photos, in shapes of all kinds"
    few = load('digits').subset(4)
    pixels = torch.randint(0, 256, (40, 1, 24, 24), dtype=torch.uint8, generator=seeded('photos'))
    extents = torch.randint(20, 60, (40, 2), generator=seeded('extents'))
    return replace(few, train=replace(few.train, photos=Photos(pixels, extents)))


def test_each_view_is_one_of_its_own_photo(photographed):
    data = Examples.of(photographed.train, 'cpu', recipe=Recipe(crop='resized'))
    plan = data.plan(Recipe(crop='resized', batch=16), 0, 0)
    assert torch.equal(plan.views[:, 7:], photographed.train.photos.extents[plan.order])
    batch = plan.batch(0, 1, slice(16, 32))
    i = int(batch.indices[3])
    one = apply_views(data.photos.pixels[i:i + 1] / 255, batch.views[3:4], 16)
    assert torch.allclose(show(data, batch)[3:4], one)


@pytest.mark.parametrize('recipe', [None, Recipe(), Recipe(crop='pad'), Recipe(crop='none', dsa='one')])
def test_other_recipes_leave_the_photos_alone(photographed, recipe):
    data = Examples.of(photographed.train, 'cpu', recipe=recipe)
    assert data.photos is None
    assert data.plan(recipe or Recipe(), 0, 0).views.shape == (40, 7)


def test_a_training_on_photos_goes_on_where_it_was(photographed):
    recipe = Recipe(epochs=2, batch=16, crop='resized', mix='cutmix', cutout=.3)
    data = Examples.of(photographed.train, 'cpu', recipe=recipe)
    def fresh(seed=0): return make_net('convnet2-w4', 10, 1, 16, seed=seed)
    whole, half, state = fresh(), fresh(), {}
    for _ in train(whole, data, recipe, {}): pass
    for event in train(half, data, recipe, state):
        if event.step == 4: break
    rest = fresh(5)
    for _ in train(rest, data, recipe, dict(net=half.state_dict(), opt=state['opt'].state_dict(), step=4)): pass
    for a, b in zip(whole.state_dict().values(), rest.state_dict().values()): assert torch.equal(a, b)
