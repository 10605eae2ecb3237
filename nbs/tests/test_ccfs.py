"CCFS: what it promises, what it refuses, a killed run that chooses the same images, and scores that others published"
import json
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
import warm

from ddnb.core.basics import InputError, seeded
from ddnb.core.config import from_config, registered, to_config
from ddnb.core.run import Run, resume
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.methods.ccfs import CCFS, SHORTAGE, Phase, Selection, budgets
from ddnb.methods.difficulty import PUBLISHED, Difficulty, TrainingLog, published, spearman
from ddnb.methods.select import select
from ddnb.train.evaluate import protocol
from ddnb.train.train import Teacher, squeeze
from ddnb.view.plots_ccfs import median_index, where_plot

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
        def logits(self, images): return answers
    ignorant = Ignorant(**{k: v for k, v in vars(teacher).items() if k in Teacher.__dataclass_fields__})
    with pytest.raises(InputError, match='the teacher is right on 1'):
        Selection(quick(), small, ignorant, real, None, {})


def test_a_filter_that_diverged_is_named(monkeypatch, real, teacher):
    def logits(selection, net, images): return torch.full((len(images), 10), torch.nan)
    monkeypatch.setattr(Selection, 'logits', logits)
    with pytest.raises(InputError, match='the filter of phase 1 gives answers that are no numbers'):
        quick(alpha=0.).make(None, teacher, real)


def knows_everything(selection, net, images):
    "Logits of a filter that is right on all images"
    labels = selection.labels if images is selection.train.images else selection.real.test.labels.cpu()
    return 9 * torch.eye(selection.classes)[labels]


def test_a_perfect_filter_leaves_nothing_to_choose(monkeypatch, real, small, teacher, aum):
    monkeypatch.setattr(Selection, 'logits', knows_everything)
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
        patch.setattr(Selection, 'logits', knows_everything)
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


@pytest.fixture
def cifar10(data_folder): return load('cifar10', root=data_folder('cifar-10-batches-py')).train


def test_the_published_scores_load_and_agree(pack, cifar10):
    forgetting = published(pack/'difficulty-scores/forgetting_CIFAR10.npy', cifar10)
    cscore = published(pack/'difficulty-scores/cscores_CIFAR10.npz', cifar10)
    assert abs(spearman(forgetting, cscore) - .845) < .002  # turned so that both grow with difficulty
    assert int((forgetting.scores == 0).sum()) == 7399
    assert abs(float(forgetting.scores.mean()) - 5.09) < .01

    easy = select('easiest', cifar10, 20, cscore)
    assert float(cscore.scores[easy].min()) > .7
    assert cifar10.labels[easy].bincount().tolist() == [20] * 10


def test_published_scores_follow_a_part_of_the_data(pack, cifar10):
    file = pack/'difficulty-scores/forgetting_CIFAR10.npy'
    part = cifar10.take(torch.arange(500, 700))
    assert torch.equal(published(file, part).scores, published(file, cifar10).part(cifar10, part).scores)


def test_published_scores_follow_another_order(pack, cifar10):
    file = pack/'difficulty-scores/forgetting_CIFAR10.npy'
    forgetting = published(file, cifar10)
    shuffled = cifar10.take(torch.randperm(len(cifar10), generator=torch.Generator().manual_seed(0)))
    with pytest.raises(InputError, match='another order'): forgetting.check_data(shuffled)
    here = published(file, shuffled)  # its index says which image is which
    assert torch.equal(here.scores, forgetting.scores[shuffled.index])


@pytest.mark.parametrize('name', sorted(set(PUBLISHED) - {'forgetting_CIFAR10.npy', 'cscores_CIFAR10.npz'}))
def test_published_scores_of_other_classes_are_refused(pack, cifar10, name):
    with pytest.raises(InputError, match='10 classes of cifar10'): published(pack/'difficulty-scores'/name, cifar10)
