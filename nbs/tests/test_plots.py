"Figures: what is refused"
import pytest
import torch

from ddnb.core.basics import InputError
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.data.views import cosine
from ddnb.view.plots import formation_plot, grid_plot, loss_plot, schedule_plot
from ddnb.view.plots_ccfs import filter_plot


def test_figures_refuse_what_has_no_name():
    real = load('digits')
    with pytest.raises(InputError, match='is not a set of images'): grid_plot(real)
    with pytest.raises(InputError, match='has no name'): schedule_plot(cosine())
    with pytest.raises(InputError, match='has no name'): loss_plot([])
    with pytest.raises(InputError, match='come with names'): formation_plot({5: real.train.images[:2]})


def test_figures_of_a_selection_refuse_other_sets():
    small = DistilledSet(torch.rand(2, 1, 16, 16), torch.tensor([0, 1]), ['a', 'b'])
    with pytest.raises(InputError, match='carries no selection'): filter_plot(small)
