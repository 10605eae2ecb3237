"The loaders on the official files and on folders, and what they say of what is wrong"
import hashlib
import os
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets

from ddnb.core.basics import InputError, read_image, sheet, stack_images
from ddnb.core.config import registered
from ddnb.data.images import ImageSet, Photos, fingerprint
from ddnb.data.load import load, reload
from ddnb.train import train as training
from ddnb.train.train import Recipe, squeeze

CIFAR10 = 'airplane automobile bird cat deer dog frog horse ship truck'.split()


def test_every_named_data_set_is_listed_once():
    assert list(registered('data'))[:4] == ['digits', 'cifar10', 'cifar100', 'tiny-imagenet']
    message = "give one of \\['digits', 'cifar10', 'cifar100', 'tiny-imagenet'"
    with pytest.raises(InputError, match=message): load('cifr10')


# ---- CIFAR

def test_cifar10_is_what_torchvision_reads(data_folder):
    root = data_folder('cifar-10-batches-py')
    real = load('cifar10', root=root)
    for ours, train in ((real.train, True), (real.test, False)):
        theirs = datasets.CIFAR10(str(root), train=train)
        assert np.array_equal(ours.images.permute(0, 2, 3, 1).numpy(), theirs.data)
        assert ours.images.is_contiguous()
        assert ours.labels.tolist() == theirs.targets
        assert ours.classes == theirs.classes == CIFAR10
    assert torch.bincount(real.train.labels).tolist() == [5000] * 10
    assert real.first(100).train.labels.tolist() == real.train.labels[:100].tolist()


def test_cifar10_has_the_identity_that_old_runs_remember(data_folder):
    real = load('cifar10', root=data_folder('cifar-10-batches-py'))
    assert real.train.identity == 'f3120a8fa253dbdad16aeebfcbcdbe65951c58226061082bf1b61dde3add92d7'
    assert real.test.identity == '815bee49b92162b075142619fb16b9562d1186e49d0509d9cf0af8940f739265'


def copy_cifar10(source, folder):
    "A folder with links to the official files, for one of them to be replaced"
    folder.mkdir()
    for f in source.iterdir(): (folder/f.name).symlink_to(f)


@pytest.mark.faults
@pytest.mark.parametrize('keep', [0, 1, 100, 30_000_000])
def test_truncated_cifar_file_is_named(data_folder, tmp_path, keep):
    source, copy = data_folder('cifar-10-batches-py')/'cifar-10-batches-py', tmp_path/'cifar-10-batches-py'
    copy_cifar10(source, copy)
    (copy/'data_batch_3').unlink()
    (copy/'data_batch_3').write_bytes((source/'data_batch_3').read_bytes()[:keep])
    with pytest.raises(InputError, match='data_batch_3.*damaged(.|\n)*unpack'): load('cifar10', root=tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize('name', ['data_batch_3', 'test_batch', 'batches.meta'])
def test_missing_cifar_file_is_named(data_folder, tmp_path, name):
    copy = tmp_path/'cifar-10-batches-py'
    copy_cifar10(data_folder('cifar-10-batches-py')/'cifar-10-batches-py', copy)
    (copy/name).unlink()
    with pytest.raises(InputError, match=f'{name}.*missing(.|\n)*download=True'): load('cifar10', root=tmp_path)


class Evil:
    "What does harm when it is unpickled"
    def __init__(self, path): self.path = path
    def __reduce__(self): return open, (str(self.path), 'w')


@pytest.mark.faults
@pytest.mark.parametrize('name', ['data_batch_1', 'test_batch', 'batches.meta'])
def test_a_file_that_is_not_the_official_one_is_never_unpickled(data_folder, tmp_path, name):
    copy = tmp_path/'cifar-10-batches-py'
    copy_cifar10(data_folder('cifar-10-batches-py')/'cifar-10-batches-py', copy)
    (copy/name).unlink()
    (copy/name).write_bytes(pickle.dumps(Evil(tmp_path/'harm')))
    with pytest.raises(InputError, match=f'{name}.*not the official file'): load('cifar10', root=tmp_path)
    assert not (tmp_path/'harm').exists()
    with open(copy/name, 'rb') as f: pickle.load(f).close()
    assert (tmp_path/'harm').exists(), 'it would have done harm'


def test_a_folder_without_cifar_says_where_to_put_it(tmp_path):
    with pytest.raises(InputError, match="no 'cifar-10-batches-py' in(.|\n)*DDNB_DATA"): load('cifar10', root=tmp_path)
    with pytest.raises(InputError, match="no 'cifar-100-python' in"): load('cifar100', root=tmp_path)
    with pytest.raises(InputError, match='32×32'): load('cifar10', root=tmp_path, size=16)


def test_cifar100_has_its_fine_labels(tmp_path, monkeypatch):
    "The layout of CIFAR-100 with a few images of our own, whose md5 sums stand for the official ones"
    folder = tmp_path/'cifar-100-python'
    folder.mkdir()

    def write(name, content):
        data = pickle.dumps(content)
        (folder/name).write_bytes(data)
        return hashlib.md5(data).hexdigest()

    pixels = {name: np.random.default_rng(n).integers(0, 256, (n, 3072), dtype=np.uint8)
              for name, n in (('train', 6), ('test', 4))}
    md5 = {name: write(name, dict(data=x, fine_labels=[i % 3 for i in range(len(x))], coarse_labels=[0] * len(x)))
           for name, x in pixels.items()}
    meta = write('meta', dict(fine_label_names=['apple', 'baby', 'crab'], coarse_label_names=['thing']))
    monkeypatch.setattr(datasets.CIFAR100, 'train_list', [['train', md5['train']]])
    monkeypatch.setattr(datasets.CIFAR100, 'test_list', [['test', md5['test']]])
    monkeypatch.setattr(datasets.CIFAR100, 'meta', dict(datasets.CIFAR100.meta, md5=meta))
    real = load('cifar100', root=tmp_path)
    assert real.classes == ['apple', 'baby', 'crab']
    assert real.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    for ours, name in ((real.train, 'train'), (real.test, 'test')):
        assert np.array_equal(ours.images.flatten(1).numpy(), pixels[name])
    assert reload(real.facts).test.identity == real.test.identity


# ---- Tiny-ImageNet

def test_tiny_imagenet_folders(data_folder):
    root = data_folder('tiny-imagenet-200')
    real = load('tiny-imagenet', root=root)
    ids = sorted((root/'tiny-imagenet-200/wnids.txt').read_text().split())
    assert len(real.classes) == len(ids) and real.classes[0] == 'goldfish' and real.size == 64
    assert set(torch.bincount(real.train.labels).tolist()) == {500}
    assert set(torch.bincount(real.test.labels).tolist()) == {50}
    folder = root/'tiny-imagenet-200/train'/ids[3]/'images'
    first = sorted(folder.iterdir())[0]
    pixels = np.asarray(Image.open(first).convert('RGB'))
    assert np.array_equal(real.train.images[1500].permute(1, 2, 0).numpy(), pixels)


def test_tiny_imagenet_says_what_is_missing(data_folder, tmp_path):
    source, copy = data_folder('tiny-imagenet-200')/'tiny-imagenet-200', tmp_path/'tiny-imagenet-200'
    copy.mkdir()
    for f in ('train', 'wnids.txt', 'words.txt'): (copy/f).symlink_to(source/f)
    with pytest.raises(InputError, match='val'): load('tiny-imagenet', root=tmp_path)


# ---- folders of one's own

@pytest.fixture
def shapes(tmp_path):
    "A folder with two class folders of five pictures, 16×16"
    real = load('digits')
    for label, name in enumerate(['circle', 'square']):
        (tmp_path/'shapes'/name).mkdir(parents=True)
        for i, image in enumerate(real.train.images[real.train.labels == label][:5]):
            sheet(image[None], 1, zoom=1).save(tmp_path/'shapes'/name/f'{i}.png')
    return tmp_path/'shapes'


def test_a_plain_folder_is_split_in_two(shapes):
    real = load(shapes)
    assert real.classes == ['circle', 'square']
    assert (len(real.train), len(real.test)) == (8, 2)
    assert reload(real.facts).train.identity == real.train.identity


def test_a_folder_with_train_and_test(shapes):
    folder = shapes.parent/'two'
    for part in ('train', 'val'):
        (folder/part).mkdir(parents=True)
        for name in ('circle', 'square'): (folder/part/name).symlink_to(shapes/name)
    real = load(folder)
    assert len(real.train) == len(real.test) == 10
    assert real.test.mean == real.train.mean
    (folder/'val/square').unlink()
    with pytest.raises(InputError, match="differ: \\['square'\\]"): load(folder)


def in_folders(place, source, *parts):
    "Links to two class folders in `place/part` for each part"
    for part in parts:
        (place/part).mkdir(parents=True)
        for name in ('circle', 'square'): (place/part/name).symlink_to(source/name)
    return place


@pytest.mark.parametrize('parts', [('train', 'valid'), ('train', 'testing'), ('Train', 'Test'), ('training', 'VAL'),
                                   ('train', 'validation', 'unlabelled')], ids='+'.join)
def test_a_split_is_no_class_whatever_it_is_called(shapes, parts):
    folder = in_folders(shapes.parent/'split', shapes, *parts[:2])
    for extra in parts[2:]: (folder/extra).mkdir()
    real = load(folder)
    assert real.classes == ['circle', 'square']
    assert len(real.train) == len(real.test) == 10


def test_the_test_split_is_the_one_with_class_folders(shapes):
    folder = in_folders(shapes.parent/'imagenet', shapes, 'train', 'val')
    (folder/'test').mkdir()
    (folder/'test/0.png').symlink_to(shapes/'circle/0.png')
    assert len(load(folder).test) == 10


@pytest.mark.parametrize('part', ['train', 'Training', 'test', 'val'])
def test_a_split_alone_is_refused(shapes, part):
    folder = in_folders(shapes.parent/'alone', shapes, part)
    with pytest.raises(InputError, match=f"only '{part}' of a data set in two splits(.|\n)*load\\("): load(folder)


def test_two_training_splits_are_refused(shapes):
    folder = in_folders(shapes.parent/'twice', shapes, 'train', 'training', 'test')
    with pytest.raises(InputError, match="'train' and 'training'"): load(folder)


def test_a_class_may_be_called_train(shapes):
    (shapes/'circle').rename(shapes/'train')
    assert load(shapes).classes == ['square', 'train']


def test_classes_inside_of_classes_are_refused(shapes):
    food = shapes.parent/'food'
    for kind in ('fruit', 'leaf'): shutil.copytree(shapes, food/kind)
    with pytest.raises(InputError, match="fruit' holds images in several folders.*circle.*square"): load(food)
    assert load(food/'fruit').classes == ['circle', 'square']


def test_images_beside_a_folder_of_images_are_refused(shapes):
    (shapes/'square/more').mkdir()
    (shapes/'square/4.png').rename(shapes/'square/more/4.png')
    with pytest.raises(InputError, match="square' holds images in several folders"): load(shapes)


def test_a_single_folder_below_a_class_is_read(shapes):
    (shapes/'circle').rename(shapes/'images')
    (shapes/'circle').mkdir()
    (shapes/'images').rename(shapes/'circle/images')
    assert len(load(shapes).train) == 8


def test_two_classes_that_are_one_folder_are_refused(shapes):
    (shapes/'round').symlink_to(shapes/'circle')
    with pytest.raises(InputError, match="'circle' and 'round' are one folder"): load(shapes)


def test_an_empty_class_folder_is_named(shapes):
    (shapes/'empty').mkdir()
    with pytest.raises(InputError, match="empty' holds no images"): load(shapes)


def test_an_empty_file_is_named(shapes):
    (shapes/'empty').mkdir()
    for name in ('0.png', '1.png'): (shapes/'empty'/name).touch()
    with pytest.raises(InputError, match="[01].png.*it is empty"): load(shapes)


def test_a_picture_of_another_size_is_named_unless_all_are_resized(shapes):
    image = load('digits').train.images[:1]
    sheet(image, 1, zoom=2).save(shapes/'square/large.png')
    with pytest.raises(InputError, match="large.png.*32×32"): load(shapes)
    assert load(shapes, size=16).train.size == 16


def test_a_class_with_a_single_image_cannot_be_split(shapes):
    for i in range(1, 5): (shapes/f'circle/{i}.png').unlink()
    with pytest.raises(InputError, match="'circle' holds a single image"): load(shapes)


def test_what_is_no_folder_of_real_images(tmp_path):
    (tmp_path/'empty').mkdir()
    with pytest.raises(InputError, match='no class folders'): load(tmp_path/'empty')
    (tmp_path/'empty/images.safetensors').touch()
    with pytest.raises(InputError, match='distilled set or a run(.|\n)*read_set'): load(tmp_path/'empty')


@pytest.mark.parametrize('settings', [dict(size=2), *([] if torch.cuda.is_available() else [dict(device='cuda')])])
def test_settings_that_cannot_be(settings):
    with pytest.raises(InputError, match=f'{next(iter(settings.values()))}'): load('digits', **settings)


@pytest.mark.parametrize('n', [0, 10_000])
def test_more_first_images_than_there_are(n):
    with pytest.raises(InputError, match=f'first {n} images'): load('digits').first(n)


def test_changed_data_are_not_those_of_before():
    facts = load('digits').facts
    with pytest.raises(InputError, match='not those that were used before'): reload(dict(facts, identity='other'))
    with pytest.raises(InputError, match='not those that were used before'): reload(dict(facts, test_identity='other'))


# ---- files of all kinds

def saved(tmp_path, picture, name='a.png', **options):
    "A picture's file"
    picture.save(tmp_path/name, **options)
    return tmp_path/name


def ramp(dtype, top):
    "16×16 numbers from 0 to `top`"
    return np.linspace(0, top, 256).reshape(16, 16).astype(dtype)


def test_sixteen_bits_become_eight(tmp_path):
    path = saved(tmp_path, Image.fromarray(ramp(np.uint16, 65535)))
    with pytest.warns(UserWarning, match='16 bits'): image = read_image(path)
    expected = np.round(ramp(np.uint16, 65535) / 257)
    assert np.abs(image[..., 0] - expected).max() <= 1
    assert image.min() == 0 and image.max() == 255


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    upright = Image.fromarray(np.stack([ramp(np.uint8, 255)] * 3, 2)[:8])
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the scene is at the right of what is stored
    path = saved(tmp_path, upright.rotate(90, expand=True), 'a.png', exif=exif)
    with pytest.warns(UserWarning, match='turned'): image = read_image(path)
    assert np.array_equal(image, np.asarray(upright))


@pytest.mark.parametrize('mode', ['RGBA', 'LA', 'P'])
def test_what_is_transparent_lies_on_white(tmp_path, mode):
    clear = Image.new('RGBA', (8, 8), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 4, 8))
    options = {}
    if mode == 'P':
        clear = Image.new('P', (8, 8), 1)
        clear.putpalette([0, 0, 255, 255, 0, 0])
        clear.paste(0, (0, 0, 4, 8))
        options = dict(transparency=1)
    path = saved(tmp_path, clear if mode == 'P' else clear.convert(mode), **options)
    with pytest.warns(UserWarning, match='transparent.*white'): image = read_image(path)
    assert (image[:, 4:] == 255).all()
    assert image[0, 0].max() < 256 and image[0, 0, 0] < 100


def test_an_opaque_alpha_channel_changes_nothing(tmp_path, recwarn):
    colour = Image.new('RGB', (8, 8), (1, 2, 3))
    assert np.array_equal(read_image(saved(tmp_path, colour.convert('RGBA'))), np.asarray(colour))
    palette = read_image(saved(tmp_path, colour.convert('P', palette=Image.ADAPTIVE), 'p.png'))
    assert np.array_equal(palette, np.asarray(colour))
    assert not recwarn.list


def test_inks_are_told(tmp_path):
    path = saved(tmp_path, Image.new('CMYK', (8, 8), (0, 255, 255, 0)), 'a.jpg')
    with pytest.warns(UserWarning, match='CMYK'): image = read_image(path)
    assert image[0, 0, 0] > 200 and image[0, 0, 1:].max() < 60


@pytest.mark.parametrize('picture', [Image.fromarray(ramp(np.float32, 1)), Image.fromarray(ramp(np.int32, 2**30))],
                         ids=['float', '32 bits'])
def test_numbers_without_a_range_are_refused(tmp_path, picture):
    path = saved(tmp_path, picture, 'a.tif')
    with pytest.raises(InputError, match='a.tif.*no range(.|\n)*8 bits'): read_image(path)


def test_a_picture_of_enormous_size_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path, Image.new('L', (64, 64)))
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 1000)
    with pytest.raises(InputError, match='a.png'): read_image(path)


def test_many_images_are_told_once(tmp_path):
    paths = [saved(tmp_path, Image.new('RGBA', (8, 8), (0, 0, 0, alpha)), f'{i}.png')
             for i, alpha in enumerate((255, 7, 7, 0))]
    with pytest.warns(UserWarning) as told: stack_images(paths)
    assert len(told) == 1
    assert '3 images, ' in str(told[0].message) and '1.png' in str(told[0].message)


def test_test_photographs_are_shown_as_the_recipes_have_it(shapes):
    "The short side at 8/7 of the size, then the centre: 256 and 224 for ImageNet"
    from torchvision import transforms
    folder = in_folders(shapes.parent/'photos', shapes, 'train', 'val')
    for name in ('circle', 'square'):
        rng = np.random.default_rng(0)
        for i in range(5):
            photo = Image.fromarray(rng.integers(0, 256, (15, 20, 3), dtype=np.uint8)).resize((200, 150))
            photo.save(shapes/name/f'{i}.png')
    real = load(folder, size=112)
    photo = Image.open(shapes/'circle/0.png')
    theirs = transforms.CenterCrop(112)(transforms.Resize(128)(photo))
    ours = real.test.images[0].permute(1, 2, 0).numpy().astype(int)
    assert np.abs(ours - np.asarray(theirs)).max() <= 1
    small = load(folder, size=56).test.images[0].permute(1, 2, 0).numpy().astype(int)
    theirs = transforms.CenterCrop(56)(transforms.Resize(56)(photo))
    assert np.abs(small - np.asarray(theirs)).max() <= 1


# ---- photos that are kept whole

@pytest.fixture
def photos(tmp_path):
    "Two classes of ten photos, 150 wide and 50 high; red grows from the left to the right, green downwards"
    across, down = np.meshgrid(np.linspace(0, 255, 150), np.linspace(0, 255, 50))
    ramp = np.stack([across, down, np.zeros_like(across)], 2).round().astype(np.uint8)
    for label, name in enumerate(('left', 'right')):
        (tmp_path/'photos'/name).mkdir(parents=True)
        for i in range(10):
            ramp[..., 2] = 20 * i + label
            Image.fromarray(ramp).save(tmp_path/'photos'/name/f'{i}.png')
    return tmp_path/'photos'


def test_training_crops_whole_photos_as_torchvision_does(photos, monkeypatch):
    "What a network is shown in 20 epochs, beside RandomResizedCrop on the files"
    from torchvision.transforms import RandomResizedCrop
    real, seen = load(photos, size=32), []
    def watched(data, batch):
        seen.append(show(data, batch))
        return seen[-1]
    show = training.show
    monkeypatch.setattr(training, 'show', watched)
    squeeze(real, 'convnet2-w4', recipe=Recipe(epochs=20, batch=16, crop='resized', flip=False), progress=False)
    ours = torch.cat(seen)
    assert ours.shape == (320, 3, 32, 32)
    torch.manual_seed(0)
    photo, crop = Image.open(photos/'left/0.png'), RandomResizedCrop(32)
    theirs = torch.stack([torch.from_numpy(np.array(crop(photo))).permute(2, 0, 1) for _ in range(320)]) / 255
    assert ours[:, 0, :, 0].min() < .02 and ours[:, 0, :, -1].max() > .98, 'they reach the edges'
    for channel, first, last in ((0, (16, 0), (16, 31)), (1, (0, 16), (31, 16))):
        edges = [(x[:, channel, first[0], first[1]], x[:, channel, last[0], last[1]]) for x in (ours, theirs)]
        for measure in (lambda a, b: a, lambda a, b: b - a, lambda a, b: (b - a)**2, lambda a, b: (a + b)**2):
            a, b = (measure(*e) for e in edges)
            assert abs(a.mean() - b.mean()) < 4 * ((a.var() + b.var()) / 320).sqrt() + .01


def test_what_is_no_random_crop_sees_the_squares(photos):
    real, squares = load(photos, size=32), load(photos, size=32, whole=0)
    assert torch.equal(real.train.images, squares.train.images) and torch.equal(real.test.images, squares.test.images)
    assert real.train.mean == squares.train.mean and real.train.std == squares.train.std
    assert real.test.photos is None and squares.train.photos is None
    assert squares.train.identity == fingerprint(squares.train.images, squares.train.labels) != real.train.identity
    def trained(data, crop):
        teacher = squeeze(data, 'convnet2-w4', recipe=Recipe(epochs=1, batch=8, crop=crop), progress=False)
        return teacher.identity
    for crop in ('none', 'pad'): assert trained(real, crop) == trained(squares, crop)
    assert trained(real, 'resized') != trained(squares, 'resized')


def test_whole_photos_go_with_their_images(photos):
    train = load(photos, size=32, whole=40).train
    assert train.photos.pixels.shape == (16, 3, 40, 40) and train.photos.extents.tolist() == [[50, 150]] * 16
    assert train.photos.bytes == 16 * 3 * 40 * 40 and '40×40' in repr(train)
    some = torch.tensor([7, 2])
    part = train.take(some)
    assert torch.equal(part.photos.pixels, train.photos.pixels[some]) and len(part.photos) == 2
    blue = part.photos.pixels[:, 2].float().mean((1, 2))
    assert torch.allclose(blue, part.images[:, 2].float().mean((1, 2)), atol=1)
    assert train.to('cpu').photos is not None and train.subset(3).photos.pixels.shape[0] == 6
    with pytest.raises(InputError, match='2 images, but 16 whole photographs'):
        ImageSet(part.images, part.labels, part.classes, photos=train.photos)
    with pytest.raises(InputError, match='torch.float32'): Photos(torch.zeros(1, 3, 4, 4), torch.ones(1, 2))
    with pytest.raises(InputError, match='extents of shape'):
        Photos(part.photos.pixels, torch.zeros(2, 2, dtype=torch.long))


def test_photos_come_back_as_they_were_kept(photos):
    real = load(photos, size=32, whole=40).first(12).subset(2)
    again = reload(real.facts)
    assert again.train.photos.side == 40 and again.train.identity == real.train.identity
    facts = dict(real.facts, origin=dict(real.facts['origin'], whole=36))
    with pytest.raises(InputError, match='not those that were used before'): reload(facts)


@pytest.mark.parametrize('size, whole, side', [(32, None, 64), (32, 500, 150), (100, None, 150), (32, 20, 20),
                                               (32, 0, None), (None, None, 'one size')])
def test_photos_are_kept_no_larger_than_they_are(photos, size, whole, side):
    if side == 'one size':
        with pytest.raises(InputError, match='square'): load(photos, size=size)
        return
    kept = load(photos, size=size, whole=whole).train.photos
    assert (kept and kept.side) == side


@pytest.mark.parametrize('size, side', [(16, None), (20, None), (12, 16), (None, None)])
def test_squares_that_lose_nothing_have_nothing_beside_them(shapes, size, side):
    "Pictures of 16×16; of larger squares the photo has more detail than the cut"
    kept = load(shapes, size=size).train.photos
    assert (kept and kept.side) == side


def test_a_photo_turned_by_its_camera_has_the_extent_that_is_seen(tmp_path):
    for name in ('a', 'b'):
        (tmp_path/'turned'/name).mkdir(parents=True)
        exif = Image.Exif()
        exif[0x0112] = 6
        for i in range(3): Image.new('RGB', (40, 24)).save(tmp_path/'turned'/name/f'{i}.png', exif=exif)
    with pytest.warns(UserWarning, match='turned'): train = load(tmp_path/'turned', size=16).train
    assert train.photos.extents.tolist() == [[40, 24]] * len(train) and train.photos.side == 32


def test_what_does_not_fit_is_told_with_its_price(photos, monkeypatch):
    pages = dict(SC_PAGE_SIZE=1, SC_PHYS_PAGES=300_000) # bytes; squares of 32 take 61,440, whole photos of 64 196,608
    monkeypatch.setattr(os, 'sysconf', pages.get)
    with pytest.raises(InputError, match=r'20 images \(16 of them whole at 64×64\) need(.|\n)*smaller whole='):
        load(photos, size=32)
    assert load(photos, size=32, whole=32).train.photos.side == 32
    pages['SC_PHYS_PAGES'] = 70_000
    with pytest.raises(InputError, match=r'20 images need(.|\n)*give a smaller size='): load(photos, size=32, whole=0)


def test_named_data_have_no_photos():
    with pytest.raises(InputError, match="'digits' has no photos"): load('digits', whole=32)
    with pytest.raises(InputError, match='whole=2 is too small'): load('digits', whole=2)
    assert load('digits', whole=0).train.photos is None


def test_a_damaged_photo_is_named(photos):
    (photos/'left/3.png').write_bytes((photos/'left/3.png').read_bytes()[:60])
    with pytest.raises(InputError, match='3.png'): load(photos, size=32)
