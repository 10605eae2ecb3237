"Protocols and scores: what is refused before the work, rows from files, names of controls"
import json
import re
from dataclasses import replace

import pytest
import torch

from ddnb.core.basics import InputError, seeded, to_unit
from ddnb.core.config import register, registered
from ddnb.data.images import DistilledSet, Photos, Training
from ddnb.data.load import load
from ddnb.train import evaluate as room
from ddnb.train.evaluate import (
    CONTROL,
    PROTOCOLS,
    Protocol,
    Row,
    Scores,
    beside_hard,
    control_of,
    curriculum,
    difference,
    epochs_looked_at,
    evaluate,
    examples,
    label_robust_score,
    protocol,
    random_real,
    row_name,
    scores_html,
    scores_text,
    spread,
)
from ddnb.train.relabel import StoredLabels, relabel
from ddnb.train.train import Recipe, Teacher, squeeze


@pytest.fixture(scope='module')
def real(): return load('digits')


@pytest.fixture(scope='module')
def small(real): return real.train.subset(2)


NET = 'convnet2-w8-batch'


@pytest.fixture(scope='module')
def teacher(real): return squeeze(real.subset(2), NET, epochs=1, progress=False)


def row(name='mine', **changes):
    changes = dict(dict(ipc=2., repeats=3, mean=.5, std=.03, best=.6), **changes)
    return Row(name, 'hard', 'convnet3', **changes)


def test_published_settings():
    assert protocol('sre2l').recipe.temperature == 30
    assert PROTOCOLS['sre2l']['imagenet'].recipe.batch == 1024
    assert PROTOCOLS['cda']['imagenet'].recipe.batch == 128


def test_imagenet_21k_has_holes_and_smooth_labels_and_mixes_nothing():
    recipe = PROTOCOLS['cda']['imagenet-21k'].recipe
    assert (recipe.mix, recipe.cutout, recipe.label_smoothing) == ('', .5, .2)
    assert (recipe.batch, recipe.lr, recipe.temperature) == (32, 2e-3, 20)


def test_sre2l_on_cifar_decays_every_parameter():
    assert not any(PROTOCOLS[name]['cifar10'].recipe.spare_vectors for name in ('sre2l', 'cda'))
    assert all(PROTOCOLS[name]['imagenet'].recipe.spare_vectors for name in ('sre2l', 'cda'))


def test_statistics_of_the_teacher_show_in_the_name():
    changed = protocol('rd3(epochs=2, stats=batch)')
    assert changed.stats == 'batch' and changed.recipe.epochs == 2
    assert changed.name == 'rd3(epochs=2, stats=batch)' and protocol(changed.name) == changed
    with pytest.raises(InputError, match="stats='bach'"): protocol('rd3(stats=bach)')


def test_a_row_says_whose_statistics_labelled(small, real, teacher):
    rows = evaluate(small, real, teacher, 'rd3(epochs=1)', NET, 1, stats='batch')
    assert {r.protocol for r in rows} == {'rd3(epochs=1, stats=batch)', 'hard(epochs=1)'}
    assert {r.protocol for r in evaluate(small, real, teacher, 'rd3(epochs=1, stats=batch)', NET, 1, hard=False,
                                         control=False)} == {'rd3(epochs=1, stats=batch)'}


def test_what_a_protocol_says_of_itself_shows_in_the_name():
    assert protocol('mtt(order=progressive)').name == 'mtt(order=progressive)'
    assert protocol('mtt(order=progressive)').order == 'progressive'
    with pytest.raises(InputError, match='name'): protocol('mtt(name=mine)')


@pytest.mark.parametrize('asked, hard', [
    ('rd3', 'hard'), ('rd3(epochs=60)', 'hard(epochs=60)'), ('rd3(epochs=900)', 'hard'),
    (['rd3(epochs=20)', 'kd(epochs=30)'], 'hard(epochs=30)'), ('rd3(batch=10)', 'hard'),
    (Protocol('mine', Recipe(epochs=5, labels='teacher')), 'hard(epochs=5)'), ('dc', None), (['kd', 'hard'], 'hard')])
def test_the_hard_row_follows_the_budget(asked, hard, real):
    names = [p.name for p in beside_hard(asked, real)]
    assert [n for n in names if n.startswith('hard')] == ([hard] if hard else [])


def test_a_published_protocol_of_few_epochs_stands_beside_the_published_hard_one():
    photos = replace(load('digits', size=64), name='photos')
    assert [p.name for p in beside_hard('sre2l', photos)] == ['sre2l', 'hard']


def test_orders_and_learned_rates_are_fields():
    said = {name: (protocol(name).order, protocol(name).learned_rates) for name in PROTOCOLS}
    assert {name: fields for name, fields in said.items() if fields != ('union', False)} == {
        'mtt': ('union', True), 'mtt-progressive': ('progressive', True), 'mtt-sequential': ('sequential', True),
        'idc-progressive': ('progressive', False), 'idc-sequential': ('sequential', False)}


def test_a_name_decides_nothing():
    mine = Protocol('mtt-progressive', Recipe())
    assert mine.order == 'union' and not mine.learned_rates
    assert Protocol('rd3', Recipe()).on('convnet3').smooth == 1


def test_changes_keep_the_order():
    assert protocol('mtt-sequential(epochs=5)').order == 'sequential'
    assert protocol('mtt-sequential(epochs=5)').learned_rates


def test_families_follow_the_image_size(real):
    assert protocol('sre2l', real).recipe.optimiser == 'adamw'
    photos = replace(load('digits', size=64), name='photos')
    assert protocol('sre2l', photos).recipe.epochs == 100
    assert protocol('hard', photos) == protocol('hard')


def test_an_own_protocol_is_found_by_its_name():
    mine = Protocol('mine', Recipe(epochs=7), order='progressive')
    register('protocol', 'mine', mine)
    try:
        assert protocol('mine') is mine
        assert protocol('mine(epochs=3)').recipe.epochs == 3
    finally: del registered('protocol')['mine']


@pytest.mark.parametrize('call, problem', [
    (lambda small, real: evaluate(small, real, protocol='kd'), "needs a teacher's labels"),
    (lambda small, real: evaluate(small, real, protocol='best'), 'no protocol'),
    (lambda small, real: evaluate(small, real, protocol='hard(5)'), 'without a name'),
    (lambda small, real: evaluate(small, real, protocol='hard(epoch=5)'), 'epoch'),
    (lambda small, real: evaluate(small, real, nets='resnet19'), 'no network'),
    (lambda small, real: evaluate(small, real, nets=torch.nn.Flatten()), 'networks by name'),
    (lambda small, real: evaluate(small, real, stats='bach'), "stats='bach'"),
    (lambda small, real: evaluate(small, real, repeats=0), 'repeats=0'),
    (lambda small, real: evaluate({CONTROL: small}, real), 'is called'),
    (lambda small, real: evaluate(small, small), 'not real data'),
    (lambda small, real: evaluate(real, real), 'no set of images'),
    (lambda small, real: evaluate('small', real), 'no set of images'),
    (lambda small, real: evaluate(small, real, 'teacher'), 'the teacher is a str'),
])
def test_a_wrong_question_is_refused_before_the_work(call, problem, small, real):
    with pytest.raises(InputError, match=problem): call(small, real)


def test_sets_of_other_data_are_refused(small, real):
    reversed_classes = DistilledSet(to_unit(small.images), small.labels, real.classes[::-1])
    with pytest.raises(InputError, match='another order|disagree'): evaluate(reversed_classes, real)
    with pytest.raises(InputError, match='16×16 images'): evaluate(small, load('digits', size=12))


def test_a_teacher_of_other_images_is_refused():
    teacher = squeeze(load('digits').subset(2), 'convnet2-w8-batch', epochs=1, progress=False)
    assert isinstance(teacher, Teacher)
    smaller = load('digits', size=12)
    with pytest.raises(InputError, match='the teacher sees'): evaluate(smaller.train.subset(2), smaller, teacher)


def test_a_control_needs_enough_images(real):
    with pytest.raises(InputError, match='the control needs'): random_real(real.subset(2), real.train.subset(3), 0)


def test_an_unknown_order_is_refused(small):
    with pytest.raises(InputError, match='no order'): curriculum(small, 'backwards')


def test_rates_follow_the_numbers_of_the_stages(real, small):
    about = dict(training=Training(rates=(.1, .2, .3)).to_json())
    staged = DistilledSet(to_unit(small.images), small.labels, real.classes, torch.arange(20) % 3, provenance=about)
    last = staged.take((staged.stage == 2).nonzero().flatten())
    for name, rates in (('mtt', [.3]), ('mtt-progressive', [.3]), ('mtt-sequential', [.3])):
        p = protocol(name)
        _, learned = p.for_set(last, 'convnet2-w4')
        assert [rate for _, rate in curriculum(last, p.order, learned)] == rates
    first_and_last = staged.take((staged.stage != 1).nonzero().flatten())
    assert [rate for _, rate in curriculum(first_and_last, 'progressive', (.1, .2, .3))] == [.1, .3]
    assert [rate for _, rate in curriculum(staged, 'progressive', (.1,))] == [.1, None, None]


@pytest.fixture(scope='module')
def soft(real, small):
    labels = torch.nn.functional.one_hot(small.labels, 10).float() * .8 + .02
    return DistilledSet(to_unit(small.images), small.labels, real.classes, soft_labels=labels)


def quick(name): return protocol(name).replace(epochs=1, batch=20)


def test_a_set_is_judged_by_its_own_soft_labels_without_a_teacher(real, soft):
    plain = replace(soft, soft_labels=None)
    rows = evaluate(dict(soft=soft, plain=plain), real, protocol=quick('mtt'),
                    nets='convnet2-w4', repeats=1)
    labels = {(r.name, r.protocol): r.recipe['labels'] for r in rows}
    assert labels == {(CONTROL, 'mtt(epochs=1, batch=20)'): 'hard', ('plain', 'mtt(epochs=1, batch=20)'): 'hard',
                      (CONTROL, 'mtt(epochs=1, batch=20, labels=own)'): 'own',
                      ('soft', 'mtt(epochs=1, batch=20, labels=own)'): 'own'}
    assert all(control_of(r, rows) for r in rows if r.name != CONTROL)


def test_any_protocol_takes_the_own_labels_of_a_set(real, soft, small):
    row, hard = evaluate(soft, real, protocol=[quick('hard(labels=own)'), quick('hard')], nets='convnet2-w4', repeats=1,
                         control=False)
    assert (row.recipe['labels'], hard.protocol) == ('own', 'hard(epochs=1, batch=20)')
    for without in (small, replace(soft, soft_labels=None)):
        with pytest.raises(InputError, match='come with a set'): evaluate(without, real, protocol='hard(labels=own)')


def test_soft_labels_of_mosaics_go_with_their_tiles(real, soft):
    mosaics = replace(soft, provenance=dict(training=Training(mosaic=2).to_json()))
    data = examples(mosaics, real, 'cpu', Recipe(labels='own'))
    assert len(data.images) == len(data.labels) == len(data.soft) == 4 * len(soft)
    assert torch.equal(data.soft.argmax(1), data.labels)
    evaluate(mosaics, real, protocol=quick('mtt'), nets='convnet2-w4', repeats=1, control=False)


def test_students_train_on_what_was_learned(real, small):
    learned = to_unit(small.images) * 2 - .5
    free = DistilledSet(learned.clamp(0, 1), small.labels, real.classes, unclipped=learned)
    assert torch.equal(examples(free, real, 'cpu', Recipe()).images, learned)


def test_a_single_student_has_no_spread():
    assert spread(row(repeats=1)) == '0.500 (n = 1, no spread)'
    with pytest.raises(InputError, match='no spread'): difference(row(repeats=1), row())


def test_shares_of_the_robust_score_lie_in_their_range():
    with pytest.raises(InputError, match='HLR=90'): label_robust_score(90, 0)
    with pytest.raises(InputError, match='IOR=2'): label_robust_score(0, 2)


def test_a_row_is_read_like_a_dict():
    r = row()
    assert r['mean'] == r.mean == r.get('mean') == dict(r)['mean']
    assert 'mean' in r and 'means' not in r and r.get('means') is None
    with pytest.raises(KeyError): r['means']


def test_a_row_comes_back_from_json():
    r = row(accuracies=[.4, .6], control_of=['other'], order='progressive', rates=[.1])
    assert Row.from_json(json.loads(json.dumps(r.to_json()))) == r


@pytest.mark.parametrize('key', ['name', 'protocol', 'net', 'ipc', 'repeats', 'mean', 'std', 'best'])
def test_a_row_that_lacks_a_key_is_refused(key):
    lacking = {k: v for k, v in row().to_json().items() if k != key}
    with pytest.raises(InputError, match=key): Row.from_json(lacking)


def test_a_row_without_an_order_has_that_of_its_protocol():
    def order(name): return Row.from_json(dict(old, protocol=name)).order
    old = {k: v for k, v in row().to_json().items() if k != 'order'}
    assert order('mtt-progressive(epochs=5)') == 'progressive'
    assert order('mtt') == order('somebody elses') == 'union'


@pytest.mark.parametrize('damaged', ['[{"name": 1}]', '{}', '[1]'])
def test_a_damaged_file_is_named(damaged, tmp_path):
    path = tmp_path/'scores.json'
    path.write_text(damaged)
    with pytest.raises(InputError) as refusal: Scores.load(path)
    assert 'scores.json' in refusal.value.problem


def test_an_unknown_row_is_refused():
    with pytest.raises(InputError, match="no row 'yours'"): Scores([row()]).row('yours')


def test_controls_of_one_budget_say_for_whom_they_stand():
    two, five = row(CONTROL, control_of=['two']), row(CONTROL, control_of=['five'], mean=.25)
    assert row_name(two, [two]) == CONTROL
    assert row_name(two, [two, five]) == 'random real (for two)'
    assert 'random real (for five)' in scores_text([two, five])


def test_a_table_shows_the_distance_to_the_control():
    rows = [row(CONTROL, control_of=['two'], mean=.4), row('two', mean=.45), row('all', mean=.9, whole=True)]
    table = scores_html(rows)
    assert '+5.0 points against random real' in table
    assert table.count('points against') == 1
    assert all(spread(r) in table for r in rows)


def test_the_printed_table_says_chance_and_the_gap_to_the_control():
    rows = [row(CONTROL, control_of=['far', 'near'], mean=.4, chance=.1), row('far', mean=.2, chance=.1),
            row('near', mean=.41), row('alone', mean=.9)]
    header, *lines = scores_text(rows).splitlines()
    assert 'to control' in header and 'chance' in header
    control, far, near, alone = [re.split(r' {2,}', line) for line in lines]
    assert control[5:7] == ['–', '0.100']
    assert far[5:7] == ['−20.0', '0.100']
    assert near[5:7] == ['+1.0, within the spread', '–']
    assert alone[5] == '–'


def test_a_single_student_has_a_gap_without_spread():
    rows = [row(CONTROL, control_of=['a'], mean=.4, repeats=1), row('a', mean=.5, repeats=1)]
    assert '+10.0, no spread' in scores_text(rows)


def test_rows_know_the_chance_level(real, small):
    rows = evaluate({'a': small}, real, protocol=protocol('hard').replace(epochs=1), repeats=1)
    assert {r.chance for r in rows} == {1 / len(real.classes)}


def test_names_in_a_table_are_no_markup():
    assert '<script>' not in scores_html([row('<script>')])
    assert '–' in scores_html([row('a'), replace(row('b'), protocol='kd')])


def test_the_batch_of_a_student_follows_the_size_of_the_set(real):
    released = protocol('ccfs')
    assert [released.for_images(n).recipe.batch for n in (4999, 5000, 9999, 10_000)] == [32, 64, 64, 128]
    assert released.for_set(real.train.subset(2), 'convnet3')[0].batch == 32
    kept = protocol('ccfs(batch=256)')
    assert kept.for_set(real.train.subset(2), 'convnet3')[0].batch == 256
    assert protocol('ccfs(epochs=3)').sized and not kept.sized
    tiny = protocol('ccfs', replace(load('digits', size=64), name='photos'))
    assert tiny.for_images(100).recipe.batch == 64
    assert protocol('hard').for_images(100).recipe.batch == 256


def test_stored_labels_have_the_batch_of_the_set(real, small, tmp_path):
    teacher = squeeze(real.subset(2), 'convnet1-w4', epochs=1, progress=False)
    relabel(small, real, teacher, 'ccfs(epochs=6)', tmp_path/'labels')
    stored = StoredLabels(tmp_path/'labels')
    assert stored.recipe.batch == 32
    row = stored.evaluate(small, real, 'convnet1-w4', repeats=1)[0]
    assert row.recipe['batch'] == 32 and row.best_of == 'the last fifth'


def test_looks_are_a_setting_of_the_protocol():
    assert sorted(epochs_looked_at(500, 'last fifth')) == list(range(402, 501))  # 99, as released
    assert sorted(epochs_looked_at(100, 'last fifth')) == list(range(82, 101))   # 19
    assert sorted(epochs_looked_at(1, 'last fifth')) == [1]
    assert sorted(epochs_looked_at(20, 4)) == [5, 10, 15, 20]
    assert protocol('hard').looks == 10 and protocol('ccfs').looks == protocol('ccfs-scripts').looks == 'last fifth'
    assert protocol('ccfs(looks=3)').looks == 3 and protocol('ccfs(looks=3)').name == 'ccfs(looks=3)'
    assert protocol('hard(looks=last fifth)').looks == 'last fifth'
    for wrong in ('hard(looks=0)', 'hard(looks=often)', 'hard(looks=1.5)'):
        with pytest.raises(InputError, match='looks='): protocol(wrong)


def test_a_row_says_what_its_best_is_the_best_of(real, small, monkeypatch):
    reached = iter(range(100))
    monkeypatch.setattr(room, 'accuracy', lambda net, test, precision: next(reached) / 100)
    names = ['hard(epochs=20)', 'hard(epochs=20, looks=last fifth)', 'hard(epochs=2, looks=1)']
    rows = evaluate(small, real, protocol=names, nets='convnet1-w4', repeats=1, control=False)
    assert [row.best_of for row in rows] == ['10 looks', 'the last fifth', 'the last epoch']
    assert [row.best for row in rows] == [.09, .12, .13]  # the last of 10 looks, of 3, of 1
    assert 'of the last fifth' in scores_text(rows) and 'of the last fifth' in scores_html(rows)
    assert Row.from_json(rows[1].to_json()) == rows[1]


@pytest.mark.parametrize('stages, rates', [(6, ()), (8, (.01,) * 6 + (.005,) * 2)])
def test_idc_halves_its_rate_from_the_sixth_earlier_set_on(stages, rates):
    n = 2 * stages
    small = DistilledSet(torch.rand(n, 1, 4, 4), torch.arange(n) % 2, ['a', 'b'], torch.arange(n) // 2)
    assert protocol('idc-progressive').for_set(small, 'convnet2-w4')[1] == rates
    assert protocol('idc').for_set(small, 'convnet2-w4')[1] == ()
    shown = curriculum(small, 'progressive', rates)
    assert [rate for _, rate in shown] == (list(rates) or [None] * stages)


def test_random_real_photos_are_cropped_as_a_teacher_s_are(real):
    "Whole, under a protocol with resized crops; what is made of them or chosen among them stays square"
    pixels = torch.randint(0, 256, (len(real.train), 1, 20, 20), dtype=torch.uint8, generator=seeded('photos'))
    photos = Photos(pixels, torch.tensor([[30, 20]]).repeat(len(real.train), 1))
    photographed = replace(real, train=replace(real.train, photos=photos))
    like = DistilledSet(torch.rand(20, 1, 16, 16), torch.arange(20) % 10, real.classes)
    control = random_real(photographed, like, 0)
    assert torch.equal(control.photos.pixels, pixels[control.index])
    for name, whole in (('rd3', True), ('ccfs', True), ('hard', False), ('dsa', False)):
        recipe = protocol(name, real).recipe
        assert (examples(control, photographed, 'cpu', recipe).photos is not None) == whole, name
        assert examples(like, photographed, 'cpu', recipe).photos is None
    how = dict(protocol='rd3(epochs=1, labels=hard)', nets='convnet2-w4', repeats=1, hard=False)
    rows, squares = evaluate(like, photographed, **how), evaluate(like, real, **how)
    assert rows.row('distilled').accuracies == squares.row('distilled').accuracies
