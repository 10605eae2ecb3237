"Stages: what each of them sees, breaks in any of them, and what is refused"
from dataclasses import replace

import pytest
import torch

from ddnb.all import DC, DM, DSA, IDC, MTT, PDD, Difficulty, InputError, load
from ddnb.core.config import load_state, save_state
from ddnb.data.spaces import make_space
from ddnb.methods import pdd
from ddnb.methods.matching import LEARNING
from ddnb.methods.pdd import StagePlan, partition, stage_counts, stages_of
from ddnb.methods.trajectory import train_experts

MATCHING = dict(net='convnet2-w8', real_batch=8)
TINY = MTT(net='convnet2-w8', steps=4, lr=1., student_steps=3, experts=2, expert_batch=100, expert_epochs=1,
           max_start=2, together=2, expert_lr=.05, step_size_lr=1e-6)
QUICK = PDD(TINY, stages=3, ipc=(1, 1, 2), transition_epochs=2, device='cpu')
FEW = dict(stages=2, ipc=1, transition_epochs=2, device='cpu')


@pytest.fixture(scope='module')
def real(): return load('digits').subset(20)


@pytest.fixture(scope='module')
def counts(real):
    "Forgetting counts of these images, made up"
    return Difficulty(torch.arange(len(real.train)) % 7, 'forgetting', True, real.train.identity)


@pytest.fixture(scope='module')
def two(real): return replace(QUICK, stages=2, ipc=(1, 1)).make(real)


@pytest.fixture(scope='module')
def experts(real):
    from ddnb.methods.trajectory import Experts
    model = TINY.prepare(real).model
    networks = model.fresh(range(2))
    trajectories = torch.stack([networks + .1 * epoch * networks.flip(0) for epoch in range(7)], 1)
    return Experts(trajectories, TINY.net, real.train.identity, dict(space='channels'))


def interrupted(method, real, stops):
    "The result with a break after each of these numbers of events: state to a file and back"
    import tempfile
    from pathlib import Path
    state = {}
    with tempfile.TemporaryDirectory() as folder:
        for n in (*stops, 10**9):
            stream = method.stream(real, None, None, None, state)
            try:
                for _ in range(n): next(stream)
            except StopIteration as end: return end.value
            pieces = {name: piece.clone() for name, piece in state['pieces'].items()}
            save_state(state, Path(folder)/'state.safetensors')
            state = load_state(Path(folder)/'state.safetensors') | dict(pieces=pieces)


@pytest.mark.parametrize('method', [
    QUICK,
    replace(QUICK, transition=False),
    PDD(DM(steps=5, **MATCHING), pool=2, **FEW),
    PDD(IDC(steps=2, stops=2, net_images=64, **MATCHING), pool=0, **FEW),
    PDD(DSA(steps=2, stops=2, net_epochs=1, **MATCHING), pool=2, conditioning=False, **FEW),
    PDD(DC(steps=2, stops=2, net_epochs=1, **MATCHING), pool=2, **FEW),
], ids=['mtt', 'mtt without transition', 'dm', 'idc without pool', 'dsa without conditioning', 'dc'])
def test_a_stage_that_was_interrupted_anywhere_ends_in_the_same_bytes(real, method):
    assert torch.equal(interrupted(method, real, (3, 4, 7)).images, method.make(real).images)


@pytest.mark.parametrize('method', [
    QUICK,
    replace(QUICK, transition=False),
    PDD(DC(steps=1, **MATCHING), pool=2, **FEW),
    PDD(DM(steps=1, **MATCHING), pool=0, **FEW),
], ids=['mtt', 'mtt without transition', 'dc', 'dm without pool'])
def test_steps_are_counted_one_by_one(real, method):
    events = list(method.stream(real, None, None, None, {}))
    total = StagePlan(method, real).begins()[-1]
    assert [event.step for event in events] == list(range(1, total + 1))
    assert {event.total for event in events} == {total}
    assert [event.part for event in events].count(True) == method.stages


def seen_by_base(method, real, i):
    "Stage i as the base of `method` gets it"
    stages = {}

    class Spy(type(method.base)):
        def learn(self, stage, state):
            stages[stage.seed[-1]] = stage
            return (yield from super().learn(stage, state))

    settings = {name: getattr(method.base, name) for name in method.base.__dataclass_fields__}
    replace(method, base=Spy(**settings)).make(real)
    return stages[f'stage-{i + 1}']


def test_what_conditioning_and_transition_hand_to_a_stage(real):
    method = replace(QUICK, stages=2, ipc=1)
    both = seen_by_base(method, real, 1)
    unconditioned = seen_by_base(replace(method, conditioning=False), real, 1)
    untransferred = seen_by_base(replace(method, transition=False), real, 1)
    new = torch.zeros(10, 1, 1, 16, 16)
    assert both.old.shape[1] == 1 and both.union(new).shape[1] == 2
    assert unconditioned.old is None and unconditioned.union(new).shape[1] == 1
    assert untransferred.old.shape[1] == 1
    assert both.start is not None and both.origin is None
    assert untransferred.start is None and untransferred.origin.seed[-1] == 'stage-1'


def test_which_stages_have_their_experts_when_they_begin(real, two, experts):
    def there(method, **inputs):
        plan = StagePlan(method, real, **inputs)
        return [plan.has_experts(i) for i in range(plan.first, plan.last)]
    apart = replace(QUICK, transition=False)
    assert there(QUICK) == [False, False, False]
    assert there(QUICK, experts=experts) == [True, False, False]
    assert there(apart) == [False, True, True]
    assert there(apart, experts=experts) == [True, True, True]
    assert there(QUICK, earlier=two, experts=experts) == [False, False, False]
    assert there(apart, earlier=two) == [False, True, True]
    assert there(apart, earlier=two, experts=experts) == [True, True, True]


def test_experts_are_given_up_with_their_stage(real):
    for method, names in ((QUICK, []), (replace(QUICK, transition=False), ['stage-1-experts-000'])):
        state = {}
        for _ in method.stream(real, None, None, None, state): pass
        assert [name for name in state['pieces'] if 'experts' in name] == names


def test_a_set_comes_apart_into_its_stages(two):
    stages = stages_of(two)
    assert [stage.images.shape for stage in stages] == 2 * [(10, 1, 1, 16, 16)]
    assert torch.equal(torch.cat([stage.images.flatten(0, 1) for stage in stages]), two.as_learned)
    assert tuple(stage.rate for stage in stages) == two.training.rates
    assert stage_counts(two).tolist() == [[1] * 10] * 2
    assert stages_of(None) == [] and stage_counts(two.take(torch.arange(0))).shape == (0, 10)


@pytest.mark.parametrize('settings, message', [
    (dict(stages=0), 'stages=0'),
    (dict(stages=10**9), 'stages=1000000000'),
    (dict(ipc=(1, 2)), r'ipc=\(1, 2\) for 5 stages'),
    (dict(ipc=0), 'ipc=0 for 5 stages'),
    (dict(ipc=1.5), 'ipc=1.5'),
    (dict(ipc=True), 'ipc=True'),
    (dict(base=MTT), 'is no base method'),
    (dict(pool=-1), 'pool=-1'),
    (dict(transition_epochs=0), 'transition_epochs=0'),
    (dict(discard=-1), 'discard=-1'),
], ids=str)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message): PDD(**settings)


def test_what_the_base_refuses_is_refused(real):
    with pytest.raises(InputError, match='ipc=500 starts from 500 real images'):
        PDD(MTT.preset('digits'), ipc=500).check(real)
    with pytest.raises(InputError, match='DM uses no experts'): PDD(DM()).check(real, experts=3)


def test_earlier_stages_of_another_base_are_refused(real, two):
    other = PDD(DM(net='convnet2-w8'))
    with pytest.raises(InputError, match='the earlier set names 2 step sizes for 2 stages'):
        other.check(real, earlier=two)
    with pytest.raises(InputError, match="made by another base .*net: convnet2-w8 there, convnet3 here"):
        PDD(MTT()).check(real, earlier=two)
    with pytest.raises(InputError, match="space: channels there, zca here"):
        replace(QUICK, base=replace(TINY, space='zca')).check(real, earlier=two)


@pytest.mark.parametrize('rates', [(.1,), (.1, -.1)])
def test_earlier_stages_without_their_step_sizes_are_refused(real, two, rates):
    training = dict(two.provenance['training'], rates=list(rates))
    earlier = replace(two, provenance=dict(two.provenance, training=training))
    with pytest.raises(InputError, match='step sizes for 2 stages'): QUICK.check(real, earlier=earlier)


@pytest.mark.parametrize('damage, message', [
    (lambda two: two.take(range(19)), 'are not whole'),
    (lambda two: two.take((two.labels < 9).nonzero().flatten()), 'are not whole'),
    (lambda two: two.take(torch.arange(0)), 'are not whole'),
    (lambda two: two.take((two.stage == 1).nonzero().flatten()), 'are not whole'),
    (lambda two: replace(two, images=two.images[..., :8, :8], unclipped=None), 'are not whole'),
    (lambda two: replace(two, source=['real'] * 20), 'holds real images'),
    (lambda two: replace(two, soft_labels=torch.full((20, 10), .1)), 'differ in soft labels'),
    (lambda two: replace(two, classes=list('abcdefghij')), 'classes'),
    (lambda two: 3, 'earlier is a int'),
], ids=['an image short', 'a class short', 'empty', 'the second stage alone', 'smaller', 'real', 'soft labels',
        'other classes', 'no set'])
def test_earlier_stages_that_do_not_fit_are_refused(real, two, damage, message):
    with pytest.raises(InputError, match=message): QUICK.check(real, earlier=damage(two))


def test_forgetting_counts_go_with_discard(real, counts):
    with pytest.raises(InputError, match='discard=2 and no forgetting counts'): replace(QUICK, discard=2).check(real)
    with pytest.raises(InputError, match='discard=0 and some forgetting counts'): QUICK.check(real, forgetting=counts)


def test_forgetting_counts_that_do_not_fit_are_refused(real, counts):
    def refused(message, **changes):
        with pytest.raises(InputError, match=message):
            replace(QUICK, discard=1).check(real, forgetting=replace(counts, **changes))
    refused('of other images', data_id='other')
    refused('of other images', scores=counts.scores[:100])
    refused('counts are 0 or more', scores=counts.scores - 1)
    refused('counts are 0 or more', higher_is_harder=False)
    refused('are no forgetting counts', name='aum')
    with pytest.raises(InputError, match='3 are no forgetting counts'):
        replace(QUICK, discard=1).check(real, forgetting=3)


def test_a_stage_that_would_be_left_without_images_is_refused(real, counts):
    with pytest.raises(InputError, match='with discard=9 stage 2 is left with 0 images of class'):
        replace(QUICK, discard=9).check(real, forgetting=counts)
    with pytest.raises(InputError, match='delta=0'): partition(counts.scores, 0, 3)
    with pytest.raises(InputError, match='stages=0'): partition(counts.scores, 1, 0)


def test_a_run_by_difficulty_remembers_the_shares(real, counts):
    small = PDD(DM(steps=1, **MATCHING), discard=4, pool=1, **FEW).make(real, forgetting=counts)
    shares = small.provenance['kept_share']
    assert len(shares) == 2 and abs(sum(shares) - 1) < 1e-9


@pytest.mark.parametrize('method', [
    QUICK,
    replace(QUICK, transition=False),
    PDD(DC(steps=3, **MATCHING), stages=2, ipc=(1, 3), pool=2, transition_epochs=2),
    PDD(DM(steps=1, **MATCHING), pool=2, **FEW),  # a base of a single step is timed too
    PDD(DM(steps=1, **MATCHING), pool=0, **FEW),
], ids=['mtt', 'mtt without transition', 'dc by its table', 'a single step', 'without pool'])
def test_the_parts_of_a_cost_are_all_of_it(real, method):
    cost = method.dry_run(real)
    assert cost['steps'] == sum(part['steps'] for part in cost['parts'].values()) + method.stages
    assert cost['steps'] == StagePlan(method, real).begins()[-1]


def test_experts_that_were_given_cost_nothing(real, experts):
    assert 'experts' not in replace(QUICK, transition=False).dry_run(real, experts)['parts']
    with_own = QUICK.dry_run(real)['parts']['experts']['steps']
    assert QUICK.dry_run(real, experts)['parts']['experts']['steps'] == with_own * 2 // 3
    with pytest.raises(InputError, match='0 steps to time'): QUICK.dry_run(real, steps=0)


LITTLE = MTT(net='convnet2-w4', steps=2, lr=1., student_steps=2, experts=3, together=2, expert_batch=200,
             expert_epochs=1, max_start=2, expert_lr=.05, step_size_lr=1e-6)
TWO = PDD(LITTLE, stages=2, ipc=1, transition_epochs=1, device='cpu')
FAST = dict(net='convnet2-w4', real_batch=4)


@pytest.fixture(scope='module')
def pool(real):
    return train_experts(real, 'convnet2-w4', n=2, epochs=4, lr=.05, batch=200, device='cpu', progress=False)


def test_all_stages_see_one_whitening(real, counts):
    method = PDD(DM(space='zca', **FAST), discard=3, **FEW)
    plan = StagePlan(method, real, forgetting=counts)
    spaces = [plan.stage(i, {}).space for i in range(2)]
    assert len(plan.part(0).train) < len(real.train)
    assert all(torch.equal(space.w, make_space('zca', real.train).w) for space in spaces)


def learning(monkeypatch):
    "What networks of PDD are trained on from now on: a list of (number of networks, examples, recipe, first networks)"
    seen = []
    train = pdd.train_ensemble
    def train_ensemble(model, data, recipe, state, *others, **more):
        seen.append((len(state['theta']), data, recipe, state['theta'].clone()))
        return train(model, data, recipe, state, *others, **more)
    monkeypatch.setattr(pdd, 'train_ensemble', train_ensemble)
    return seen


@pytest.mark.parametrize('labels', [dict(soft=True), dict(label_lr=5.)], ids=['assigned', 'learned'])
def test_networks_learn_the_soft_labels_of_the_earlier_images(real, monkeypatch, labels):
    seen = learning(monkeypatch)
    small = replace(TWO, base=replace(LITTLE, **labels)).make(real)
    (_, data, recipe, _), = seen
    assert recipe.labels == 'own' and torch.equal(data.soft, small.soft_labels[:10])
    stages = []
    monkeypatch.setattr(MTT, 'prepare', noting(MTT.prepare, stages))
    added = replace(TWO, stages=1, base=replace(LITTLE, **labels)).make(real, earlier=small.take(range(10)))
    assert torch.equal(added.soft_labels, small.soft_labels)
    assert any(stage.old_labels is not None for stage in stages)


def noting(f, results: list):
    "The function, which remembers its results"
    def noted(*values, **named):
        results.append(f(*values, **named))
        return results[-1]
    return noted


def test_without_transition_later_stages_start_at_later_epochs_of_the_same_experts(real, pool):
    method = replace(TWO, transition=False, base=replace(LITTLE, steps=6))
    starts = {1: set(), 2: set()}
    state = {}
    for event in method.stream(real, None, None, None, state):
        if 'start_epoch' in event.scalars: starts[event.scalars['stage']].add(event.scalars['start_epoch'])
    assert starts[1] <= {0, 1} and starts[2] <= {2, 3} and len(starts[1]) == len(starts[2]) == 2
    assert state['pieces']['stage-1-experts-000'].shape[1] == 5     # epochs 0 to 4: the last start and its target
    given = method.make(real, pool)
    assert len(given) == 20
    with pytest.raises(InputError, match='need 4 epochs, the experts hold 3'):
        method.check(real, pool.take(slice(None), epochs=3))
    replace(method, transition=True).check(real, pool.take(slice(None), epochs=2))


def test_a_stage_that_is_added_without_transition_has_the_window_of_its_number(real):
    method = replace(TWO, transition=False)
    whole = method.make(real)
    first = replace(method, stages=1).make(real)
    assert torch.equal(replace(method, stages=1).make(real, earlier=first).images, whole.images)


def test_stages_that_are_added_keep_the_shares_of_the_earlier_ones(real, counts):
    method = PDD(DM(steps=1, **FAST), discard=2, pool=1, **FEW)
    small = method.make(real, forgetting=counts)
    more = replace(method, stages=1).make(real, earlier=small, forgetting=counts)
    assert more.provenance['kept_share'][:2] == small.provenance['kept_share']
    assert len(more.provenance['kept_share']) == 3
    later = replace(method, stages=1, discard=0).make(real, earlier=small)
    assert later.provenance['kept_share'] == [*small.provenance['kept_share'], 1.]


def test_the_transition_sets_out_from_the_experts_that_were_given(real, pool, monkeypatch):
    seen = learning(monkeypatch)
    whole = TWO.make(real, pool)
    (n, _, _, first), = seen
    assert n == len(pool) and torch.equal(first, pool.trajectories[:, 0])
    added = replace(TWO, stages=1).make(real, pool, whole.take(range(10)))   # the earlier stage has its own images
    assert torch.equal(seen[-1][-1], pool.trajectories[:, 0])
    assert torch.equal(added.images, whole.images)


def test_networks_that_are_led_are_told_and_paid_for(real):
    method = PDD(IDC(steps=3, stops=2, net_images=20, **FAST), pool=0, **FEW)
    led = [event for event in method.stream(real, None, None, None, {}) if 'learns the images so far' in event.note]
    cost = method.dry_run(real)
    assert len(led) == cost['parts'][LEARNING]['steps'] == 3 * 2 * 1 > 0   # networks · epochs · steps
    assert cost['parts'][LEARNING]['seconds'] >= 0


def test_a_network_that_is_led_can_be_interrupted(real):
    method = PDD(DM(steps=2, **FAST), pool=0, **dict(FEW, transition_epochs=3))
    assert torch.equal(interrupted(method, real, (4, 1, 3)).images, method.make(real).images)


def test_the_rehearsal_opens_mosaics(real, monkeypatch):
    method = PDD(IDC(steps=1, stops=1, **FAST), pool=2, **FEW)
    seen = learning(monkeypatch)
    method.dry_run(real)
    assert [len(data.images) for _, data, _, _ in seen] == [10 * 1 * 4]


def test_later_stages_see_the_images_as_they_were_learned(real):
    method = replace(TWO, base=replace(LITTLE, lr=3000., step_size_lr=0.))
    state = {}
    small = method.make(real)
    assert small.unclipped is not None and small.unclipped.max() > 1.01
    stage = seen_by_base(method, real, 1)
    as_learned = stage.space.into(small.unclipped[:10])
    assert torch.allclose(stage.old.flatten(0, 1), as_learned, atol=1e-6) and not state
    first = stages_of(small)[0].images
    assert torch.equal(first.flatten(0, 1), small.unclipped[:10])
    added = replace(method, stages=1).make(real, earlier=small.take(range(10)))
    assert torch.equal(added.unclipped, small.unclipped)


def test_the_step_size_can_learn_at_another_rate_in_each_stage(real):
    plan = StagePlan(replace(TWO, stages=3, step_size_lrs=(1e-7, 1e-5)), real)
    assert [plan.base(i).step_size_lr for i in range(3)] == [1e-7, 1e-5, 1e-5]
    assert StagePlan(TWO, real).base(1).step_size_lr == LITTLE.step_size_lr
    for wrong in (dict(step_size_lrs=(-1,)), dict(step_size_lrs=('a',)), dict(base=DM(), step_size_lrs=(1e-5,))):
        with pytest.raises(InputError, match='step_size_lrs='): PDD(**wrong)


def test_presets_of_the_released_commands():
    one, idc = PDD.preset('cifar10-ipc5'), PDD.preset('cifar100-idc-ipc50')
    assert one.step_size_lrs == (1e-7, 1e-5) and one.ipc == 1
    assert (idc.transition_epochs, idc.pool, idc.base.steps, idc.ipc) == (200, 0, 1000, 10)
