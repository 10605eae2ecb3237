"The studio's desk without a browser: every order and every error, what is found again, and code that runs"
import dataclasses
import io
import json
import re
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import warm
from PIL import Image

from ddnb.core.basics import InputError
from ddnb.core.config import Input, from_config, known, register, registered
from ddnb.core.run import Event, Method, Run, live_run
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.methods.ccfs import CCFS
from ddnb.methods.cda import CDA
from ddnb.methods.matching import DM, IDC
from ddnb.methods.pdd import PDD
from ddnb.methods.trajectory import MTT
from ddnb.train.evaluate import CONTROL, Scores, evaluate, protocol
from ddnb.train.train import Recipe, Squeeze, squeeze
from ddnb.view import desk as module
from ddnb.view import snapshot
from ddnb.view.desk import Desk
from ddnb.view.form import (
    code_of,
    form_of,
    method_from,
    preset_for,
    problems,
    values_of,
)
from ddnb.view.page import script
from ddnb.view.photos import browse, crops, survey
from ddnb.view.schedules import schedule_from
from ddnb.view.studio import Studio

ROOT = Path(__file__).resolve().parents[2]
NET = 'convnet2-w8-batch'
SHORT = Recipe(epochs=2, batch=64, lr=.05)


@pytest.fixture(scope='module')
def real():
    return load('digits').subset(10)


@pytest.fixture(scope='module')
def teacher(real):
    return squeeze(real, NET, recipe=SHORT, progress=False)


@pytest.fixture
def desk(tmp_path, real, teacher):
    "A desk with a few digits and a teacher of theirs"
    teacher.save(tmp_path/'runs'/'taught')
    desk = Desk(tmp_path/'runs')
    desk._take_data(real)
    return desk


@pytest.fixture
def forget():
    "Takes off the list what a test has registered"
    names = []
    yield lambda kind, name: names.append((kind, name))
    for kind, name in names: registered(kind).pop(name, None)


def until(ok, what='', seconds=60):
    "Wait until ok() holds"
    end = time.monotonic() + seconds
    while not ok():
        assert time.monotonic() < end, what() if callable(what) else what
        time.sleep(.02)


def rest(desk):
    "Wait until nothing is at work"
    desk.wait()
    until(lambda: not desk.at_work(), desk.snapshot)
    desk.tick()
    return desk


def well(desk):
    "The same, and nothing went wrong"
    assert rest(desk).trouble is None, desk.trouble
    return desk


def run_cda(desk, **settings):
    "A finished run of CDA of a few steps"
    desk.do('method', value='CDA')
    for field, value in dict(dict(steps=4, ipc=1), **settings).items(): desk.do('field', field=field, value=value)
    desk.do('start')
    return well(desk).selected


def judged(desk, name):
    "Judge a run by two students of one epoch"
    desk.do('open', run=name)
    desk.do('set_judge', field='repeats', value='2')
    desk.do('set_judge', field='epochs', value='1')
    desk.do('judge')
    return well(desk)


def slow_cda(desk, steps=4000):
    "A run of CDA that is at work"
    desk.do('method', value='CDA')
    for field, value in dict(steps=steps, ipc=1).items(): desk.do('field', field=field, value=value)
    desk.do('start')
    desk.wait()
    name = desk.selected
    run = live_run(desk.folder/name)
    until(lambda: run.memory.get('step', 0) > 2)
    desk.tick()
    return name, run


# ---- the form


@pytest.mark.parametrize('method', [
    CDA.preset('digits', schedule=schedule_from(dict(kind='step', milestone=.4, lo=.2, hi=.9, reversed=True))),
    CDA(ipc=3, precision='bf16'), PDD.preset('digits', ipc=(1, 2, 1)), PDD(base=IDC.preset('digits', factor=1)),
    CCFS.preset('digits', alpha=0., first='easiest'), DM(), MTT.preset('digits', soft=True)])
def test_a_form_says_the_method_and_its_code_makes_it(method):
    cls = type(method)
    values = json.loads(json.dumps(values_of(method)))
    assert method_from(cls, values) == method
    assert problems(cls, values) == {}
    import ddnb.data.views as views
    import ddnb.methods.matching as matching
    names = dict(CDA=CDA, PDD=PDD, CCFS=CCFS, MTT=MTT) | vars(views) | vars(matching)
    assert eval(code_of(method), names) == method


def test_a_form_holds_what_a_field_needs():
    fields = {f['name']: f for f in form_of(CCFS)['fields']}
    assert fields['coarse']['kind'] == 'choice' and fields['coarse']['choices'] == ['misclassified', 'correct']
    assert fields['protocol']['choices'] == list(registered('protocol'))
    assert fields['alpha']['help'].startswith('share of distilled images')
    assert fields['ipc']['first'] and not fields['tie']['first']
    base, = (f for f in form_of(PDD)['fields'] if f['kind'] == 'base')
    assert base['choices'] == [cls.__name__ for cls in registered('base').values()]
    assert not {'ipc', 'seed', 'device'} & {f['name'] for form in base['forms'] for f in form['fields']}
    json.dumps([form_of(cls) for cls in module.methods().values()], allow_nan=False)


def test_each_problem_stands_at_its_field_and_goes_when_it_is_right():
    values = dict(values_of(CDA.preset('digits')), ipc='0', lr='fast', steps='2.5', jitter=-1)
    found = problems(CDA, values)
    assert set(found) == {'ipc', 'lr', 'steps', 'jitter'}
    assert 'no number' in found['lr'] and 'no whole number' in found['steps'] and 'too small' in found['ipc']
    assert set(problems(CDA, dict(values, lr='.1', ipc=1))) == {'steps', 'jitter'}
    staged = values_of(PDD.preset('digits'))
    staged['base']['values'].update(steps='0', init='grey')
    assert set(problems(PDD, dict(staged, ipc='(1, 2)'))) == {'base.steps', 'base.init', 'ipc'}
    assert 'schedule' in problems(CDA, dict(values, schedule=dict(kind='cosine', milestone=1, lo=2, hi=1)))


def test_a_schedule_that_nobody_registered_is_refused():
    values = dict(values_of(CDA()), schedule=dict(kind='zigzag', milestone=1, lo=.1, hi=1))
    assert 'there is no schedule' in problems(CDA, values)['schedule']
    own = values_of(CDA(schedule=lambda p: (.5, 1.)))
    assert problems(CDA, json.loads(json.dumps(own))) == {} and len(own['schedule']['values']) == 101
    with pytest.raises(InputError, match='no name'): code_of(CDA(schedule=lambda p: (.5, 1.)))


@pytest.mark.parametrize('size, classes, preset', [
    (64, 5, 'tiny-imagenet'), (224, 20, 'imagenet-1k'), (28, 10, 'cifar10'), (16, 10, 'digits')])
def test_a_preset_is_chosen_by_size_and_classes(size, classes, preset):
    name, why = preset_for(CDA, 'my photos', size, classes)
    assert name == preset and f'{size} pixels' in why
    assert preset_for(CDA, preset, size, classes) == (preset, '')


# ---- data


def photos(folder, sizes, classes=('cats', 'dogs'), n=6):
    for c in classes:
        (folder/c).mkdir(parents=True)
        for i in range(n): Image.new('RGB', sizes[i % len(sizes)], (40 * i, 90, 20)).save(folder/c/f'{i}.png')
    return folder


def test_a_folder_is_looked_at_before_it_is_loaded(tmp_path):
    found = survey(photos(tmp_path/'mixed', [(80, 70), (200, 90)]))
    assert found.classes == dict(cats=6, dogs=6) and found.size == 64 and 'the centre is cut out' in found.words
    assert survey(photos(tmp_path/'alike', [(64, 64)])).size is None
    with pytest.raises(InputError, match='holds no class folders'): survey(tmp_path/'mixed'/'cats')
    with pytest.raises(InputError, match='1 folder with images'): survey(photos(tmp_path/'one', [(9, 9)], ['cats']))
    with pytest.raises(InputError, match='there is no folder'): survey(tmp_path/'nowhere')
    (tmp_path/'alike'/'cats'/'bad.png').write_text('no picture')
    with pytest.raises(InputError, match='can not be read'): survey(tmp_path/'alike')


def test_own_photos_get_the_preset_of_their_size_and_the_reason(tmp_path):
    desk = Desk(tmp_path/'runs')
    desk.do('data', value=str(photos(tmp_path/'photos', [(80, 70), (200, 90)])))
    seen = well(desk).snapshot()
    assert seen['method']['preset'] == 'tiny-imagenet' and '64 pixels, 2 classes' in seen['method']['why']
    assert seen['data']['survey']['words'].startswith('80 × 70 to 200 × 90 pixels')
    values = seen['method']['values']
    assert values['ipc'] == 1 and values['steps'] == 400, 'the published run would take hours'
    assert seen['method']['why'].endswith('Published: 50 images a class, 4,000 steps')
    assert desk.real.size == 64 and f"load('{tmp_path/'photos'}', size=64)" in desk.code()
    desk.do('data', value=desk.picked, size='32')
    assert well(desk).real.size == 32 and desk.snapshot()['method']['preset'] == 'cifar10'


def test_data_that_are_refused_leave_the_loaded_ones_and_the_error_goes(desk, tmp_path):
    before = desk.real
    for value, said in ((' ', 'no data are named'), (str(tmp_path/'no'), 'there is no folder')):
        desk.do('data', value=value)
        assert said in rest(desk).trouble.problem and desk.trouble.section == 'data' and desk.real is before
    desk.do('data', value='digits')
    assert well(desk).real.name == 'digits' and len(desk.real.train) > 1000


def test_a_missing_data_set_can_be_downloaded_where_there_is_a_network(tmp_path, monkeypatch, real):
    monkeypatch.setenv('DDNB_DATA', str(tmp_path/'data'))
    monkeypatch.setattr(module, 'online', lambda: False)
    desk = Desk(tmp_path/'runs')
    desk.do('data', value='cifar10')
    rest(desk)
    assert 'no network' in desk.trouble.problem and desk.trouble.button is None
    assert 'load(' not in f'{desk.trouble.problem} {desk.trouble.remedy}', 'a mouse user is told no Python'

    monkeypatch.setattr(module, 'online', lambda: True)
    desk.do('data', value='cifar10')
    primary = rest(desk).snapshot()['primary']
    assert (primary['text'], primary['order']) == ('Download cifar10', 'download')
    fetched = []
    monkeypatch.setattr(module, 'load', lambda name, **options: fetched.append((name, options)) or real)
    desk.do('download')
    assert well(desk).real is real and fetched == [('cifar10', dict(download=True))]


def test_what_is_cut_off_is_shown_on_the_most_oblong_photo_of_each_class(tmp_path):
    found = survey(photos(tmp_path/'mixed', [(80, 70), (200, 90), (90, 200)]))
    facts, pictures = crops(found)
    assert [f['name'] for f in facts] == ['cats', 'dogs'] and all(p[:4] == b'\x89PNG' for p in pictures)
    assert [(f['width'], f['height'], f['keep']) for f in facts] == [(200, 90, [.45, 1.])] * 2
    with Image.open(io.BytesIO(pictures[0])) as small: assert max(small.size) == 72
    assert crops(survey(photos(tmp_path/'alike', [(64, 64)]))) == ([], []), 'nothing is cut off'


def test_folders_to_choose_from(tmp_path):
    photos(tmp_path/'photos', [(16, 16)])
    found = browse(str(tmp_path))
    assert [(f['name'], f['classes']) for f in found['folders']] == [('photos', 2)]
    assert browse(found['folders'][0]['path'])['classes'] == 2
    assert browse()['path'] == str(Path.home()) and {'home', 'here'} <= {p['name'] for p in found['places']}
    with pytest.raises(InputError): browse(str(tmp_path/'nowhere'))


def test_real_images_are_shown_class_by_class_and_in_pages(desk, monkeypatch):
    facts, (png,) = desk.real_page()
    assert [r['name'] for r in facts['rows']][:3] == ['zero', 'one', 'two'] and png[:4] == b'\x89PNG'
    assert facts['pages'] == 1 and all(r['shown'] == 10 for r in facts['rows'])
    monkeypatch.setattr(snapshot, 'CLASSES_A_PAGE', 4)
    facts, _ = desk.real_page(2)
    assert [r['label'] for r in facts['rows']] == [8, 9] and facts['pages'] == 3
    assert desk.pictures[0][:4] == b'\x89PNG' and Desk(desk.folder).real_page() == (None, [])


# ---- the teacher


def train(desk, epochs=2, monkeypatch=None):
    desk.do('epochs', value=epochs)
    desk.do('train')
    return desk


@pytest.fixture
def small_squeeze(monkeypatch):
    "The studio trains a small network"
    monkeypatch.setattr(Desk, 'usual_squeeze', lambda self: (NET, SHORT))


def test_a_trained_teacher_teaches(tmp_path, real, small_squeeze):
    desk = Desk(tmp_path/'runs')
    desk._take_data(real)
    seen = desk.snapshot()
    assert seen['at'] == 'teacher' and seen['primary']['text'] == 'Train a teacher' and not seen['primary']['why']
    train(desk)
    assert desk.snapshot()['teacher']['training'] == 'teacher-001'
    seen = well(desk).snapshot()
    assert desk.teacher_name == 'teacher-001' and seen['at'] == 'method' and seen['primary']['text'] == 'Start CDA'
    assert seen['steps'][1]['fact'] == f'{100 * desk.teacher.accuracy:.1f} %'


def test_a_teacher_that_was_stopped_and_resumed_teaches(tmp_path, real, small_squeeze):
    desk = Desk(tmp_path/'runs')
    desk._take_data(real)
    train(desk, epochs=5000)
    run = live_run(desk.folder/'teacher-001')
    until(lambda: run.memory.get('step', 0) > 3)
    desk.do('stop', run='teacher-001')
    seen = well(desk).snapshot()
    assert 'is stopped' in seen['status']['words'] and seen['status']['buttons'][0]['order'] == 'resume'
    assert (seen['primary']['text'], seen['primary']['order']) == ('Resume teacher-001', 'resume')

    config = json.loads((desk.folder/'teacher-001'/'run.json').read_text())
    config['method']['recipe']['epochs'] = 6 # the rest in a moment
    (desk.folder/'teacher-001'/'run.json').write_text(json.dumps(config))
    desk.do('resume', run='teacher-001')
    assert well(desk).teacher_name == 'teacher-001' and desk.teacher is not None


def test_a_teacher_of_other_data_is_refused(desk, teacher):
    other = dataclasses.replace(teacher, classes=teacher.classes[::-1])
    other.save(desk.folder/'other')
    before = desk.teacher
    desk.do('teacher', run='other')
    assert 'disagree' in rest(desk).trouble.problem and desk.trouble.section == 'teacher'
    assert desk.teacher is before and desk.teacher_name == 'taught'
    desk.do('teacher', run='taught')
    assert well(desk).teacher_name == 'taught'
    desk.do('epochs', value='none')
    assert 'whole number' in desk.trouble.remedy


# ---- method, settings, inputs


def test_menus_hold_what_is_registered(desk):
    seen = desk.snapshot()
    assert seen['method']['choices'][:3] == ['CDA', 'PDD', 'CCFS']
    assert set(seen['method']['choices']) == {c.__name__ for k in ('method', 'base') for c in registered(k).values()}
    assert seen['data']['choices'] == list(registered('data'))
    assert [name for name, _ in seen['judge']['choices']] == list(registered('protocol'))
    assert [name for name, _ in seen['export']['choices']] == list(registered('export'))
    desk.do('method', value='CCFS')
    difficulty = desk.snapshot()['method']['inputs'][1]
    assert set(registered('score')) < {name for name, _ in difficulty['choices']}


def test_a_readers_method_appears_runs_and_says_its_code(desk, real, forget):
    forget('method', 'meanimages')

    @known('method')
    @dataclass(frozen=True)
    class MeanImages(Method):
        "The mean image of each class"
        sharpness: float = 1.  # contrast of the means
        ipc: int = 1           # images per class

        def stream(self, real, state):
            x, y = real.train.images.float() / 255, real.train.labels
            classes = range(len(real.classes))
            means = torch.stack([x[y == c].mean(0) for c in classes]).mul(self.sharpness).clamp(0, 1)
            images = means.repeat_interleave(self.ipc, 0)
            yield Event(1, 1, dict(mean=images.mean()), lambda: images, part=True)
            labels = torch.arange(len(classes)).repeat_interleave(self.ipc)
            return DistilledSet(images, labels, real.classes)

    assert 'MeanImages' in desk.snapshot()['method']['choices']
    desk.do('method', value='MeanImages')
    seen = desk.snapshot()['method']
    assert seen['about'].startswith('The mean image') and seen['values'] == dict(sharpness=1., ipc=1)
    desk.do('field', field='ipc', value='2')
    desk.do('start')
    assert len(well(desk).run_of('meanimages-001').result()) == 20
    assert "MeanImages(ipc=2).start(real, folder=" in desk.code()


def test_an_input_that_the_desk_does_not_have_is_read_from_a_folder(desk, real, forget, tmp_path):
    forget('input', 'start_set')
    forget('method', 'brighter')
    register('input', 'start_set', Input('a set to begin with', DistilledSet.load))

    @known('method')
    @dataclass(frozen=True)
    class Brighter(Method):
        "The same images, brighter"
        by: float = .1  # added to each pixel

        def stream(self, start_set, state):
            images = (start_set.images + self.by).clamp(0, 1)
            yield Event(1, 1, images=lambda: images)
            return dataclasses.replace(start_set, images=images)

    start = DistilledSet(real.train.images[:10].float() / 255, real.train.labels[:10], real.classes)
    start.save(tmp_path/'start')
    desk.do('method', value='Brighter')
    given, = desk.snapshot()['method']['inputs']
    assert (given['kind'], given['help']) == ('folder', 'a set to begin with')
    desk.do('input', field='start_set', value=str(tmp_path/'start'))
    assert f"registered('input')['start_set'].read({str(tmp_path/'start')!r})" in desk.code()
    assert 'from ddnb.core.config import registered' in desk.code()
    desk.do('start')
    assert (well(desk).run_of('brighter-001').result().images >= start.images).all()


def test_an_input_that_nobody_can_read_is_refused_with_what_to_do(desk, forget):
    forget('method', 'reader')

    @known('method')
    @dataclass(frozen=True)
    class Reader(Method):
        def stream(self, riddle, state): yield Event(1, 1)

    desk.do('method', value='Reader')
    desk.do('start')
    assert "how to read the input 'riddle'" in rest(desk).trouble.problem


def test_a_setting_that_makes_no_sense_stands_at_its_field_and_start_says_why_not(desk):
    desk.do('field', field='ipc', value='0')
    seen = desk.snapshot()
    assert 'too small' in seen['method']['problems']['ipc'] and 'too small' in seen['primary']['why']
    desk.do('start')
    assert 'too small' in desk.trouble.problem and not list(desk.folder.glob('cda-*'))
    desk.do('field', field='ipc', value='1')
    seen = desk.snapshot()
    assert not seen['method']['problems'] and not seen['primary']['why'] and seen['status']['kind'] == 'note'
    desk.do('field', field='colour', value=1)
    assert 'no setting' in desk.trouble.problem


def test_what_does_not_fit_the_data_stands_at_its_field(desk):
    desk.do('field', field='jitter', value='99')
    assert 'rolls 16-pixel images' in desk.snapshot()['method']['problems']['jitter']
    desk.do('method', value='CCFS')
    desk.do('field', field='ipc', value='500')
    assert 'real images' in desk.snapshot()['method']['problems']['ipc']
    desk.do('method', value='PDD')
    desk.do('base', value='DM')
    desk.do('field', field='base.steps', value='0')
    assert list(desk.snapshot()['method']['problems']) == ['base.steps']
    desk.do('preset', value='digits')
    assert not desk.snapshot()['method']['problems']


def test_without_a_set_there_is_no_share_of_distilled_images(desk):
    desk.do('method', value='CCFS')
    assert desk.inputs['small'] is None and desk.values['CCFS']['alpha'] == 0
    name = run_cda(desk, ipc=3)
    assert desk.inputs['small'] == name and desk.values['CCFS']['alpha'] == .2, 'the first set is begun with'
    desk.do('method', value='CCFS')
    desk.do('input', field='small', value='')
    assert desk.values['CCFS']['alpha'] == 0
    desk.do('input', field='small', value=name)
    assert desk.values['CCFS']['alpha'] == .2
    run_cda(desk, ipc=3)
    assert desk.inputs['small'] == name, 'what was chosen stays chosen'


def test_the_cost_is_measured_on_demand_and_belongs_to_these_settings(desk):
    desk.do('field', field='steps', value='50')
    assert desk.snapshot()['cost'] == dict(seconds=None, teacher=None, possible=True)
    desk.do('measure')
    assert well(desk).snapshot()['cost']['seconds'] > 0
    desk.do('field', field='steps', value='60')
    assert desk.snapshot()['cost']['seconds'] is None


def test_the_cost_is_known_before_the_teacher_is_trained_and_stays_known(desk, teacher):
    desk.teacher, desk.values, desk.net, desk.epochs = None, {}, '', 3
    desk.nets = lambda: [NET]
    desk._choose_method('CDA')
    desk.do('field', field='ipc', value=1)
    assert desk.snapshot()['primary']['order'] == 'train'
    desk.do('measure')
    cost = well(desk).snapshot()['cost']
    assert cost['seconds'] > 0 and cost['teacher'] > 0 and desk.teacher is None
    desk.teacher = teacher
    assert desk.snapshot()['cost']['seconds'] == cost['seconds'], 'a trained network takes as long as an untrained one'
    desk.teacher = None
    desk.epochs = 4
    assert desk.snapshot()['cost']['teacher'] is None, 'a longer training costs more'


def test_a_difficulty_that_nobody_measures_is_refused(desk):
    desk.do('method', value='CCFS')
    desk.do('input', field='difficulty', value='mood')
    for field, value in dict(ipc=2, protocol='ccfs(epochs=1)').items(): desk.do('field', field=field, value=value)
    desk.do('start')
    assert 'there is no difficulty' in rest(desk).trouble.problem


def test_counting_what_is_forgotten_can_be_cancelled(desk, small_squeeze):
    desk.do('method', value='CCFS')
    desk.do('epochs', value=100000)
    desk.do('input', field='difficulty', value='forgetting')
    desk.do('field', field='ipc', value=2)
    desk.do('start')
    until(lambda: desk.job and desk.job.share)
    assert 'is at work' in desk.snapshot()['primary']['why'] and desk.snapshot()['job']['cancel']
    desk.do('start')
    assert 'is at work' in desk.trouble.problem, 'one thing at a time'
    desk.do('cancel')
    assert 'cancelled' in well(desk).note and not list(desk.folder.glob('ccfs-*'))


# ---- runs


def test_runs_are_numbered_and_one_at_a_time(desk):
    name, run = slow_cda(desk)
    assert name == 'cda-001' and 'at work' in desk.snapshot()['primary']['why']
    desk.do('start')
    assert 'still at work' in desk.trouble.problem
    desk.do('pause', run=name)
    until(lambda: run.state == 'paused')
    desk.do('resume', run=name)
    until(lambda: run.state == 'running')
    desk.do('stop', run=name)
    seen = well(desk).snapshot()
    assert seen['runs'][-1]['state'] == 'stopped' and 'judged and exported' in seen['status']['words']
    assert run_cda(desk) == 'cda-002'


def test_a_finished_run_leads_to_judging_then_to_export(desk):
    name = run_cda(desk)
    seen = desk.snapshot()
    assert (seen['at'], seen['primary']['text'], seen['shown']) == ('judge', 'Judge', [name])
    seen = judged(desk, name).snapshot()
    assert (seen['at'], seen['primary']['text']) == ('export', 'Export') and 'against' in seen['status']['words']
    desk.do('export')
    assert well(desk).exported == desk.folder/name/'export'
    assert desk.snapshot()['primary']['text'] == 'Start CDA', 'and on with the next'
    desk.do('go', step='judge')
    desk.do('field', field='steps', value='5')
    assert desk.snapshot()['primary']['text'] == 'Start CDA', 'whoever changes a setting wants to start'


def test_saturated_pixels_are_said(desk):
    name = run_cda(desk, lr=1e9)
    warning = desk.set_of(name).provenance['warning']
    assert 'of the pixels are black or white' in warning and warning in desk.note, 'what the method says, once'
    assert desk.snapshot()['runs'][-1]['warning'] == warning


def test_what_a_run_raises_is_shown_with_the_button_that_carries_it_on(desk, forget):
    forget('method', 'fails')

    @known('method')
    @dataclass(frozen=True)
    class Fails(Method):
        "Goes wrong"
        def stream(self, real, state):
            yield Event(1, 2, dict(loss=1.))
            raise InputError('the images are square', 'make them round')

    desk.do('method', value='Fails')
    desk.do('start')
    rest(desk)
    assert 'the images are square' in desk.trouble.problem and desk.trouble.remedy == 'make them round'
    assert desk.trouble.button.facts == dict(run='fails-001')
    assert desk.snapshot()['runs'][-1]['state'] == 'failed'


def test_two_ticked_runs_are_compared(desk):
    one, two = run_cda(desk), run_cda(desk, seed=1)
    desk.do('compare', run=one, on=True)
    assert desk.shown == [two], 'one tick compares nothing'
    desk.do('compare', run=two, on=True)
    assert desk.shown == [one, two]
    desk.do('compare', run=one, on=False)
    assert desk.shown == [two]
    desk.do('open', run=one)
    assert desk.shown == [one] and f'/{one}' in desk.code()
    desk.do('open', run='nothing')
    assert 'there is no run' in desk.trouble.problem


def test_a_run_of_another_process_is_shown_as_such(desk):
    folder = desk.folder/'cda-009'
    code = ('import sys, time\nfrom ddnb.methods.cda import CDA\nfrom ddnb.train.train import Teacher\n'
            'run = CDA.preset("digits", steps=100000).start(Teacher.load(sys.argv[1]), folder=sys.argv[2])\n'
            'time.sleep(60)')
    other = warm.Program('-c', code, desk.folder/'taught', folder)
    try:
        until(lambda: (folder/'events.jsonl').exists())
        desk.tick()
        row, = desk.snapshot()['runs']
        assert (row['name'], row['elsewhere']) == ('cda-009', other.pid)
        desk.do('resume', run='cda-009')
        assert f'another process ({other.pid})' in desk.trouble.problem
        desk.do('open', run='cda-009')
        desk.do('go', step='judge')
        assert 'another process' in desk.snapshot()['primary']['why']
    finally:
        other.kill()
        other.wait()
    desk.tick()
    assert desk.snapshot()['runs'][0]['state'] == 'interrupted'


def test_after_a_restart_all_is_there(desk, real):
    name = run_cda(desk)
    judged(desk, name)
    halted, run = slow_cda(desk)
    desk.do('stop', run=halted)
    well(desk)
    later = Desk(desk.folder)
    later._take_data(real)
    seen = later.snapshot()
    assert [r['name'] for r in seen['runs']] == [name, halted] and later.teacher_name == 'taught'
    assert [r['run'] for r in seen['scores']] == [name]
    later.do('open', run=halted)
    later.do('resume', run=halted)
    until(lambda: live_run(later.folder/halted))
    later.do('stop', run=halted)
    assert well(later).snapshot()['runs'][-1]['state'] == 'stopped'
    later.do('open', run=name)
    later.do('export')
    assert well(later).exported.is_dir()


def test_a_folder_that_is_damaged_or_gone_does_not_hide_the_others(desk):
    one, two = run_cda(desk), run_cda(desk)
    (desk.folder/one/'run.json').write_text('{')
    desk.tick()
    assert [r['name'] for r in desk.snapshot()['runs']] == [two] and one in desk.history.damaged
    shutil.rmtree(desk.folder/two)
    desk.tick()
    assert desk.snapshot()['runs'] == [] and desk.shown == []


# ---- judging


def test_rows_are_collected_beside_their_controls_and_replaced_by_the_same_only(desk):
    one, two = run_cda(desk), run_cda(desk, ipc=2)
    for name in (one, two, one): judged(desk, name)
    desk.do('open', run=one)
    desk.do('set_judge', field='protocol', value='hard')
    desk.do('judge')
    seen = well(desk).snapshot()['scores']
    assert [(r['run'], r['protocol']) for r in seen] == [
        (one, 'kd(epochs=1)'), (one, 'hard(epochs=1)'), (two, 'kd(epochs=1)')]
    assert all(r['control'] and r['gap'] is not None for r in seen)
    rows = Scores.load(desk.folder/one/'scores.json')
    assert [r.name for r in rows] == [CONTROL, one, CONTROL, one], 'a control for each'


def test_judging_tells_its_progress_and_can_be_cancelled(desk):
    name = run_cda(desk)
    desk.do('set_judge', field='epochs', value='100000')
    desk.do('judge')
    until(lambda: desk.job and (desk.job.share or 0) > .001)
    job = desk.snapshot()['job']
    assert job['cancel'] and 'random real' in job['note'] and 0 < job['share'] < 1
    desk.do('cancel')
    assert 'cancelled' in well(desk).note and not (desk.folder/name/'scores.json').exists()


def test_what_is_wrong_in_judging_stands_at_its_field(desk):
    run_cda(desk)
    desk.do('set_judge', field='repeats', value='0')
    desk.do('set_judge', field='epochs', value='many')
    seen = desk.snapshot()
    assert set(seen['judge']['problems']) == {'repeats', 'epochs'} and seen['primary']['why']
    desk.do('judge')
    assert 'repeats' in desk.trouble.problem and desk.trouble.section == 'judge'
    desk.do('set_judge', field='repeats', value='1')
    desk.do('set_judge', field='epochs', value='')
    assert desk.snapshot()['primary'] == dict(text='Judge', order='judge', facts={}, why='')
    assert desk.snapshot()['judge']['problems'] == {} and desk.trouble is None


def test_without_a_run_judging_and_exporting_say_why_not(desk):
    for step in ('judge', 'export'):
        desk.do('go', step=step)
        assert 'choose a run' in desk.snapshot()['primary']['why']
        desk.do(step)
        assert 'no run is in view' in rest(desk).trouble.problem


def test_a_set_is_judged_on_the_data_it_was_made_from(desk):
    name = run_cda(desk)
    desk._take_data(load('digits').subset(5))
    judged(desk, name)
    assert desk.real.train.identity != desk.data_of(name).train.identity
    assert len(desk.data_of(name).train) == 100


def test_an_evaluation_that_is_watched_says_how_far_it_is_and_ends_where_it_is_told(real):
    seen, quick = [], protocol('hard').replace(epochs=2)
    def run(**more): return evaluate(real.train.subset(2), real, protocol=quick, nets=NET, repeats=2, **more)
    rows = run(watch=lambda *told: seen.append(told))
    shares = [share for share, _ in seen]
    assert shares == sorted(shares) and shares[-1] == 1 and [name for _, name in seen][0] == CONTROL
    assert [r.accuracies for r in rows] == [r.accuracies for r in run()], 'watching changes nothing'

    class Enough(Exception): pass

    def stop(share, name):
        if share > .4: raise Enough
    with pytest.raises(Enough): run(watch=stop)


# ---- what was stopped


def halted(method, inputs, folder, ready):
    "The run of a method, stopped when `ready(run)` holds"
    run = method.start(folder=folder, **inputs)
    until(lambda: ready(run) or not run.alive)
    run.stop().wait()
    assert run.state == 'stopped', run
    return Run.open(folder)


def test_a_stopped_recovery_gives_what_it_has(tmp_path, teacher):
    method = CDA.preset('digits', steps=3000, ipc=2, batch=10, lr=.01)  # a step moves no pixel far
    run = halted(method, dict(teacher=teacher), tmp_path/'run', lambda r: r.memory.get('step', 0) > 2)
    small = run.unfinished()
    assert small.provenance['unfinished'] is True and 0 < small.provenance['step'] < small.provenance['total'] == 6000
    assert sorted(small.labels.tolist()) == list(range(10)), 'the first of two blocks'
    assert small.provenance['config'] == json.loads((tmp_path/'run'/'run.json').read_text())['method']
    frames = run.frames()
    shown = frames[max(frames)][:, :1].float() / 255
    assert (small.images - shown).abs().max() < .01, 'what was in view is what it gives'


def test_stopped_stages_give_those_that_are_there_and_the_present_one(tmp_path, real):
    base = DM.preset('digits', steps=400, net=NET.removesuffix('-batch'), real_batch=4)
    method = PDD(base=base, stages=2, ipc=1, transition=False)
    inputs = dict(real=real, experts=None, earlier=None, forgetting=None)
    first = halted(method, inputs, tmp_path/'a', lambda r: 'z' in r.memory.get('stage', {}))
    assert first.unfinished().stage.tolist() == [0] * 10
    second = halted(method, inputs, tmp_path/'b', lambda r: 'stage-1' in r.memory.get('pieces', {}))
    assert set(second.unfinished().stage.tolist()) >= {0}
    base_run = halted(dataclasses.replace(base, steps=3000), dict(real=real), tmp_path/'c', lambda r: 'z' in r.memory)
    assert len(base_run.unfinished()) == 100


def test_a_stopped_selection_gives_the_phases_so_far(tmp_path, real, teacher):
    method = CCFS(ipc=3, alpha=0., phases=3, protocol='ccfs(epochs=40, batch=64)')
    inputs = dict(small=None, teacher=teacher, real=real, difficulty=None)
    run = halted(method, inputs, tmp_path/'run', lambda r: r.memory.get('phases'))
    small = run.unfinished()
    assert small.provenance['unfinished'] and set(small.source) == {'real'} and 0 < len(small) < 30


def test_what_has_nothing_yet_says_so(tmp_path, real, teacher):
    run = halted(Squeeze(NET, dataclasses.replace(SHORT, epochs=3000)), dict(real=real), tmp_path/'t',
                 lambda r: r.memory.get('step', 0) > 2)
    with pytest.raises(InputError, match='nothing to show'): run.unfinished()
    done = CDA.preset('digits', steps=2, ipc=1).start(teacher, folder=tmp_path/'done').wait()
    with pytest.raises(InputError, match='is done'): done.unfinished()


def test_a_stopped_run_is_judged_and_exported_as_unfinished(desk):
    name, run = slow_cda(desk)
    desk.do('go', step='judge')
    assert 'pause it, stop it' in desk.snapshot()['primary']['why']
    desk.do('stop', run=name)
    well(desk)
    row, = judged(desk, name).snapshot()['scores']
    assert row['unfinished'] and row['set'] == f'{name} (unfinished)'
    desk.do('export')
    assert 'unfinished' in (well(desk).exported/'README.md').read_text()


# ---- export and code


def test_exports_never_collide(desk):
    name = run_cda(desk)
    for folder in ('export', 'export-2'):
        desk.do('export')
        assert well(desk).exported == desk.folder/name/folder
    done = desk.snapshot()['export']['done']
    assert done['path'].endswith('export-2') and 'CDA' in done['card'] and '---' not in done['card'].splitlines()
    desk.do('set_export', field='folder', value=f'{name}/export')
    assert 'not empty' in desk.snapshot()['export']['problems']['folder'] and desk.snapshot()['primary']['why']
    desk.do('export')
    assert 'not empty' in desk.trouble.problem and desk.trouble.section == 'export'
    desk.do('set_export', field='folder', value='elsewhere')
    desk.do('set_export', field='format', value='tensors')
    desk.do('export')
    assert well(desk).exported == desk.folder/'elsewhere' and any(desk.exported.glob('*.pt'))


@pytest.mark.parametrize('kind', ['CDA', 'PDD', 'CCFS'])
def test_the_code_runs_in_a_fresh_kernel(desk, kind, tmp_path, monkeypatch):
    run_cda(desk, ipc=2)
    desk.do('method', value=kind)
    settings = dict(
        CDA=dict(steps=3, ipc=1, schedule=dict(kind='step', milestone=.5, lo=.2, hi=1, reversed=False)),
        PDD=dict(stages=2, transition_epochs=2, pool=2),
        CCFS=dict(ipc=10, alpha=.1, phases=2, protocol='ccfs(epochs=1)'))[kind]
    if kind == 'PDD':
        desk.do('base', value='DM')
        for field, value in {'base.steps': 2, 'base.net': 'convnet2-w8'}.items():
            desk.do('field', field=field, value=value)
    for field, value in settings.items(): desk.do('field', field=field, value=value)
    desk.do('set_judge', field='epochs', value='1')
    desk.do('set_judge', field='repeats', value='1')
    desk.selected = '' # the form's own code
    monkeypatch.setenv('DDNB_RUNS', str(tmp_path/'fresh'))
    code = desk.code()
    desk.do('start')
    made = well(desk).selected
    assert made.startswith(kind.lower())
    script = desk.code()
    assert f"folder='{desk.folder/made}'" in script and len(script.splitlines()) <= 12
    anew = script.replace(f"folder='{desk.folder/made}'", f'folder={str(tmp_path/"anew")!r}')
    anew = anew.replace("/export'", "/again'") + '\nprint(small.identity)'
    out = run_fresh([code, script, anew], tmp_path)
    assert out.split()[-1] == Run.open(desk.folder/made).result().identity, 'it makes the same set again'


def run_fresh(scripts, tmp_path):
    "Run scripts in a new process, each as if it stood alone; what they print"
    code = '\n'.join(f'exec({script!r}, {{}})' for script in scripts)
    done = warm.python('-c', code, cwd=tmp_path, timeout=240)
    assert done.returncode == 0, '\n\n'.join([*scripts, done.stderr[-2000:]])
    return done.stdout


def test_a_schedule_of_ones_own_leaves_code_that_opens_the_run(desk, teacher):
    CDA.preset('digits', steps=2, ipc=1, schedule=lambda p: (.5, 1.)).start(teacher, folder=desk.folder/'own').wait()
    desk.tick()
    desk.do('open', run='own')
    assert "Run.open(" in desk.code() and '.start(' not in desk.code()


# ---- the widget


def test_the_widget_says_what_has_changed_and_obeys(tmp_path):
    studio = Studio(tmp_path/'runs')
    try:
        studio.desk.wait()
        said = []
        studio.wire.send = lambda message, pictures: said.append(message)
        studio.greet()
        names = [m.get('name') for m in said]
        assert {'studio', 'studio-form', 'studio-real'} <= set(names)
        json.dumps(said, allow_nan=False)
        said.clear()
        studio.look()
        assert said == [], 'nothing new, nothing said'
        studio._heard(None, dict(kind='order', name='field', field='steps', value='7'), [])
        until(lambda: any(m.get('name') == 'studio' and m['value']['method']['values']['steps'] == '7' for m in said))
        assert not any(m.get('name') == 'studio-real' for m in said), 'what has not changed is not said again'
        studio._heard(None, dict(kind='ask', id=1, name='real', page=0), [])
        assert said[-1]['value']['classes'] == 10
        studio._heard(None, dict(kind='ask', id=2, name='browse', folder='/nowhere'), [])
        assert 'there is no folder' in said[-1]['value']['problem']
    finally: studio.close()


def test_a_run_in_view_is_followed_and_takes_its_orders(tmp_path, desk):
    name, run = slow_cda(desk)
    studio = Studio(desk.folder)
    try:
        studio.desk.wait()
        said = []
        studio.wire.send = lambda message, pictures: said.append(message)
        studio.greet()
        studio.obey('open', run=name)
        studio.look()
        key = next(m['key'] for m in said if m['kind'] == 'run')
        assert [m['value']['keys'] for m in said if m.get('name') == 'studio'][-1] == [key]
        studio.obey('pause', key=key)
        until(lambda: run.state == 'paused')
        studio.obey('stop', key=key)
        until(lambda: run.state == 'stopped')
    finally:
        studio.close()
        run.stop()


def test_orders_never_wait_for_work(desk):
    begun, go_on = threading.Event(), threading.Event()
    def long(job):
        begun.set()
        go_on.wait(20)
    desk.work('Something long', long, 'method')
    begun.wait(5)
    began = time.monotonic()
    desk.do('field', field='steps', value='9')
    seen = desk.snapshot()
    assert time.monotonic() - began < 1 and seen['method']['values']['steps'] == '9'
    assert seen['job']['words'] == 'Something long'
    go_on.set()
    well(desk)


def test_the_scripts_that_are_joined_declare_no_name_twice():
    names = re.findall(r'^(?:export )?(?:async )?(?:const|let|class|function) (\w+)', script(), re.M)
    assert sorted(set(names)) == sorted(names)


def test_runs_go_where_the_librarys_go(monkeypatch, tmp_path):
    monkeypatch.setenv('DDNB_RUNS', str(tmp_path/'here'))
    assert Desk().folder == tmp_path/'here'
    monkeypatch.delenv('DDNB_RUNS')
    monkeypatch.setenv('DDNB_DATA', str(tmp_path/'data'))
    assert Desk().folder == tmp_path/'data'/'runs'


def test_every_stored_method_is_read_again(desk):
    name = run_cda(desk)
    assert from_config(desk.entry(name).config) == method_from(CDA, desk.values['CDA'])
