"The shell: what it refuses, what it reads from the registry, and methods that others wrote"
import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import warm

from ddnb.app import cli
from ddnb.app.cli import chosen_base, chosen_method, main, parse_counts, parse_schedule, parse_setting, parser
from ddnb.core.basics import InputError
from ddnb.core.config import KINDS, Input, known, register, registered
from ddnb.core.run import Event, Method, Run
from ddnb.data.images import DistilledSet
from ddnb.data.load import load
from ddnb.data.readers import read_set
from ddnb.methods.trajectory import Experts
from ddnb.train.ensemble import FunctionalNet
from ddnb.train.train import squeeze

ROOT = Path(__file__).parent.parent.parent

MEANS = '''
import time
from dataclasses import dataclass
import torch
from ddnb.core.basics import to_unit
from ddnb.core.config import known
from ddnb.core.run import Event, Method
from ddnb.data.images import DistilledSet

@known('method')
@dataclass(frozen=True)
class FileMeans(Method):
    "One mean of real images a class"
    images: int = 20   # real images in a mean
    seed: int = 0      # of the draw

    def stream(self, real, state):
        some = to_unit(real.train.subset(self.images, self.seed).images)
        means = some.unflatten(0, (-1, self.images)).mean(1)
        for i in range(state.get('step', 0), 50):
            time.sleep(.01)
            state['step'] = i + 1
            yield Event(i + 1, 50, {}, lambda: means)
        return DistilledSet(means, torch.arange(len(means)), real.classes, provenance=dict(method='FileMeans'))
'''


@pytest.fixture
def registry():
    "What a test registers is forgotten after it"
    before = {kind: dict(registered(kind)) for kind in KINDS}
    yield
    for kind, things in before.items():
        registered(kind).clear()
        registered(kind).update(things)


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    "Folder of a small teacher"
    small = squeeze(load('digits'), 'convnet2-w16-batch', epochs=1, progress=False)
    return small.save(tmp_path_factory.mktemp('teacher')/'t')


def ddnb(*args):
    "`ddnb …` in a process of its own"
    return warm.python('-c', 'from ddnb.app.cli import main; raise SystemExit(main())', *args, cwd=ROOT)


def help_text(*command, capsys):
    "What `--help` prints"
    with contextlib.suppress(SystemExit): main([*command, '--help'])
    return ' '.join(capsys.readouterr().out.split())


# ---- what was typed --------------------------------------------------------------------------------------------

@pytest.mark.parametrize('text', ['cos', 'cosine(a)', 'cosine(x=1)', '__import__(os)', 'cosine(2)', 'reverse(cos)'])
def test_what_is_no_schedule_is_refused(text):
    with pytest.raises(InputError): parse_schedule(text)


def test_the_refusal_of_a_schedule_names_those_there_are():
    with pytest.raises(InputError, match="no schedule 'cos'.*\n.*'cosine', 'reverse'"): parse_schedule('cos')


def test_counts():
    assert parse_counts('2') == 2 and parse_counts('1,1,4') == (1, 1, 4)
    with pytest.raises(InputError, match='is no number of images'): parse_counts('two')


def test_a_setting_is_a_name_and_a_value():
    assert parse_setting('lr=0.5') == ('lr', .5) and parse_setting('net = convnet3') == ('net', ' convnet3')
    with pytest.raises(InputError, match='sets nothing'): parse_setting('lr')


@pytest.mark.parametrize('options, message', [
    (['--schedule', 'cos'], "there is no schedule 'cos'"),
    (['--steps', 'many'], 'invalid int value'),
    (['--preset', 'mine'], 'invalid choice'),
    (['--stepz', '1'], 'unrecognized arguments'),
])
def test_an_option_that_makes_no_sense_ends_with_status_2(options, message, capsys):
    with pytest.raises(SystemExit) as end: main(['run', 'cda', 'x', *options])
    assert end.value.code == 2 and message in capsys.readouterr().err


def test_wrong_input_ends_with_status_2_and_a_message(teacher, tmp_path, capsys):
    assert main(['run', 'cda', str(teacher), '--preset', 'digits', '--ipc', '1', '--steps', '2',
                 '--out', str(tmp_path/'run')]) == 0
    assert main(['export', str(tmp_path/'run'), str(tmp_path/'png')]) == 0
    capsys.readouterr()
    wrong = {
        f'run cda {tmp_path}/nowhere': 'nowhere',
        f'resume {tmp_path}': 'holds no run',
        f'evaluate {tmp_path}/run --protocol best': "there is no protocol 'best'",
        f'export {tmp_path}/run {tmp_path}/png': 'png',
        f'run cda {teacher} --preset digits --ipc 3 --out {tmp_path}/run': 'another configuration',
        f'squeeze --out {teacher}': 'holds a teacher already',
        f'run pdd --base dm --base-set stepz=1 --out {tmp_path}/pdd': "did you mean 'steps'",
        '--import nothing.here run cda x': 'there is no module',
        f'--import {tmp_path}/nothing.py run cda x': 'there is no file',
    }
    for command, message in wrong.items():
        assert main(command.split()) == 2, command
        error = capsys.readouterr().err
        assert error.startswith('ddnb: ') and message in error and '→' in error, (command, error)


@pytest.fixture
def called(monkeypatch):
    "The commands that were started as processes, which none is here"
    commands = []
    monkeypatch.setattr(cli.subprocess, 'call', lambda command: commands.append(command) or 0)
    return commands


def test_lab_passes_on_what_is_jupyterlabs(called, tmp_path):
    options = ['--allow-root', '--port', '9999', '--ServerApp.token=x']
    assert main(['lab', '--folder', str(tmp_path), *options, '--no-browser']) == 0
    assert called == [[sys.executable, '-m', 'jupyterlab', '--notebook-dir', str(tmp_path), *options, '--no-browser']]


def test_other_commands_refuse_unknown_options(called, capsys):
    with pytest.raises(SystemExit) as end: main(['docs', '--allow-root'])
    assert end.value.code == 2 and not called
    assert 'unrecognized arguments: --allow-root' in capsys.readouterr().err


# ---- what is registered ----------------------------------------------------------------------------------------

def test_every_method_and_base_has_a_command_with_its_settings(capsys):
    for name, cls in (registered('method') | registered('base')).items():
        text = help_text('run', name, capsys=capsys)
        assert f'usage: ddnb run {name}' in text
        for field in cls.__dataclass_fields__: assert f'--{field.replace("_", "-")}' in text or field in text


def test_help_names_what_is_registered(capsys):
    text = help_text('evaluate', capsys=capsys)
    assert all(name in text for name in registered('protocol'))
    assert all(name in text for name in registered('data'))
    assert all(name in help_text('export', capsys=capsys) for name in registered('export'))


def test_a_setting_that_means_something_else_in_the_shell_gets_the_name_of_its_method():
    args = parser().parse_args(['run', 'ccfs', 'x', '--ccfs-first', 'easiest', '--first', '100'])
    assert chosen_method(args).first == 'easiest' and args.first == 100


def test_an_input_that_is_called_like_a_setting_gets_another_option(registry, capsys):
    registered('input').pop('experts', None)
    register('input', 'experts', Input('trained before', lambda folder: folder))
    assert '--experts-from FOLDER' in help_text('run', 'mtt', capsys=capsys)
    assert '--experts FOLDER' in help_text('run', 'pdd', capsys=capsys)


def test_a_base_changes_that_of_the_preset():
    args = parser().parse_args(['run', 'pdd', '--preset', 'cifar10-ipc10', '--base-set', 'steps=7'])
    base = chosen_method(args).base
    assert (type(base).__name__, base.steps, base.student_steps) == ('MTT', 7, 50)
    args = parser().parse_args(['run', 'pdd', '--preset', 'cifar10-ipc10'])
    cls = registered('method')['pdd']
    assert chosen_base(args, cls, cls.__dataclass_fields__['base']) is None
    assert chosen_method(args) == cls.preset('cifar10-ipc10')


# ---- methods of others -----------------------------------------------------------------------------------------

@dataclass(frozen=True)
class CellFirst(Method):
    "Some images of each class"
    ipc: int = 1        # images per class

    def stream(self, real, state):
        some = real.train.subset(self.ipc)
        yield Event(1, 1, {})
        return DistilledSet(some.images / 255, some.labels, real.classes)


def test_a_method_runs_from_the_shell_once_its_class_is_declared(registry, tmp_path, capsys):
    assert 'cellfirst' not in help_text('run', capsys=capsys)
    known('method')(CellFirst)
    assert 'cellfirst' in help_text('run', capsys=capsys)
    assert '--ipc IPC images per class [1]' in help_text('run', 'cellfirst', capsys=capsys)
    assert main(['run', 'cellfirst', '--ipc', '2', '--out', str(tmp_path/'r')]) == 0
    assert len(read_set(tmp_path/'r')) == 20


def test_a_method_of_a_file_runs_and_another_process_resumes_it(registry, tmp_path, capsys):
    (tmp_path/'mine.py').write_text(MEANS)
    here = ['--import', str(tmp_path/'mine.py')]
    assert main(['run', 'filemeans', '--images', '5', '--out', str(tmp_path/'whole'), *here]) == 0
    run = registered('method')['filemeans'](images=5).start(load('digits'), folder=tmp_path/'r')
    run.stop().wait()
    assert run.state == 'stopped'
    result = ddnb(*here, 'resume', tmp_path/'r')
    assert result.returncode == 0, result.stderr
    assert torch.equal(read_set(tmp_path/'r').images, read_set(tmp_path/'whole').images)


def test_a_method_of_a_module_is_listed(registry, importable, capsys):
    (importable/'mine_too').mkdir()
    (importable/'mine_too/methods.py').write_text(MEANS)
    assert 'filemeans' in help_text('--import', 'mine_too.methods', 'run', capsys=capsys)


def test_a_file_may_not_hide_another_module(tmp_path, capsys):
    (tmp_path/'json.py').write_text(MEANS)
    assert main(['--import', str(tmp_path/'json.py'), 'run', '--help']) == 2
    assert "another module 'json'" in capsys.readouterr().err


BROKEN = {
    'syntax': ('def f(:\n    pass', ':1: SyntaxError'), 'error': ('x = 1\n1 / 0\n', ':2: ZeroDivisionError'),
    'exit': ('import sys\nsys.exit(3)\n', ':2: SystemExit: 3'),
    'inner': ('\nimport nothing_such\n', ':2: ModuleNotFoundError'),
    'refused': ("from ddnb.core.config import register\nregister('method', 'x', int)\n",
                ':2: int does not derive from Method'),
}


@pytest.mark.parametrize('source, message', BROKEN.values(), ids=BROKEN)
def test_a_file_that_fails_is_named_with_its_line(tmp_path, capsys, source, message):
    path = tmp_path/'fails_here.py'
    path.write_text(source)
    before = list(sys.path)
    for _ in range(2):
        assert main(['--import', str(path), 'run', '--help']) == 2
        error = capsys.readouterr().err
        assert f'ddnb: {path} can not be imported' in error and f'{path}{message}' in error and '→' in error
        assert 'fails_here' not in sys.modules and sys.path == before


def test_a_module_that_fails_is_named_with_its_line(importable, capsys):
    (importable/'bad_package').mkdir()
    (importable/'bad_package/__init__.py').write_text('1 / 0')
    (importable/'bad_module.py').write_text('import nothing_such')
    for name, error in {'bad_package.x': '__init__.py:1: Zero', 'bad_module': 'bad_module.py:1: ModuleNotFound',
                        '..': '→', '': '→'}.items():
        assert main(['--import', name, 'run', '--help']) == 2
        assert error in capsys.readouterr().err


def test_a_file_finds_what_lies_beside_it(registry, tmp_path, capsys):
    (tmp_path/'beside_it.py').write_text(MEANS)
    (tmp_path/'uses_it.py').write_text('import beside_it')
    assert 'filemeans' in help_text('--import', str(tmp_path/'uses_it.py'), 'run', capsys=capsys)
    assert str(tmp_path) not in sys.path


def test_a_run_says_how_it_is_carried_on(monkeypatch, registry, tmp_path, capsys):
    path = tmp_path/'my methods.py'
    path.write_text(MEANS.replace('FileMeans', 'SlowMeans').replace('sleep(.01)', 'sleep(.05)'))
    def interrupted(self, progress=False):
        monkeypatch.undo()
        while not self.last: pass
        raise KeyboardInterrupt
    monkeypatch.setattr(cli.Run, 'wait', interrupted)
    out = tmp_path/'r'
    assert main(['--import', str(path), 'run', 'slowmeans', '--out', str(out)]) == 130
    assert f"`ddnb --import '{path}' resume {out}` carries it on" in capsys.readouterr().out
    result = ddnb('resume', out)
    assert result.returncode == 2 and 'ddnb --import mine.py' in result.stderr


@pytest.mark.parametrize('command', [['run'], ['resume']])
def test_help_tells_of_import(command, capsys):
    assert '--import MODULE_OR_FILE' in help_text(*command, capsys=capsys)


@pytest.mark.parametrize('command', [['run', 'mine'], ['run', 'pdd', '--base', 'mine'],
                                     ['export', 'a', 'b', '--format', 'mine']])
def test_an_unknown_name_hints_at_import(command, capsys):
    with pytest.raises(SystemExit): main(command)
    assert 'ddnb --import mine.py' in capsys.readouterr().err
    with pytest.raises(SystemExit): main(['run', 'cda', 'x', '--preset', 'mine'])
    assert '--import' not in capsys.readouterr().err


# ---- before any work -------------------------------------------------------------------------------------------

@pytest.mark.parametrize('command', ['squeeze --out {}', 'run cda x --out {}', 'run pdd --out {}', 'demo --out {}',
                                     'evaluate x --json {}', 'export x {}'])
def test_the_place_of_the_output_is_looked_at_first(monkeypatch, tmp_path, capsys, command):
    (tmp_path/'file').write_text('')
    def work(*args, **more): raise AssertionError('it was begun')
    for name in ('load', 'read_set', 'read_sets', 'demo'): monkeypatch.setattr(cli, name, work)
    assert main(command.format(tmp_path/'file/below').split()) == 2
    error = capsys.readouterr().err
    assert "file' is a file" in error and '→' in error
    if 'json' not in command: assert main(command.format(tmp_path/'file').split()) == 2
    else: assert main(command.format(tmp_path).split()) == 2


def test_a_whitened_export_is_read_with_its_data(tmp_path, capsys):
    real = load('digits', size=8)
    few = real.train.subset(1)
    DistilledSet(few.images / 255, few.labels, real.classes).save(tmp_path/'set')
    export = ['export', str(tmp_path/'set'), str(tmp_path/'out'), '--data', 'digits', '--size', '8', '--zca']
    assert main(export) == 2 and '--format tensors' in capsys.readouterr().err
    assert main([*export, '--format', 'tensors']) == 0
    with pytest.raises(InputError, match='real data'): read_set(tmp_path/'out')
    assert (read_set(tmp_path/'out', real=real).images - few.images / 255).abs().max() < 1e-5
    [(name, small)] = cli.read_sets([tmp_path/'out'], real).items()
    assert name == 'out' and small.training.space == 'zca'


def test_rows_are_printed_before_they_are_saved(monkeypatch, capsys):
    class Rows:
        def __str__(self): return 'the rows'
        def save(self, path): raise OSError(28, 'No space left on device', path)
    monkeypatch.setattr(cli, 'read_sets', lambda *args: {})
    monkeypatch.setattr(cli, 'data_to_judge_on', lambda *args: None)
    monkeypatch.setattr(cli, 'evaluate', lambda *args, **more: Rows())
    assert main(['evaluate', 'x', '--json', 'rows.json']) == 2
    out, err = capsys.readouterr()
    assert 'the rows' in out and err.startswith('ddnb: rows.json: No space left on device\n  → ')


@pytest.mark.parametrize('options', [['--data', ''], ['--root', ' '], ['--schedule', 'cosine('], ['--out', ''],
                                     ['--schedule', 'cosine)'], ['--schedule', 'reverse(cosine(0.5)']])
def test_half_a_value_is_refused_early(options, capsys):
    command = ['run', 'cda', 'x'] if options[0] in ('--schedule', '--out') else ['squeeze', '--out', 'x']
    with pytest.raises(SystemExit) as end: main([*command, *options])
    assert end.value.code == 2 and '→' in capsys.readouterr().err


# ---- remedies --------------------------------------------------------------------------------------------------

def test_remedies_name_options_in_a_shell(tmp_path, capsys):
    assert main(['squeeze', '--data', 'cifar10', '--root', str(tmp_path), '--out', str(tmp_path/'t')]) == 2
    error = capsys.readouterr().err
    assert '--data cifar10, --root' in error and '--data cifar10, --download' in error and 'load(' not in error
    options = ['--root', '--teacher', '--out', '--device', '--size']
    words = {'choose another folder=, or resume it as it is': 'choose another --out, or resume it as it is',
             "use device='auto' or one of ['cpu']": "use --device auto or one of ['cpu']",
             'give root= the folder': 'give --root the folder', 'size=28 resizes': '--size 28 resizes',
             'evaluate with teacher=': 'evaluate with --teacher', 'unknown=3 stays': 'unknown=3 stays'}
    for ours, theirs in words.items(): assert cli.in_shell_words(ours, options) == theirs
    assert cli.in_shell_words("resume('a b') carries it on", (), ['m.py']) == \
        "`ddnb --import m.py resume 'a b'` carries it on"


def test_a_data_set_can_be_fetched(monkeypatch, tmp_path):
    told = {}
    monkeypatch.setattr(cli, 'load', lambda *args, **more: told.update(more) or 1 / 0)
    command = ['squeeze', '--data', 'cifar10', '--download', '--out', str(tmp_path/'t')]
    with pytest.raises(ZeroDivisionError): main(command)
    assert told['download'] is True


@pytest.fixture
def importable(tmp_path, monkeypatch):
    "A folder that modules and packages are imported from"
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(folder, name, target):
    "What pip would leave of a package with one entry point"
    about = folder/f'{name}-1.0.dist-info'
    about.mkdir()
    (about/'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')
    (about/'entry_points.txt').write_text(f'[ddnb]\n{name} = {target}\n')


def test_an_installed_package_brings_its_methods(registry, importable, capsys):
    (importable/'foreign.py').write_text(MEANS)
    install(importable, 'foreign', 'foreign')
    assert 'filemeans' in help_text('run', capsys=capsys)
    assert '--images IMAGES real images in a mean [20]' in help_text('run', 'filemeans', capsys=capsys)


def test_a_package_that_can_not_be_imported_is_named_and_the_rest_works(importable, capsys):
    (importable/'broken.py').write_text('1 / 0')
    install(importable, 'broken', 'broken')
    with pytest.raises(SystemExit) as end: main(['run', '--help'])
    out, err = capsys.readouterr()
    assert end.value.code == 0 and 'cda' in out
    assert 'broken = broken can not be loaded: division by zero' in err


# ---- the site --------------------------------------------------------------------------------------------------

def test_docs_calls_the_program_of_the_checkout(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(cli.subprocess, 'call', lambda command: calls.append(command) or 0)
    monkeypatch.chdir(ROOT/'nbs'/'guide')
    assert main(['docs', '--out', str(tmp_path)]) == 0
    assert calls == [[sys.executable, str(ROOT/'nbs/site/build.py'), '--out', str(tmp_path)]]


def test_docs_says_what_to_do_outside_a_checkout(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['docs']) == 2
    assert 'in no checkout of ddnb' in capsys.readouterr().err


# ---- pools of experts, judges ------------------------------------------------------------------------------------

def test_experts_are_trained_extended_and_given(tmp_path, capsys):
    data = ['--first', '60']
    little = ['experts', *data, '--net', 'convnet2-w4', '--batch', '60', '--lr', '0.05', '--device', 'cpu']
    assert main([*little, '--experts', '2', '--epochs', '1', '--out', str(tmp_path/'two')]) == 0
    more = ['experts', *data, '--extend', str(tmp_path/'two'), '--experts', '3']
    assert main([*more, '--out', str(tmp_path/'three')]) == 0
    two, three = (registered('input')['experts'].read(tmp_path/name) for name in ('two', 'three'))
    assert (len(two), len(three), three.epochs) == (2, 3, 1)
    assert torch.equal(three.trajectories[:2], two.trajectories)
    mtt = ['run', 'mtt', *data, '--net', 'convnet2-w4', '--ipc', '1', '--steps', '2', '--student-steps', '1',
           '--expert-epochs', '1', '--max-start', '1', '--device', 'cpu', '--lr', '1', '--step-size-lr', '0']
    part = f'{tmp_path}/three[:2]'
    assert main([*mtt, '--experts-from', part, '--out', str(tmp_path/'run'), '--judge', 'mtt(epochs=1)',
                 '--judge-every', '1']) == 0
    assert Run.open(tmp_path/'run').last['accuracy'] >= 0
    assert len(Experts.load(tmp_path/'run'/'inputs'/'experts')) == 2


def test_buffers_of_the_released_code_are_read(tmp_path, capsys):
    shapes = FunctionalNet('convnet2-w4', 10, 1, 16).shapes.values()
    torch.save([[[torch.ones(shape) * e for shape in shapes] for e in range(3)]], tmp_path/'replay_buffer_0.pt')
    read = ['experts', '--buffers', str(tmp_path), '--net', 'convnet2-w4', '--out', str(tmp_path/'pool')]
    assert main([*read, '--lr', '1']) == 2 and 'buffers are read' in capsys.readouterr().err
    assert main([*read, '--epochs', '1']) == 0
    pool = registered('input')['experts'].read(tmp_path/'pool')
    assert (len(pool), pool.epochs) == (1, 1) and pool.trajectories[0, 1].eq(1).all()
    assert main(read) == 2 and 'holds experts already' in capsys.readouterr().err
