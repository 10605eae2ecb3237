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
