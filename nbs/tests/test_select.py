"Selections: what each needs is asked for, classes that are too small are named, rules keep to their definitions"
import math

import pytest
import torch
import torch.nn.functional as F

from ddnb.core.basics import InputError, seeded
from ddnb.core.config import registered
from ddnb.data.load import load
from ddnb.methods.difficulty import Difficulty
from ddnb.methods.select import (
    SELECTIONS,
    counts_of,
    distances_to,
    last_layer,
    median,
    median_distance,
    neighbours,
    pick_d2,
    pick_facility_location,
    pick_glister,
    pick_herding,
    pick_k_center,
    pick_moderate,
    pick_random,
    select,
)


@pytest.fixture(scope='module')
def images(): return load('digits').train.subset(20)


@pytest.fixture(scope='module')
def scores(images):
    "Every score that a rule asks for, all of them noise"
    names = {rule.score for rule in SELECTIONS.values()} - {'', 'any'}
    def noise(name): return torch.randn(len(images), generator=seeded(name))
    return {name: Difficulty(noise(name), name, name != 'aum', images.identity) for name in names}


@pytest.fixture(scope='module')
def features(images): return torch.randn(len(images), 6, generator=seeded('features'))


@pytest.fixture(scope='module')
def logits(images): return torch.randn(len(images), 10, generator=seeded('logits'))


def test_the_registry_has_the_rules_of_the_field():
    assert SELECTIONS is registered('selection')
    rules = {'random', 'easiest', 'hardest', 'window', 'aum', 'ccs', 'herding', 'k-center', 'moderate', 'd2',
             'least-confidence', 'facility-location', 'craig', 'gradmatch', 'glister', 'cal', 'contextual-diversity'}
    assert rules <= set(SELECTIONS)


@pytest.mark.parametrize('name', SELECTIONS)
def test_a_selection_is_balanced_and_repeats_itself(images, scores, features, logits, name):
    indices = select(name, images, 4, scores, features, logits=logits)
    assert images.labels[indices].tolist() == [c for c in range(10) for _ in range(4)]
    assert len(indices.unique()) == 40
    assert torch.equal(indices, select(name, images, 4, scores, features, logits=logits))


@pytest.mark.parametrize('name', [name for name, rule in SELECTIONS.items() if rule.score])
def test_a_selection_by_a_score_asks_for_it(images, features, name):
    with pytest.raises(InputError, match='needs (a|the) score'): select(name, images, 4, features=features)
    with pytest.raises(InputError, match='needs (a|the) score'): select(name, images, 4, {}, features)


def test_a_selection_named_after_a_score_takes_no_other(images, scores):
    with pytest.raises(InputError, match="needs the score 'forgetting', it got 'el2n'"):
        select('forgetting', images, 4, scores['el2n'])
    assert torch.equal(select('hardest', images, 4, scores['el2n']), select('el2n', images, 4, scores))


def test_scores_of_other_images_are_refused(images, scores):
    backwards = images.take(torch.arange(199, -1, -1))
    with pytest.raises(InputError, match='other images'): select('aum', backwards, 4, scores)


@pytest.mark.parametrize('name', [name for name, rule in SELECTIONS.items() if rule.features])
def test_a_selection_by_features_asks_for_those_of_all_images(images, scores, features, name):
    for wrong in (None, features[:-1]):
        with pytest.raises(InputError, match='needs features of the 200 images'): select(name, images, 4, scores, wrong)


@pytest.mark.parametrize('name', [name for name, rule in SELECTIONS.items() if rule.logits])
def test_a_selection_by_logits_asks_for_those_of_all_images(images, scores, features, logits, name):
    for wrong in (None, logits[:-1]):
        with pytest.raises(InputError, match='needs logits of the 200 images'):
            select(name, images, 4, scores, features, logits=wrong)


def test_an_unknown_selection_is_refused_with_those_there_are(images):
    with pytest.raises(InputError, match="no selection 'best'.*\n.*'random', 'easiest'"): select('best', images, 4)


@pytest.mark.parametrize('ipc', [0, 21])
def test_a_class_that_is_too_small_is_named(images, ipc):
    with pytest.raises(InputError, match=f'{ipc} images a class were asked for, class 0 holds 20'):
        pick_random(None, images.labels, ipc, seeded(0))


def test_neighbours_are_the_same_in_any_chunks(features):
    distances, indices = neighbours(features, 4)
    again, same = neighbours(features, 4, rows=7)
    assert torch.equal(indices, same) and torch.allclose(distances, again)
    assert not (indices == torch.arange(len(features))[:, None]).any()  # nobody is its own neighbour


@pytest.mark.parametrize('name', SELECTIONS)
@pytest.mark.parametrize('balance', ['proportional', 'global'])
def test_every_rule_selects_from_all_classes_together(images, scores, features, logits, name, balance):
    few = images.take(torch.arange(60, 200))  # classes 0 to 2 are empty
    part = {key: score.part(images, few) for key, score in scores.items()}
    indices = select(name, few, 3, part, features[60:], logits=logits[60:], balance=balance)
    assert len(indices) == len(indices.unique()) == 30
    of_each = few.labels[indices].bincount(minlength=10).tolist()
    if balance == 'proportional': assert of_each == [0] * 3 + [5, 5] + [4] * 5


def test_the_hardest_of_all_are_the_hardest_of_all(images, scores):
    hardest = select('hardest', images, 4, scores['el2n'], balance='global')
    assert torch.equal(hardest, scores['el2n'].harder.argsort(descending=True, stable=True)[:40])


def test_an_empty_class_is_told(images):
    few = images.take((images.labels != 3).nonzero().flatten())
    with pytest.raises(InputError, match="class 'three' holds 0"): select('random', few, 4)


def test_classes_of_unequal_size_have_a_number_each(images):
    few = images.take(torch.arange(5, 200))
    wanted = [15, 0, 1, 2, 3, 4, 5, 6, 7, 20]
    assert few.labels[select('random', few, wanted)].bincount(minlength=10).tolist() == wanted
    with pytest.raises(InputError, match="class 'zero' holds 15"): select('random', few, 16)
    for ipc, problem in (([1, 2], 'ipc has 2 numbers'), ([0] * 10, '0 images'), (0, '0 images'), (-1, 'images')):
        with pytest.raises(InputError, match=problem): select('random', few, ipc)
    with pytest.raises(InputError, match='there are 195'): select('random', few, 20, balance='global')
    with pytest.raises(InputError, match="balance='fair'"): select('random', few, 2, balance='fair')


def test_proportions_add_up(images):
    few = images.take(torch.cat([torch.arange(7), torch.arange(20, 31), torch.arange(40, 42)]))
    counts = counts_of(few, 1, 'proportional')
    assert counts.tolist() == [4, 5, 1] + [0] * 7 and int(counts.sum()) == 10


def reference_d2(scores, h, k, n, gamma):
    "The paper's two passes, message by message, in float64"
    h, every = h.double(), range(len(h))
    distance = [[(h[i] - h[j]).norm().item() for j in every] for i in every]
    near = [sorted((j for j in every if j != i), key=lambda j: distance[i][j])[:n] for i in every]
    value = [scores[i] + sum(math.exp(-distance[i][j]) * scores[j] for j in near[i]) for i in every]
    taken = []
    while len(taken) < k:
        best = max((i for i in every if i not in taken), key=lambda i: value[i])
        taken.append(best)
        for j in near[best]: value[j] -= math.exp(-gamma * distance[best][j]) * value[best]
    return taken


def jaccard(a, b): return len(set(a) & set(b)) / len(set(a) | set(b))


@pytest.mark.parametrize('scale, offset', [(1, 0), (.3, 1000)])
def test_d2_is_the_one_of_the_paper(scale, offset):
    "Also where the features lie far from 0, and float32 has few digits left for their differences"
    g = seeded('d2')
    h = scale * torch.randn(60, 8, generator=g) + offset
    scores = torch.rand(60, generator=g) * 1.4
    ours = pick_d2((scores, h), torch.zeros(60), 20, None)
    assert jaccard(ours.tolist(), reference_d2(scores.tolist(), h, 20, 5, .1)) == 1


def test_d2_leaves_out_the_hardest_and_shares_among_strata():
    g = seeded('strata')
    h, scores = torch.randn(100, 4, generator=g), torch.rand(100, generator=g)
    kept = scores.argsort()[:60]
    without = pick_d2((scores, h), torch.zeros(100), 20, None, drop=.4)
    assert set(without.tolist()) <= set(kept.tolist())
    in_pool = pick_d2((scores[kept.sort().values], h[kept.sort().values]), torch.zeros(60), 20, None)
    assert torch.equal(without, kept.sort().values[in_pool])
    spread = pick_d2((torch.linspace(0, 1, 100), h), torch.zeros(100), 20, None, strata=10)
    assert torch.bincount(spread // 10, minlength=10).tolist() == [2] * 10


def test_neighbours_are_exact_where_features_have_an_offset():
    h = torch.randn(300, 16, generator=seeded('offset')) + 3000
    exact = (h[:, None].double() - h[None].double()).norm(dim=2).fill_diagonal_(torch.inf)
    distances, indices = neighbours(h, 4)
    assert torch.equal(indices, exact.topk(4, largest=False).indices)
    assert torch.allclose(distances.double(), exact.topk(4, largest=False).values, rtol=1e-5)


def test_the_median_of_an_even_number_lies_between_the_middle_two():
    x = torch.tensor([[4., 1], [1, 2], [3, 9], [2, 4]])
    assert median(x).tolist() == [2.5, 3]
    assert median(x[:3]).tolist() == [3, 2]
    moderate = pick_moderate(torch.tensor([0., 1, 4, 10]), torch.zeros(4), 2, None)  # the median is 2.5
    assert sorted(moderate.tolist()) == [1, 2]
    labels = torch.tensor([0, 0, 1, 1])
    assert torch.allclose(median_distance(x, labels)[:2], torch.tensor([1.5, .5]).norm().expand(2))


def test_distances_in_blocks_are_the_same(features):
    whole = (features[3] - features).norm(dim=1)
    assert torch.equal(distances_to(features, features[3], rows=7), whole)


def test_features_far_from_zero_lose_no_digits():
    "Herding and k-center go by products; those of large numbers would hide small distances"
    h = 1000 + torch.randn(300, 8, generator=seeded('far'))
    labels = torch.zeros(300, dtype=torch.long)
    for rule in (pick_herding, pick_k_center):
        assert rule(h, labels, 20, seeded(0)).tolist() == rule(h.double(), labels, 20, seeded(0)).tolist()


def test_the_same_image_many_times_is_taken_once_each():
    h = torch.ones(6, 3)
    for rule in (pick_herding, pick_k_center):
        assert sorted(rule(h, torch.zeros(6), 6, seeded(0)).tolist()) == list(range(6))


def test_a_table_of_pairs_has_a_largest_size():
    with pytest.raises(InputError, match='similarities of 20,001 images'):
        pick_facility_location(torch.zeros(20_001, 1), torch.zeros(20_001), 2, None)


def brute_glister(h, z, y, held, groups, ipc, eta, every=1):
    "Step by step: whole gradients of the last layer, the validation logits as often as asked from a stepped matrix"
    x = torch.cat([h, torch.ones(len(h), 1)], 1).double()
    def errors(z, y): return z.double().softmax(1) - F.one_hot(y, z.shape[1])
    g = [torch.outer(d, one) for d, one in zip(errors(z, y), x)]
    step = eta / sum(one.dot(one) for one in x) * len(x)
    taken, moved = [], torch.zeros_like(g[0])
    def may(i): return not held[i] and i not in taken and sum(int(groups[j] == groups[i]) for j in taken) < ipc
    while any(map(may, range(len(y)))):
        if len(taken) % every == 0: moved = step * sum((g[j] for j in taken), torch.zeros_like(g[0]))
        there = z[held].double() - x[held] @ moved.T
        goal = sum(torch.outer(d, one) for d, one in zip(errors(there, y[held]), x[held]))
        taken.append(max(filter(may, range(len(y))), key=lambda i: float((g[i] * goal).sum())))
    return sorted(taken, key=lambda i: int(groups[i]))


@pytest.mark.parametrize('every', [1, 3])
@pytest.mark.parametrize('together', [False, True])
def test_glister_is_the_plain_loop(every, together):
    g = seeded('glister')
    h, z, y = torch.randn(30, 4, generator=g), torch.randn(30, 3, generator=g), torch.arange(30) % 3
    groups = torch.zeros_like(y) if together else y
    ours = pick_glister(last_layer((h, z), y), groups, 12 if together else 4, seeded('draw'), share=.2, every=every)
    held = torch.ones(30, dtype=torch.bool)
    probe = pick_glister(last_layer((h, z), y), y, 8, seeded('draw'), share=.2)  # all that do not validate
    held[probe] = False
    assert held.sum() == 6 and y[held].bincount().tolist() == [2, 2, 2]
    assert ours.tolist() == brute_glister(h, z, y, held, groups, 12 if together else 4, 1., every)


def test_glister_looks_at_the_validation_images_anew():
    "Of twins with the largest product it takes one, and then what the validation images still lack"
    h = torch.tensor([[3., 0], [3., 0], [0, 2.5], [.1, .1]])
    z, y = torch.zeros(4, 2), torch.zeros(4, dtype=torch.long)
    theirs = torch.tensor([[3., 0], [0, 3.]]), torch.zeros(2, 2), torch.zeros(2, dtype=torch.long)
    last = last_layer((h, z), y)
    assert pick_glister(last, y, 2, None, validation=theirs, eta=4.).tolist() == [0, 2]
    assert pick_glister(last, y, 2, None, validation=theirs, every=2).tolist() == [0, 1]


def test_validation_images_are_no_choice_and_may_be_given(images, features, logits):
    def glister(ipc, **options): return select('glister', images, ipc, features=features, logits=logits, **options)
    assert len(glister(18)) == 180
    with pytest.raises(InputError, match='19 images of class 0 were asked for, 18 are there'): glister(19)
    few = images.take(torch.arange(30)).labels
    given = features[:30], logits[:30], few
    assert len(glister(20, validation=given)) == 200
    assert torch.equal(glister(4, seed=1, validation=given), glister(4, seed=2, validation=given))
    assert not torch.equal(glister(4, seed=1), glister(4, seed=2))
    with pytest.raises(InputError, match='30 validation images with 5 features'):
        glister(4, validation=(features[:30, :5], logits[:30], few))
    with pytest.raises(InputError, match='share=1'): glister(4, share=1.)
    with pytest.raises(InputError, match='every=0'): glister(4, every=0)
