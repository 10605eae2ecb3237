"Class-incremental learning: what is refused before the work, and rows that are read like dicts"
import pytest

from ddnb.core.basics import InputError
from ddnb.data.load import load
from ddnb.train import incremental
from ddnb.train.evaluate import StudentResult
from ddnb.train.incremental import class_incremental, phases_of


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.mark.parametrize('options, problem', [
    (dict(phases=11), '11 phases'),
    (dict(sets={}), 'no memory'),
    (dict(protocol='rd3'), 'soft labels'),
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


def test_every_phase_whitens_by_all_real_images(monkeypatch, real):
    seen = []
    def student(small, real, *others, **more):
        seen.append((len(real.train), real.fitted_on))
        return StudentResult(0., 0., {}, [])
    monkeypatch.setattr(incremental, 'student', student)
    class_incremental({'two': real.train.subset(2)}, real, phases=2, repeats=1)
    assert {n for n, _ in seen} == {len(real.train), seen[0][0]} and seen[0][0] < len(real.train)
    assert all(whole is real.train for _, whole in seen)
