"Class-incremental learning: what is refused before the work, and rows that are read like dicts"
import pytest
import torch

from ddnb.core.basics import InputError
from ddnb.data.load import load
from ddnb.train import incremental
from ddnb.train.evaluate import StudentResult, protocol
from ddnb.train.incremental import class_incremental, phases_of


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.mark.parametrize('options, problem', [
    (dict(phases=11), '11 phases'),
    (dict(sets={}), 'no memory'),
    (dict(protocol='rd3'), 'soft labels'),
    (dict(repeats=0), 'repeats=0'),
])
def test_a_wrong_question_is_refused_before_the_work(options, problem, real):
    options = dict(dict(sets={'two': real.train.subset(2)}), **options)
    with pytest.raises(InputError, match=problem): class_incremental(real=real, **options)


def test_memories_of_other_classes_are_refused(real):
    few = real.train.subset(2)
    few.classes = few.classes[::-1]
    with pytest.raises(InputError, match="the set 'two'"): class_incremental({'two': few}, real)


def test_the_seed_decides_who_comes_first():
    assert phases_of(10, 5, 0) == phases_of(10, 5, 0) != phases_of(10, 5, 1)


def test_a_row_is_read_like_a_dict(real):
    rows = class_incremental({'two': real.train.subset(2)}, real, phases=2, protocol='hard(epochs=1)',
                             net='convnet2-w8', repeats=1)
    assert [r['name'] for r in rows] == ['random real', 'two']
    assert rows[0]['means'] == rows[0].means == rows[0].to_json()['means']
    assert rows[0].stds == [0., 0.]


@pytest.fixture
def asked(monkeypatch):
    "No student is trained: what each would have been shown, (memory, classes, seed), and a made-up accuracy"
    shown = []
    def after_phase(memory, real, classes, protocol, net, seed, device):
        shown.append((memory, classes, seed))
        return len(classes) / 10 - seed / 100
    monkeypatch.setattr(incremental, '_after_phase', after_phase)
    return shown


def test_each_repeat_has_its_own_order_of_arrival_and_all_memories_share_it(real, asked):
    sets = {'two': real.train.subset(2), 'also two': real.train.subset(2, seed=1)}
    class_incremental(sets, real, phases=5, repeats=3)
    orders = {}
    for _, classes, seed in asked:
        if len(classes) == 10: orders.setdefault(seed, []).append(tuple(classes))
    assert len(orders) == 3 and all(len(found) == 3 and len(set(found)) == 1 for found in orders.values())
    assert len({found[0] for found in orders.values()}) == 3


def test_every_budget_has_a_control_of_its_own(real, asked):
    sets = {'two': real.train.subset(2), 'five': real.train.subset(5), 'two again': real.train.subset(2, seed=1)}
    rows = class_incremental(sets, real, phases=2, repeats=2)
    found = [(r.name, r.ipc, r.control_of) for r in rows]
    assert found == [('random real', 2, ['two', 'two again']), ('random real', 5, ['five']),
                     ('two', 2, []), ('five', 5, []), ('two again', 2, [])]
    draws = [memory for memory, *_ in asked[:4]]
    assert len({draw.identity for draw in draws}) == 2  # one for each repeat
    assert all(draw.labels.bincount().tolist() == [2] * 10 for draw in draws)


def test_the_average_incremental_accuracy_is_the_mean_over_the_phases(real, asked):
    row = class_incremental({'two': real.train.subset(2)}, real, phases=2, repeats=2)[1]
    assert row.classes == [5, 10] and row.means == pytest.approx([.495, .995])
    assert row.average == pytest.approx((.495 + .995) / 2)
    assert row.average_std == pytest.approx(.01 / 2**.5)


def test_a_student_is_trained_as_the_classes_so_far_ask(real, monkeypatch):
    "The batch follows the images that are shown, not those in the whole memory"
    recipes = []
    def student(small, real, net, recipe, *more, **options):
        recipes.append((len(small), recipe.batch))
        raise InterruptedError
    monkeypatch.setattr(incremental, 'student', student)
    memory = real.train.take(torch.arange(1000).repeat(6))
    with pytest.raises(InterruptedError):
        incremental._after_phase(memory, real, [3, 1], protocol('ccfs(labels=hard)'), 'convnet2-w8', 0, 'cpu')
    (images, batch), = recipes
    assert images < 5000 < len(memory) and batch == 32


def test_every_phase_whitens_by_all_real_images(monkeypatch, real):
    seen = []
    def student(small, real, *others, **more):
        seen.append((len(real.train), real.fitted_on))
        return StudentResult(0., 0., {}, [])
    monkeypatch.setattr(incremental, 'student', student)
    class_incremental({'two': real.train.subset(2)}, real, phases=2, repeats=1)
    assert {n for n, _ in seen} == {len(real.train), seen[0][0]} and seen[0][0] < len(real.train)
    assert all(whole is real.train for _, whole in seen)
