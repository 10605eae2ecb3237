"The loaders on the official files, and the import of published distilled sets"
import numpy as np, pytest, torch
from PIL import Image
from torchvision import datasets
from ddnb.core.basics import InputError, to_bytes
from ddnb.data.images import read_set
from ddnb.data.load import load

CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'.split()

def test_cifar10_is_what_torchvision_reads(data_folder):
    root = data_folder('cifar-10-batches-py')
    real = load('cifar10', root=root)
    for ours, train in ((real.train, True), (real.test, False)):
        theirs = datasets.CIFAR10(str(root), train=train) # checks the official md5 sums
        assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), theirs.data) and ours.labels.tolist() == theirs.targets and ours.classes == theirs.classes == CIFAR10
    assert torch.bincount(real.train.labels).tolist() == [5000] * 10 and real.first(100).train.labels.tolist() == real.train.labels[:100].tolist()

@pytest.mark.faults
@pytest.mark.parametrize('keep', [0, 1, 100, 30_000_000])
def test_truncated_cifar_file_is_named(data_folder, tmp_path, keep):
    source, copy = data_folder('cifar-10-batches-py')/'cifar-10-batches-py', tmp_path/'cifar-10-batches-py'
    copy.mkdir()
    for f in source.iterdir(): (copy/f.name).symlink_to(f)
    (copy/'data_batch_3').unlink()
    (copy/'data_batch_3').write_bytes((source/'data_batch_3').read_bytes()[:keep])
    with pytest.raises(InputError, match='data_batch_3'): load('cifar10', root=tmp_path)
    (copy/'data_batch_3').unlink()
    with pytest.raises(InputError, match='data_batch_3.*missing'): load('cifar10', root=tmp_path)

def test_tiny_imagenet_folders(data_folder):
    root = data_folder('tiny-imagenet-200')
    real = load('tiny-imagenet', root=root)
    ids = sorted((root/'tiny-imagenet-200/wnids.txt').read_text().split())
    assert len(real.classes) == len(ids) and real.classes[0] == 'goldfish' and real.size == 64
    assert set(torch.bincount(real.train.labels).tolist()) == {500} and set(torch.bincount(real.test.labels).tolist()) == {50}
    folder = root/'tiny-imagenet-200/train'/ids[3]/'images'
    first = sorted(folder.iterdir())[0]
    assert np.array_equal(real.train.images[1500].permute(1, 2, 0).numpy(), np.asarray(Image.open(first).convert('RGB')))

def test_tiny_imagenet_says_what_is_missing(data_folder, tmp_path):
    source, copy = data_folder('tiny-imagenet-200')/'tiny-imagenet-200', tmp_path/'tiny-imagenet-200'
    copy.mkdir()
    for f in ('train', 'wnids.txt', 'words.txt'): (copy/f).symlink_to(source/f)
    with pytest.raises(InputError, match='val'): load('tiny-imagenet', root=tmp_path)

def test_published_dc_sets(pack):
    for ipc in (1, 10):
        s = read_set(pack/'distilled-samples'/f'dc_cifar10_ipc{ipc}.npz', classes=CIFAR10)
        assert len(s) == 10 * ipc == 10 * s.ipc and s.labels.tolist() == [k // ipc for k in range(10 * ipc)] and s.classes == CIFAR10
        with np.load(pack/'distilled-samples'/f'dc_cifar10_ipc{ipc}.npz') as d: rgb = d['images'] * d['std'].reshape(1, -1, 1, 1) + d['mean'].reshape(1, -1, 1, 1)
        assert np.abs(s.images.numpy() - rgb.clip(0, 1)).max() < 1e-5 and 0 <= s.provenance['clipped_share'] < .5

def test_published_sheets(pack):
    folder = pack/'distilled-samples'
    tesla = read_set(folder/'tesla_cifar10_ipc10.png', rows=10, columns=10, classes=CIFAR10)
    assert tesla.ipc == 10 and tesla.labels[:10].tolist() == [0] * 10 and tesla.size == 32
    sheet = np.asarray(Image.open(folder/'tesla_cifar10_ipc10.png').convert('RGB'))
    assert np.array_equal(to_bytes(tesla.images)[23].permute(1, 2, 0).numpy(), sheet[64:96, 96:128])
    assert read_set(folder/'tesla_cifar100_ipc1.png', rows=10, columns=10, classes=[f'c{i}' for i in range(100)]).labels.tolist() == list(range(100))
    assert read_set(folder/'mtt_imagefruit_ipc1.png', rows=2, columns=5, classes=[f'fruit {i}' for i in range(10)]).size == 128
    with pytest.raises(InputError, match='tiles'): read_set(folder/'mtt_imagefruit_ipc1.png', rows=3, columns=5, classes=list('abcde'))
