"CCFS: what it promises, what it refuses, a killed run that chooses the same images, and scores that others published"
import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
import warm
from torch.utils._python_dispatch import TorchDispatchMode

from ddnb.core.basics import InputError, seeded
from ddnb.core.config import from_config, registered, to_config
from ddnb.core.run import Run, resume
from ddnb.data.images import DistilledSet, ImageSet
from ddnb.data.load import load
from ddnb.methods.ccfs import (
    CCFS,
    SHORTAGE,
    TEACHERS,
    Look,
    Phase,
    Selection,
    budgets,
    candidates,
    fine_order,
    take_first,
    teacher_answers,
)
from ddnb.methods.difficulty import PUBLISHED, Difficulty, TrainingLog, published, spearman
from ddnb.methods.select import select
from ddnb.train.evaluate import protocol
from ddnb.train.train import Teacher, squeeze
from ddnb.view.plots_ccfs import chosen_plot, median_index, supply_plot, where_plot

START = '''
import functools
import os
import signal
import sys
from pathlib import Path
from ddnb.core.run import Run
from ddnb.methods.ccfs import CCFS
from ddnb.methods.difficulty import Difficulty
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.train.train import Teacher

inputs, out, *last = sys.argv[1:]
Run.checkpoint_every = .15
Run.record_every = 0.
log = Path(out)/'events.jsonl'
stream = CCFS.stream

@functools.wraps(stream)
def stream_until_killed(*args, **kwargs):
    events = stream(*args, **kwargs)
    while True:
        try: yield next(events)
        except StopIteration as end: return end.value
        if last and last[0] in log.read_text(): os.kill(os.getpid(), signal.SIGKILL)

CCFS.stream = stream_until_killed
small = DistilledSet.load(f'{inputs}/small')
teacher = Teacher.load(f'{inputs}/teacher')
hard = Difficulty.load(f'{inputs}/hard')
method = CCFS(ipc=8, alpha=.25, phases=2, protocol='ccfs(epochs=6)', device='cpu')
method.start(small, teacher, load('digits'), hard, folder=out).result()
'''


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def inputs(real, tmp_path_factory):
    "A teacher, its log's AUM and two random real images a class in place of distilled ones, in a folder"
    folder = tmp_path_factory.mktemp('inputs')
    log = TrainingLog(len(real.train))
    squeeze(real, 'convnet2-w8-batch', epochs=3, progress=False, watch=log).save(folder/'teacher')
    log.difficulties(real.train)['aum'].save(folder/'hard')
    few = real.train.subset(2)
    DistilledSet(few.images / 255, few.labels, few.classes).save(folder/'small')
    return folder


@pytest.fixture(scope='module')
def small(inputs): return DistilledSet.load(inputs/'small')


@pytest.fixture(scope='module')
def teacher(inputs): return Teacher.load(inputs/'teacher')


@pytest.fixture(scope='module')
def aum(inputs): return Difficulty.load(inputs/'hard')


@pytest.fixture(scope='module')
def whole(inputs, tmp_path_factory):
    "The run that nobody disturbs"
    out = tmp_path_factory.mktemp('whole')/'run'
    warm.python('-c', START, inputs, out, check=True)
    return out


def killed(inputs, out, last):
    "A run that kills itself at the first event after the one whose note says `last`"
    done = warm.python('-c', START, inputs, out, last)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert Run.open(out).state == 'interrupted'
    assert not (out/'result').exists()


LAST_NOTES = dict(between='phase 1 of 2: chose', inside='phase 2 of 2, filter: epoch 3')


@pytest.mark.faults
@pytest.mark.parametrize('last', LAST_NOTES.values(), ids=LAST_NOTES)
def test_a_killed_run_chooses_the_same_images(inputs, whole, tmp_path, last):
    cut = tmp_path/'cut'
    killed(inputs, cut, last)
    done = resume(cut).result()
    undisturbed = Run.open(whole).result()
    phases = done.provenance['selection']
    assert torch.equal(done.real_index, undisturbed.real_index)
    assert phases == undisturbed.provenance['selection']

    images = 'result/images.safetensors'
    assert (cut/images).read_bytes() == (whole/images).read_bytes()
    ends = [e for e in Run.open(cut).events if 'funnel' in e]
    assert [e['phase'] for e in ends] == [1, 2]
    assert [e['all'] for e in ends] == [phase['all'] for phase in phases]


def test_the_end_of_a_phase_is_an_event_and_a_checkpoint(whole):
    ends = [e for e in Run.open(whole).events if 'funnel' in e]
    assert len(ends) == 2
    assert all((whole/e['preview']).exists() for e in ends)
    assert {p.stem for p in (whole/'pieces').glob('*')} == {'teacher', 'phase01-answers', 'phase02-answers'}


def quick(**changes):
    "A CCFS of two epochs a filter"
    return CCFS(**dict(ipc=4, alpha=.5, phases=2, protocol='ccfs(epochs=2)', device='cpu', seed=0) | changes)


def test_ccfs_is_a_method_that_comes_back_from_its_configuration():
    assert registered('method')['ccfs'] is CCFS
    method = quick(protocol=protocol('ccfs(epochs=20)'))
    assert from_config(json.loads(json.dumps(to_config(method)))) == method


@pytest.mark.parametrize('ipc', [1, 7, 50, 1500])
@pytest.mark.parametrize('alpha', [0, .1, .29, .3, 1])
@pytest.mark.parametrize('phases', [1, 2, 3, 5])
def test_a_budget_is_shared_among_the_phases(ipc, alpha, phases):
    distilled, per_phase = budgets(ipc, alpha, phases)
    assert distilled + sum(per_phase) == ipc and len(per_phase) == phases
    assert max(per_phase) - min(per_phase) <= 1 and per_phase == sorted(per_phase, reverse=True)


@pytest.mark.parametrize('name', CCFS.presets)
def test_a_preset_shares_out_its_budget(name):
    method = CCFS.preset(name)
    distilled, per_phase = budgets(method.ipc, method.alpha, method.phases)
    assert distilled + sum(per_phase) == method.ipc


@pytest.mark.parametrize('settings, word', [
    (dict(phases=10**9), '1 to 1,000'), (dict(phases=0), '1 to 1,000'), (dict(ipc=0), 'at least 1'),
    (dict(alpha=1.2), 'no share'), (dict(alpha=-.1), 'no share'),
    (dict(coarse='wrong'), "'misclassified'"), (dict(fine='easy'), "'simple'"), (dict(tie='none'), "'margin'"),
    (dict(shortage='none'), "'backfill'"), (dict(first='last'), "'easiest'"),
    (dict(protocol='ccfs(epoch=2)'), 'epochs'), (dict(protocol='best'), "'ccfs'"),
    (dict(protocol='ccfs(2)'), 'ccfs'), (dict(protocol='ccfs(epochs 2)'), 'ccfs'),
])
def test_settings_that_mean_nothing_are_refused(settings, word):
    with pytest.raises(InputError, match=word): CCFS(**settings)


def test_inputs_that_do_not_fit_are_refused(real, small, teacher, aum):
    def refused(message, *inputs, **settings):
        with pytest.raises(InputError, match=message): quick(**settings).check(*inputs)
    refused('needs a teacher', small, None, real)
    refused('needs real data', small, teacher, real.train)
    refused('classes', small, replace(teacher, classes=teacher.classes[::-1]), real)
    refused('classes', replace(small, classes=small.classes[::-1]), teacher, real)
    refused('asks for 2 distilled images', None, teacher, real)
    refused('has 2 distilled images', small, teacher, real, ipc=20)
    refused('real images, 200 were asked for', None, teacher, real, ipc=200, alpha=0.)
    refused("first='easiest' needs a difficulty", None, teacher, real, alpha=0., first='easiest')
    refused('the difficulty is a Tensor', small, teacher, real, aum.scores)
    larger = DistilledSet(torch.zeros(20, 1, 9, 9), small.labels, small.classes)
    refused('1×9×9', larger, teacher, real)


def test_scores_of_other_data_are_refused_in_a_run(real, small, teacher, aum, tmp_path):
    other = Difficulty(torch.zeros(len(real.train)), 'aum', False, 'another')
    with pytest.raises(InputError, match='other images'): quick().check(small, teacher, real, other)
    with pytest.raises(InputError, match='1,438'): quick().check(small, teacher, real.first(100), aum)
    shorter = Difficulty(aum.scores[1:], 'aum', False, aum.data_id)
    with pytest.raises(InputError, match='other images|1,437'):
        quick().start(small, teacher, real, shorter, folder=tmp_path/'run')
    assert not list(tmp_path.iterdir())


def test_a_teacher_that_knows_nothing_of_the_labels_is_refused(real, small, teacher):
    answers = torch.zeros(len(real.train), 10)
    answers[:, 3] = 1
    class Ignorant(Teacher):
        def to(self, device): return self
        def logits(self, images): return answers[:len(images)]
    ignorant = Ignorant(**{k: v for k, v in vars(teacher).items() if k in Teacher.__dataclass_fields__})
    with pytest.raises(InputError, match='the teacher is right on 1'):
        Selection(quick(), small, ignorant, real, None, {})


def test_a_filter_that_diverged_is_named(monkeypatch, real, teacher):
    def logits(selection, net, images): return torch.full((len(images), 10), torch.nan)
    monkeypatch.setattr(Selection, 'logits', logits)
    with pytest.raises(InputError, match='the filter of phase 1 gives answers that are no numbers'):
        quick(alpha=0.).make(None, teacher, real)


def knows_everything(selection, net, images, labels):
    "What a filter says that is right on all images"
    return Look(labels.cpu(), torch.full((len(labels),), 9.), torch.full((len(labels),), 9.))


def test_a_perfect_filter_leaves_nothing_to_choose(monkeypatch, real, small, teacher, aum):
    monkeypatch.setattr(Selection, 'look', knows_everything)
    alone = quick(alpha=0., shortage='short')
    with pytest.raises(InputError, match='no image was chosen'): alone.make(None, teacher, real)
    sizes = {policy: len(quick(shortage=policy).make(small, teacher, real, aum)) for policy in SHORTAGE}
    assert sizes == dict(short=20, carry=20, redistribute=20, backfill=40)
    record = quick().make(small, teacher, real, aum).provenance['selection'][1]
    assert set(record['reasons']) == {2} and record['need'] == [2] * 10 and record['candidates'] == [0] * 10


def test_more_phases_than_real_images_of_a_class(real, small, teacher, aum):
    few = quick(ipc=2, alpha=.5, phases=3).make(small, teacher, real, aum)
    assert len(few) == 20
    assert len(few.provenance['selection']) == 1  # one real image a class: two phases have nothing to do


def test_no_distilled_image_at_all(real, teacher, aum):
    method = quick(ipc=2, alpha=0., phases=2, first='easiest')  # the first filter learns the easiest
    alone = method.make(None, teacher, real, aum)
    assert len(alone) == 20
    assert (alone.source == 'real').all()
    assert alone.stage.unique().tolist() == [1, 2]


def test_phases_count_on_from_the_stages_of_the_distilled(real, small, teacher, aum):
    staged = DistilledSet(small.images, small.labels, small.classes, stage=torch.arange(20) % 2)
    assert quick(ipc=3, alpha=2 / 3, phases=1).make(staged, teacher, real, aum).stage.unique().tolist() == [0, 1, 2]


def test_a_phase_comes_back_from_its_record(real, small, teacher):
    state = {}
    for _ in quick().stream(small, teacher, real, None, state): pass
    records = json.loads(json.dumps(list(state['phases'].values())))
    phases = [Phase(**record) for record in records]
    assert [phase.to_json() for phase in phases] == records
    assert [phase.missing for phase in phases] == [sum(r['need']) - len(r['indices']) for r in records]
    again = Selection(quick(), small, teacher, real, None, state)
    assert again.phases == dict(enumerate(phases))


def test_a_filter_takes_the_planned_steps(real, small, teacher):
    state = {'pieces': {'teacher': real.train.labels.short()}}
    selection = Selection(quick(device='meta'), small, teacher, real, None, state)
    assert len(list(selection.train_filter(0))) == selection.planned_steps(0) - 1  # the last one is the choice


@pytest.fixture(scope='module')
def extremes(real, small, teacher):
    """Scores with many digits, and two sets: one with the easiest of all images, one with the hardest. Rounded to four
    digits, the lowest and the highest score lie outside of all scores."""
    scores = torch.rand(len(real.train), generator=seeded('scores')) / 2
    scores[3], scores[5] = -.10006, .70006
    hard = Difficulty(scores, 'made up', True, real.train.identity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Selection, 'look', knows_everything)
        method = quick(ipc=100, alpha=.02, phases=1, coarse='correct', balance=False)
        simple = method.make(small, teacher, real, hard)
        hardest = replace(method, fine='hard').make(small, teacher, real, hard)
    return hard, [simple, hardest]


def test_a_record_has_the_scores_as_they_are(extremes, tmp_path):
    hard, sets = extremes
    for i, mixed in enumerate(sets):
        mixed.save(tmp_path/str(i))
        record = DistilledSet.load(tmp_path/str(i)).provenance['selection'][0]
        real_ones = mixed.real_index[torch.from_numpy(mixed.source == 'real')]
        assert record['scores'] == hard.harder[real_ones].tolist()


def test_every_chosen_image_is_in_a_bar(extremes):
    hard, sets = extremes
    bars = [sum(patch.get_height() for patch in where_plot(mixed, hard).axes[1].patches) for mixed in sets]
    assert bars == [(mixed.source == 'real').sum() for mixed in sets]


def test_the_median_image_of_a_class_has_the_score_nearest_to_the_median(extremes):
    hard, (mixed, _) = extremes
    mine = torch.from_numpy(mixed.source == 'real') & (mixed.labels == 4)
    scores = hard.harder[mixed.real_index[mine]].numpy()
    found = hard.harder[mixed.real_index[median_index(mixed, 1, 4)]].item()
    assert abs(found - np.median(scores)) == np.abs(scores - np.median(scores)).min()


def test_the_axis_says_minus_where_lower_is_harder(real, small, teacher, monkeypatch):
    "Also for a score that no log measures, as the published C-scores"
    monkeypatch.setattr(Selection, 'look', knows_everything)
    cscore = Difficulty(torch.rand(len(real.train), generator=seeded('c')), 'cscore', False, real.train.identity)
    mixed = quick(coarse='correct').make(small, teacher, real, cscore)
    assert '(−cscore: up is harder)' in chosen_plot(mixed).axes[0].get_title()
    assert '(−cscore: right is harder)' in where_plot(mixed, cscore).axes[1].get_xlabel()
    by_logit = quick(coarse='correct').make(small, teacher, real)
    assert '(−logit: up is harder)' in chosen_plot(by_logit).axes[0].get_title()


@pytest.mark.parametrize('alpha', [0., .5])
def test_the_median_images_are_there_where_the_first_phase_chose_nothing(real, small, teacher, aum, monkeypatch, alpha):
    phase = []
    def knows_everything_at_first(selection, net, images, labels):
        answers = knows_everything(selection, net, images, labels)
        first = not selection.phases
        phase.append(first)
        return answers if first else replace(answers, answers=(answers.answers + 1) % 10)
    monkeypatch.setattr(Selection, 'look', knows_everything_at_first)
    method = quick(shortage='short', alpha=alpha, ipc=4 if alpha else 2)
    mixed = method.make(small if alpha else None, teacher, real, aum)
    nothing, some = mixed.provenance['selection']
    assert len(nothing['scores']) == 0 < len(some['scores'])
    for c in range(10):
        i = median_index(mixed, 2, c)
        assert median_index(mixed, 1, c) is None and mixed.labels[i] == c and mixed.source[i] == 'real'


def test_a_supply_of_many_classes_shows_those_with_the_least_to_spare():
    images, labels = torch.rand(200, 1, 4, 4), torch.arange(200) % 100
    record = dict(phase=1, need=[5] * 100, candidates=[200 - c for c in range(100)], chosen=[5] * 100)
    mixed = DistilledSet(images, labels, list(range(100)), provenance=dict(selection=[record, dict(record, phase=2)]))
    fig = supply_plot(mixed)
    _, height = fig.get_size_inches()
    assert height < 6 and len(fig.axes[0].patches) == 25
    assert '25 of 100 classes, with the least to spare' in fig.axes[0].get_title(loc='left')
    assert [t.get_text() for t in fig.axes[0].get_yticklabels()] == [str(c) for c in range(75, 100)]
    asked = supply_plot(mixed, classes=[3, 1])
    assert [t.get_text() for t in asked.axes[0].get_yticklabels()] == ['3', '1']
    assert [p.get_width() for p in asked.axes[0].patches] == [197, 199]


class Operations(TorchDispatchMode):
    "Counts what torch is asked to do"
    count = 0
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_to_take_the_first_of_each_group_costs_the_same_for_any_number_of_groups():
    order, pool = torch.randperm(2000, generator=seeded('order')), torch.rand(2000, generator=seeded('pool')) < .7
    counts = []
    for groups in (2, 500):
        group = torch.arange(2000) % groups
        need = torch.arange(groups) % 6
        with Operations() as operations: first = take_first(order, pool, group, need)
        counts.append(operations.count)
        candidates_in_order = order[pool[order]]
        plain = [candidates_in_order[group[candidates_in_order] == g][:n] for g, n in enumerate(need.tolist())]
        assert torch.equal(first, torch.cat(plain))
    assert counts[0] == counts[1]


def test_logits_of_a_batch_at_a_time_are_enough(real, small, teacher, monkeypatch):
    state, sizes, logits = {}, [], Selection.logits
    selection = Selection(quick(), small, teacher, real, None, state)
    net = teacher.net
    whole = logits(selection, net, real.train.images)
    def watched(self, net, images):
        sizes.append(len(images))
        return logits(self, net, images)
    monkeypatch.setattr(Selection, 'logits', watched)
    seen = selection.look(net, real.train.images, real.train.labels)
    assert sizes == [1000, 438]
    assert torch.equal(seen.answers, whole.argmax(1))
    assert torch.allclose(seen.logit, whole.gather(1, selection.labels[:, None])[:, 0], atol=1e-5)
    assert torch.equal(seen.margin > 0, seen.answers == selection.labels)
    assert torch.equal(teacher_answers(teacher, selection.train), teacher.logits(real.train.images).argmax(1))


def test_filters_take_the_batch_of_their_size_or_the_one_that_was_asked_for(real, small, teacher):
    def batches(protocol):
        selection = Selection(quick(protocol=protocol), small, teacher, real, None, {})
        return [selection.recipe(n).batch for n in (4999, 5000, 10_000)]
    assert batches('ccfs') == batches('ccfs-scripts') == [32, 64, 128]
    assert batches('ccfs(batch=48)') == [48] * 3
    assert batches('hard') == [256] * 3


def test_photos_have_no_settings_of_ccfs_and_that_is_said(teacher):
    photos = load('digits', size=80)
    with pytest.raises(InputError, match="'ccfs' has settings for .* none for these images .imagenet."):
        protocol('ccfs', photos)
    large = replace(teacher, size=80)
    with pytest.raises(InputError, match='none for these images'): quick(alpha=0.).check(None, large, photos)
    quick(alpha=0., protocol='cda(epochs=2)').check(None, large, photos)
    quick(alpha=0., protocol='hard(epochs=2)').check(None, large, photos)
    assert protocol('ccfs', load('digits', size=64)).recipe.epochs == 100


def test_the_released_teachers_took_200_epochs():
    assert {recipe.epochs for _, recipe in TEACHERS.values()} == {200}
    assert TEACHERS['tiny-imagenet'][1].lr == .2


def plain_phase(answers, teacher_answers, labels, scores, taken, counts, coarse, fine):
    "The released selection of a phase as it is described: sets, a sort by score for each class, a slice"
    right = {i for i, (a, y) in enumerate(zip(answers, labels)) if a == y}
    known = {i for i, (a, y) in enumerate(zip(teacher_answers, labels)) if a == y}
    everyone = set(range(len(labels)))
    pool = ((everyone - right) if coarse == 'misclassified' else right) & known - set(taken)
    chosen = []
    for c, count in enumerate(counts):
        ranked = sorted((i for i in pool if labels[i] == c), key=lambda i: scores[i], reverse=fine == 'hard')
        chosen += ranked[:count]
    return chosen


@pytest.mark.parametrize('coarse', ['misclassified', 'correct'])
@pytest.mark.parametrize('fine', ['simple', 'hard'])
def test_each_phase_chooses_what_the_paper_describes(coarse, fine):
    "Three phases over 600 images with different scores, with a shortage in the later ones"
    g = seeded('phases')
    n, classes = 600, 10
    labels, scores = torch.arange(n) % classes, torch.randperm(n, generator=g).float()
    teacher = torch.where(torch.rand(n, generator=g) < .95, labels, (labels + 1) % classes)
    taken = []
    for phase, count in enumerate((20, 20, 19)):
        wrong = torch.rand(n, generator=g) < .6 / (phase + 1)
        answers = torch.where(wrong, (labels + 3) % classes, labels)
        pool = candidates(coarse, answers, labels, teacher == labels, torch.tensor(taken, dtype=torch.long))
        order = fine_order(fine, 'index', scores, torch.zeros(n), torch.arange(n), None)
        ours = take_first(order, pool, labels, torch.full((classes,), count)).tolist()
        assert ours == plain_phase(answers.tolist(), teacher.tolist(), labels.tolist(), scores.tolist(), taken,
                                   [count] * classes, coarse, fine)
        taken += ours
    assert 0 < len(taken) < classes * 59  # it ran short on the way


@pytest.fixture
def whole_cifar10(data_folder): return load('cifar10', root=data_folder('cifar-10-batches-py'))


@pytest.fixture
def cifar10(whole_cifar10): return whole_cifar10.train


def test_published_scores_agree_and_are_matched_by_pixels(pack, whole_cifar10):
    cifar10 = whole_cifar10.train
    file = pack/'difficulty-scores/forgetting_CIFAR10.npy'
    forgetting = published(file, cifar10, whole_cifar10)
    assert torch.equal(forgetting.scores, torch.from_numpy(np.load(file)))
    assert int((forgetting.scores == 0).sum()) == 7399
    assert abs(float(forgetting.scores.mean()) - 5.09) < .01
    cscore = published(pack/'difficulty-scores/cscores_CIFAR10.npz', cifar10, whole_cifar10)
    assert abs(spearman(forgetting, cscore) - .845) < .002  # turned so that both grow with difficulty

    easy = select('easiest', cifar10, 20, cscore)
    assert float(cscore.scores[easy].min()) > .7
    assert cifar10.labels[easy].bincount().tolist() == [20] * 10

    by_class = cifar10.labels.argsort(stable=True)  # as class folders come, under a name that proves nothing
    exported = ImageSet(cifar10.images[by_class], cifar10.labels[by_class], cifar10.classes, name='cifar100')
    here = published(file, exported, whole_cifar10)
    assert torch.equal(here.scores, forgetting.scores[by_class])
    with pytest.raises(InputError, match='another order'): forgetting.check_data(exported)
    part = cifar10.take(torch.arange(500, 700))
    assert torch.equal(published(file, part, whole_cifar10).scores, forgetting.part(cifar10, part).scores)
    with pytest.raises(InputError, match='none of the training images'):
        published(file, whole_cifar10.test, whole_cifar10)


@pytest.mark.parametrize('name', sorted(set(PUBLISHED) - {'forgetting_CIFAR10.npy', 'cscores_CIFAR10.npz'}))
def test_published_scores_of_other_data_are_refused(pack, real, name):
    with pytest.raises(InputError, match='are not the .* official training images'):
        published(pack/'difficulty-scores'/name, real.train, real)


def test_a_filter_is_labelled_with_the_statistics_of_its_protocol(small, teacher, real, monkeypatch):
    asked = []
    def logits(x, stats, *_, **__):
        asked.append(stats)
        return torch.zeros(len(x), 10)
    selection = Selection(quick(protocol='ccfs(epochs=1, stats=batch)'), small, teacher, real, None, {})
    monkeypatch.setattr(selection.teacher, 'logits', logits, raising=False)
    next(selection.train_filter(0))
    assert asked == ['batch']
