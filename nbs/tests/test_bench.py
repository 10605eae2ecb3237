"The bench: both sides of a duel do the same work, and what is measured is what was done"
import time

import pytest
import torch
from torch import nn

from ddnb.app import bench as bench_module
from ddnb.app.bench import (
    Bench,
    BenchRow,
    Duel,
    Growth,
    bench,
    bench_plot,
    choice,
    count_flop,
    experts,
    exponent,
    herding,
    k_center,
    matching,
    measure,
    peak_memory,
    recovery,
    relative_gap,
    repeat,
    training,
    trajectory,
)
from ddnb.app.cli import main
from ddnb.core import basics
from ddnb.core.basics import InputError, kept_memory, read_json

CPU = torch.device('cpu')
SMALL = {
    'recovery': lambda: recovery(16, 20, 'resnet10-w8'),
    'experts': lambda: experts(2, 8, 'convnet2-w4', 16),
    'trajectory': lambda: trajectory(3, 10, 'convnet2-w4', 16),
    'matching': lambda: matching(3, 8, 2, 'convnet2-w4', 16),
    'herding': lambda: herding(200, 8, 5),
    'k-center': lambda: k_center(200, 8, 5),
    'choice': lambda: choice(2000, 10)}


@pytest.mark.parametrize('name', SMALL)
def test_both_sides_do_the_same_work(name):
    duel = SMALL[name]()
    for _ in range(2): assert relative_gap(next(duel.ours), next(duel.plain)) < 1e-4


def test_a_side_that_does_other_work_is_found_out():
    few, many = matching(3, 8, 2, 'convnet2-w4', 16), matching(3, 9, 2, 'convnet2-w4', 16)
    assert relative_gap(next(few.ours), next(many.plain)) > 1e-2


def test_students_of_both_sides_take_steps():
    duel = training(16, 4, 'resnet10-w8')
    for _ in range(5): assert next(duel.plain) is None and next(duel.ours) is None # beyond the first epoch


def test_ratios_are_those_of_the_steps():
    def waits(seconds):
        while True:
            time.sleep(seconds)
            yield torch.ones(1)
    row = measure('waiting', Duel('sleep', 10, waits(.03), waits(.01)), CPU, pairs=3)
    assert 2 < row.ratio < 4 and row.ratio_low <= row.ratio <= row.ratio_high
    assert row.items_per_second == 10 / row.seconds and .009 < row.seconds < .03
    assert row.deviation == 0 and row.flop == 0 and row.share is None


def test_arithmetic_of_gradients_of_gradients_is_counted():
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False)
    x = torch.randn(4, 2, 8, 8, requires_grad=True)
    once = 2 * 4 * 64 * 3 * 2 * 9
    assert count_flop(repeat(lambda: conv(x))) == once
    def penalty():
        slope, = torch.autograd.grad(conv(x).square().sum(), x, create_graph=True)
        slope.square().sum().backward()
    assert count_flop(repeat(penalty)) > 4 * once


def test_peak_memory_is_what_a_step_holds_at_once():
    def step():
        a = torch.ones(2**20)  # 4 MiB each
        b = a + 1
        del a
        return b + 1
    assert 8 * 2**20 <= peak_memory(repeat(step), CPU) < 9 * 2**20


def test_the_exponent_of_a_law():
    assert exponent([10, 20, 40], [.5, 1., 2.]) == pytest.approx(1)
    assert exponent([1, 10], [7., 7.]) == pytest.approx(0)


def test_rows_that_there_are_not_are_refused():
    with pytest.raises(InputError, match="no row 'speed'"): bench(['speed'])
    with pytest.raises(InputError, match='pairs=1'): bench(['choice'], pairs=1)


@pytest.fixture
def small_bench(monkeypatch):
    "A bench of one row that takes no time"
    monkeypatch.setattr(bench_module, 'DUELS', {'choice': (choice, dict(n=2000, classes=10), dict(n=3000))})
    monkeypatch.setattr(bench_module, 'GROWTH', {'choice': ('n', (1000, 2000))})
    monkeypatch.setattr(bench_module, 'best_rate', lambda device: 1e9)
    monkeypatch.setattr(bench_module, 'import_seconds', lambda: (2., .3))


def test_a_bench_is_kept_and_comes_back(small_bench, tmp_path):
    whole = bench(pairs=2, device='cpu')
    assert [row.work for row in whole.rows] == ['3,000 images, 100 classes']
    assert [g.sizes for g in whole.growths] == [[1000, 2000]]
    again = Bench.from_json(read_json(whole.save(tmp_path/'bench.json')))
    assert again.rows == whole.rows and again.growths == whole.growths and again.imports == (2., .3)
    assert 'import ddnb.all: 0.30 s' in repr(again)
    assert bench_plot(again).svg().startswith('<svg')


def test_the_shell_has_it(small_bench, tmp_path, capsys):
    assert main(['bench', '--quick', '--rows', 'choice', '--pairs', '2', '--json', str(tmp_path/'b.json')]) == 0
    assert '2,000 images, 10 classes' in capsys.readouterr().out
    kept = read_json(tmp_path/'b.json')
    assert kept['rows'][0]['pairs'] == 2 and kept['growths'] == [] and kept['imports'] is None


def test_names_of_a_machine_are_text():
    row = BenchRow('<b>', '<i>', 1, 2, 2., 2., 2., 1., 0., None, 1, 1, None, 3)
    page = Bench(dict(processor='<script>', capability='', threads=1, torch='', gpu=''), 1e9, [row],
                 [Growth('<u>', 'n', [1], [1.], 1.)], None)._repr_html_()
    assert not any(tag in page for tag in ('<b>', '<i>', '<u>', '<script>'))


def test_memory_is_kept_until_the_last_block_ends(monkeypatch):
    calls = []
    class Library:
        def mallopt(self, number, value): calls.append((number, value))
        def malloc_trim(self, pad): calls.append('trim')
    monkeypatch.setattr(basics, '_glibc', Library)
    with pytest.raises(RuntimeError), kept_memory():
        with kept_memory(): pass
        assert calls == [(-4, 0), (-1, 2**31 - 1)]
        raise RuntimeError
    assert calls[2:] == [(-4, 65_536), (-3, 2**25), (-1, 2**26), 'trim']
