"DC, DSA, IDC, DM: what they refuse, and that they go on where they were"
from dataclasses import dataclass, replace

import pytest
import torch

from ddnb.all import DC, DM, DSA, IDC, MTT, InputError, load
from ddnb.methods import matching
from ddnb.methods.matching import (
    STOPS,
    Stage,
    mapped,
    match_gradients,
    row_distance,
    square_distance,
    state_to,
    stops_for,
)
from ddnb.train.ensemble import FunctionalNet

NET = dict(net='convnet2-w8', real_batch=8, device='cpu')


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.mark.parametrize('base, settings, message', [
    (DM, dict(ipc=0), 'ipc=0 makes no sense'),
    (DM, dict(steps=0), 'steps=0 makes no sense'),
    (DM, dict(real_batch=0), 'real_batch=0 makes no sense'),
    (DM, dict(lr=0.), 'lr=0.0 makes no sense'),
    (DM, dict(lr=float('nan')), 'lr=nan is no number'),
    (DM, dict(momentum=1.), 'momentum=1.0'),
    (DM, dict(space='lab'), "space='lab' is unknown"),
    (DC, dict(init='grey'), "init='grey' is unknown"),
    (DC, dict(stops=-1), 'stops=-1'),
    (DC, dict(net_epochs=-1), 'net_epochs=-1'),
    (DC, dict(net_lr=0.), 'net_lr=0.0 makes no sense'),
    (IDC, dict(stops=0), 'stops=0 makes no sense'),
    (IDC, dict(factor=0), 'factor=0 makes no sense'),
    (IDC, dict(max_views=0), 'max_views=0 makes no sense'),
    (IDC, dict(net_images=0), 'net_images=0 makes no sense'),
], ids=str)
def test_settings_that_make_no_sense_are_refused(base, settings, message):
    with pytest.raises(InputError, match=message): base(**settings)


def test_data_that_a_base_cannot_use_are_refused(real):
    with pytest.raises(InputError, match='DC starts from real data, it got str'): DC(**NET).check('digits')
    with pytest.raises(InputError, match='ipc=200 starts from 200 real images a class'): DM(ipc=200, **NET).check(real)
    with pytest.raises(InputError, match='can not hold mosaics of 5×5'): IDC(ipc=1, factor=5, **NET).check(real)


@pytest.mark.parametrize('base', [
    DC(ipc=1, steps=2, stops=3, net_epochs=1, **NET),
    DSA(ipc=1, steps=2, stops=3, net_epochs=1, **NET),
    IDC(ipc=1, steps=2, stops=3, net_images=64, lr=.1, **NET),
    DM(ipc=1, steps=6, **NET),
], ids=lambda base: type(base).__name__)
def test_a_base_goes_on_from_its_state(real, base):
    whole = base.make(real)
    state = {}
    stream = base.learn(base.prepare(real), state)
    for _ in range(4): next(stream)
    state = {key: value.clone() if torch.is_tensor(value) else value for key, value in state.items()}
    events, learned = taken(base.learn(base.prepare(real), state))
    assert len(events) == 2
    assert torch.equal(learned.images.flatten(0, 1), whole.as_learned)
    assert learned.rate is None and learned.soft_labels is None


def taken(stream):
    "The events of a generator, and what it returns"
    events = []
    while True:
        try: events.append(next(stream))
        except StopIteration as end: return events, end.value


def test_mapped_events_return_what_the_generator_returns():
    def three():
        yield 1
        yield 2
        return 3
    assert taken(mapped(three(), lambda n: 10 * n)) == ([10, 20], 3)


def test_tensors_of_a_state_move_wherever_they_are_in_it():
    state = state_to(dict(a=torch.zeros(2), b=dict(c=torch.ones(1), d=4), e='text'), 'meta')
    assert state['a'].is_meta and state['b']['c'].is_meta
    assert state['b']['d'] == 4 and state['e'] == 'text'


def test_what_is_drawn_in_a_stage_goes_by_its_name(real):
    base = DM(ipc=1, **NET)
    one, same, two = (base.prepare(real, name) for name in ('stage-1', 'stage-1', 'stage-2'))
    assert isinstance(one, Stage)
    assert torch.equal(one.network(0), same.network(0)) and not torch.equal(one.network(0), two.network(0))
    assert torch.equal(base.real_images(one, 3), base.real_images(same, 3))
    assert not torch.equal(base.real_images(one, 3), base.real_images(two, 3))


def test_a_set_remembers_what_students_must_know(real):
    small = IDC(ipc=1, steps=1, stops=1, space='pixels', **NET).make(real)
    assert small.provenance['training'] == dict(net='convnet2-w8', space='pixels', mosaic=2)
    assert small.soft_labels is None


SMALL = dict(net='convnet2-w4', real_batch=4, device='cpu')


@pytest.fixture(scope='module')
def few(real): return real.subset(6)


def test_noise_needs_no_real_images_to_begin_with(few):
    many = DC(ipc=9, steps=1, stops=1, **SMALL)
    many.check(few)
    assert len(many.make(few)) == 90
    with pytest.raises(InputError, match="ipc=9 starts from 9 real images.*\n.*init='noise'"):
        replace(many, init='real').check(few)


@pytest.mark.parametrize('base', [DC, DSA, DM, MTT])
def test_images_may_leave_the_colours_and_are_kept_as_learned(few, base):
    assert base().clamp is False and IDC().clamp is True
    settings = dict(steps=2, lr=300., ipc=1, net='convnet2-w4', device='cpu')
    if base is MTT: settings |= dict(experts=1, max_start=1, expert_epochs=1, student_steps=1, step_size_lr=0.)
    if base in (DC, DSA): settings |= dict(stops=1)
    small = base(**settings).make(few)
    assert small.images.min() >= 0 and small.images.max() <= 1
    assert small.unclipped.min() < 0 and torch.equal(small.unclipped.clamp(0, 1), small.images)
    clipped = base(**settings, clamp=True).make(few)
    assert clipped.unclipped is None


def test_mosaics_are_clipped_when_a_network_is_done_with(few):
    base = IDC(ipc=1, steps=2, stops=2, net_images=20, lr=30., **SMALL)
    stage, state = base.prepare(few), {}
    outside = []
    for _ in base.learn(stage, state):
        z = stage.space.back(state['z'].flatten(0, 1))
        outside.append(bool(z.min() < -1e-3 or z.max() > 1 + 1e-3))
    assert outside == [True, False, True, False]


def test_a_set_that_was_learned_in_pixels_says_so(few):
    for base in (DM(ipc=1, steps=1, space='pixels', **SMALL), DM(ipc=1, steps=1, space='zca', **SMALL)):
        assert base.make(few).training.space == base.space


def test_a_subclass_that_only_watches_learns_the_same_images(few):
    @dataclass(frozen=True)
    class Watching(DM):
        def learn(self, stage, state):
            return (yield from super().learn(stage, state))
    settings = dict(ipc=1, steps=2, **SMALL)
    assert torch.equal(Watching(**settings).make(few).images, DM(**settings).make(few).images)
    assert not torch.equal(DSA(stops=1, **settings).prepare(few).network(0), DM(**settings).prepare(few).network(0))


def test_the_table_of_stops_has_no_jumps():
    assert all(stops_for(n) == entry for n, entry in STOPS.items())
    assert stops_for(1000) == STOPS[100]
    stops, epochs = zip(*map(stops_for, range(1, 101)))
    work = [s * e for s, e in zip(stops, epochs)]
    assert all(max(a, b) <= 3 * min(a, b) for a, b in zip(work[1:], work[2:]))   # unions of 2 and more


def test_classes_are_matched_a_few_at_a_time(few):
    base = DM(ipc=2, **SMALL)
    stage = base.prepare(few)
    theta, real, ours = stage.network(0), base.real_images(stage, 0), base.first_images(stage)
    def matched(chunk): return match_gradients(stage.model, theta, real, ours, square_distance, 2, chunk)
    whole, slope = matched(None)
    loss, part = matched(3)
    assert torch.allclose(loss, whole, rtol=1e-5) and torch.allclose(part, slope, atol=1e-5 * slope.abs().max())
    assert part[7].abs().max() > 0


@pytest.mark.parametrize('width, one_by_one', [(4, False), (64, True)])
def test_large_classes_take_turns_on_a_cpu(monkeypatch, width, one_by_one):
    "And give what all classes at once give"
    ways = []
    def vmap(*given, **named):
        ways.append('at once')
        return torch.func.vmap(*given, **named)
    monkeypatch.setattr(matching, 'vmap', vmap)
    model = FunctionalNet(f'convnet1-w{width}', 3, 1, 16)
    model.net.double()
    theta = model.fresh([0])[0].double()
    g = torch.Generator().manual_seed(0)
    real, ours = (torch.randn(3, n, 1, 16, 16, generator=g, dtype=torch.float64) for n in (9, 10))
    loss, slope = match_gradients(model, theta, real, ours, row_distance, 2)
    assert ways == ([] if one_by_one else ['at once'] * 2)
    monkeypatch.setattr(matching, 'LARGE_CLASS', 0 if not one_by_one else 2**40)
    other_loss, other_slope = match_gradients(model, theta, real, ours, row_distance, 2)
    assert abs(loss - other_loss) < 1e-10
    assert (slope - other_slope).abs().max() < 1e-10 * slope.abs().max()
