"A killed run ends in the same bytes; the command line works as a program"
import json
import shutil
import signal
import time

import pytest
import warm

from ddnb.app.cli import main
from ddnb.core.basics import InputError
from ddnb.core.run import Run, resume
from ddnb.data.load import load
from ddnb.train.train import squeeze

PROGRAM = '''
from ddnb.core.run import Run
Run.checkpoint_every = .3
from ddnb.app.cli import main
raise SystemExit(main())
'''


def ddnb(*args):
    "The command line of `ddnb` with these arguments, with checkpoints three times a second"
    return ['-c', PROGRAM, *args]


def run_cda(teacher, out, **settings):
    "The arguments of a recovery on digits"
    options = [part for name, value in settings.items() for part in (f'--{name}', value)]
    return ['run', 'cda', teacher, '--preset', 'digits', *options, '--out', out]


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    made = squeeze(load('digits'), 'convnet2-w16-batch', epochs=4, progress=False)
    return made.save(tmp_path_factory.mktemp('teacher')/'t')


def kill_when(command, ready, limit=60):
    "Start a program and kill it with SIGKILL when `ready()`"
    program = warm.Program(*command)
    end = time.time() + limit
    while not ready():
        working = program.poll() is None and time.time() < end
        assert working, 'it ended, or nothing happened, before it could be killed'
        time.sleep(.01)
    program.send_signal(signal.SIGKILL)
    program.wait()


@pytest.mark.faults
def test_sigkill_in_recovery_then_resume_gives_the_same_bytes(teacher, tmp_path):
    whole = tmp_path/'whole'
    cut = tmp_path/'cut'
    checkpoint = cut/'state.safetensors'
    settings = dict(ipc=4, steps=250, batch=20)
    warm.python(*ddnb(*run_cda(teacher, whole, **settings)), check=True)

    def well_on_its_way(): return checkpoint.exists() and len(list((cut/'previews').glob('*.png'))) > 2
    kill_when(ddnb(*run_cda(teacher, cut, **settings)), well_on_its_way)
    assert Run.open(cut).state == 'interrupted'
    assert not (cut/'result').exists()

    first = checkpoint.stat().st_mtime_ns
    kill_when(ddnb('resume', cut), lambda: checkpoint.stat().st_mtime_ns > first)  # and once more
    done = warm.python(*ddnb('resume', cut), check=True)
    images = 'result/images.safetensors'
    assert (cut/images).read_bytes() == (whole/images).read_bytes()
    assert 'DistilledSet' in done.stdout

    steps = [e['step'] for e in Run.open(cut).events]
    assert steps == sorted(set(steps))
    assert steps[-1] == 500
    assert not list(cut.rglob('*.part'))


@pytest.mark.faults
def test_kill_before_the_first_checkpoint(teacher, tmp_path):
    cut = tmp_path/'cut'
    kill_when(ddnb(*run_cda(teacher, cut, ipc=1, steps=200)), lambda: (cut/'run.json').exists())
    assert len(resume(cut).result()) == 10


@pytest.mark.faults
def test_a_damaged_checkpoint_is_named(teacher, tmp_path):
    folder = tmp_path/'r'
    warm.python(*ddnb(*run_cda(teacher, folder, ipc=1, steps=5)), check=True)
    (folder/'state.safetensors').write_bytes(b'half a file')
    shutil.rmtree(folder/'result')
    status = json.loads((folder/'status.json').read_text())
    (folder/'status.json').write_text(json.dumps(dict(status, state='stopped')))
    with pytest.raises(InputError, match='state.safetensors'): resume(folder)


def test_two_processes_cannot_write_one_run(teacher, tmp_path):
    folder = tmp_path/'r'
    command = ddnb(*run_cda(teacher, folder, ipc=1, steps=100_000))
    program = warm.Program(*command)
    try:
        while not (folder/'events.jsonl').exists():
            assert program.poll() is None
            time.sleep(.02)
        second = warm.python(*command)
        assert second.returncode == 2
        assert 'another process' in second.stderr
        assert Run.open(folder).state == 'running'

        program.send_signal(signal.SIGINT)  # Ctrl-C keeps a checkpoint
        assert program.wait(120) == 130
        assert (folder/'state.safetensors').exists()
        assert Run.open(folder).state == 'stopped'
    finally: program.kill()


ENDS_EARLY = '''
import sys
import time
from ddnb.all import *
teacher, folder = sys.argv[1:]
run = CDA.preset('digits', ipc=1, steps=5000).start(Teacher.load(teacher), folder=folder)
time.sleep(1.5)
'''


def test_a_program_that_ends_keeps_a_checkpoint(teacher, tmp_path):
    folder = tmp_path/'r'
    done = warm.python('-c', ENDS_EARLY, teacher, folder)
    assert done.returncode == 0
    assert Run.open(folder).state == 'stopped'
    assert (folder/'state.safetensors').exists()


COMMANDS = [[], ['demo'], ['squeeze'], ['run'], ['run', 'cda'], ['resume'], ['evaluate'], ['export']]


@pytest.mark.parametrize('command', COMMANDS, ids=lambda c: ' '.join(c) or 'ddnb')
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as end: main([*command, '--help'])
    out = capsys.readouterr().out
    assert end.value.code == 0
    assert 'usage: ddnb' in out
    assert len(out.splitlines()) > 4
    if command == ['run', 'cda']:
        assert 'images per class' in out
        assert 'weight of the BatchNorm term' in out


@pytest.mark.slow
def test_demo_leaves_its_report(tmp_path):
    home = tmp_path/'demo'
    done = warm.python(*ddnb('demo', '--out', home, '--repeats', '1', '--quick'))
    assert done.returncode == 0, done.stderr[-2000:]

    rows = json.loads((home/'scores.json').read_text())
    assert {'name', 'protocol', 'net', 'ipc', 'repeats', 'mean', 'std', 'best'} <= rows[0].keys()
    assert all(0 <= r['mean'] <= 1 for r in rows)
    sets = {'random real', 'IDC', 'DM', 'PDD over DM', 'CDA', 'CCFS over DM'}
    assert {r['name'] for r in rows} == sets

    page = (home/'report.html').read_text()
    links = [text for text in page.split('"') if text.startswith('http') and 'w3.org' not in text]
    assert not links, 'the page asks for something outside'
    assert page.count('class="ddnb-record"') == 3 and 'mountAll();' in page
    assert len(page) < 3_000_000

    again = warm.python(*ddnb('demo', '--out', tmp_path))
    assert again.returncode == 2
    assert 'holds other files' in again.stderr
