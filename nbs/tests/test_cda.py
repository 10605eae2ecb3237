"Recovery: what is refused before it starts, and that the teacher is left as it was"
from dataclasses import replace
from itertools import islice

import pytest
import torch
from torch import nn

from ddnb.all import CDA, DistilledSet, InputError, Teacher, load, squeeze
from ddnb.methods.cda import BatchNormMatch, saturation, saturation_note
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
    stream = tiny.stream(teacher, {})
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
