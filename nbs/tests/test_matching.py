"DC, DSA, IDC, DM: what they refuse, and that they go on where they were"
import pytest
import torch

from ddnb.all import DC, DM, DSA, IDC, InputError, load
from ddnb.methods.matching import Stage, mapped, state_to

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
    assert torch.equal(learned.images.flatten(0, 1), whole.images)
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
    assert small.provenance['training'] == dict(net='convnet2-w8', space='channels', mosaic=2)
    assert small.soft_labels is None
