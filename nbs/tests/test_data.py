"The loaders on the official files, and the import of published distilled sets"
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from ddnb.core.basics import InputError, to_bytes
from ddnb.data.images import read_set
from ddnb.data.load import load

CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'.split()


@pytest.mark.parametrize('split', ['train', 'test'])
def test_cifar10_is_what_torchvision_reads(data_folder, split):
    root = data_folder('cifar-10-batches-py')
    ours = getattr(load('cifar10', root=root), split)
    theirs = datasets.CIFAR10(str(root), train=split == 'train')  # checks the official md5 sums
    assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), theirs.data)
    assert ours.labels.tolist() == theirs.targets
    assert ours.classes == theirs.classes == CIFAR10


def test_cifar10_in_part(data_folder):
    real = load('cifar10', root=data_folder('cifar-10-batches-py'))
    assert torch.bincount(real.train.labels).tolist() == [5000] * 10
    assert real.first(100).train.labels.tolist() == real.train.labels[:100].tolist()


def linked_copy(source, copy, names):
    "A folder with links to some files of another"
    copy.mkdir()
    for name in names: (copy/name).symlink_to(source/name)
    return copy


@pytest.mark.faults
@pytest.mark.parametrize('kept', [0, 1, 100, 30_000_000])
def test_truncated_cifar_file_is_named(data_folder, tmp_path, kept):
    source = data_folder('cifar-10-batches-py')/'cifar-10-batches-py'
    whole = [f.name for f in source.iterdir() if f.name != 'data_batch_3']
    copy = linked_copy(source, tmp_path/'cifar-10-batches-py', whole)
    with pytest.raises(InputError, match='data_batch_3.*missing'): load('cifar10', root=tmp_path)
    (copy/'data_batch_3').write_bytes((source/'data_batch_3').read_bytes()[:kept])
    with pytest.raises(InputError, match='data_batch_3'): load('cifar10', root=tmp_path)


def test_tiny_imagenet_folders(data_folder):
    root = data_folder('tiny-imagenet-200')
    real = load('tiny-imagenet', root=root)
    ids = sorted((root/'tiny-imagenet-200/wnids.txt').read_text().split())
    assert len(real.classes) == len(ids)
    assert real.classes[0] == 'goldfish'
    assert real.size == 64
    assert set(torch.bincount(real.train.labels).tolist()) == {500}
    assert set(torch.bincount(real.test.labels).tolist()) == {50}

    fourth_class = root/'tiny-imagenet-200/train'/ids[3]/'images'
    first = Image.open(min(fourth_class.iterdir())).convert('RGB')
    assert np.array_equal(real.train.images[1500].permute(1, 2, 0).numpy(), np.asarray(first))


def test_tiny_imagenet_says_what_is_missing(data_folder, tmp_path):
    source = data_folder('tiny-imagenet-200')/'tiny-imagenet-200'
    linked_copy(source, tmp_path/'tiny-imagenet-200', ('train', 'wnids.txt', 'words.txt'))
    with pytest.raises(InputError, match='val'): load('tiny-imagenet', root=tmp_path)


@pytest.mark.parametrize('ipc', [1, 10])
def test_published_dc_sets(pack, ipc):
    file = pack/'distilled-samples'/f'dc_cifar10_ipc{ipc}.npz'
    ours = read_set(file, classes=CIFAR10)
    assert len(ours) == 10 * ipc
    assert ours.ipc == ipc
    assert ours.labels.tolist() == [k // ipc for k in range(10 * ipc)]
    assert ours.classes == CIFAR10

    with np.load(file) as published:
        std, mean = (published[k].reshape(1, -1, 1, 1) for k in ('std', 'mean'))
        colours = published['images'] * std + mean
    assert np.abs(ours.images.numpy() - colours.clip(0, 1)).max() < 1e-5
    assert 0 <= ours.provenance['clipped_share'] < .5


def test_published_sheet_of_ten_a_class(pack):
    file = pack/'distilled-samples/tesla_cifar10_ipc10.png'
    tesla = read_set(file, rows=10, columns=10, classes=CIFAR10)
    assert tesla.ipc == 10
    assert tesla.labels[:10].tolist() == [0] * 10
    assert tesla.size == 32
    sheet = np.asarray(Image.open(file).convert('RGB'))
    assert np.array_equal(to_bytes(tesla.images)[23].permute(1, 2, 0).numpy(), sheet[64:96, 96:128])


def test_published_sheets_of_one_a_class(pack):
    hundred = [f'c{i}' for i in range(100)]
    tesla = read_set(pack/'distilled-samples/tesla_cifar100_ipc1.png', rows=10, columns=10, classes=hundred)
    assert tesla.labels.tolist() == list(range(100))

    fruit = pack/'distilled-samples/mtt_imagefruit_ipc1.png'
    assert read_set(fruit, rows=2, columns=5, classes=[f'fruit {i}' for i in range(10)]).size == 128
    with pytest.raises(InputError, match='tiles'): read_set(fruit, rows=3, columns=5, classes=list('abcde'))
