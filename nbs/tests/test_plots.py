"Charts and figures: ticks, and what is refused"
import numpy as np
import pytest
import torch

from ddnb.core.basics import InputError
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.data.views import cosine
from ddnb.view.charts import Line, chart, ticks
from ddnb.view.plots import formation_plot, grid_plot, loss_plot, schedule_plot
from ddnb.view.plots_ccfs import filter_plot


@pytest.mark.parametrize('lo, hi, expected', [
    (.2, 3.9, [.2, .5, 1, 2]),
    (.3, 60, [1, 10]),
    (5.5, 8, [5.5, 8]),  # no round number lies between
])
def test_ticks_of_a_logarithmic_axis_are_few_round_numbers(lo, hi, expected):
    assert np.allclose(ticks(lo, hi, log=True), expected)


def test_a_logarithmic_axis_over_many_powers_has_few_ticks():
    assert len(ticks(1e-17, 1, log=True)) == 4


def test_a_line_breaks_where_a_value_is_missing():
    assert chart([Line('', [(0, 1), (1, None), (2, 3)])], 'gap', (0, 2)).count('M44.0') == 1


def test_figures_refuse_what_has_no_name():
    real = load('digits')
    with pytest.raises(InputError, match='is not a set of images'): grid_plot(real)
    with pytest.raises(InputError, match='has no name'): schedule_plot(cosine())
    with pytest.raises(InputError, match='has no name'): loss_plot([])
    with pytest.raises(InputError, match='come with names'): formation_plot({5: real.train.images[:2]})


def test_figures_of_a_selection_refuse_other_sets():
    small = DistilledSet(torch.rand(2, 1, 16, 16), torch.tensor([0, 1]), ['a', 'b'])
    with pytest.raises(InputError, match='carries no selection'): filter_plot(small)
