"CCFS: a killed run chooses the same images; scores that others published"
import signal
import subprocess
import sys

import pytest
import torch

from ddnb.core.basics import InputError
from ddnb.core.run import Run, resume
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.methods.ccfs import CCFS
from ddnb.methods.difficulty import PUBLISHED, Difficulty, TrainingLog, published, spearman
from ddnb.methods.select import select
from ddnb.train.train import Teacher, squeeze

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
method = CCFS(ipc=8, alpha=.25, phases=2, protocol='ccfs(epochs=20)', device='cpu')
method.start(small, teacher, load('digits'), hard, folder=out).result()
'''


@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    "A teacher, its log's AUM and two random real images a class in place of distilled ones, in a folder"
    folder = tmp_path_factory.mktemp('inputs')
    real = load('digits')
    log = TrainingLog(len(real.train))
    squeeze(real, 'convnet2-w8-batch', epochs=3, progress=False, watch=log).save(folder/'teacher')
    log.difficulties(real.train)['aum'].save(folder/'hard')
    few = real.train.subset(2)
    DistilledSet(few.images / 255, few.labels, few.classes).save(folder/'small')
    return folder


@pytest.fixture(scope='module')
def whole(inputs, tmp_path_factory):
    "The run that nobody disturbs"
    out = tmp_path_factory.mktemp('whole')/'run'
    subprocess.run([sys.executable, '-c', START, inputs, out], check=True, capture_output=True)
    return out


def killed(inputs, out, last):
    "A run that kills itself at the first event after the one whose note says `last`"
    done = subprocess.run([sys.executable, '-c', START, inputs, out, last], capture_output=True)
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


def test_scores_of_other_data_are_refused_in_a_run(inputs, tmp_path):
    teacher = Teacher.load(inputs/'teacher')
    small = DistilledSet.load(inputs/'small')
    real = load('digits')
    foreign = Difficulty(torch.zeros(len(real.train)), 'aum', False, 'another')
    with pytest.raises(InputError, match='other images'):
        CCFS(ipc=8).check(small, teacher, real, foreign)
    with pytest.raises(InputError, match='1,438'):
        CCFS(ipc=8).check(small, teacher, real.first(100), Difficulty.load(inputs/'hard'))


@pytest.fixture(scope='module')
def select_from(inputs):
    "A function that runs CCFS from a set, with the settings that it is given"
    teacher = Teacher.load(inputs/'teacher')
    hard = Difficulty.load(inputs/'hard')
    real = load('digits')

    def make(start, **settings):
        return CCFS(protocol='ccfs(epochs=2)', device='cpu', **settings).make(start, teacher, real, hard)
    return make


def test_more_phases_than_real_images_of_a_class(inputs, select_from):
    small = DistilledSet.load(inputs/'small')
    few = select_from(small, ipc=2, alpha=.5, phases=3)  # one real image a class: two phases have nothing to do
    assert len(few) == 20
    assert len(few.provenance['selection']) == 1


def test_no_distilled_image_at_all(select_from):
    alone = select_from(None, ipc=2, alpha=0., phases=2, first='easiest')  # the first filter learns the easiest
    assert len(alone) == 20
    assert (alone.source == 'real').all()
    assert alone.stage.unique().tolist() == [1, 2]


def test_phases_count_on_from_the_stages_of_the_distilled(inputs, select_from):
    small = DistilledSet.load(inputs/'small')
    staged = DistilledSet(small.images, small.labels, small.classes, stage=torch.arange(20) % 2)
    assert select_from(staged, ipc=3, alpha=2 / 3, phases=1).stage.unique().tolist() == [0, 1, 2]


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
