"""Small runs of every kind, and pages that show them without a kernel.

`Fade` is a toy that the front end shows as a recovery, `Drift` one that it knows nothing of. With `every_step` all
steps are recorded, so that the same runs come out each time."""
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch

from ddnb.core.basics import seeded
from ddnb.core.config import known
from ddnb.core.run import Event, Method, Run
from ddnb.data.images import DistilledSet
from ddnb.data.views import cosine
from ddnb.train.evaluate import CONTROL, Row
from ddnb.view import page
from ddnb.view.recovery import RecoveryFeed

EVIL = '<img src=x onerror=alert(1)>'
CLOSING = '</script><script>alert(2)</script>'


def squares(labels, size, share):
    "Images (n, 3, size, size): a square in the colour of the class on grey, brighter with `share`"
    labels = torch.as_tensor(labels)
    colours = torch.rand(int(labels.max()) + 1, 3, generator=seeded('colours'))
    x = torch.full((len(labels), 3, size, size), .5)
    inner = slice(size // 4, size - size // 4)
    x[:, :, inner, inner] = (.2 + .8 * share) * colours[labels][:, :, None, None]
    x[:, :, 0, 0] = (torch.arange(len(labels)) % 2)[:, None].float()
    return x


@dataclass(frozen=True)
class Toy(Method):
    "Squares that grow brighter"
    steps: int = 20     # steps
    classes: int = 2    # classes
    ipc: int = 2        # images a class
    size: int = 8       # pixels along a side
    wait: float = 0.    # seconds a step
    fails_at: int = 0   # step, 0: never

    def stream(self, named, state):
        labels = tuple(c for c in range(self.classes) for _ in range(self.ipc))
        for step in range(state.get('step', 0) + 1, self.steps + 1):
            time.sleep(self.wait)
            if step == self.fails_at: raise ValueError('a toy that breaks')
            state['step'] = step
            yield Event(step, self.steps, self.scalars(step / self.steps),
                        lambda step=step: squares(labels, self.size, step / self.steps), labels=labels)
        names = named.classes if named else [f'class {c}' for c in range(self.classes)]
        return DistilledSet(squares(labels, self.size, 1), torch.tensor(labels), names)

    def scalars(self, share): return dict(loss=1 / (share + .1))


@known
@dataclass(frozen=True)
class Drift(Toy):
    "A method that the front end knows nothing of"


@known
@dataclass(frozen=True)
class Fade(Toy):
    "A method that is shown as a recovery"
    schedule: object = field(default_factory=cosine)

    def scalars(self, share): return dict(ce=2 - share, bn=1 / (share + .1), layers=[1 - share / 2, .5 + share / 4, .3])


class FadeFeed(RecoveryFeed, shows=('Fade',)):
    "The feed of `Fade`"
    def can(self): return []

    def facts(self):
        settings = self.settings
        return super().facts() | dict(images=settings['classes'] * settings['ipc'])


def named(classes):
    "An input with these class names"
    n = len(classes)
    return DistilledSet(squares(range(n), 8, 1), torch.arange(n), classes)


@contextmanager
def every_step(preview_images=Run.preview_images):
    "Each step is recorded, with its images"
    before = Run.record_every, Run.preview_every, Run.preview_images
    Run.record_every, Run.preview_every, Run.preview_images = 0., 0., preview_images
    try: yield
    finally: Run.record_every, Run.preview_every, Run.preview_images = before


def until(f, what, seconds=20):
    "Wait until f() holds, and return what it gives"
    end = time.monotonic() + seconds
    while not (value := f()):
        assert time.monotonic() < end, what
        time.sleep(.02)
    return value


# ---- runs of every kind ----

def scores(name, protocol, mean, control, **more):
    "Rows of a judged set and of its control, as `scores.json` has them"
    row = Row(name, protocol, 'convnet2-w16', 2, 3, mean, .01, mean, **more)
    random = Row(CONTROL, protocol, 'convnet2-w16', 2, 3, control, .02, control, control_of=[name], **more)
    return [row, random]


def save_scores(run, rows):
    "Write the `scores.json` of a run"
    (run.folder/'scores.json').write_text(json.dumps([r.to_json() for r in rows]))


def small_runs(home):
    "Name → a finished run: one of each kind, on the small digits. A folder that holds them gives them again."
    home = Path(home)
    if not (home/'all').exists():
        home.mkdir(parents=True, exist_ok=True)
        with every_step(): _make(home)
        (home/'all').touch()
    names = ('teacher', 'recovery', 'stages', 'selection', 'long', 'short', 'plain')
    return {name: Run.open(home/name) for name in names}


def _make(home):
    from ddnb.data.load import load
    from ddnb.methods.ccfs import CCFS
    from ddnb.methods.cda import CDA
    from ddnb.methods.difficulty import one_pass
    from ddnb.methods.matching import DM
    from ddnb.methods.pdd import PDD
    from ddnb.train.train import squeeze
    real = load('digits')
    teacher = squeeze(real, 'convnet2-w16-batch', epochs=3, folder=home/'teacher', progress=False)

    slow = dict(lr=.03, bn_weight=1., jitter=1)  # in so few steps it leaves images that the teacher doubts
    recovery = CDA.preset('digits', ipc=2, steps=40, **slow).start(teacher, folder=home/'recovery').wait()
    save_scores(recovery, scores('CDA', 'hard', .6, .5) + scores('CDA', 'rd3', .55, .54))

    base = DM.preset('digits', net='convnet2-w8', steps=10, real_batch=16)
    stages = PDD(base, stages=3, ipc=1, pool=2, transition_epochs=1).start(real, folder=home/'stages').wait()
    save_scores(stages, scores('PDD', 'idc-progressive', .7, .6, stages=[.5, .6, .7], order='progressive'))

    small = recovery.result()
    difficulty = one_pass(teacher, real.train)['margin']
    method = CCFS.preset('digits', ipc=8, phases=2, protocol='ccfs(epochs=2)')
    method.start(small, teacher, real, difficulty, folder=home/'selection').wait()

    Fade(400, classes=10).start(None, folder=home/'long').wait()
    Fade(60, classes=10).start(None, folder=home/'short').wait()
    Drift(20, classes=3, size=16).start(named(['a', EVIL, CLOSING]), folder=home/'plain').wait()
    for name in ('recovery', 'stages', 'selection', 'long', 'short', 'plain'): Run.open(home/name).result()


@lru_cache
def studio_messages(home, step, run=None):
    "What the studio on the folder of `small_runs` says at a step, with a run in view"
    from ddnb.view.studio import Studio
    studio = Studio(home)
    desk = studio.desk
    until(lambda: desk.real is not None and desk.job is None, 'the digits are loaded', 60)
    if run: desk.do('open', run=run)
    desk.do('go', step=step)
    with studio._told:
        studio.news()
        messages = studio.everything()
    studio.close()
    return messages


# ---- pages ----

NAMES = 'Store, RunPanel, APPS, h, sheets'  # of the module, that a test reaches in `window`


def page_html(messages=(), app='panel'):
    "A page with the front end and one record, its names in `window`"
    record = page.record_html(list(messages), app) if messages else ''
    script = page.script().replace('</script', '<\\/script')
    return ('<!doctype html><html lang=en><meta charset=utf-8><title>a page</title>'
            '<meta name=viewport content="width=device-width, initial-scale=1">'
            f'<style>{page.style()} body {{ margin: 0 }} '
            '@media (prefers-color-scheme: dark) { body { background: #16181b } }</style>'
            f'<main>{record}</main><script type=module>{script}\n'
            f'Object.assign(window, {{ {NAMES} }}); mountAll(); window.ready = true</script></html>')
