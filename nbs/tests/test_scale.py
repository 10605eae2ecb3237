"Shards of a recovery, and students, in other processes: one is killed, an error travels, results stay the same"
import copy
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest

from ddnb.all import CDA, InputError, evaluate, load, squeeze
from ddnb.methods.shards import gather, orders, run_shards, shards
from ddnb.train.evaluate import StudentResult


@pytest.fixture(scope='module')
def teacher(): return squeeze(load('digits'), 'convnet2-w8-batch', epochs=1, progress=False)


def one_worker():
    "A pool of one process, forked off one that has PyTorch loaded and nothing else of ours"
    context = get_context('forkserver')
    context.set_forkserver_preload(['torch', 'torchvision', 'safetensors.torch'])
    return ProcessPoolExecutor(1, context)


def test_orders_are_small(teacher, tmp_path):
    plan = shards(CDA.preset('digits', ipc=3, batch=5), teacher, tmp_path/'plan')
    assert len(plan) == 6
    assert len(pickle.dumps(plan[-1])) < 400 + len(str(tmp_path))
    assert pickle.loads(pickle.dumps(plan)) == plan


def kill_workers_when(pool, file):
    "In the background: SIGKILL to the processes of a pool as soon as a file is there"
    def wait_and_kill():
        while not file.exists(): time.sleep(.005)
        for pid in list(pool._processes): os.kill(pid, signal.SIGKILL)
    threading.Thread(target=wait_and_kill, daemon=True).start()


@pytest.mark.faults
@pytest.mark.slow
def test_a_killed_worker_loses_nothing(teacher, tmp_path):
    method = CDA.preset('digits', ipc=2, batch=10, steps=150)
    folder = tmp_path/'plan'
    plan = shards(method, teacher, folder)
    finished, broken = (order.path for order in plan)
    with one_worker() as pool:
        kill_workers_when(pool, broken/'status.json')
        with pytest.raises(InputError, match='1 of 2 shards failed\nshard-00001 failed: BrokenProcessPool'):
            run_shards(plan, pool)
    assert [order.state for order in plan] == ['done', 'interrupted']
    with pytest.raises(InputError, match=r'1 of 2 shards .* are not done: shard-00001 \(interrupted\)'):
        gather(folder)

    # an error of ours comes back from another process as it was
    status = (finished/'status.json').read_bytes()
    (broken/'mine').mkdir()
    (broken/'run.json').rename(broken/'mine/run.json')
    with one_worker() as pool, pytest.raises(InputError, match='holds other files'):
        run_shards(orders(folder), pool)

    (broken/'mine/run.json').rename(broken/'run.json')
    (broken/'mine').rmdir()
    with one_worker() as pool: run_shards(orders(folder), pool)
    assert gather(folder).identity == method.make(teacher).identity
    assert (finished/'status.json').read_bytes() == status, 'a finished shard is left alone'


def test_students_are_the_same_in_another_process():
    real = load('digits').subset(5)
    options = dict(protocol='hard(epochs=2)', nets='convnet2-w4', repeats=2)
    with one_worker() as pool: apart = evaluate(real.train.subset(2), real, pool=pool, **options)
    here = evaluate(real.train.subset(2), real, **options)
    assert [row.accuracies for row in apart] == [row.accuracies for row in here]
    assert [row.name for row in apart] == [row.name for row in here]


def test_a_teacher_that_no_other_process_can_make_is_refused(teacher):
    class Mine(type(teacher.net)): "Of a notebook"
    Mine.__module__ = '__main__'
    net = copy.deepcopy(teacher.net)
    net.__class__ = Mine
    real = load('digits').subset(5)
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match='no other process knows the class Mine'):
        evaluate(real.train.subset(2), real, replace(teacher, net=net), 'kd(epochs=2)', repeats=1, pool=pool,
                 nets='convnet2-w4')


def test_a_dead_process_is_told_in_plain_words():
    real = load('digits').subset(5)
    with one_worker() as pool:
        def kill():
            for pid in list(pool._processes): os.kill(pid, signal.SIGKILL)
        threading.Timer(2, kill).start()
        with pytest.raises(InputError, match='a process that trained students has died'):
            evaluate(real.train.subset(2), real, protocol='hard(epochs=2000)', nets='convnet2-w4', pool=pool)


def test_who_watches_ends_what_other_workers_do(monkeypatch):
    trained = []
    def student(*args, **more):
        trained.append(args)
        time.sleep(.02)
        return StudentResult(0., 0., {}, [0.])
    monkeypatch.setattr('ddnb.train.evaluate.student', student)
    def enough(share, name): raise KeyboardInterrupt
    real = load('digits').subset(5)
    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        evaluate(real.train.subset(2), real, protocol='hard(epochs=2)', nets='convnet2-w4', repeats=30, pool=pool,
                 watch=enough)
    assert 1 <= len(trained) < 60
