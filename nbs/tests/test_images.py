"Sets of images: what they refuse, what a card lets through, and the import of published distilled sets"
import pickle
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ddnb.core.basics import InputError, to_bytes, to_unit
from ddnb.core.config import registered
from ddnb.data.images import DistilledSet, ImageSet, Training, card, check_classes
from ddnb.data.readers import from_imagefolder, read_set

CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'.split()


@pytest.fixture
def real(): return ImageSet(torch.arange(2 * 3 * 16).view(2, 3, 4, 4).byte(), torch.tensor([0, 1]), ['a', 'b'])


@pytest.fixture
def small(real): return DistilledSet(to_unit(real.images), real.labels, real.classes, provenance=dict(method='random'))


# ---- what is no set

def test_real_images_are_bytes(real):
    with pytest.raises(InputError, match='uint8'): ImageSet(real.images.float(), real.labels, real.classes)


@pytest.mark.parametrize('make', [
    lambda s: ImageSet(s.images, torch.tensor([0, 2]), s.classes),                     # a label beyond the classes
    lambda s: ImageSet(s.images, torch.tensor([0]), s.classes),                        # a label for one image
    lambda s: ImageSet(s.images, s.labels, ['a', 'a']),                                # a name twice
    lambda s: ImageSet(s.images, s.labels, []),                                        # no names
    lambda s: ImageSet(s.images[..., :3], s.labels, s.classes),                        # not square
    lambda s: DistilledSet(s.images / 10, s.labels, s.classes),                        # beyond 1
    lambda s: DistilledSet(torch.full((2, 3, 4, 4), torch.nan), s.labels, s.classes),  # not finite
])
def test_what_is_no_set_is_refused(real, make):
    with pytest.raises(InputError): make(real)


def test_more_images_than_a_class_holds(real):
    with pytest.raises(InputError, match="class 'a' holds 1 images, 2 were asked for"): real.subset(2)
    with pytest.raises(InputError, match='at least 1'): real.subset(0)


def test_numbers_for_names_have_a_remedy_of_their_own():
    with pytest.raises(InputError, match='numbers for names'): check_classes(['0', '1'], ['cat', 'dog'])
    with pytest.raises(InputError, match='another order'): check_classes(['dog', 'cat'], ['cat', 'dog'])
    with pytest.raises(InputError, match="at label 1 the data says 'dog', the teacher nothing"):
        check_classes(['cat', 'dog'], ['cat'])


# ---- how a set wants to be trained on

@pytest.mark.parametrize('about', [
    dict(net='convnet3', space='channels', mosaic=1),
    dict(net='convnet3', space='zca', mosaic=1, rates=[.01, .02]),
    dict(space='channels', mosaic=2),
])
def test_training_comes_back_as_it_was_written(small, about):
    assert replace(small, provenance=dict(training=about)).training.to_json() == about


@pytest.mark.parametrize('provenance', [{}, dict(training=None), dict(training={}), dict(training=dict(rates=None))])
def test_a_set_that_says_nothing_asks_for_nothing_special(small, real, provenance):
    assert replace(small, provenance=provenance).training == real.training == Training()


def test_rates_belong_to_the_number_of_a_stage(small):
    about = dict(space='channels', mosaic=1, rates=[None, None, .03])
    assert Training.from_json(about).rates == (None, None, .03)
    assert replace(small, provenance=dict(training=about)).training.to_json() == about


# ---- what was learned beyond [0, 1]

@pytest.fixture
def free(small):
    learned = small.images * 3 - .7
    return replace(small, images=learned.clamp(0, 1), unclipped=learned)


def test_what_was_learned_comes_back_exactly(free, tmp_path):
    assert ((free.unclipped < 0) | (free.unclipped > 1)).any() and 0 <= free.images.min() <= free.images.max() <= 1
    free.save(tmp_path/'free')
    again = DistilledSet.load(tmp_path/'free')
    assert torch.equal(again.unclipped, free.unclipped) and torch.equal(again.images, free.images)
    assert again.identity == free.identity


def test_a_set_is_another_where_what_was_learned_is(free, small):
    clipped = replace(free, unclipped=None)
    assert free.identity != clipped.identity
    assert replace(clipped, unclipped=clipped.images).identity == clipped.identity


def test_parts_and_joins_keep_what_was_learned(free, small):
    assert torch.equal(free.take([1]).unclipped, free.unclipped[[1]])
    for first, second in ((free, small), (small, free), (free, free)):
        both = first.join(second)
        assert torch.equal(both.unclipped, torch.cat([first.as_learned, second.as_learned]))
        assert torch.equal(both.images, torch.cat([first.images, second.images]))
    assert small.join(small).unclipped is None


def test_a_join_keeps_soft_labels_where_both_have_some(small):
    soft = replace(small, soft_labels=torch.eye(2))
    assert len(soft.join(soft).soft_labels) == 4
    assert soft.join(small).soft_labels is None
    with pytest.raises(InputError, match='another order'): small.join(replace(small, classes=['b', 'a']))


def test_unclipped_images_belong_to_the_images(free, small):
    with pytest.raises(InputError, match='cut to \\[0, 1\\]'): replace(free, images=small.images)
    with pytest.raises(InputError, match='unclipped ones'): replace(free, unclipped=free.unclipped[:1])
    with pytest.raises(InputError, match='not finite'): replace(free, unclipped=free.unclipped / 0)


@pytest.mark.parametrize('wrong, problem', [
    (dict(stage=torch.zeros(3, dtype=torch.long)), 'stage has 3'),
    (dict(source=['real']), 'source has 1'),
    (dict(real_index=torch.zeros(1, dtype=torch.long)), 'real_index has 1'),
    (dict(soft_labels=torch.full((1, 2), .5)), 'soft labels have shape'),
    (dict(soft_labels=torch.tensor([[4., -3.], [0., 1.]])), 'no probabilities(.|\n)*softmax'),
])
def test_what_belongs_to_an_image_is_there_for_each(small, wrong, problem):
    with pytest.raises(InputError, match=problem): replace(small, **wrong)


def test_exported_tensors_are_those_that_were_learned(free, tmp_path):
    free.export(tmp_path/'t', 'tensors', mean=(.5, .5, .5), std=(.2, .2, .2))
    again = read_set(tmp_path/'t')
    assert (again.unclipped - free.unclipped).abs().max() < 1e-6
    assert (again.images - free.images).abs().max() < 1e-6


# ---- the card

HOSTILE = ['<img src=x onerror=alert(1)>', '{{ 7 * 7 }}', '{% include "x" %}', '[a](javascript:alert(1))',
           'a\n# heading\n---']


def test_nothing_can_be_injected_into_a_card(small):
    about = dict(method=HOSTILE[0], data=dict(name=HOSTILE[4]), note=HOSTILE[3],
                 scores=[dict(name=HOSTILE[0], protocol='hard', net=HOSTILE[3], mean=.5, std=.1, repeats=3)])
    text = card(DistilledSet(small.images, small.labels, HOSTILE, provenance=about))
    assert '<img' not in text.split('---\n', 2)[2]
    assert not re.search(r'(?<!\\)\]\(', text), 'a link'
    assert '{{ 7 \\* 7 }}' in text and '49' not in text
    assert [line for line in text.splitlines() if line == '# heading'] == []
    assert text.count('\n---\n') == 1, 'the header ends where it ended'


def test_a_card_tells_long_lists_by_their_length(small):
    assert '50 values, see set.json' in card(replace(small, provenance=dict(chosen=list(range(50)))))


def test_a_card_without_facts_or_scores(small):
    text = card(replace(small, provenance={}))
    assert '- nothing was recorded\n\n## Scores\n\nNone recorded' in text
    assert text.endswith('judge it with hard labels too.\n')


def test_the_code_on_a_card_runs(small, tmp_path):
    small.save(tmp_path/'set')
    code = (tmp_path/'set/README.md').read_text(encoding='utf-8').split('```python\n')[1].split('```')[0]
    names = {}
    exec(code.replace('this/folder', str(tmp_path/'set')), names)
    assert torch.equal(names['small'].images, small.images)


# ---- out and in

def test_exports_are_those_that_are_registered(small, tmp_path):
    assert list(registered('export')) == ['imagefolder', 'tensors', 'huggingface']
    with pytest.raises(InputError, match="choose one of \\['imagefolder', 'tensors', 'huggingface'\\]"):
        small.export(tmp_path/'x', 'zip')
    (tmp_path/'notes.txt').touch()
    with pytest.raises(InputError, match='is not empty'): small.export(tmp_path)


def test_the_hub_format_says_which_package_it_needs(small, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'datasets', None) # as if the package were not installed
    with pytest.raises(InputError, match='pip install datasets'): small.export(tmp_path/'hub', 'huggingface')
    assert not (tmp_path/'hub').exists()


def test_tensors_need_to_know_what_they_are_normalised_by(small, tmp_path):
    with pytest.raises(InputError, match='mean= and std='): small.export(tmp_path/'t', 'tensors')


def test_a_folder_with_other_files_is_not_written_to(small, tmp_path):
    (tmp_path/'notes.txt').touch()
    with pytest.raises(InputError, match='holds other files'): small.save(tmp_path)


def test_a_file_that_could_run_code_is_refused(tmp_path):
    class Evil:
        "What does harm when it is unpickled"
        def __reduce__(self): return open, (str(tmp_path/'harm'), 'w')
    (tmp_path/'evil.pt').write_bytes(pickle.dumps(Evil()))
    with pytest.raises(InputError, match='evil.pt.*plain tensors'): read_set(tmp_path/'evil.pt')
    assert not (tmp_path/'harm').exists()


def test_what_is_no_set_is_named(tmp_path):
    (tmp_path/'hub').mkdir()
    (tmp_path/'hub/train.parquet').touch()
    (tmp_path/'notes.txt').write_text('no picture')
    np.savez(tmp_path/'half.npz', images=np.zeros((1, 3, 4, 4)))
    for name in ('hub', 'notes.txt', 'half.npz', 'nowhere'):
        with pytest.raises(InputError, match=name): read_set(tmp_path/name)
    (tmp_path/'empty').mkdir()
    with pytest.raises(InputError, match='no class folders'): from_imagefolder(tmp_path/'empty')
    with pytest.raises(InputError, match='no set that `save` wrote'): DistilledSet.load(tmp_path/'empty')


def test_a_run_without_a_result_says_how_to_go_on(tmp_path):
    (tmp_path/'run.json').write_text('{}')
    with pytest.raises(InputError, match='no result yet(.|\n)*resume'): read_set(tmp_path)


# ---- published sets

def test_published_dc_sets(pack):
    for ipc in (1, 10):
        path = pack/'distilled-samples'/f'dc_cifar10_ipc{ipc}.npz'
        s = read_set(path, classes=CIFAR10)
        assert len(s) == 10 * ipc == 10 * s.ipc
        assert s.labels.tolist() == [k // ipc for k in range(10 * ipc)]
        assert s.classes == CIFAR10
        with np.load(path) as d: rgb = d['images'] * d['std'].reshape(1, -1, 1, 1) + d['mean'].reshape(1, -1, 1, 1)
        assert np.abs(s.images.numpy() - rgb.clip(0, 1)).max() < 1e-5
        assert 0 <= s.provenance['clipped_share'] < .5


def test_published_sheets(pack):
    folder = pack/'distilled-samples'
    tesla = read_set(folder/'tesla_cifar10_ipc10.png', rows=10, columns=10, classes=CIFAR10)
    assert tesla.ipc == 10 and tesla.labels[:10].tolist() == [0] * 10 and tesla.size == 32
    picture = np.asarray(Image.open(folder/'tesla_cifar10_ipc10.png').convert('RGB'))
    assert np.array_equal(to_bytes(tesla.images)[23].permute(1, 2, 0).numpy(), picture[64:96, 96:128])
    hundred = [f'c{i}' for i in range(100)]
    tesla = read_set(folder/'tesla_cifar100_ipc1.png', rows=10, columns=10, classes=hundred)
    assert tesla.labels.tolist() == list(range(100))
    fruit = read_set(folder/'mtt_imagefruit_ipc1.png', rows=2, columns=5, classes=[f'fruit {i}' for i in range(10)])
    assert fruit.size == 128
    with pytest.raises(InputError, match='tiles'):
        read_set(folder/'mtt_imagefruit_ipc1.png', rows=3, columns=5, classes=list('abcde'))
