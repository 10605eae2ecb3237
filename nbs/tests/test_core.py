"Files, configurations, the registry and runs: what is refused, and what must hold at every moment"
import json
import math
import sys
import threading
import time
import types
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import torch
import warm

from ddnb.app.cli import field_parser
from ddnb.core.basics import InputError, pick_device, read_json, write_json, write_text
from ddnb.core.config import (
    Input,
    check_names,
    check_types,
    field_types,
    find_class,
    from_config,
    known,
    plain_value,
    read_call,
    registered,
)
from ddnb.core.run import AT_WORK, NEXT_STATES, Event, Method, Record, Run, Stopped, is_written, live_run, resume

ROOT = Path(__file__).resolve().parents[2]


@known
@dataclass(eq=False)
class Number:
    "A result, and an input, that is one number"
    value: float # the number

    @property
    def identity(self): return repr(self.value)

    def save(self, folder): write_json(Path(folder)/'number.json', dict(value=self.value))

    @staticmethod
    def load(folder): return Number(read_json(Path(folder)/'number.json')['value'])


@known
@dataclass(frozen=True)
class Count(Method):
    "Counts to a number"
    steps: int = 40    # steps in all
    wait: float = .005 # seconds a step
    bad: int = -1      # step at which the number is none
    refuse: int = -1   # step from which the guard refuses

    def stream(self, start, state):
        state.setdefault('x', torch.tensor(start.value if start else 0.))
        state.setdefault('step', 0)
        def guard(numbers):
            if 0 <= self.refuse <= numbers['x']: raise InputError('too far', 'stop earlier')
        while state['step'] < self.steps:
            time.sleep(self.wait)
            state['step'] += 1
            state['x'] = state['x'] + (math.nan if state['step'] == self.bad else 1)
            yield Event(state['step'], self.steps, dict(x=state['x']), guard=guard)
        return Number(float(state['x']))


def until(condition, seconds=20):
    "Wait for a condition"
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, 'it did not come'
        time.sleep(.005)


# files and settings

@pytest.mark.parametrize('text, how', [('{"name": ', {}), ('[]', {}), ('{}', dict(holds=('name',))),
                                       ('{}', dict(kind=list))])
def test_a_damaged_json_file_is_named(tmp_path, text, how):
    write_text(tmp_path/'a.json', text)
    with pytest.raises(InputError, match='a.json.* is damaged'): read_json(tmp_path/'a.json', **how)

def test_lists_are_read_where_lists_are_asked_for(tmp_path):
    write_json(tmp_path/'a.json', [dict(a=1)])
    assert read_json(tmp_path/'a.json', list) == [dict(a=1)]

def test_a_missing_device_is_refused():
    with pytest.raises(InputError, match='quantum'): pick_device('quantum')
    assert pick_device('meta').type == 'meta'

@dataclass
class Bread:
    grams: int = 500
    salt: float = .02
    def __post_init__(self): check_types(self)

@pytest.mark.parametrize('settings', [dict(grams=1.5), dict(salt=float('nan')), dict(salt='much'), dict(grams=True)])
def test_settings_of_another_type_are_refused(settings):
    with pytest.raises(InputError, match=next(iter(settings))): Bread(**settings)

@pytest.mark.parametrize('settings', [dict(grams=10**400), dict(grams=2**53), dict(grams=10**5000), dict(salt=10**400),
                                      dict(salt=np.float32('inf')), dict(grams=-2**53)])
def test_numbers_beyond_all_measure_are_refused(settings):
    with pytest.raises(InputError, match='is no number to work with'): Bread(**settings)
    assert Bread(2**53 - 1).grams == 2**53 - 1

LATER = """
from __future__ import annotations
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING
from ddnb.core.config import check_types
from ddnb.core.run import Event, Method
if TYPE_CHECKING: from nowhere import Flour

@dataclass(frozen=True)
class Loaf(Method):
    grams: int = 500   # of flour
    salt: float = .02  # share
    def stream(self, state): yield Event(1, 1)

@dataclass(frozen=True)
class Flat(Loaf):
    flour: Flour = None   # whose name is not there
"""

def test_types_are_checked_where_annotations_are_texts():
    names = dict(__name__='later')
    sys.modules['later'] = types.ModuleType('later')
    try:
        exec(LATER, names)
        vars(sys.modules['later']).update(names)
        for cls in (names['Loaf'], names['Flat']):
            assert field_types(cls)['grams'] is int and field_types(cls)['salt'] is float
            with pytest.raises(InputError, match='grams=1.5 is not a whole number'): cls(grams=1.5)
            option = {f.name: f for f in fields(cls)}['grams']
            assert field_parser(option, field_types(cls)['grams']) is int
    finally: del sys.modules['later']

def test_an_unknown_setting_is_told_its_neighbour():
    with pytest.raises(InputError, match="did you mean 'grams'"): check_names(Bread, ['gramm'])

def test_what_is_typed_is_read_and_never_run():
    assert read_call('hard') == ('hard', [], {})
    assert plain_value('(1,' * 500).startswith('(1,(')
    assert plain_value('__import__("os")') == '__import__("os")'


# the registry

@pytest.mark.parametrize('path', ['os:system', 'ddnb.core.run:os', 'ddnb.core.run:Run', 'ddnb.methods.cda:CDA.presets',
                                  'ddnb.nothing:CDA', '__main__:nothing'])
def test_only_declared_classes_are_made_again(path):
    with pytest.raises(InputError, match=path.replace('.', r'\.')): find_class(path)
    with pytest.raises(InputError): from_config({'class': path})

def test_a_declared_class_is_found_without_an_import():
    code = "from ddnb.core.config import find_class; print(find_class('ddnb.methods.cda:CDA').__name__)"
    done = warm.python('-c', code, check=True, cwd=ROOT)
    assert done.stdout.strip() == 'CDA'

def test_methods_and_bases_are_registered():
    import ddnb.all  # noqa: F401 – it imports them
    assert {'cda', 'pdd', 'ccfs'} <= registered('method').keys()
    assert {'mtt', 'idc', 'dc', 'dsa', 'dm'} <= registered('base').keys()
    assert all(isinstance(i, Input) for i in registered('input').values())


# events and records

def test_a_number_that_is_none_is_refused_when_it_is_read():
    event = Event(3, 9, dict(loss=torch.tensor(math.inf), layers=torch.ones(2)))
    with pytest.raises(InputError, match='loss is no longer a number at step 3 of 9'): event.read()
    with pytest.raises(InputError, match='layers'): Event(3, 9, dict(layers=torch.tensor([1., math.nan]))).read()

def test_the_guard_speaks_first():
    def guard(numbers): raise InputError(f'the loss is {numbers["loss"]}', 'lower lr')
    with pytest.raises(InputError, match='the loss is nan'): Event(3, 9, dict(loss=math.nan), guard=guard).read()

def test_scalars_may_have_any_name():
    record = Record(1, 2, 3., scalars=dict(step=7.))
    assert Record.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert Record.from_json([]) is None and Record.from_json(dict(step=1)) is None


# runs

def test_every_state_leads_somewhere_known():
    assert {s for after in NEXT_STATES.values() for s in after} <= NEXT_STATES.keys()
    assert all(NEXT_STATES[s] for s in AT_WORK)

def test_a_run_is_paused_and_goes_on(tmp_path):
    run = Count(steps=400).start(folder=tmp_path)
    until(lambda: run.events)
    assert live_run(tmp_path) is run and is_written(tmp_path)
    assert Run.open(tmp_path).state in AT_WORK
    run.pause()
    until(lambda: run.state == 'paused')
    with pytest.raises(Stopped, match='unpause'): run.result()
    before = run.memory['step']
    time.sleep(.2)
    assert run.memory['step'] == before
    assert run.resume() is run
    until(lambda: run.memory['step'] > before)
    run.pause()
    run.stop().wait()
    assert run.state == 'stopped' and live_run(tmp_path) is None and not is_written(tmp_path)
    with pytest.raises(Stopped, match='resume'): run.result()
    assert run.resume().result().value == 400
    assert run.pause() is run and run.state == 'stopped' # nothing to pause

def test_iteration_follows_a_run_to_its_end(tmp_path):
    steps = [record.step for record in Count(steps=100).start(folder=tmp_path)]
    assert steps == sorted(steps) and steps[-1] == 100

def test_one_writer_a_folder(tmp_path):
    run = Count(steps=200).start(folder=tmp_path)
    with pytest.raises(InputError, match='being written by this process'): Count(steps=200).start(folder=tmp_path)
    assert run.result().value == 200
    assert Count(steps=200).start(folder=tmp_path).state == 'done' # the same run again: its result at once

def test_two_threads_get_one_folder_once(tmp_path):
    for i in range(8):
        outcomes, together = [], threading.Barrier(2)
        def begin(i=i, outcomes=outcomes, together=together):
            together.wait()
            try: outcomes.append(Count(steps=100, wait=.02).start(folder=tmp_path/f'{i}'))
            except InputError: outcomes.append(None)
        threads = [threading.Thread(target=begin) for _ in range(2)]
        for t in threads: t.start()
        for t in threads: t.join()
        assert outcomes.count(None) == 1
        for run in filter(None, outcomes): run.stop().wait()

def test_a_killed_process_leaves_an_interrupted_run(tmp_path):
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n" \
           f"from test_core import Count\nCount(steps=10**6).start(folder={str(tmp_path/'run')!r}).wait()"
    process = warm.Program('-c', code, cwd=ROOT)
    try: until(lambda: (tmp_path/'run'/'events.jsonl').exists(), 60)
    finally: process.kill()
    process.wait()
    assert Run.open(tmp_path/'run').state == 'interrupted'

def test_another_run_is_refused_with_the_difference(tmp_path):
    Count(wait=0).start(folder=tmp_path).wait()
    with pytest.raises(InputError, match='steps: 40 there, 9 here'): Count(steps=9, wait=0).start(folder=tmp_path)
    with pytest.raises(InputError, match='other inputs'): Count(wait=0).start(Number(2.), folder=tmp_path)
    with pytest.raises(InputError, match='holds no run'): Run.open(tmp_path/'none')
    with pytest.raises(InputError, match='can not be saved'): Count().start(object(), folder=tmp_path/'b')

def test_inputs_come_back(tmp_path):
    run = Count(steps=200).start(Number(5.), folder=tmp_path)
    until(lambda: run.memory.get('step', 0) > 3)
    run.stop().wait()
    Number(6.).save(tmp_path/'inputs'/'start')
    with pytest.raises(InputError, match='is not what the run started from'): resume(tmp_path)
    Number(5.).save(tmp_path/'inputs'/'start')
    assert resume(tmp_path).result().value == 205

@pytest.mark.parametrize('how', [dict(bad=30), dict(refuse=30)])
def test_the_last_good_state_stays(tmp_path, how):
    run = Count(wait=.01, **how).start(folder=tmp_path)
    until(lambda: run.memory.get('step', 0) > 5)
    run.pause()
    until(lambda: run.state == 'paused')
    run.unpause()
    with pytest.raises(InputError, match='no longer a number|too far'): run.result()
    assert run.state == 'failed'
    opened = Run.open(tmp_path)
    assert opened.state == 'failed' and all(r['x'] < 30 for r in opened.events)
    with pytest.raises(InputError): opened.resume().result()

def test_damaged_records_are_passed_over_and_damaged_facts_named(tmp_path):
    run = Count(wait=.02).start(folder=tmp_path).wait()
    lines = (tmp_path/'events.jsonl').read_text()
    (tmp_path/'events.jsonl').write_text('half a li\n5\n' + lines + '[]\n{"step"')
    assert len(Run.open(tmp_path).events) == len(run.events)
    for name in ('status.json', 'run.json'):
        whole = (tmp_path/name).read_text()
        for damaged in (whole[:-9], '[]', '{}'):
            (tmp_path/name).write_text(damaged)
            with pytest.raises(InputError, match=f'{name}.* is damaged'): Run.open(tmp_path)
        (tmp_path/name).write_text(whole)
    assert Run.open(tmp_path).state == 'done'

def test_the_cost_is_told_and_nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setenv('DDNB_RUNS', str(tmp_path))
    cost = Count(wait=.01).dry_run()
    assert cost['steps'] == 40 and .005 < cost['seconds_per_step'] < 1
    assert not list(tmp_path.iterdir())
    assert Count(wait=0).make().value == 40
    with pytest.raises(InputError, match='takes'): Count().make(1, 2)


@known
@dataclass(frozen=True)
class Snow(Method):
    "Noise at every step: its previews have a size"
    steps: int = 40 # steps in all

    def stream(self, state):
        for step in range(state.get('step', 0), self.steps):
            state['step'] = step + 1
            x = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(step))
            yield Event(step + 1, self.steps, dict(x=0.), lambda x=x: x, labels=(0, 0, 1, 1), part=True)
        return Number(0.)


def test_previews_are_thinned_out_where_they_take_too_much_room(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, 'preview_bytes', 20_000)
    run = Snow().start(folder=tmp_path/'run').wait()
    kept = sorted(p.name for p in (tmp_path/'run/previews').iterdir())
    assert len(run.events) == 40, 'every step is recorded'
    assert 3 <= len(kept) < 12, 'a sheet has about 3,000 bytes'
    assert kept[0].startswith('00000001') and kept[-1].startswith('00000040'), 'the first and the last stay'
    assert list(run.frames()) == [int(name[:8]) for name in kept]
