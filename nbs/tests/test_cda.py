"Recovery: what is refused before it starts, and that the teacher is left as it was"
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import nn

from ddnb.all import CDA, DistilledSet, InputError, Teacher, load, resume, squeeze
from ddnb.core.basics import seeded, to_unit
from ddnb.data.views import apply_views, bounds, random_views, whole_views
from ddnb.methods.cda import (
    BatchNormMatch,
    best_patches,
    blocks,
    first_images,
    saturation,
    saturation_note,
    stitch,
)
from ddnb.train.nets import make_net


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def teacher(real): return squeeze(real, 'convnet2-w8-batch', epochs=2, progress=False)


@pytest.fixture
def own_net(monkeypatch):
    "Recovery works on the very network that it was given, not on a copy"
    monkeypatch.setattr(Teacher, 'to', lambda self, device: self)


def hooks(net):
    "Number of hooks on a network's layers"
    return sum(len(m._forward_pre_hooks) + len(m._forward_hooks) for m in net.modules())


tiny = CDA.preset('digits', ipc=2, steps=3, batch=10, device='cpu')


@pytest.mark.parametrize('settings, message', [
    (dict(ipc=0), 'ipc=0 is too small'),
    (dict(steps=0), 'steps=0 is too small'),
    (dict(batch=1), 'batch=1 is too small'),
    (dict(jitter=-1), 'jitter=-1 is negative'),
    (dict(lr=0.), 'lr=0.0 moves nothing'),
    (dict(bn_weight=-.1), 'bn_weight=-0.1 is negative'),
    (dict(precision='fp16'), "precision='fp16' is unknown"),
    (dict(init='photos'), "init='photos' is unknown"),
    (dict(patch_tiles=0), 'patch_tiles=0'),
    (dict(schedule='cosine'), "schedule='cosine' is not a schedule"),
], ids=str)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message): CDA(**settings)


def test_unknown_presets_are_refused():
    with pytest.raises(InputError, match="CDA has no preset 'mnist'"): CDA.preset('mnist')


def test_what_recovery_cannot_start_from_is_refused(real, teacher):
    without_norm = replace(teacher, net=make_net('convnet3', 10, 1, 16))
    with pytest.raises(InputError, match='no BatchNorm layer'): CDA().start(without_norm)
    with pytest.raises(InputError, match='it got RealData'): CDA().start(real)
    with pytest.raises(InputError, match='the schedule gives bounds'): CDA(schedule=lambda p: (p, 1)).start(teacher)
    with pytest.raises(InputError, match='jitter=16 rolls 16-pixel images all around'): CDA(jitter=16).start(teacher)


def test_a_preset_for_plain_pixels_refuses_a_normalised_teacher(teacher):
    preset = CDA.preset('imagenet-21k', jitter=1, steps=2, ipc=1, batch=10, device='cpu')
    with pytest.raises(InputError, match='plain pixels, this one has mean(.|\n)*plain_pixels=False'):
        preset.start(teacher)
    plain = replace(teacher, mean=(0.,), std=(1.,))
    assert preset.make(plain).images.shape == (10, 1, 16, 16)
    assert replace(preset, plain_pixels=False).make(teacher).images.shape == (10, 1, 16, 16)


class Heads(nn.Module):
    "A network with a BatchNorm layer that its forward pass leaves out"
    def __init__(self, used=True):
        super().__init__()
        self.unused = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4) if used else nn.Identity()
        self.last = nn.Linear(4, 10)

    def forward(self, x): return self.last(self.norm(self.conv(x)).mean((2, 3)))


def test_a_layer_that_is_not_used_has_no_term(teacher):
    mine = replace(teacher, net=Heads().eval())
    event = next(tiny.stream(mine, None, {}))
    assert len(event.read()['layers']) == 1
    assert tiny.make(mine).images.shape == (20, 1, 16, 16)


def test_a_teacher_that_uses_none_of_its_layers_is_refused(teacher):
    with pytest.raises(InputError, match='no BatchNorm layer of Heads is used'):
        tiny.start(replace(teacher, net=Heads(used=False).eval()))


class Tokens(nn.Module):
    "A network with BatchNorm over tokens, as a ViT that was made ready for recovery has it"
    def __init__(self):
        super().__init__()
        self.embed = nn.Conv2d(1, 6, 4, 4)
        self.norm = nn.BatchNorm1d(6)
        self.last = nn.Linear(6, 10)

    def forward(self, x): return self.last(self.norm(self.embed(x).flatten(2)).mean(2))


def test_one_dimensional_layers_are_matched_where_there_are_no_others(teacher):
    net = Tokens().eval()
    x = torch.rand(3, 1, 16, 16)
    with BatchNormMatch(net) as match:
        net(x)
        term, = match.terms()
    a = net.embed(x).flatten(2)
    expected = (a.mean((0, 2)) ** 2).sum().sqrt() + ((a.var((0, 2), correction=0) - 1) ** 2).sum().sqrt()
    assert torch.allclose(term, expected, rtol=1e-5)
    assert tiny.make(replace(teacher, net=net)).images.shape == (20, 1, 16, 16)
    both = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.BatchNorm1d(16)).eval()
    assert BatchNormMatch(both).layers == [both[0]], 'as released: only those of convolutions'


def test_noise_is_what_it_was(teacher, real):
    block = blocks(10, 2, 10)[1]
    noise = torch.randn(10, 1, 16, 16, generator=seeded(0, 'noise', block.name))
    assert torch.equal(first_images(tiny, teacher, None)(block), noise)
    assert torch.equal(tiny.make(teacher, real).images, tiny.make(teacher).images)


def test_a_recovery_begins_with_real_images(teacher, real):
    method = replace(tiny, init='real', ipc=3, batch=20)
    first = first_images(method, teacher, real)
    seen = []
    for block in blocks(10, 3, 20):
        x = teacher.space.back(first(block))
        for image, c in zip(x, block.labels):
            same = (to_unit(real.train.images) - image).abs().flatten(1).amax(1) < 1e-5
            index, = same.nonzero().flatten().tolist()
            assert real.train.labels[index] == c
            seen.append(index)
    assert len(set(seen)) == 30, 'no image twice'
    assert torch.equal(first(blocks(10, 3, 20)[1]), first_images(method, teacher, real)(blocks(10, 3, 20)[1]))
    assert not torch.equal(method.make(teacher, real).images, tiny.make(teacher).images[:30])


def test_patches_are_the_crops_that_the_teacher_is_surest_of(teacher, real):
    "Against RDED's rule written out: the best of five crops of each image, then the best images"
    images = real.train.images[real.train.labels == 3][:20]
    n, size, g = 6, 16, seeded('patches')
    crops = [apply_views(to_unit(images), random_views(torch.full((20,), .08), torch.ones(20), size, g, flip=False,
                                                       ratio=(1., 1.))) for _ in range(5)]
    loss = [nn.functional.cross_entropy(teacher.logits(x), torch.full((20,), 3), reduction='none') for x in crops]
    scores = [min((float(loss[m][i]), m) for m in range(5)) + (i,) for i in range(20)]
    expected = torch.stack([crops[m][i] for _, m, i in sorted(scores)[:n]])
    assert torch.equal(best_patches(teacher, images, 3, n, seeded('patches')), expected)


def test_patches_share_a_frame(teacher, real):
    method = replace(tiny, init='patches', patch_tiles=2)
    block = blocks(10, 2, 10)[0]
    x = teacher.space.back(first_images(method, teacher, real)(block))
    assert x.shape == (10, 1, 16, 16)
    patches = torch.rand(8, 1, 8, 8)
    assert torch.equal(stitch(patches, 2)[1, :, :8, 8:], patches[3])
    assert torch.equal(stitch(patches, 2)[0, :, 8:, :8], patches[4])
    assert method.make(teacher, real).images.shape == (20, 1, 16, 16)


def test_a_recovery_from_real_images_goes_on_where_it_stopped(teacher, real, tmp_path):
    method = replace(tiny, init='patches', steps=40)
    whole = method.make(teacher, real)
    run = method.start(teacher, real, folder=tmp_path/'run')
    next(iter(run))
    run.stop().wait()
    assert torch.equal(resume(tmp_path/'run').result().images, whole.images)


@pytest.mark.parametrize('settings, given, message', [
    (dict(init='real'), None, r"begins with real images(.|\n)*method.start\(teacher, real\)"),
    (dict(init='real'), 'other', '12×12'),
    (dict(init='patches', patch_tiles=3), 'real', 'no 3×3 patches'),
    (dict(init='real', ipc=500), 'real', '500 different ones are wanted'),
    (dict(init='patches', patch_tiles=4, ipc=50), 'real', '800 different ones are wanted'),
], ids=str)
def test_images_that_it_cannot_begin_with_are_refused(teacher, real, settings, given, message):
    data = dict(real=real, other=load('digits', size=12)).get(given)
    with pytest.raises(InputError, match=message): replace(tiny, **settings).start(teacher, data)


def test_sre2l_s_own_settings():
    cifar = CDA.preset('cifar100-sre2l')
    assert not cifar.flip
    lower, upper = bounds(cifar.schedule, 50).unbind(1)
    views = random_views(lower, upper, 32, seeded(0), cifar.flip, cifar.jitter)
    assert torch.equal(views[:, :5], whole_views(50, 32)[:, :5]), 'neither cropped nor mirrored'
    tiny_imagenet = CDA.preset('tiny-imagenet-sre2l')
    assert (tiny_imagenet.lr, tiny_imagenet.bn_weight, tiny_imagenet.both_ways) == (.1, 1., True)
    assert set(bounds(tiny_imagenet.schedule, 4)[:, 0].tolist()) == {.08}
    rolls = random_views(torch.ones(400), torch.ones(400), 64, seeded(0), True, 4, both_ways=True)[:, 5:]
    assert rolls.min() == -4 and rolls.max() == 4


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_missing_device_is_refused(teacher):
    with pytest.raises(InputError, match="'cuda'"): CDA(device='cuda').start(teacher)


def test_a_run_says_that_its_pixels_saturated(teacher, tmp_path):
    maze = replace(tiny, lr=1e9, ipc=1).start(teacher, folder=tmp_path/'maze').wait()
    small = maze.result()
    share = round(100 * saturation(small.images))
    assert share >= 90
    message = f'{share} % of the pixels are black or white: lower lr'
    assert maze.last.note == f'block 1 of 1; {message}'
    assert small.provenance['warning'] == message


def test_a_sound_run_has_nothing_to_say(teacher, tmp_path, real):
    run = tiny.start(teacher, folder=tmp_path/'run').wait()
    assert run.last.note == 'block 2 of 2'
    assert 'warning' not in run.result().provenance
    assert not saturation_note(saturation(real.train.images)), 'drawn digits are much black, and no maze'


def test_listening_ends_with_the_block():
    net = make_net('convnet2-w8-batch', 10, 1, 16).eval()
    match = BatchNormMatch(net)
    assert hooks(net) == 0
    for _ in range(2):  # it can be used again
        with match:
            assert hooks(net) == 2
            net(torch.zeros(2, 1, 16, 16))
            assert match.terms().shape == (2,)
        assert hooks(net) == 0
    with pytest.raises(RuntimeError, match='a step went wrong'), match: raise RuntimeError('a step went wrong')
    assert hooks(net) == 0


def test_layers_without_running_statistics_are_passed_over():
    net = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.BatchNorm2d(1)).eval()
    with BatchNormMatch(net) as match:
        net(torch.rand(2, 1, 4, 4))
        assert match.terms().shape == (1,)


def test_no_hook_stays_on_a_teacher(teacher, own_net):
    tiny.check(teacher)
    assert hooks(teacher.net) == 0
    tiny.dry_run(teacher)
    assert hooks(teacher.net) == 0
    tiny.make(teacher)
    assert hooks(teacher.net) == 0
    stream = tiny.stream(teacher, None, {})
    list(islice(stream, 2))
    assert hooks(teacher.net) == 2  # it is the teacher itself that is listened to
    stream.close()
    assert hooks(teacher.net) == 0


def test_no_hook_stays_after_a_run(teacher, own_net, tmp_path):
    run = replace(tiny, steps=100_000).start(teacher, folder=tmp_path/'run')
    next(iter(run))
    run.stop().wait()
    assert run.state == 'stopped' and hooks(teacher.net) == 0


def test_half_precision_is_near_full_precision(teacher):
    half = replace(tiny, precision='bf16').make(teacher)
    full = tiny.make(teacher)
    assert (half.images - full.images).abs().mean() < .02


def test_a_recovered_set_knows_its_history(teacher, tmp_path):
    small = tiny.make(teacher)
    small.save(tmp_path/'set')
    loaded = DistilledSet.load(tmp_path/'set')
    assert torch.equal(loaded.images, small.images)
    assert loaded.provenance['config']['schedule']['kind'] == 'cosine'
    assert loaded.provenance['teacher']['identity'] == teacher.identity
