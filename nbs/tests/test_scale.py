"Shards of a recovery in other processes: one is killed, an error travels, the set at the end is the undivided one"
import os, pickle, signal, threading, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import pytest
from ddnb.all import CDA, InputError, load, squeeze
from ddnb.methods.shards import gather, orders, run_shards, shards

@pytest.fixture(scope='module')
def teacher(): return squeeze(load('digits'), 'convnet2-w8-batch', epochs=1, progress=False)

def test_orders_are_small(teacher, tmp_path):
    plan = shards(CDA.preset('digits', ipc=3, batch=5), teacher, tmp_path/'plan')
    assert len(plan) == 6 and len(pickle.dumps(plan[-1])) < 400 + len(str(tmp_path)) and pickle.loads(pickle.dumps(plan)) == plan

@pytest.mark.faults
@pytest.mark.slow
def test_a_killed_worker_loses_nothing(teacher, tmp_path):
    method = CDA.preset('digits', ipc=2, batch=10, steps=400)
    plan = shards(method, teacher, tmp_path/'plan')
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        def kill():
            while not (plan[1].path/'status.json').exists(): time.sleep(.005)
            for pid in list(pool._processes): os.kill(pid, signal.SIGKILL)
        threading.Thread(target=kill, daemon=True).start()
        with pytest.raises(InputError, match='1 of 2 shards failed\nshard-00001 failed: BrokenProcessPool'): run_shards(plan, pool)
    assert [o.state for o in plan] == ['done', 'interrupted']
    with pytest.raises(InputError, match=r'1 of 2 shards .* are not done: shard-00001 \(interrupted\)'): gather(tmp_path/'plan')
    first = (plan[0].path/'status.json').read_bytes()
    (plan[1].path/'mine').mkdir() # an error of ours comes back from another process as it was
    (plan[1].path/'run.json').rename(plan[1].path/'mine'/'run.json')
    with ProcessPoolExecutor(1, get_context('spawn')) as pool:
        with pytest.raises(InputError, match='holds other files'): run_shards(orders(tmp_path/'plan'), pool)
        (plan[1].path/'mine'/'run.json').rename(plan[1].path/'run.json'), (plan[1].path/'mine').rmdir()
        run_shards(orders(tmp_path/'plan'), pool)
    assert gather(tmp_path/'plan').identity == method.make(teacher).identity and (plan[0].path/'status.json').read_bytes() == first
