"CCFS: a killed run chooses the same images; scores that others published"
import signal, subprocess, sys
import pytest, torch
from ddnb.core.basics import InputError
from ddnb.methods.ccfs import CCFS
from ddnb.methods.difficulty import PUBLISHED, Difficulty, TrainingLog, published, spearman
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.core.run import Run, resume
from ddnb.methods.select import select
from ddnb.train.train import Teacher, squeeze

START = '''
import os, signal, sys
from ddnb.core.run import Run
from ddnb.methods.ccfs import CCFS
from ddnb.methods.difficulty import Difficulty
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.train.train import Teacher
inputs, out, *last = sys.argv[1:]
Run.checkpoint_every, Run.record_every = .15, 0.
def look(run, event, must=False, look=Run._record):
    if last and any(last[0] in e['note'] for e in run.events): os.kill(os.getpid(), signal.SIGKILL)
    look(run, event, must)
Run._record = look
small, teacher, hard = (c.load(f'{inputs}/{n}') for n, c in (('small', DistilledSet), ('teacher', Teacher), ('hard', Difficulty)))
CCFS(ipc=8, alpha=.25, phases=2, protocol='ccfs(epochs=20)', device='cpu').start(small, teacher, load('digits'), hard, folder=out).result()
'''

@pytest.fixture(scope='module')
def inputs(tmp_path_factory):
    "A teacher, its log's AUM and two random real images a class in place of distilled ones, in a folder"
    folder, real = tmp_path_factory.mktemp('inputs'), load('digits')
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
    "A run that kills itself at the first event after the one that says `last`"
    assert subprocess.run([sys.executable, '-c', START, inputs, out, last], capture_output=True).returncode == -signal.SIGKILL
    assert Run.open(out).state == 'interrupted' and not (out/'result').exists()

@pytest.mark.faults
@pytest.mark.parametrize('last', ['phase 1 of 2: chose', 'phase 2 of 2, filter: epoch 3'], ids=['between', 'inside'])
def test_a_killed_run_chooses_the_same_images(inputs, whole, tmp_path, last):
    killed(inputs, tmp_path/'cut', last)
    done, undisturbed = resume(tmp_path/'cut').result(), Run.open(whole).result()
    assert torch.equal(done.real_index, undisturbed.real_index) and done.provenance['selection'] == undisturbed.provenance['selection']
    assert (tmp_path/'cut/result/images.safetensors').read_bytes() == (whole/'result/images.safetensors').read_bytes()
    ends = [e for e in Run.open(tmp_path/'cut').events if 'funnel' in e]
    assert [e['phase'] for e in ends] == [1, 2] and [e['all'] for e in ends] == [r['all'] for r in done.provenance['selection']]

def test_the_end_of_a_phase_is_an_event_and_a_checkpoint(whole):
    events = Run.open(whole).events
    assert sum('funnel' in e for e in events) == 2 and all((whole/e['preview']).exists() for e in events if 'funnel' in e)
    assert {p.stem for p in (whole/'pieces').glob('*')} == {'teacher', 'phase01-answers', 'phase02-answers'}

def test_scores_of_other_data_are_refused_in_a_run(inputs, tmp_path):
    teacher, small, real = Teacher.load(inputs/'teacher'), DistilledSet.load(inputs/'small'), load('digits')
    with pytest.raises(InputError, match='other images'): CCFS(ipc=8).check(small, teacher, real, Difficulty(torch.zeros(len(real.train)), 'aum', False, 'another'))
    with pytest.raises(InputError, match='1,438'): CCFS(ipc=8).check(small, teacher, real.first(100), Difficulty.load(inputs/'hard'))
    assert not list(tmp_path.iterdir())

def test_odd_budgets(inputs):
    teacher, small, hard, real = Teacher.load(inputs/'teacher'), DistilledSet.load(inputs/'small'), Difficulty.load(inputs/'hard'), load('digits')
    make = lambda start, **changes: CCFS(protocol='ccfs(epochs=2)', device='cpu', **changes).make(start, teacher, real, hard)
    few = make(small, ipc=2, alpha=.5, phases=3)                              # one real image a class, for three phases: two have nothing to do
    assert len(few) == 20 and len(few.provenance['selection']) == 1
    alone = make(None, ipc=2, alpha=0., phases=2, first='easiest')            # no distilled image at all, the first filter learns the easiest
    assert len(alone) == 20 and (alone.source == 'real').all() and alone.stage.unique().tolist() == [1, 2]
    staged = DistilledSet(small.images, small.labels, small.classes, stage=torch.arange(20) % 2)
    assert make(staged, ipc=3, alpha=2 / 3, phases=1).stage.unique().tolist() == [0, 1, 2]  # phases count on from the stages of the distilled

def test_the_published_scores_load_and_agree(pack, data_folder):
    train, folder = load('cifar10', root=data_folder('cifar-10-batches-py')).train, pack/'difficulty-scores'
    forgetting, cscore = (published(folder/f, train) for f in ('forgetting_CIFAR10.npy', 'cscores_CIFAR10.npz'))
    assert abs(spearman(forgetting, cscore) - .845) < .002                    # turned so that both grow with difficulty
    assert int((forgetting.scores == 0).sum()) == 7399 and abs(float(forgetting.scores.mean()) - 5.09) < .01
    part = train.take(torch.arange(500, 700))
    assert torch.equal(published(folder/'forgetting_CIFAR10.npy', part).scores, forgetting.part(train, part).scores)
    easy = select('easiest', train, 20, cscore)
    assert float(cscore.scores[easy].min()) > .7 and train.labels[easy].bincount().tolist() == [20] * 10
    shuffled = train.take(torch.randperm(len(train), generator=torch.Generator().manual_seed(0)))
    with pytest.raises(InputError, match='another order'): forgetting.check_data(shuffled)
    assert torch.equal(published(folder/'forgetting_CIFAR10.npy', shuffled).scores, forgetting.scores[shuffled.index])  # its index says which image is which

def test_published_scores_of_other_classes_are_refused(pack, data_folder):
    train = load('cifar10', root=data_folder('cifar-10-batches-py')).train
    for name in set(PUBLISHED) - {'forgetting_CIFAR10.npy', 'cscores_CIFAR10.npz'}:
        with pytest.raises(InputError, match='10 classes of cifar10'): published(pack/'difficulty-scores'/name, train)
