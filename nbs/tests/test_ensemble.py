"Ensembles: recipes they can't follow, and steps that never wait for the host"
import pytest
import torch
import torch.nn.functional as F

from ddnb.core.basics import InputError, seeded
from ddnb.data.spaces import Pixels
from ddnb.train import ensemble
from ddnb.train.ensemble import FunctionalNet, train_ensemble
from ddnb.train.train import Examples, Recipe


@pytest.mark.parametrize('recipe, problem', [
    (Recipe(optimiser='adam', flip=False), 'by SGD'),
    (Recipe(labels='teacher', flip=False), 'hard labels'),
    (Recipe(crop='pad', flip=False), 'by dsa alone'),
    (Recipe(), 'by dsa alone'),
])
def test_recipes_for_single_networks_are_refused(recipe, problem):
    with pytest.raises(InputError, match=problem): next(train_ensemble(None, None, recipe, {}, 0))


def test_features_leave_no_hook():
    model = FunctionalNet('convnet2-w8', 10, 1, 16)
    model.features(model.fresh([0])[0], torch.zeros(2, 1, 16, 16))
    assert not any(m._forward_pre_hooks for m in model.net.modules())


@pytest.mark.parametrize('changes', [dict(), dict(dsa='one'), dict(dsa='idc', mix='cutmix', mix_share=.5)])
def test_a_step_never_waits_for_the_host(changes):
    "On the meta device there are no numbers, so a step that reads one would fail"
    model = FunctionalNet('convnet2-w8-batch', 10, 1, 16, 'meta')
    data = Examples(torch.zeros(8, 1, 16, 16, device='meta'), torch.zeros(8, dtype=torch.long, device='meta'), Pixels())
    state = dict(theta=model.fresh(range(2)))
    steps = list(train_ensemble(model, data, Recipe(epochs=2, batch=4, flip=False, **changes), state, 0))
    assert steps[-1] == (4, 4)
    assert state['theta'].device.type == 'meta'
    assert model.features(state['theta'][0], data.images).shape == (8, 8 * 4 * 4)


def test_networks_take_their_gradients_a_few_at_a_time(monkeypatch):
    "On a GPU, whose memory it bounds; on the CPU one by one, without vmap"
    chunks = []
    def vmap(f, chunk_size):
        chunks.append(chunk_size)
        return torch.func.vmap(f, chunk_size=chunk_size)
    monkeypatch.setattr(ensemble, 'vmap', vmap)
    for device in ('cpu', 'meta'):
        model = FunctionalNet('convnet2-w4', 10, 1, 16, device)
        images, labels = torch.zeros(4, 1, 16, 16, device=device), torch.zeros(4, dtype=torch.long, device=device)
        data = Examples(images, labels, Pixels())
        state = dict(theta=model.fresh(range(5)))
        for _ in train_ensemble(model, data, Recipe(epochs=1, batch=4, flip=False), state, 0, together=2): pass
    assert chunks == [2]


def test_one_by_one_is_the_same_as_all_at_once():
    "What the CPU does against what a GPU does, in double precision"
    model = FunctionalNet('convnet2-w4', 3, 1, 8)
    model.net.double()
    theta = model.fresh(range(3)).double()
    x = torch.randn(3, 5, 1, 8, 8, generator=seeded('images'), dtype=torch.float64)
    y = torch.arange(15).view(3, 5) % 3
    def loss(theta, x, y): return F.cross_entropy(model(theta, x), y)
    at_once = torch.func.vmap(torch.func.grad(loss))(theta, x, y)
    one_by_one = ensemble.ensemble_gradients(model, theta, x, F.cross_entropy, y)
    assert (at_once - one_by_one).abs().max() < 1e-12
