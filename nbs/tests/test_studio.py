"The studio and its forms: every method, base, data set, protocol and format that is registered, and what is refused"
import dataclasses
import shutil
import time
from dataclasses import dataclass

import pytest
import torch

pytest.importorskip('ipywidgets')

from ddnb.core.basics import InputError
from ddnb.core.config import Input, known, register, registered
from ddnb.core.run import Event, Method
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.methods.matching import DM
from ddnb.train.train import squeeze
from ddnb.view.studio import Studio

TEACHER_NET = 'convnet2-w8-batch'


def until(ok, what, seconds=60):
    "Wait until ok() holds"
    end = time.monotonic() + seconds
    while not ok():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(.05)


def press(studio, f):
    "Do what a button does, and wait until it is done"
    until(lambda: not studio._busy.locked(), 'idle')
    studio.work(f)
    until(lambda: not studio._busy.locked(), lambda: studio.note)


def finish(studio):
    "Press Start and wait for the run"
    press(studio, studio.start)
    until(lambda: studio.run is not None and studio.run.state == 'done', lambda: (studio.note, studio.run))


@pytest.fixture
def studio(tmp_path):
    studio = Studio(tmp_path/'runs')
    yield studio
    studio.close()


@pytest.fixture(scope='module')
def real():
    return load('digits').subset(10)


@pytest.fixture
def forget():
    "Takes off the list what a test has registered"
    names = []
    yield lambda kind, name: names.append((kind, name))
    for kind, name in names: registered(kind).pop(name, None)


def mean_images(forget):
    "A method that a reader defines in one cell"
    forget('method', 'meanimages')

    @known('method')
    @dataclass(frozen=True)
    class MeanImages(Method):
        "The mean image of each class"
        sharpness: float = 1.  # contrast of the means
        ipc: int = 1           # images per class

        def stream(self, real, state):
            x, y = real.train.images.float() / 255, real.train.labels
            classes = range(len(real.classes))
            means = torch.stack([x[y == c].mean(0) for c in classes]).mul(self.sharpness).clamp(0, 1)
            images = means.repeat_interleave(self.ipc, 0)
            yield Event(1, 1, dict(mean=images.mean()), lambda: images, part=True)
            labels = torch.arange(len(classes)).repeat_interleave(self.ipc)
            return DistilledSet(images, labels, real.classes)
    return MeanImages


def test_a_readers_method_appears_in_an_open_studio_and_runs(studio, real, forget):
    cls = mean_images(forget)
    studio.refresh()
    assert 'MeanImages' in studio.kind.options
    assert studio.kind.value == 'CDA', 'what was chosen stays chosen'
    studio.kind.value = 'MeanImages'
    assert studio.form.method == cls() and 'The mean image' in studio.hint.value
    studio.form.fields['ipc'].value = 2
    studio.real = real
    finish(studio)
    assert len(studio.run.result()) == 20
    assert 'run     = MeanImages(ipc=2).start(real)' in studio.script


def test_an_input_that_the_studio_does_not_have_is_read_from_a_folder(studio, real, forget, tmp_path):
    forget('input', 'start_set')
    forget('method', 'brighter')
    register('input', 'start_set', Input('a set to begin with', DistilledSet.load))

    @known('method')
    @dataclass(frozen=True)
    class Brighter(Method):
        "The same images, brighter"
        by: float = .1  # added to each pixel

        def stream(self, start_set, state):
            images = (start_set.images + self.by).clamp(0, 1)
            yield Event(1, 1, images=lambda: images)
            return dataclasses.replace(start_set, images=images)

    start = DistilledSet(real.train.images[:10].float() / 255, real.train.labels[:10], real.classes)
    start.save(tmp_path/'start')
    studio.refresh()
    studio.kind.value = 'Brighter'
    given, = studio.inputs
    assert given.box in studio.place.children and given.box.tooltip == 'a set to begin with'
    given.box.value = str(tmp_path/'start')
    finish(studio)
    assert (studio.run.result().images >= start.images).all()
    assert f"start_set = registered('input')['start_set'].read({str(tmp_path/'start')!r})" in studio.script
    assert 'from ddnb.core.config import registered' in studio.script


def test_an_input_that_nobody_can_read_is_refused_with_what_to_do(studio, forget):
    forget('method', 'reader')

    @known('method')
    @dataclass(frozen=True)
    class Reader(Method):
        def stream(self, riddle, state): yield Event(1, 1)

    studio.refresh()
    with pytest.raises(InputError, match="how to read the input 'riddle'"): studio.kind.value = 'Reader'


def test_a_base_is_a_method_too(studio, real):
    studio.kind.value = 'DM'
    studio.form.fill(DM.preset('digits', net='convnet2-w8', steps=2, real_batch=8, ipc=1))
    studio.real = real
    finish(studio)
    assert studio.judge.value == DM.protocol
    assert studio.tabs.titles[studio.tabs.selected_index] == 'Run'


def test_menus_hold_what_is_registered(studio):
    assert studio.kind.options == tuple(c.__name__ for kind in ('method', 'base') for c in registered(kind).values())
    assert list(studio.data.options) == list(registered('data'))
    assert list(studio.judge.options) == list(registered('protocol'))
    assert list(studio.format.options) == list(registered('export'))
    assert set(registered('score')) < set(studio.score.options)


def test_a_teacher_of_other_classes_is_refused(studio, real):
    teacher = squeeze(real, TEACHER_NET, epochs=1, progress=False)
    other = dataclasses.replace(teacher, classes=teacher.classes[::-1])
    studio.real, studio.teacher = real, teacher
    studio.real.origin['name'] = studio.data.value
    studio.saved.value = str(other.save(studio.folder/'other'))
    press(studio, studio.load_teacher)
    assert 'disagree' in str(studio.note)
    assert studio.teacher is teacher


def test_data_without_a_name_are_refused(studio):
    studio.data.value = ' '
    press(studio, studio.read)
    assert 'no data are named' in str(studio.note)


def test_a_difficulty_that_nobody_measures_is_refused(studio, real):
    studio.real = real
    with pytest.raises(InputError, match='there is no difficulty'): studio.difficulty('mood')


def test_a_set_that_is_gone_is_no_longer_offered(studio, real):
    for name in ('cda-001', 'pdd-001'): (studio.folder/name/'result').mkdir(parents=True)
    studio.refresh()
    assert studio.begins.value == 'pdd-001', 'the newest'
    studio.begins.value = 'cda-001'
    shutil.rmtree(studio.folder/'cda-001')
    studio.refresh()
    assert studio.begins.value == 'pdd-001'
    assert 'cda-001' not in studio.begins.options


def test_closing_a_studio_takes_nothing_from_the_next(tmp_path):
    for name in ('one', 'two'): Studio(tmp_path/name).close()
