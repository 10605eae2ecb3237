"A killed run ends in the same bytes; the command line works as a program"
import json, os, signal, subprocess, sys, time
import pytest
from ddnb.core.basics import InputError
from ddnb.app.cli import main
from ddnb.data.load import load
from ddnb.core.run import Run, resume
from ddnb.train.train import squeeze

DDNB = 'from ddnb.core.run import Run; Run.checkpoint_every = .3; from ddnb.app.cli import main; raise SystemExit(main())'
def ddnb(*args): return [sys.executable, '-c', DDNB, *map(str, args)]

@pytest.fixture(scope='module')
def teacher(tmp_path_factory): return squeeze(load('digits'), 'convnet2-w16-batch', epochs=4, progress=False).save(tmp_path_factory.mktemp('teacher')/'t')

def kill_when(command, ready, limit=60):
    "Start a program and kill it with SIGKILL when `ready()`"
    p, end = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), time.time() + limit
    while not ready():
        assert p.poll() is None and time.time() < end, 'it ended, or nothing happened, before it could be killed'
        time.sleep(.01)
    p.send_signal(signal.SIGKILL)
    p.wait()

@pytest.mark.faults
def test_sigkill_in_recovery_then_resume_gives_the_same_bytes(teacher, tmp_path):
    options = ['run', 'cda', teacher, '--preset', 'digits', '--ipc', '4', '--steps', '250', '--batch', '20']
    subprocess.run(ddnb(*options, '--out', tmp_path/'whole'), check=True, capture_output=True)
    cut = tmp_path/'cut'
    kill_when(ddnb(*options, '--out', cut), lambda: (cut/'state.safetensors').exists() and len(list((cut/'previews').glob('*.png'))) > 2)
    assert Run.open(cut).state == 'interrupted' and not (cut/'result').exists()
    first = (cut/'state.safetensors').stat().st_mtime_ns
    kill_when(ddnb('resume', cut), lambda: (cut/'state.safetensors').stat().st_mtime_ns > first) # and once more
    done = subprocess.run(ddnb('resume', cut), check=True, capture_output=True, text=True)
    assert (cut/'result/images.safetensors').read_bytes() == (tmp_path/'whole/result/images.safetensors').read_bytes()
    steps = [e['step'] for e in Run.open(cut).events]
    assert steps == sorted(set(steps)) and steps[-1] == 500 and 'DistilledSet' in done.stdout
    assert not list(cut.rglob('*.part'))

@pytest.mark.faults
def test_kill_before_the_first_checkpoint(teacher, tmp_path):
    cut = tmp_path/'cut'
    kill_when(ddnb('run', 'cda', teacher, '--preset', 'digits', '--ipc', '1', '--steps', '200', '--out', cut), lambda: (cut/'run.json').exists())
    assert len(resume(cut).result()) == 10

@pytest.mark.faults
def test_a_damaged_checkpoint_is_named(teacher, tmp_path):
    run = subprocess.run(ddnb('run', 'cda', teacher, '--preset', 'digits', '--ipc', '1', '--steps', '5', '--out', tmp_path/'r'), capture_output=True)
    assert run.returncode == 0
    (tmp_path/'r/state.safetensors').write_bytes(b'half a file')
    import shutil; shutil.rmtree(tmp_path/'r/result')
    status = json.loads((tmp_path/'r/status.json').read_text())
    (tmp_path/'r/status.json').write_text(json.dumps(dict(status, status='stopped')))
    with pytest.raises(InputError, match='state.safetensors'): resume(tmp_path/'r')

def test_two_processes_cannot_write_one_run(teacher, tmp_path):
    options = ['run', 'cda', teacher, '--preset', 'digits', '--ipc', '1', '--steps', '100000', '--out', tmp_path/'r']
    heard = lambda: signal.signal(signal.SIGINT, signal.default_int_handler) # a shell's background jobs ignore Ctrl-C, and so would their children
    p = subprocess.Popen(ddnb(*options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=heard)
    try:
        while not (tmp_path/'r/events.jsonl').exists(): assert p.poll() is None; time.sleep(.02)
        second = subprocess.run(ddnb(*options), capture_output=True, text=True)
        assert second.returncode == 2 and 'another process' in second.stderr
        assert Run.open(tmp_path/'r').state == 'running'
        p.send_signal(signal.SIGINT) # Ctrl-C keeps a checkpoint
        assert p.wait(120) == 130 and (tmp_path/'r/state.safetensors').exists() and Run.open(tmp_path/'r').state == 'stopped'
    finally: p.kill()

def test_a_program_that_ends_keeps_a_checkpoint(teacher, tmp_path):
    code = f"from ddnb.all import *; import time; r = CDA.preset('digits', ipc=1, steps=5000).start(Teacher.load({str(teacher)!r}), folder={str(tmp_path/'r')!r}); time.sleep(1.5)"
    assert subprocess.run([sys.executable, '-c', code], capture_output=True).returncode == 0
    assert Run.open(tmp_path/'r').state == 'stopped' and (tmp_path/'r/state.safetensors').exists()

@pytest.mark.parametrize('command', [[], ['demo'], ['squeeze'], ['run'], ['run', 'cda'], ['resume'], ['evaluate'], ['export']])
def test_help_teaches(command, capsys):
    with pytest.raises(SystemExit) as end: main([*command, '--help'])
    out = capsys.readouterr().out
    assert end.value.code == 0 and 'usage: ddnb' in out and len(out.splitlines()) > 4
    if command[-1:] == ['cda']: assert 'images per class' in out and 'weight of the BatchNorm term' in out

@pytest.mark.slow
def test_demo_leaves_its_report(tmp_path):
    p = subprocess.run(ddnb('demo', '--out', tmp_path/'demo', '--repeats', '1', '--quick'), capture_output=True, text=True)
    assert p.returncode == 0, p.stderr[-2000:]
    page, rows = (tmp_path/'demo/report.html').read_text(), json.loads((tmp_path/'demo/scores.json').read_text())
    assert {'name', 'protocol', 'net', 'ipc', 'repeats', 'mean', 'std', 'best'} <= set(rows[0]) and all(0 <= r['mean'] <= 1 for r in rows)
    assert {r['name'] for r in rows} == {'random real', 'cosine curriculum', 'constant crops', 'PDD over MTT', 'curriculum + real (CCFS)'} and '<script' not in page
    assert not [w for w in page.split('"') if w.startswith('http') and 'w3.org' not in w], 'the page asks for something outside'
    again = subprocess.run(ddnb('demo', '--out', tmp_path), capture_output=True, text=True)
    assert again.returncode == 2 and 'holds other files' in again.stderr
