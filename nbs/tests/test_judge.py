"Judges: a curve beside the run, whose images stay the same"
import pytest
import torch

from ddnb.all import CDA, DM, MTT, PDD, InputError, Judge, Run, load, resume
from ddnb.train import judge

BASE = DM(ipc=1, steps=6, net='convnet2-w4', real_batch=2, device='cpu')


@pytest.fixture(scope='module')
def real(): return load('digits').subset(4)


@pytest.fixture(autouse=True)
def seldom(monkeypatch): monkeypatch.setattr(Run, 'record_every', 1e9)   # else a slow machine records every step


@pytest.fixture
def asked(monkeypatch):
    "Every set that is judged, without training a student"
    sets = []

    class Row:
        mean, std = .25, 0.

    def evaluate(small, *others, **more):
        torch.rand(7)   # somebody draws from torch's own numbers
        sets.append(small)
        return [Row]
    monkeypatch.setattr(judge, 'evaluate', evaluate)
    return sets


def curve(run): return {record.step: record['accuracy'] for record in run.events if 'accuracy' in record}


@pytest.mark.parametrize('method', [
    BASE,
    PDD(BASE, stages=2, ipc=1, pool=1, transition_epochs=1, device='cpu'),
    MTT(ipc=1, net='convnet2-w4', steps=4, experts=1, expert_epochs=1, max_start=1, student_steps=1, expert_batch=40,
        soft=True, lr=1., step_size_lr=0., device='cpu'),
], ids=['dm', 'pdd', 'mtt with soft labels'])
def test_a_judge_changes_no_byte(real, asked, tmp_path, method):
    run = method.start(real, folder=tmp_path/'run', watch=Judge(every=2)).wait()
    small = run.result()
    assert torch.equal(small.as_learned, method.make(real).as_learned)
    total = run.last.total
    assert curve(run).keys() == {step for step in range(2, total + 1, 2)} | {total} and len(asked) > 1
    assert torch.equal(asked[-1].as_learned, small.as_learned)   # the last look is at the result
    assert not torch.equal(asked[0].as_learned, small.as_learned)


def test_a_run_that_goes_on_has_its_judge(real, asked, tmp_path):
    run = BASE.start(real, folder=tmp_path/'run', watch=Judge(every=1))
    next(iter(run))
    run.stop().wait()
    halted = len(asked)
    run = resume(tmp_path/'run').wait()
    assert curve(run).keys() == set(range(1, 7)) and len(asked) == 6 >= halted
    assert torch.equal(run.result().images, BASE.make(real).images)


def test_a_real_student_is_trained(real, tmp_path):
    run = BASE.start(real, folder=tmp_path/'run', watch=Judge(every=5, protocol='dsa(epochs=1)', repeats=2)).wait()
    assert curve(run).keys() == {5, 6} and all(0 <= accuracy <= 1 for accuracy in curve(run).values())
    assert run.last['accuracy_std'] >= 0


def test_what_nobody_can_judge_is_refused(real):
    for settings in (dict(every=0), dict(repeats=0), dict(protocol='nothing')):
        with pytest.raises(InputError): Judge(**settings)
    with pytest.raises(InputError, match='which real data'): judge.judged_on(dict(teacher=None))
    with pytest.raises(InputError, match="watch=3 can not be called"): BASE.start(real, watch=3)
    assert 'watch' not in CDA.inputs()
