"""Programs that begin with PyTorch and other large packages in memory, so that a test does not wait for them to load.

A parent process, one for each worker of pytest, loads them once and is forked for each program. A fork is a process of
its own: it has its own folder, variables and `__main__`, can be killed, and loads ddnb itself.

    done = warm.python('-c', 'print(1)')    # like subprocess.run([sys.executable, …], capture_output=True, text=True)
    warm.kernels()                          # the kernels of notebooks are forks from now on
    warm.server_config()                    # text of a jupyter_server_config.py: so are those of a Jupyter server"""
import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from functools import cache
from importlib.metadata import EntryPoint
from multiprocessing.connection import Client, Listener
from pathlib import Path

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

LOADED = ('torch', 'torch.func', 'torchvision', 'safetensors.torch', 'sklearn.datasets', 'PIL.Image', 'filelock',
          'jinja2', 'tqdm.auto', 'matplotlib.figure', 'anywidget', 'ipykernel.kernelapp', 'nbformat')


# ---- in the parent ----

def serve():
    "Load, then fork as often as the lines of standard input ask for it, and tell the children's exit statuses"
    for name in LOADED: __import__(name)
    assert threading.active_count() == 1, 'a fork would lose the other threads'
    assert 'ddnb' not in sys.modules, 'each program loads it itself'
    answers = os.fdopen(os.dup(1), 'w')
    for line in sys.stdin:
        order = json.loads(line)
        answer = begin(order, answers) if 'args' in order else exit_status(order['pid'])
        answers.write(json.dumps(answer) + '\n')
        answers.flush()


ENDED = {}  # process number → exit status: the system tells it once, and two threads may ask


def exit_status(pid):
    "How a child ended, as `subprocess` says it; None while it works"
    if pid not in ENDED:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if not ended: return None
        ENDED[pid] = os.waitstatus_to_exitcode(status)
    return ENDED[pid]


def begin(order, answers):
    "Fork; the child becomes the program, the parent returns its process number"
    pid = os.fork()
    os.setpgid(pid, pid or os.getpid())  # by both, so that neither finds the old group: a kernel's is signalled whole
    if pid:
        ENDED.pop(pid, None)  # a number may come again
        return pid
    os.close(answers.fileno())  # so that a parent that died is not waited for
    status = 1
    try:
        become(order)
        status = 0
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else int(e.code is not None)
        if isinstance(e.code, str): print(e.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        end(status)


def become(order):
    "Take on folder, variables, streams and arguments of the program, and run it: ('-c', code, …) or (module, …)"
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, name in ((0, os.devnull), (1, order['out']), (2, order['err'])):
        opened = os.open(name, os.O_RDONLY if stream == 0 else os.O_WRONLY | os.O_APPEND)
        os.dup2(opened, stream)
        os.close(opened)
    os.environ.clear()
    os.environ.update(order['env'])
    os.chdir(order['cwd'])
    sys.path[1:1] = filter(None, order['env'].get('PYTHONPATH', '').split(os.pathsep))
    kind, *rest = order['args']
    code = rest.pop(0) if kind == '-c' else ''
    sys.argv = [kind, *rest]
    main = type(sys)('__main__')
    main.__builtins__ = __builtins__
    sys.modules['__main__'] = main
    if code: exec(compile(code, '<string>', 'exec'), vars(main))
    else: runpy.run_module(kind, run_name='__main__', alter_sys=True)


def end(status):
    "What Python does at its own end, and no more: nothing of the parent's is left to do"
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


# ---- in the tests ----

class Parent:
    "The process that is forked; started when it is first needed"
    process = None
    lock = threading.Lock()

    def ask(self, **order):
        with self.lock:
            if self.process is None: self.start()
            self.process.stdin.write(json.dumps(order) + '\n')
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        if not answer: raise RuntimeError('the process that begins programs has died')
        return json.loads(answer)

    def start(self):
        program = f'import sys; sys.path.append({str(Path(__file__).parent)!r}); import warm; warm.serve()'
        self.process = subprocess.Popen([sys.executable, '-c', program], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class DistantParent:
    "The parent of another process of the tests, which listens at an `address`"

    def __init__(self, address): self.address = address

    def ask(self, **order):
        with Client(self.address) as connection:
            connection.send_bytes(json.dumps(order).encode())
            return json.loads(connection.recv_bytes())


PARENT = Parent()


@cache
def listen():
    "Let other processes ask this one's parent. Returns the address"
    listener = Listener(family='AF_UNIX')

    def answer():
        while True:
            try:
                with listener.accept() as connection:
                    order = json.loads(connection.recv_bytes())
                    connection.send_bytes(json.dumps(PARENT.ask(**order)).encode())
            except (OSError, EOFError): pass  # who asked is gone
    threading.Thread(target=answer, daemon=True).start()
    return listener.address


def server_config():
    "Text of a jupyter_server_config.py, whose server has its kernels forked by this process's parent"
    here = str(Path(__file__).parent)
    return f"""import sys
sys.path.append({here!r})
import warm
warm.PARENT = warm.DistantParent({listen()!r})
warm.kernels()
"""


class Program:
    "A forked program; looks like `subprocess.Popen`"
    stdin = stdout = stderr = None
    returncode = None

    def __init__(self, *args, env=None, cwd=None, out=os.devnull, err=os.devnull):
        env = dict(os.environ if env is None else env)
        self.args = args
        self.pid = PARENT.ask(args=list(map(str, args)), env=env, cwd=str(cwd or os.getcwd()), out=str(out),
                              err=str(err))

    def poll(self):
        if self.returncode is None: self.returncode = PARENT.ask(pid=self.pid)
        return self.returncode

    def wait(self, timeout=None):
        end = time.monotonic() + (timeout or float('inf'))
        pause = .001
        while self.poll() is None:
            if time.monotonic() > end: raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(pause)
            pause = min(.05, 2 * pause)
        return self.returncode

    def send_signal(self, number):
        if self.poll() is None: os.kill(self.pid, number)

    def terminate(self): self.send_signal(signal.SIGTERM)

    def kill(self): self.send_signal(signal.SIGKILL)


def python(*args, check=False, timeout=None, **options):
    "Run a program to its end; as `subprocess.run([sys.executable, *args], capture_output=True, text=True)`"
    with tempfile.TemporaryDirectory() as d:
        out, err = Path(d)/'out', Path(d)/'err'
        out.touch()
        err.touch()
        program = Program(*args, out=out, err=err, **options)
        try: program.wait(timeout)
        except BaseException:
            program.kill()
            raise
        done = subprocess.CompletedProcess(args, program.returncode, out.read_text(), err.read_text())
    if check: done.check_returncode()
    return done


class WarmProvisioner(LocalProvisioner):
    "Starts a kernel as a fork"

    async def launch_kernel(self, cmd, **options):
        module = cmd.index('-m') + 1
        self.process = Program(*cmd[module:], env=options['env'], cwd=options.get('cwd'))
        self.pid = self.pgid = self.process.pid
        self.cwd = options.get('cwd', Path.cwd())
        return self.connection_info


def kernels():
    "From now on the kernels that this process starts are forks"
    factory = KernelProvisionerFactory.instance()
    factory.provisioners['warm'] = EntryPoint('warm', 'warm:WarmProvisioner', factory.GROUP_NAME)
    factory.default_provisioner_name = 'warm'
