"Plans of a recovery in shards: what is refused, what may move, what is noticed in the end"
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from ddnb.all import CDA, DM, InputError, Run, load, squeeze
from ddnb.methods.shards import Shard, TeacherAt, cost, gather, orders, run_shards, shards, work

METHOD = CDA.preset('digits', ipc=2, steps=3, batch=10, device='cpu')  # two blocks


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def teacher(real): return squeeze(real, 'convnet2-w8-batch', epochs=1, progress=False)


@pytest.fixture(scope='module')
def whole(teacher): return METHOD.make(teacher)


def carry(plan):
    "All orders, one after the other, in this process"
    with ThreadPoolExecutor(1) as pool: run_shards(plan, pool)


def test_what_cannot_work_is_refused_before_anything_is_written(real, teacher, tmp_path):
    folder = tmp_path/'plan'
    with pytest.raises(InputError, match='DM can not be cut into shards'): shards(DM(), teacher, folder)
    with pytest.raises(InputError, match='it got RealData'): shards(METHOD, real, folder)
    with pytest.raises(InputError, match='each=0'): shards(METHOD, teacher, folder, each=0)
    with pytest.raises(InputError, match='no other process can have it'):
        shards(replace(METHOD, schedule=lambda progress: (.5, 1.)), teacher, folder)
    with pytest.raises(InputError, match='holds no plan'): orders(folder)
    assert not folder.exists()


def test_a_folder_with_something_else_is_refused(teacher, tmp_path):
    shards(METHOD, teacher, tmp_path/'plan')
    with pytest.raises(InputError, match='holds the shards of another recovery .*steps: 3 there, 4 here'):
        shards(replace(METHOD, steps=4), teacher, tmp_path/'plan')
    (tmp_path/'mine').mkdir()
    (tmp_path/'mine'/'notes.txt').write_text('mine')
    with pytest.raises(InputError, match='holds other files'): shards(METHOD, teacher, tmp_path/'mine')


def test_costs_of_nothing_are_refused(teacher, tmp_path):
    plan = shards(METHOD, teacher, tmp_path/'plan')
    with pytest.raises(InputError, match='workers=0'): cost(plan, workers=0)
    carry(plan)
    with pytest.raises(InputError, match='every shard is done'): cost(plan)


def test_a_shard_keeps_a_reference_and_no_copy(teacher, tmp_path):
    plan = shards(METHOD, teacher, tmp_path/'plan')
    work(plan[0])
    assert not list(plan[0].path.rglob('teacher.safetensors'))
    kept = Run.open(plan[0].path).about['inputs']['teacher']
    assert kept['reference'] == TeacherAt(tmp_path/'plan'/'teacher', teacher.identity).reference


def test_a_teacher_is_found_by_its_reference_or_named(teacher, tmp_path):
    teacher.save(tmp_path/'teacher')
    stored = TeacherAt.from_reference(TeacherAt(tmp_path/'teacher', teacher.identity).reference)
    assert stored.fetch().identity == teacher.identity
    with pytest.raises(InputError, match='holds another teacher'): replace(stored, identity='another').fetch()
    (tmp_path/'teacher').rename(tmp_path/'elsewhere')
    with pytest.raises(InputError, match='teacher'): stored.fetch()


def test_the_whole_tree_may_move(teacher, whole, tmp_path):
    plan = shards(METHOD, teacher, tmp_path/'plan')
    run = Shard(METHOD, 0, 1).start(TeacherAt(tmp_path/'plan'/'teacher', teacher.identity), folder=plan[0].path)
    run.stop().wait()
    work(plan[1])
    (tmp_path/'plan').rename(tmp_path/'moved')
    moved = orders(tmp_path/'moved')
    assert moved[1].state == 'done'
    carry(moved)
    assert gather(tmp_path/'moved').identity == whole.identity


@pytest.fixture
def finished(teacher, tmp_path):
    folder = tmp_path/'plan'
    carry(shards(METHOD, teacher, folder))
    return folder


def test_a_shard_in_the_folder_of_another_is_noticed(finished, whole):
    first, second = (order.path for order in orders(finished))

    def swap():
        first.rename(finished/'aside')
        second.rename(first)
        (finished/'aside').rename(second)

    swap()
    with pytest.raises(InputError, match='does not hold shard-00000 of this plan'): gather(finished)
    swap()
    assert torch.equal(gather(finished).images, whole.images)


def test_a_shard_of_another_teacher_is_noticed(finished):
    path = orders(finished)[1].path/'run.json'
    about = json.loads(path.read_text())
    about['inputs']['teacher']['reference']['identity'] = 'another'
    path.write_text(json.dumps(about))
    with pytest.raises(InputError, match='does not hold shard-00001 of this plan'): gather(finished)


def test_a_damaged_plan_is_named(finished):
    path = finished/'plan.json'
    text = path.read_text()
    for damaged in ('{', '[]', 'null', '{}', text.replace('"each": 1', '"each": 0')):
        assert damaged != text
        path.write_text(damaged)
        with pytest.raises(InputError, match='plan.json'): orders(finished)
