"MTT: experts in and out, failures that are noticed, what is refused"
from dataclasses import replace

import pytest
import torch

from ddnb.all import DM, MTT, PDD, InputError, Run, evaluate, load, protocol, resume
from ddnb.core.config import load_state, registered
from ddnb.methods import trajectory
from ddnb.methods.trajectory import Experts, TrainExperts, read_buffers, seconds_each, train_experts
from ddnb.train.ensemble import FunctionalNet

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


LITTLE = MTT(ipc=1, net='convnet2-w4', steps=3, lr=1., student_steps=2, experts=3, together=2, expert_batch=30,
             expert_epochs=1, max_start=2, expert_lr=.05, device='cpu')
POOL = dict(net='convnet2-w4', batch=30, lr=.05, together=2, device='cpu', progress=False)


@pytest.fixture(scope='module')
def few(real): return real.subset(6)


@pytest.fixture(scope='module')
def pool(few): return train_experts(few, n=3, epochs=2, **POOL)


def ended(stream):
    "The events of a stream, and its result"
    events = []
    while True:
        try: events.append(next(stream))
        except StopIteration as end: return events, end.value


# ---- settings of MTT

def test_the_window_of_starts_grows(few, pool):
    base = replace(LITTLE, max_start=9, min_start=2, grow_from=3, grow_steps=6)
    stage = base.prepare(few)
    assert [base.starts(stage, s) for s in (0, 1, 3, 6, 100)] == [(2, 3), (2, 4), (2, 6), (2, 9), (2, 9)]
    assert replace(base, grow_from=0, grow_steps=0).starts(stage, 0) == (2, 9)
    events, _ = ended(replace(LITTLE, min_start=1, steps=6).stream(few, pool, {}))
    assert {event.scalars['start_epoch'] for event in events} == {1}


@pytest.mark.parametrize('settings, message', [
    (dict(min_start=15), 'min_start=15 and max_start=15'),
    (dict(grow_from=3), 'grow_from=3 and no grow_steps'),
    (dict(grow_from=2, min_start=2, grow_steps=5), 'grow_from=2 with grow_steps=5'),
    (dict(soft=True, label_lr=1.), 'soft=True and label_lr=1.0'),
    (dict(label_lr=-1.), 'label_lr=-1.0'),
    (dict(expert_momentum=1.), 'expert_momentum=1.0'),
    (dict(expert_decay=-1.), 'expert_decay=-1.0'),
], ids=str)
def test_further_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message): MTT(**settings)


def test_labels_are_learned_with_the_images(few, pool):
    base = replace(LITTLE, label_lr=10., steps=4)
    whole = base.make(few, pool)
    first = base.soft_labels(base.prepare(few), base.first_images(base.prepare(few)), pool.trajectories)
    assert torch.allclose(whole.soft_labels.sum(1), torch.ones(10)) and whole.soft_labels.shape == (10, 10)
    assert not torch.allclose(whole.soft_labels, first, atol=1e-5)
    unlearned = replace(base, label_lr=1e-12).make(few, pool)
    assert torch.allclose(unlearned.soft_labels, first, atol=1e-5)
    state = {}
    for _ in zip(range(2), base.stream(few, pool, state)): pass
    assert base.unfinished(state, real=few, experts=pool).soft_labels.shape == (10, 10)
    _, rest = ended(base.stream(few, pool, state))
    assert torch.equal(rest.soft_labels, whole.soft_labels)


@pytest.mark.parametrize('gradient', ['unroll', 'segments'])
def test_the_gradient_by_labels_is_exact(few, pool, gradient):
    base = replace(LITTLE, label_lr=10., steps=2)
    labels = base.make(few, pool).soft_labels
    assert torch.allclose(replace(base, gradient=gradient).make(few, pool).soft_labels, labels, atol=1e-5)


def test_students_and_experts_can_do_without_augmentation(few, pool, monkeypatch):
    def draw(*_, **__): raise AssertionError
    monkeypatch.setattr(trajectory, 'draw_dsa', draw)
    assert replace(LITTLE, dsa=False).expert_recipe(1).dsa == '' and LITTLE.expert_recipe(1).dsa == 'one'
    assert len(replace(LITTLE, dsa=False).make(few, pool)) == 10
    with pytest.raises(AssertionError): LITTLE.make(few, pool)


def test_experts_have_the_momentum_and_decay_that_were_asked_for(few):
    recipe = replace(LITTLE, expert_momentum=.5, expert_decay=.1).expert_recipe(3)
    assert (recipe.momentum, recipe.weight_decay, recipe.epochs) == (.5, .1, 3)
    heavy = train_experts(few, n=1, epochs=1, momentum=.5, **POOL)
    assert not torch.equal(heavy.trajectories, train_experts(few, n=1, epochs=1, **POOL).trajectories)


def test_events_tell_start_and_gradient(few, pool):
    events, _ = ended(LITTLE.stream(few, pool, {}))
    norms = [event.scalars['gradient_norm'] for event in events]
    assert all(torch.is_tensor(norm) and norm > 0 for norm in norms)
    assert {event.scalars['start_epoch'] for event in events} <= {0, 1}


def test_a_set_in_pixels_is_learned_and_judged_in_pixels(few):
    small = replace(LITTLE, space='pixels', lr=.01).make(few)
    assert small.training.space == 'pixels'
    rows = evaluate(small, few, protocol=protocol('mtt').replace(epochs=1), repeats=1, control=False)
    assert rows[0].recipe['space'] == 'pixels' or protocol('mtt').for_set(small, 'convnet2-w4')[0].space == 'pixels'


# ---- pools of experts

def test_a_pool_is_what_mtt_would_train(few, pool):
    assert len(pool) == 3 and pool.epochs == 2
    given, own = LITTLE.make(few, pool), LITTLE.make(few)
    assert torch.equal(given.images, own.images)


@pytest.mark.parametrize('momentum', [0., .5])
def test_an_extended_pool_is_the_one_that_was_trained_at_once(few, momentum):
    settings = dict(POOL, momentum=momentum)
    two = train_experts(few, n=2, epochs=1, **settings)
    whole = train_experts(few, n=3, epochs=2, **settings)
    assert torch.equal(train_experts(few, n=3, epochs=2, experts=two, **settings).trajectories, whole.trajectories)
    further = train_experts(few, n=3, epochs=1, experts=two, **settings)
    assert torch.equal(further.trajectories, whole.take(slice(None), epochs=1).trajectories)
    odd = train_experts(few, n=3, epochs=2, experts=whole[:1], **settings)   # a group of its own begins inside another
    assert torch.equal(odd.trajectories[0], whole.trajectories[0]) and len(odd) == 3


def test_a_pool_goes_on_where_it_was_and_is_read_by_parts(few, pool, tmp_path, monkeypatch):
    method = TrainExperts(experts=3, epochs=2, **{k: v for k, v in POOL.items() if k != 'progress'})
    monkeypatch.setattr(Run, 'checkpoint_every', 0.)
    run = method.start(few, folder=tmp_path/'pool')
    next(iter(run))
    run.stop().wait()
    assert torch.equal(resume(tmp_path/'pool').result().trajectories, pool.trajectories)
    read = registered('input')['experts'].read
    assert len(read(tmp_path/'pool')) == 3
    assert torch.equal(read(f'{tmp_path}/pool[1:]').trajectories, pool.trajectories[1:])
    for wrong in ('pool[1]', 'pool[a:]'):
        with pytest.raises(InputError, match='names no part of a pool'): read(f'{tmp_path}/{wrong}')


def test_parts_of_a_pool(pool):
    assert torch.equal(pool[:2].trajectories, pool.trajectories[:2]) and len(pool[2]) == 1
    assert pool.take([2, 0], epochs=1).trajectories.shape[:2] == (2, 2)
    with pytest.raises(InputError, match='no experts are left of 3'): pool[3:]
    with pytest.raises(InputError, match='3 epochs were asked for, there are 2'): pool.take([0], epochs=3)


def test_pools_that_can_not_be_extended_are_refused(few, pool):
    def refused(message, pool=pool, **settings):
        with pytest.raises(InputError, match=message):
            train_experts(few, **dict(dict(n=4, epochs=2, experts=pool, **POOL), **settings))
    refused('and 2 with 2 epochs are wanted', n=2)
    refused('and 3 with 2 epochs are wanted', n=3)
    refused(r'the experts were trained otherwise \(lr: 0.05 there, 0.1 here\)', lr=.1)
    refused("the experts are 'convnet2-w4'", net='convnet2-w8')
    refused('come without their momentum', replace(pool, about=dict(space='channels')), epochs=3, momentum=.5)
    with pytest.raises(InputError, match="did you mean 'batch'"): train_experts(few, bach=3)


@pytest.fixture
def buffers(few, pool, tmp_path):
    "The pool as the released code keeps one, an expert a file"
    shapes = FunctionalNet('convnet2-w4', 10, 1, 16).shapes.values()
    def lists(theta): return [p.view(s).clone() for p, s in zip(theta.split([s.numel() for s in shapes]), shapes)]
    for k in (0, 2, 10):   # 10 comes last, not after 1
        expert = pool.trajectories[{0: 0, 2: 1, 10: 2}[k]]
        torch.save([[lists(theta) for theta in expert]], tmp_path/f'replay_buffer_{k}.pt')
    return tmp_path


def test_released_buffers_are_read(few, pool, buffers):
    assert torch.equal(read_buffers(buffers, few, 'convnet2-w4').trajectories, pool.trajectories)
    part = read_buffers(buffers, few, 'convnet2-w4', n=2, epochs=1)
    assert torch.equal(part.trajectories, pool.trajectories[:2, :2])
    given = LITTLE.make(few, read_buffers(buffers, few, 'convnet2-w4'))
    assert torch.equal(given.images, LITTLE.make(few, pool).images)


def test_buffers_that_do_not_fit_are_refused(few, buffers, tmp_path):
    with pytest.raises(InputError, match=r"parameter 1 in .* is \(4, 1, 3, 3\), that of 'convnet2-w8' .* is \(8, 1"):
        read_buffers(buffers, few, 'convnet2-w8')
    with pytest.raises(InputError, match="is none, that of 'convnet3-w4'|that of 'convnet3-w4'"):
        read_buffers(buffers, few, 'convnet3-w4')
    with pytest.raises(InputError, match='4 experts were asked for, there are 3'):
        read_buffers(buffers, few, 'convnet2-w4', n=4)
    torch.save([[torch.zeros(3)]], buffers/'replay_buffer_3.pt')
    with pytest.raises(InputError, match='holds no trajectories'): read_buffers(buffers, few, 'convnet2-w4')
    torch.save(LITTLE, buffers/'replay_buffer_3.pt')
    with pytest.raises(InputError, match='can not be read as lists of tensors'):
        read_buffers(buffers, few, 'convnet2-w4')
    (tmp_path/'empty').mkdir()
    with pytest.raises(InputError, match=r'holds no replay_buffer_\*.pt'): read_buffers(tmp_path/'empty', few)
