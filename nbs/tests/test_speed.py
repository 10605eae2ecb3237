"What is fast: asked once for a run, and remembered with it"
import pytest
import torch

from ddnb.all import CDA, InputError, load
from ddnb.core import speed
from ddnb.core.speed import faster_precision, settled
from ddnb.train import train as train_module
from ddnb.train.train import Examples, Recipe, Squeeze, make_net, train


@pytest.fixture(scope='module')
def real(): return load('digits').subset(2)


@pytest.fixture
def machine(monkeypatch):
    "One that says when it is asked, and what is fast on it"
    asked = []
    class Machine:
        fast = 'bf16'
        def __call__(self, device):
            asked.append(device)
            return self.fast
    machine = Machine()
    machine.asked = asked
    monkeypatch.setattr(speed, '_probed', machine)
    return machine


@pytest.fixture
def used(monkeypatch):
    "The precisions that networks were asked to compute in"
    used = []
    autocast = train_module.autocast
    def noted(device, precision):
        used.append(precision)
        return autocast(device, 'float32')
    monkeypatch.setattr(train_module, 'autocast', noted)
    return used


def test_half_precision_has_to_be_clearly_faster():
    class Machine:
        def __init__(self, half): self.half = half
        def seconds(self, precision): return self.half if precision == 'bf16' else 1.
    assert [faster_precision(Machine(half)) for half in (.5, .95, 2., 9.)] == ['bf16', *['float32'] * 3]


def test_a_run_keeps_what_it_began_with(machine, used, real):
    recipe = Recipe(epochs=2, batch=10, lr=.01, precision='auto')
    state = {}
    data = Examples.of(real.train, 'cpu')
    steps = train(make_net('convnet2-w4', 10, 1, 16), data, recipe, state)
    next(steps)
    machine.fast = 'float32' # on another day
    kept = state | {name: state[name].state_dict() for name in ('net', 'opt')}
    for _ in train(make_net('convnet2-w4', 10, 1, 16), data, recipe, kept): pass
    assert set(used) == {'bf16'} and len(machine.asked) == 1


def test_what_was_chosen_stands_in_the_history(machine, used, real):
    recipe = Recipe(epochs=1, batch=10, lr=.01, precision='auto')
    teacher = Squeeze('convnet2-w4-batch', recipe, device='cpu').make(real)
    assert teacher.recipe['precision'] == 'bf16'
    machine.fast = 'float32'
    small = CDA(ipc=1, steps=1, jitter=0, precision='auto', device='cpu').make(teacher)
    assert small.provenance['config']['precision'] == 'float32'


def test_where_nothing_can_be_timed_it_is_float32():
    assert settled('auto', 'meta') == 'float32'
    assert settled('float32', 'cpu', dict(precision='bf16')) == 'float32'


def test_other_precisions_are_refused():
    for make in (Recipe, CDA):
        with pytest.raises(InputError, match="precision='half'"): make(precision='half')
    assert torch.get_float32_matmul_precision() == 'highest' # and nothing global was changed
