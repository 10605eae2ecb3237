"Runs: mistakes of a method's author, folders of others, and who may give orders"
import json
import math
import random
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import warm
from test_core import Count, Number, until

from ddnb.core import run as core
from ddnb.core.basics import InputError
from ddnb.core.config import known, save_state
from ddnb.core.run import Event, Method, Run, Stopped, is_written, live_run, resume

ROOT = Path(__file__).resolve().parents[2]


# ---- mistakes of an author -------------------------------------------------------------------------------------

@known
@dataclass(frozen=True)
class Careless(Method):
    "Makes one mistake"
    mistake: str = ''    # which
    steps: int = 500     # steps

    def stream(self, state):
        if self.mistake == 'state': state['rng'] = random.Random()
        if self.mistake == 'key': state['a'] = {(1, 2): 3}
        if self.mistake == 'pieces': state['pieces'] = dict(a=[1])
        if self.mistake == 'piece': state['pieces'] = {'../a': torch.ones(1)}
        shapes = dict(flat=(10, 64), wide=(1, 3, 4, 6), none=(0, 3, 4, 4))
        images = lambda: torch.zeros(shapes[self.mistake])
        if self.mistake == 'list': images = lambda: [1, 2]
        if self.mistake == 'tensor': images = torch.zeros(1, 1, 4, 4)
        showing = self.mistake in (*shapes, 'list', 'tensor')
        for step in range(1, self.steps + 1):
            time.sleep(.002)
            if self.mistake == 'event': yield dict(step=step)
            elif self.mistake == 'step': yield Event(step / 2, self.steps)
            elif self.mistake == 'scalars': yield Event(step, self.steps, .5)
            else: yield Event(step, self.steps, images=images if showing else None)
        if self.mistake == 'object': return object()
        if self.mistake == 'unknown': return Unknown()

class Unknown:
    def save(self, folder): pass
    def load(folder): pass


@pytest.mark.parametrize('mistake, message, steps', [
    ('event', 'yields .*, which is no Event', 500), ('step', 'an event at step 0.5', 500),
    ('scalars', 'the scalars of an event are 0.5', 500),
    ('state', r"state\['rng'\] can not be saved", 500), ('key', r"state\['a'\].* has a key", 500),
    ('pieces', 'is no dict of tensors', 500), ('piece', 'are no file names', 500),
    ('flat', r'the images of an event are \(10, 64\)', 500), ('wide', r'\(1, 3, 4, 6\)', 500),
    ('none', r'\(0, 3, 4, 4\)', 500), ('list', 'the images of an event are list', 500),
    ('tensor', 'images of an event are no function', 500),
    ('', 'the stream returned None', 1), ('object', 'the stream returned <object', 1), ('unknown', 'Unknown', 1),
])
def test_a_mistake_is_named_where_it_is_made(tmp_path, mistake, message, steps):
    run = Careless(mistake, steps).start(folder=tmp_path/'r')
    with pytest.raises(InputError, match=message): run.result(20)
    assert run.state == Run.open(tmp_path/'r').state == 'failed'
    if steps > 1: assert not run.last or run.last.step < 20, 'it should be refused early'


def test_a_method_that_forgets_its_step_is_told_when_it_is_carried_on(tmp_path):
    run = Careless().start(folder=tmp_path)
    until(lambda: run.last)
    run.stop().wait()
    kept = (tmp_path/'state.safetensors').read_bytes()
    with pytest.raises(InputError, match='its method begins at step 1\n.*keep the step in `state`'):
        resume(tmp_path).result()
    assert (tmp_path/'state.safetensors').read_bytes() == kept


@dataclass(frozen=True)
class Undeclared(Method):
    def stream(self, state): yield Event(1, 1)

@known
@dataclass(frozen=True)
class NoGenerator(Method):
    def stream(self, state): return [Event(1, 1)]


def test_what_can_not_be_carried_on_is_not_begun(tmp_path):
    undeclared = '(?s)Undeclared is not declared.*@known'
    with pytest.raises(InputError, match=undeclared): Undeclared().start(folder=tmp_path/'r')
    with pytest.raises(InputError, match='no generator'): NoGenerator().start(folder=tmp_path/'r')
    assert not (tmp_path/'r').exists()


# ---- the folder ------------------------------------------------------------------------------------------------

def test_files_of_others_stay(tmp_path):
    for name in ('inputs/mine.txt', 'lock', '.draft.part', '.a.b.part', 'notes/.x.1.2.part'):
        folder = tmp_path/name.replace('/', '-')
        (folder/name).parent.mkdir(parents=True)
        (folder/name).write_text('mine')
        with pytest.raises(InputError, match='holds other files'): Count(wait=0).start(Number(1.), folder=folder)
        assert (folder/name).read_text() == 'mine'


def test_files_beside_a_run_stay_when_it_goes_on(tmp_path):
    run = Count(steps=300).start(Number(1.), folder=tmp_path)
    until(lambda: run.last)
    run.stop().wait()
    for name in ('.draft.part', 'notes/.x.1.2.part', 'inputs/.draft.part'):
        (tmp_path/name).parent.mkdir(exist_ok=True)
        (tmp_path/name).write_text('mine')
    ours = [tmp_path/'.run.json.1.2.part', tmp_path/'result/.number.json.1.2.part', tmp_path/'inputs/start/.a.3.4.part']
    for path in ours:
        path.parent.mkdir(exist_ok=True)
        path.write_text('half')
    assert resume(tmp_path).result().value == 301
    assert not any(path.exists() for path in ours)
    assert all((tmp_path/name).exists() for name in ('.draft.part', 'notes/.x.1.2.part', 'inputs/.draft.part'))


@pytest.mark.parametrize('written', [False, True])
def test_a_start_that_was_killed_is_begun_anew(tmp_path, monkeypatch, written):
    def killed(*args): raise KeyboardInterrupt
    with monkeypatch.context() as m:
        m.setattr(core.shutil, 'rmtree', lambda *a, **k: None) # a killed process tidies nothing
        m.setattr(core.os if written else core, 'replace' if written else '_write_new', killed)
        if written: m.setattr(core, 'write_json', lambda path, obj: path.write_text(json.dumps(obj)))
        with pytest.raises(KeyboardInterrupt): Count(wait=0).start(SavedPlainly(4.), folder=tmp_path)
    assert (tmp_path/'run.json').exists() is written and not (tmp_path/'inputs').exists()
    assert Count(wait=0).start(SavedPlainly(4.), folder=tmp_path).result().value == 44
    assert not list(tmp_path.rglob('*.part')) and (tmp_path/'inputs/start').exists()


@known
class SavedPlainly(Number):
    "A number that needs no file to take another's place"
    def save(self, folder):
        Path(folder).mkdir(parents=True)
        (Path(folder)/'number.json').write_text(json.dumps(dict(value=self.value)))


@pytest.mark.parametrize('how', ['deleted', 'moved'])
def test_a_run_whose_folder_goes_fails_and_makes_nothing(tmp_path, how):
    run = Count(steps=10**6).start(folder=tmp_path/'r')
    until(lambda: run.last)
    if how == 'deleted': shutil.rmtree(tmp_path/'r', ignore_errors=True)
    else: (tmp_path/'r').rename(tmp_path/'elsewhere')
    with pytest.raises(InputError, match='the run folder .* is gone'): run.result(20)
    assert run.state == 'failed' and 'Count: failed' in repr(run) and run.wait() is run
    assert not (tmp_path/'r').exists()


def test_a_run_that_can_not_write_its_error_has_failed_all_the_same(tmp_path, monkeypatch):
    run = Count(steps=10**6, bad=150).start(folder=tmp_path)
    until(lambda: run.last)
    run._told = math.inf  # its step is not told meanwhile, however slow the machine
    def full(*args, **more): raise OSError(28, 'No space left on device')
    monkeypatch.setattr(Run, '_write_status', full)
    with pytest.raises(InputError, match='no longer a number'): run.result(20)
    assert run.state == 'failed' and not is_written(tmp_path)


def test_an_error_that_was_mended_is_forgotten(tmp_path):
    run = Count(steps=300).start(folder=tmp_path)
    until(lambda: run.last)
    run.stop().wait()
    (tmp_path/'error.txt').write_text('Traceback')
    resume(tmp_path).result()
    assert not (tmp_path/'error.txt').exists()


@known
@dataclass(frozen=True)
class Heap(Method):
    "Puts pieces on a heap"
    def stream(self, state):
        pieces = state.setdefault('pieces', {})
        for i in range(len(pieces), 200):
            time.sleep(.002)
            pieces[f'{(i * 7) % 200}'] = torch.tensor(i)
            yield Event(i + 1, 200)
        return Number(float(list(pieces.values()) == sorted(pieces.values())))


def test_pieces_come_back_in_their_order(tmp_path):
    run = Heap().start(folder=tmp_path)
    until(lambda: len(run.memory.get('pieces', {})) > 20)
    run.stop().wait()
    assert resume(tmp_path).result().value == 1


@pytest.mark.parametrize('state', [dict(x=1), dict(_step='4', _pieces=[]), dict(_step=4, _pieces=7)])
def test_a_state_that_is_no_checkpoint_is_named(tmp_path, state):
    run = Count(steps=10**6).start(folder=tmp_path)
    until(lambda: run.last)
    run.stop().wait()
    save_state(state, tmp_path/'state.safetensors')
    with pytest.raises(InputError, match='is no checkpoint of a run'): resume(tmp_path)


# ---- who is at work --------------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def foreign(tmp_path_factory):
    "A run at work in another process, whose looks we share"
    folder = tmp_path_factory.mktemp('foreign')/'run'
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n" \
           f"from test_core import Count\nCount(steps=10**6).start(folder={str(folder)!r}).wait()"
    process = warm.Program('-c', code, cwd=ROOT)
    try:
        until(lambda: (folder/'events.jsonl').exists(), 60)
        yield folder, process
    finally:
        process.kill()
        process.wait()


def look(folder, n=300, observers=4):
    "The states that some observers see at once"
    seen = []
    def observe():
        for _ in range(n): seen.append(Run.open(folder).state)
    threads = [threading.Thread(target=observe) for _ in range(observers)]
    for t in threads: t.start()
    for t in threads: t.join()
    return set(seen)


def test_observers_do_not_hinder_each_other(tmp_path):
    run = Count(steps=300).start(folder=tmp_path)
    until(lambda: run.last)
    run.stop().wait()
    status = json.loads((tmp_path/'status.json').read_text())
    (tmp_path/'status.json').write_text(json.dumps(dict(status, state='running')))
    before = sorted(p.name for p in tmp_path.iterdir())
    assert look(tmp_path) == {'interrupted'}
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_observers_do_not_hinder_who_begins(tmp_path):
    folders = [tmp_path/f'{i}' for i in range(5)]
    for folder in folders: Count(steps=1, wait=0).start(folder=folder).wait()
    looking = threading.Thread(target=look, args=(folders[0], 100, 3))
    looking.start()
    while looking.is_alive(): assert Count(steps=1, wait=0).start(folder=folders[0]).state == 'done'


def test_orders_are_given_where_the_run_is_at_work(foreign):
    folder, process = foreign
    seen = Run.open(folder)
    for order in (seen.pause, seen.unpause, seen.stop, seen.wait, seen.result):
        with pytest.raises(InputError, match=f'is at work in process {process.pid}'): order()
        assert seen.state == 'running'
    assert Run.open(folder).state == 'running'


def test_the_object_that_takes_orders_is_named(tmp_path):
    run = Count(steps=10**6).start(folder=tmp_path)
    seen = Run.open(tmp_path)
    with pytest.raises(InputError, match='at work in this process.*\n.*live_run'): seen.pause()
    assert live_run(tmp_path) is run
    run.stop().wait()
    with pytest.raises(Stopped, match='is stopped\n.*resume'): seen.result()
    assert seen.pause() is seen and seen.stop() is seen and seen.unpause() is seen and seen.wait() is seen
    paused = Run.open(tmp_path)
    paused.state = 'paused'
    assert paused.unpause().state == 'paused'


# ---- run.json, edited ------------------------------------------------------------------------------------------

def edits(value, rng):
    "The value with one thing changed somewhere inside"
    odd = [None, 5, -1, 1e400, True, 'x', '', '../..', 'a' * 5000]
    odd += [[], {}, [1], {'class': 'os:system'}, {'function': 'f'}]
    if isinstance(value, dict) and value and rng.random() < .8:
        key = rng.choice(list(value))
        how = rng.choice(['change', 'change', 'change', 'drop', 'add', 'rename'])
        if how == 'drop': return {k: v for k, v in value.items() if k != key}
        if how == 'add': return {**value, rng.choice(['x', 'class', 'steps', '']): rng.choice(odd)}
        if how == 'rename': return {'y' if k == key else k: v for k, v in value.items()}
        return {**value, key: edits(value[key], rng)}
    return rng.choice(odd)


def test_an_edited_run_is_refused_in_plain_words(tmp_path):
    run = Count(steps=60, wait=.005).start(Number(1.), folder=tmp_path/'r')
    until(lambda: run.last)
    run.stop().wait()
    whole = json.loads((tmp_path/'r/run.json').read_text())
    rng = random.Random(0)
    refused = 0
    for _ in range(400):
        (tmp_path/'r/run.json').write_text(json.dumps(edits(whole, rng)))
        for ask in (Run.open, lambda f: repr(Run(f)), lambda f: repr(Run.open(f)), lambda f: Run(f).method,
                    lambda f: resume(f).stop().wait()):
            try: ask(tmp_path/'r')
            except InputError: refused += 1
    assert refused > 400


def test_what_is_carried_on_is_checked_as_what_is_started(tmp_path):
    run = Picky(steps=300).start(Number(1.), folder=tmp_path)
    until(lambda: run.last)
    run.stop().wait()
    about = json.loads((tmp_path/'run.json').read_text())
    about['method']['most'] = 0
    (tmp_path/'run.json').write_text(json.dumps(about))
    with pytest.raises(InputError, match='too much'): resume(tmp_path)


@known
@dataclass(frozen=True)
class Picky(Count):
    "Counts from a small number"
    most: int = 9 # largest start
    def check(self, start):
        if start.value > self.most: raise InputError('too much', 'less')
