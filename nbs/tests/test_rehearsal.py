"""No step waits for the host: every method's steps on torch's device without numbers

On `torch.device('meta')` an operation that mixes devices raises, and so does everything that is read back to the host
(`.item()`, `bool(tensor)`, `.cpu()`). What passes here runs on a GPU without a wait inside a step."""
from dataclasses import replace
from itertools import islice

import pytest
import torch

from ddnb.all import CCFS, CDA, DC, DM, DSA, IDC, MTT, PDD, SQUEEZE, Squeeze, Teacher, TrainingLog, load
from ddnb.core.basics import seeded
from ddnb.data.images import DistilledSet, Photos
from ddnb.methods.ccfs import Selection
from ddnb.train.evaluate import PROTOCOLS, examples, protocol, teach
from ddnb.train.nets import make_net
from ddnb.train.train import Examples, train

META = torch.device('meta')
NET = 'convnet2-w8-batch'
MATCHED = 'convnet2-w4' # an operation costs the same at any width there, so the network has few

@pytest.fixture(scope='module')
def real():
    return load('digits').subset(20)

@pytest.fixture(scope='module')
def teacher(real):
    net = make_net(NET, len(real.classes), real.channels, real.size)
    return Teacher(net, NET, real.classes, real.channels, real.size, real.train.mean, real.train.std, flips=False)

@pytest.fixture(scope='module')
def small(real):
    images = torch.rand(40, 1, 16, 16, generator=seeded('rehearsal'))
    labels = torch.arange(10).repeat_interleave(4)
    soft = torch.full((40, 10), .1)
    return DistilledSet(images, labels, real.classes, torch.arange(40) % 2, soft_labels=soft)

def steps(stream, n: int) -> int:
    "Take n steps; their events must carry what was computed on the device, unread"
    events = list(islice(stream, n))
    assert len(events) == n
    tensors = [v for e in events for v in e.scalars.values() if torch.is_tensor(v)]
    assert all(t.is_meta for t in tensors)
    return len(tensors)

def test_the_rehearsal_hears_a_wait_and_a_mixed_device():
    x = torch.zeros(3, device=META)
    waits = (lambda: x.sum().item(), lambda: bool(x.any()), lambda: x.cpu(), lambda: x.tolist(), lambda: x.nonzero())
    for wait in waits:
        with pytest.raises((RuntimeError, NotImplementedError)): wait()
    with pytest.raises(RuntimeError): x + torch.zeros(3)

@pytest.mark.parametrize('schedule', ['digits', 'cifar10', 'imagenet-1k'])
def test_recovery(teacher, schedule):
    method = CDA.preset(schedule, ipc=2, jitter=1, steps=20, device='meta')
    assert steps(method.stream(teacher, None, {}), 5)

def test_recovery_from_real_images(teacher, real):
    method = CDA.preset('digits', ipc=2, init='real', steps=20, device='meta')
    assert steps(method.stream(teacher, real, {}), 5)

def test_squeeze(real):
    assert steps(Squeeze(NET, SQUEEZE['digits'][1], device='meta').stream(real, {}), 5)

def test_whole_photos(real):
    "Their boxes are drawn on the host, ahead of the epoch; the squares that hold them are on the device"
    n = len(real.train)
    pixels = torch.zeros(n, 1, 24, 24, dtype=torch.uint8)
    photos = Photos(pixels, torch.tensor([[30, 50]]).repeat(n, 1))
    photographed = replace(real, train=replace(real.train, photos=photos))
    recipe = SQUEEZE['digits'][1]
    assert Examples.of(photographed.train, META, recipe=recipe).photos.pixels.is_meta
    assert steps(Squeeze(NET, recipe, device='meta').stream(photographed, {}), 5)

@pytest.mark.parametrize('name', list(PROTOCOLS))
def test_students(real, teacher, small, name):
    net = make_net(NET, 10, 1, 16).to(META)
    for subset in (small, real.train):
        recipe, _ = protocol(name, real).for_set(subset, NET)
        label = teach(teacher.to(META), recipe) if recipe.labels == 'teacher' else None
        data = examples(subset, real, META, recipe)
        assert data.images.is_meta and data.labels.is_meta
        assert steps(train(net, data, replace(recipe, batch=16), {}, label=label), 2)

def test_students_on_soft_labels_and_mosaics(real, small):
    small = replace(small, provenance=dict(training=dict(mosaic=2)), soft_labels=None)
    recipe = protocol('idc', real).recipe
    assert steps(train(make_net(NET, 10, 1, 16).to(META), examples(small, real, META, recipe), recipe, {}), 2)

@pytest.mark.parametrize('base', [DC, DSA, IDC, DM])
@pytest.mark.parametrize('space', ['channels', 'zca'])
def test_matching(real, base, space):
    method = base.preset('digits', net=MATCHED, ipc=2, space=space, device='meta', real_batch=8)
    assert steps(method.stream(real, {}), 2)

@pytest.mark.parametrize('options', [{}, dict(gradient='unroll'), dict(gradient='segments'), dict(gradient='tesla'),
                                     dict(soft=True), dict(space='zca'), dict(batch=5)], ids=str)
def test_trajectories(real, options):
    settings = dict(net=MATCHED, ipc=2, experts=2, max_start=1, student_steps=2, expert_batch=200, steps=9) | options
    experts = 2        # events: two networks at once, one epoch of one batch each
    matching = 1 if options else 2
    method = MTT.preset('digits', device='meta', **settings)
    assert steps(method.stream(real, None, {}), experts + matching)

@pytest.mark.parametrize('base', [MTT, DC, DSA, IDC, DM])
def test_stages_and_the_transition(real, base):
    few = dict(experts=2, max_start=1, student_steps=2, expert_batch=200, steps=2) if base is MTT else dict(steps=3)
    if base in (DC, DSA, IDC): few |= dict(stops=2)
    made = base.preset('digits', net=MATCHED, real_batch=8, **few)
    settings = dict(stages=1, ipc=1, transition_epochs=2, pool=2)
    earlier = PDD(made, **settings).make(real)
    stream = PDD(made, device='meta', **settings).stream(real, None, earlier, None, {})
    notes = []
    for event in stream:
        notes.append(event.note)
        if 'learn the images so far' not in event.note and 'experts' not in event.note: break
    assert any('learn the images so far' in note for note in notes) # the transition
    assert steps(stream, 1)                                         # a step of the stage itself

def test_filters(real, teacher, small):
    method = CCFS(ipc=6, alpha=.5, phases=2, protocol='ccfs', device='meta')
    start = dict(pieces=dict(teacher=real.train.labels.short())) # the teacher's answers are read once, before any step
    selection = Selection(method, small, teacher, real, None, start)
    assert steps(selection.train_filter(0), 3)

def test_relabelling_and_the_difficulty_log(real, teacher):
    log = TrainingLog(len(real.train))
    data = Examples.of(real.train, META)
    net = make_net(NET, 10, 1, 16).to(META)
    recipe = replace(protocol('rd3', real).recipe, labels='hard', mix='')
    assert steps(train(net, data, recipe, {}, watch=log), 3)
    assert all(scores.is_meta for scores in log.scores().values())
    assert teacher.to(META).logits(data.images).is_meta
