"Readers of sets as the released codes leave them, made here file by file in their layouts"
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ddnb.core.basics import InputError, normalise, to_unit
from ddnb.data.images import DistilledSet, Training
from ddnb.data.load import load
from ddnb.data.readers import folder_labels, from_imagefolder, from_tensors, guess_space, read_set, released_statistics
from ddnb.data.spaces import make_space


@pytest.fixture(scope='module')
def real(): return load('digits', size=12)


@pytest.fixture(scope='module')
def images(real): return to_unit(real.train.subset(2).images)


@pytest.fixture(scope='module')
def labels(real): return real.train.subset(2).labels


@pytest.fixture(scope='module')
def whitening(real): return make_space('zca', real.train)


def leave(folder, images, labels, rate=None, which='best'):
    "Files as MTT and its forks write them"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(images.clone(), folder/f'images_{which}.pt')
    torch.save(labels.clone(), folder/f'labels_{which}.pt')
    if rate is not None: torch.save(torch.tensor(rate), folder/f'syn_lr_{which}.pt')
    return folder


# ---- MTT, TESLA, DATM

def test_normalised_tensors_become_colours(real, images, labels, tmp_path):
    z = normalise(images * 1.5 - .2, real.train.mean, real.train.std)
    s = read_set(leave(tmp_path/'mtt', z, labels, .02), real=real)
    assert (s.as_learned - (images * 1.5 - .2)).abs().max() < 1e-5
    assert s.training == Training(rates=(s.training.rates[0],)) and s.training.rates[0] == pytest.approx(.02)
    assert s.classes == real.classes and s.provenance['data']['name'] == 'digits'
    with pytest.raises(InputError, match='normalised(.|\n)*real='): read_set(tmp_path/'mtt')


@pytest.mark.parametrize('how', ['folder', 'pictures', 'evidence', 'argument'])
def test_whitened_tensors_are_kept_exactly(real, images, labels, whitening, tmp_path, how):
    z = whitening.into(images) * 1.2
    folder = leave(tmp_path/('lr_0.01_zca' if how == 'folder' else 'sweet-wood-12'), z, labels, .02)
    if how == 'pictures': torch.save(whitening.back(z), folder/'images_zca_100.pt')
    s = read_set(folder, real=real, space='zca' if how == 'argument' else None)
    assert s.training.space == 'zca' and s.unclipped is not None
    assert (whitening.into(s.as_learned) - z).abs().max() < 1e-5


def test_pictures_beside_whitened_tensors_are_colours_already(real, images, labels, whitening, tmp_path):
    folder = leave(tmp_path/'mtt', whitening.into(images), labels, which='100')
    torch.save(images * 1.1, folder/'images_zca_100.pt')
    s = read_set(folder/'images_zca_100.pt', real=real)
    assert torch.equal(s.as_learned, images * 1.1) and s.training.space == 'zca'
    again = read_set(folder/'images_100.pt', real=real)
    assert (again.as_learned - images).abs().max() < 1e-5


def test_a_whitening_needs_the_real_data(images, labels, tmp_path):
    with pytest.raises(InputError, match='real data'): read_set(leave(tmp_path/'x_zca', images * 3 - 1, labels))


def test_soft_labels_of_a_released_folder(real, images, labels, tmp_path):
    logits = torch.nn.functional.one_hot(labels, 10) * 3. - 1
    leave(tmp_path/'datm', images, logits)
    torch.save(torch.tensor(.03), tmp_path/'datm/lr_best.pt')
    s = read_set(tmp_path/'datm', real=real)
    assert torch.allclose(s.soft_labels, logits.softmax(1)) and torch.equal(s.labels, labels)
    assert s.training.rates[0] == pytest.approx(.03)
    one_hot = read_set(leave(tmp_path/'dd', images, torch.eye(10)[labels]), real=real)
    assert one_hot.soft_labels is None and torch.equal(one_hot.labels, labels)


def test_labels_that_are_none_are_refused(images):
    with pytest.raises(InputError, match='whole numbers'): from_tensors(images, torch.full((20,), .9))
    with pytest.raises(InputError, match='labels have shape'): from_tensors(images, torch.zeros(20, 2, 2))


@pytest.mark.parametrize('name, family, first', [
    ('cifar100', 'mtt', .4914), ('cifar100', 'dc', .5071), ('tiny-imagenet', 'mtt', .485)])
def test_statistics_are_those_of_the_code_that_wrote(real, name, family, first):
    mean, _ = released_statistics(replace(real, name=name), family)
    assert mean[0] == first


def test_how_numbers_are_stored_shows(real, images, whitening):
    stored = dict(pixels=images, bytes=images * 255, signed=images * 2 - 1, zca=whitening.into(images),
                  channels=normalise(images, real.train.mean, real.train.std))
    assert {kind: guess_space(x, real)[0] for kind, x in stored.items()} == {kind: kind for kind in stored}
    for kind in ('bytes', 'signed'):
        y = torch.arange(20) % 10
        with pytest.raises(InputError, match=f'diagnose(.|\n)*{kind}'): from_tensors(stored[kind], y, real=real)
        assert torch.allclose(from_tensors(stored[kind], y, real=real, space=kind).images, images, atol=1e-6)


# ---- PDD

@pytest.mark.parametrize('layout', ['one after the other', 'by class', 'apart'])
def test_intervals_are_stages_with_step_sizes(real, images, labels, tmp_path, layout):
    first, second = labels.new_tensor(range(0, 20, 2)), labels.new_tensor(range(1, 20, 2))
    union = {'one after the other': torch.cat([first, second]), 'by class': torch.arange(20), 'apart': second}
    z = normalise(images, real.train.mean, real.train.std)
    leave(tmp_path/'p/interval1_epoch1-5', z[first], labels[first], .01)
    leave(tmp_path/'p/interval2_epoch6-10', z[union[layout]], labels[union[layout]], .03)
    s = read_set(tmp_path/'p', real=real)
    assert torch.bincount(s.stage).tolist() == [10, 10]
    assert [round(rate, 4) for rate in s.training.rates] == [.01, .03]
    assert (s.images[s.stage == 1] - images[second]).abs().max() < 1e-6


def test_a_stage_by_itself_keeps_its_number(real, images, labels, tmp_path):
    leave(tmp_path/'p/interval10_epoch1-5', images, labels, .5)
    leave(tmp_path/'p/interval3_epoch1-5', images[:4], labels[:4], .25)
    s = read_set(tmp_path/'p', real=real)
    assert s.stage.unique().tolist() == [2, 9]
    assert s.training.rates == (None, None, .25, *[None] * 6, .5)


# ---- DC, DSA, DM, IDC

def test_the_last_run_of_a_dc_file_is_read(real, images, labels, tmp_path):
    z = normalise(images, real.train.mean, real.train.std)
    accuracies = {'ConvNet': [np.float64(.5), np.float64(.25)]}
    torch.save(dict(data=[[z * 0, labels], [z, labels]], accs_all_exps=accuracies), tmp_path/'res_DC_x_10ipc.pt')
    for path in (tmp_path/'res_DC_x_10ipc.pt', tmp_path):
        assert (read_set(path, real=real).images - images).abs().max() < 1e-6
    torch.save(dict(data=[]), tmp_path/'res_DC_x_10ipc.pt')
    with pytest.raises(InputError, match='no pair'): read_set(tmp_path, real=real)


def test_tiles_of_idc_are_known_by_the_folder_or_told(real, images, labels, tmp_path):
    for folder in ('conv3in_grad_mse_nd2000_factor2_lr0.005', 'mine'):
        (tmp_path/folder).mkdir()
        torch.save([images, labels], tmp_path/folder/'data_best.pt')
    assert read_set(tmp_path/'conv3in_grad_mse_nd2000_factor2_lr0.005', real=real).training.mosaic == 2
    assert read_set(tmp_path/'mine', real=real).training.mosaic == 1
    assert read_set(tmp_path/'mine', real=real, mosaic=2).training.mosaic == 2


# ---- class folders, sheets, selections

def folders(root, names, images):
    for name, image in zip(names, images):
        (root/name).mkdir(parents=True, exist_ok=True)
        Image.fromarray((image[0] * 255).byte().numpy()).save(root/name/'id000.png')
    return root


@pytest.mark.parametrize('pattern', ['new{:03d}', '{:05d}', '{}', 'class{}'])
def test_numbered_folders_are_read_as_numbers(real, tmp_path, pattern):
    names = [pattern.format(i) for i in range(12)]
    assert folder_labels(sorted(names)) == [int(''.join(filter(str.isdigit, name))) for name in sorted(names)]
    s = from_imagefolder(folders(tmp_path, names, [torch.full((1, 4, 4), i / 20) for i in range(12)]))
    assert [round(float(x.mean()) * 20) for x in s.images] == s.labels.tolist() == list(range(12))


def test_named_folders_stand_for_the_classes_of_those_names(real, tmp_path):
    letters = replace(real, train=replace(real.train, classes=['tabby cat', 'Ant', *'cdefghij']))
    assert folder_labels(['ant', 'tabby_cat'], letters) == [1, 0]
    assert folder_labels(['ant', 'zebra'], letters) == [0, 1]
    assert folder_labels(['n01443537', 'n01784675'], letters) == [0, 1]
    named = folders(tmp_path, [*'cdefghij', 'ant', 'tabby_cat'], [torch.zeros(1, 4, 4)] * 10)
    assert from_imagefolder(named, real=letters).classes == letters.classes
    with pytest.raises(InputError, match='10 class folders but 2'): from_imagefolder(tmp_path, classes=['a', 'b'])


def test_a_sheet_is_cut_by_the_size_of_real_images(real, images, tmp_path):
    picture = Image.new('L', (2 * real.size, 10 * real.size))
    for i, image in enumerate((images * 255).byte()):
        picture.paste(Image.fromarray(image[0].numpy()), (i % 2 * real.size, i // 2 * real.size))
    picture.save(tmp_path/'sheet.png')
    grey = read_set(tmp_path/'sheet.png', real=real)
    assert grey.ipc == 2 and grey.classes == real.classes
    with pytest.raises(InputError, match='whole number'): read_set(tmp_path/'sheet.png', real=load('digits', size=11))


def test_what_ccfs_chose_joins_the_first_distilled_images(real, images, labels, tmp_path):
    chosen = list(range(5))
    (tmp_path/'selected_indices.json').write_text(json.dumps(dict(ipc=2, alpha=.5, idx_selected=chosen)))
    alone = read_set(tmp_path/'selected_indices.json', real=real)
    assert alone.real_index.tolist() == chosen and (alone.source == 'real').all()
    assert torch.equal(alone.labels, real.train.labels[:5])
    small = DistilledSet(images, labels, real.classes)
    mixed = read_set(tmp_path/'selected_indices.json', real=real, small=small)
    assert len(mixed) == 15 and (mixed.source == 'distilled').sum() == 10
    assert mixed.stage.tolist() == [0] * 10 + [1] * 5
    with pytest.raises(InputError, match='training images'): read_set(tmp_path/'selected_indices.json')
    (tmp_path/'selected_indices.json').write_text(json.dumps(dict(idx_selected=[10**6])))
    with pytest.raises(InputError, match='beyond'): read_set(tmp_path/'selected_indices.json', real=real)
    (tmp_path/'selected_indices.json').write_text('{}')
    with pytest.raises(InputError, match='idx_selected'): read_set(tmp_path/'selected_indices.json', real=real)


# ---- our own tensors

@pytest.mark.parametrize('space', [None, 'zca'])
def test_exported_tensors_keep_what_a_student_must_know(real, images, labels, whitening, tmp_path, space):
    training = Training('convnet3', 'zca', 2, (.01, None, .03))
    about = dict(training=training.to_json(), data=dict(mean=real.train.mean, std=real.train.std))
    soft = torch.full((20, 10), .05) + torch.eye(10)[labels] * .5
    learned = images * 1.5 - .2
    s = DistilledSet(learned.clamp(0, 1), labels, real.classes, torch.arange(20) % 3, soft_labels=soft,
                     provenance=about, unclipped=learned)
    s.export(tmp_path/'t', 'tensors', space=whitening if space else None)
    again = read_set(tmp_path/'t', real=real)
    assert again.training == training and torch.equal(again.stage, s.stage)
    assert torch.equal(again.soft_labels, soft) and torch.equal(again.labels, labels)
    assert (again.as_learned - learned).abs().max() < 1e-4
    parts = sorted(p.parent.name for p in (tmp_path/'t').rglob('syn_lr_best.pt'))
    assert parts == ['interval1', 'interval3', 't']
    assert len(torch.load(tmp_path/'t/interval2/images_best.pt', weights_only=True)) == 14
