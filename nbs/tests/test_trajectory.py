"MTT: experts in and out, failures that are noticed, what is refused"
from dataclasses import replace

import pytest
import torch

from ddnb.all import DM, MTT, PDD, InputError, Run, load
from ddnb.core.config import load_state, registered
from ddnb.methods.trajectory import Experts, seconds_each

QUICK = MTT.preset('digits', net='convnet2-w8', ipc=2, steps=4, student_steps=3, experts=2, together=1,
                   expert_batch=512, device='cpu')
LOST = replace(QUICK, steps=20, step_size=.15, step_size_lr=5e-4)  # its step size is negative at the third iteration


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def experts(real):
    "The experts that `QUICK` would train"
    stage = QUICK.prepare(real)
    stream = QUICK._trajectories(stage, {}, 1)
    try:
        while True: next(stream)
    except StopIteration as end: return Experts(end.value, QUICK.net, real.train.identity, dict(space='channels'))


@pytest.fixture(scope='module')
def whole(real): return QUICK.make(real)


def test_experts_are_saved_and_loaded(experts, tmp_path):
    experts.save(tmp_path)
    loaded = Experts.load(tmp_path)
    assert torch.equal(loaded.trajectories, experts.trajectories)
    assert loaded.identity == experts.identity
    assert registered('input')['experts'].read(tmp_path).identity == experts.identity


def test_experts_that_were_given_do_what_own_ones_do(real, experts, whole):
    given = QUICK.make(real, experts)
    assert torch.equal(given.images, whole.images)
    assert given.training.rates == whole.training.rates


@pytest.mark.parametrize('gradient', ['unroll', 'segments'])
def test_exact_gradients_give_the_same_images(real, experts, whole, gradient):
    other = replace(QUICK, gradient=gradient).make(real, experts)
    assert torch.allclose(other.images, whole.images, atol=1e-4)


def test_soft_labels_are_probabilities_and_change_the_images(real, experts, whole):
    soft = replace(QUICK, soft=True).make(real, experts)
    assert soft.soft_labels.shape == (20, 10)
    assert torch.allclose(soft.soft_labels.sum(1), torch.ones(20))
    assert not torch.allclose(soft.images, whole.images)
    assert whole.soft_labels is None


@pytest.mark.parametrize('space', ['zca', 'pixels'])
def test_other_spaces_work(real, space):
    small = replace(QUICK, space=space, steps=1, step_size_lr=0.).make(real)
    assert small.images.min() >= 0 and small.images.max() <= 1


@pytest.mark.parametrize('settings, message', [
    (dict(batch=-1), 'batch=-1'),
    (dict(step_size_lr=-1.), 'step_size_lr=-1.0'),
    (dict(gradient='exact'), "gradient='exact' is unknown"),
    (dict(student_steps=0), 'student_steps=0 makes no sense'),
    (dict(experts=0), 'experts=0 makes no sense'),
    (dict(together=0), 'together=0 makes no sense'),
], ids=str)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message): MTT(**settings)


def test_experts_that_do_not_fit_are_refused(real, experts):
    other = load('digits', seed=1)
    with pytest.raises(InputError, match='trained on other images'): QUICK.check(other, experts)
    with pytest.raises(InputError, match="the experts are 'convnet2-w8'"):
        replace(QUICK, net='convnet2-w4').check(real, experts)
    with pytest.raises(InputError, match='need 9 epochs, the experts hold 4'):
        replace(QUICK, max_start=9).check(real, experts)
    with pytest.raises(InputError, match="the experts saw the space 'channels'"):
        replace(QUICK, space='zca').check(real, experts)
    with pytest.raises(InputError, match='experts is a int'): QUICK.check(real, 3)


FAILURE = r'at iteration \d+ the loss is .* and the step size would become -.*\n  → lower lr .* of MTT'


@pytest.fixture(scope='module')
def failure(real, experts):
    "The iteration at which `LOST` fails, and what it says"
    for event in LOST.stream(real, experts, {}):
        try: event.read()
        except InputError as error: return event.step, str(error)


def test_a_negative_step_size_is_refused_when_the_event_is_read(failure):
    iteration, message = failure
    assert 2 < iteration < LOST.steps
    assert message.startswith(f'at iteration {iteration} the loss is ')
    assert 'the step size would become -' in message
    assert 'lower lr (now 3) or step_size_lr (now 0.0005) of MTT, in PDD that of its base' in message


def test_a_failure_is_told_though_nobody_read_its_event(real, experts, failure):
    stream = LOST.stream(real, experts, {})
    with pytest.raises(InputError) as error:
        for _ in stream: pass
    assert str(error.value) == failure[1]


def test_a_failure_says_the_same_however_seldom_events_are_read(real, experts, failure, monkeypatch):
    for seconds in (0., 1e9):
        monkeypatch.setattr(Run, 'record_every', seconds)
        with pytest.raises(InputError) as error: LOST.make(real, experts)
        assert str(error.value) == failure[1]


def test_no_checkpoint_keeps_a_state_that_failed(real, experts, failure, monkeypatch, tmp_path):
    monkeypatch.setattr(Run, 'checkpoint_every', 0.)
    run = LOST.start(real, experts, folder=tmp_path/'run').wait()
    assert run.state == 'failed' and str(run.error) == failure[1]
    state = load_state(tmp_path/'run'/'state.safetensors')
    assert state['step'] == failure[0] - 1
    assert state['step_size'] > 0 and state['failure'].eq(0).all()


def test_a_gradient_that_is_no_number_is_a_failure(real, experts, monkeypatch):
    def nothing(loss, theta, alpha, target, steps, inputs):
        return torch.tensor(.5), [torch.full_like(inputs[0], float('nan'))], torch.tensor(0.)
    monkeypatch.setitem(registered_gradients(), 'tesla', nothing)
    first = next(replace(QUICK, gradient='tesla').stream(real, experts, {}))
    with pytest.raises(InputError, match='at iteration 1 the loss is 0.5 and the step size would become 0.05'):
        first.read()


def registered_gradients():
    from ddnb.methods import trajectory
    return trajectory.GRADIENTS


def test_pdd_hands_the_check_on(real, experts, failure):
    events = PDD(LOST, stages=2, ipc=2, transition_epochs=1, device='cpu').stream(real, experts, None, None, {})
    with pytest.raises(InputError, match=FAILURE):
        for event in events: event.read()


def test_a_cost_is_told_by_parts(real, experts):
    cost = QUICK.dry_run(real)
    assert list(cost['parts']) == ['experts', 'matching']
    assert cost['steps'] == sum(part['steps'] for part in cost['parts'].values())
    assert list(QUICK.dry_run(real, experts)['parts']) == ['matching']
    assert cost['trajectory_bytes'] == experts.trajectories.numel() * 4
    with pytest.raises(InputError, match='0 steps to time'): QUICK.dry_run(real, steps=0)


def test_a_stream_of_a_single_step_is_timed_too():
    assert seconds_each(iter([1]), 3) >= 0


def test_bases_without_experts_keep_their_networks_once():
    assert DM().networks(7) == (7, 1)
    assert QUICK.networks(7) == (2, QUICK.trajectory_epochs + 1)
