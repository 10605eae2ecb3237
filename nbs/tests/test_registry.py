"The registry: what each kind expects, who may have a name, what one bad entry does to the rest"
import inspect
import os
import sys
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import pytest
import warm

from ddnb.app.cli import main
from ddnb.core.basics import InputError
from ddnb.core.config import KINDS, Input, find_class, known, register, registered
from ddnb.core.run import Event, Method
from ddnb.data.views import Schedule
from ddnb.methods.cda import CDA
from ddnb.methods.difficulty import Score
from ddnb.methods.matching import Base
from ddnb.methods.select import Rule
from ddnb.train.evaluate import Protocol
from ddnb.train.train import Recipe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def registry():
    "What a test registers is forgotten after it"
    before = {kind: dict(registered(kind)) for kind in KINDS}
    yield
    for kind, things in before.items():
        registered(kind).clear()
        registered(kind).update(things)


@pytest.fixture
def importable(tmp_path, monkeypatch):
    "A folder that modules are imported from; they are forgotten after the test"
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], '__file__', '')): del sys.modules[name]


@dataclass(frozen=True)
class Good(Method):
    "Does nothing in one step"
    steps: int = 1      # steps

    def stream(self, real, state):
        yield Event(1, 1)


@dataclass(frozen=True)
class NoGenerator(Method):
    def stream(self, real, state): return [Event(1, 1)]

@dataclass(frozen=True)
class NoState(Method):
    def stream(self, real): yield Event(1, 1)

@dataclass(frozen=True)
class StarInputs(Method):
    def stream(self, *inputs, state): yield Event(1, 1)

@dataclass(frozen=True)
class NoDefault(Good):
    width: int = field(kw_only=True)

class NoDataclass(Good):
    width: int = 3

@dataclass(frozen=True)
class WrongDefault(Good):
    steps: int = 'many'

@dataclass(frozen=True)
class NoJson(Good):
    colours: frozenset = frozenset({'red'})

class Stranger: pass

def most(logits, labels): return logits.amax(1)

def a_function(root): pass


# ---- what a kind expects ---------------------------------------------------------------------------------------

@pytest.mark.parametrize('kind, thing, message', [
    ('method', Stranger, 'Stranger does not derive from Method'),
    ('method', a_function, 'a_function does not derive from Method'),
    ('base', Good, 'Good does not derive from Base'),
    ('method', NoGenerator, 'NoGenerator.stream is no generator'),
    ('method', NoState, 'NoState.stream takes no state'),
    ('method', StarInputs, 'takes its inputs in a way'),
    ('method', NoDefault, r"NoDefault has settings without a usual value: \['width'\]"),
    ('method', NoDataclass, 'NoDataclass is no dataclass'),
    ('method', WrongDefault, "steps='many' is not a whole number"),
    ('method', NoJson, 'NoJson.* can not be made, or not written'),
    ('data', a_function, 'a_function can not be called as ddnb does'),
    ('data', 5, 'int is no function'),
    ('export', a_function, 'can not be called as ddnb does'),
    ('schedule', 'cosine', 'is no function'),
    ('protocol', Recipe(), 'is none'),
    ('protocol', {}, 'is none'),
    ('protocol', dict(cifar10=Recipe()), 'is none'),
    ('score', 'the mean', 'is no Score'),
    ('score', Score('not measured', True), 'nothing measures the score'),
    ('selection', a_function, 'is no Rule'),
    ('input', a_function, 'is no Input'),
    ('input', Input('what', 'folder'), 'is no Input with'),
])
def test_what_does_not_fit_its_kind_is_refused(kind, thing, message):
    with pytest.raises(InputError, match=message) as e: register(kind, 'mine', thing)
    assert e.value.remedy
    assert 'mine' not in registered(kind)


@pytest.mark.parametrize('name', ['', ' ', '-x', '--steps', 'two words', 'a(b)', 'a/b', 5, None])
def test_a_name_is_what_a_shell_takes(name):
    with pytest.raises(InputError, match='can not be called'): register('method', name, Good)


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(InputError, match="under 'meal'"): register('meal', 'soup', Good)
    with pytest.raises(InputError, match="under 'meal'"): registered('meal')


def test_a_function_needs_its_kind():
    with pytest.raises(InputError, match='@known stands above a_function without its kind'): known(a_function)


def test_a_class_that_is_refused_is_not_made_again_from_folders():
    with pytest.raises(InputError): known('method')(NoState)
    with pytest.raises(InputError): find_class(f'{NoState.__module__}:NoState')


# ---- settings --------------------------------------------------------------------------------------------------

def test_a_misspelt_setting_is_told_its_neighbours():
    for make in (CDA, CDA.preset, Recipe, Schedule):
        first = ('digits',) if make == CDA.preset else ('cosine',) if make is Schedule else ()
        wrong = dict(stps=3) if make in (CDA, CDA.preset) else dict(epoch=3) if make is Recipe else dict(hii=1)
        with pytest.raises(InputError, match='did you mean'): make(*first, **wrong)
    with pytest.raises(InputError, match="no setting 'stps'"): replace(CDA(), stps=3)


def test_signatures_of_declared_classes_are_those_of_their_fields():
    for cls in (CDA, Recipe, *registered('base').values()):
        assert list(inspect.signature(cls).parameters) == [f.name for f in fields(cls)]
    assert CDA(5, steps=7) == CDA(ipc=5, steps=7)
    assert known(CDA) is CDA and inspect.unwrap(CDA.__init__) is CDA.__init__.__wrapped__


# ---- installed packages ----------------------------------------------------------------------------------------

EXTENSION = '''
from dataclasses import dataclass
from ddnb.core.config import known, registered
from ddnb.core.run import Event, Method
from ddnb.methods.select import SELECTIONS
assert 'random' in SELECTIONS and registered('method') is not None

@known('method')
@dataclass(frozen=True)
class Foreign(Method):
    def stream(self, state): yield Event(1, 1)
'''


@pytest.mark.parametrize('ask', ["registered('method')['foreign']", "find_class('an_extension:Foreign')",
                                 "registered('selection') and registered('method')['foreign']"])
def test_installed_packages_are_known_where_the_registry_is_read(tmp_path, ask):
    install(tmp_path, 'an_extension', EXTENSION)
    code = f'from ddnb.core.config import find_class, registered\nprint({ask}.__name__)'
    if 'selection' in ask: code = 'import ddnb.methods.select\n' + code  # it reads its list when it is imported
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    environment = dict(os.environ, PYTHONPATH=path)
    done = warm.python('-c', code, env=environment)
    assert (done.stdout, done.stderr) == ('Foreign\n', '')


# ---- names -----------------------------------------------------------------------------------------------------

def test_a_name_belongs_to_one_thing():
    assert known('method', 'mine')(Good) is Good
    assert known('method', 'mine')(Good) is Good  # a cell that is run again
    again = dataclass(frozen=True)(type('Good', (Good,), dict(__module__=Good.__module__, __qualname__='Good')))
    assert known('method', 'mine')(again) is again
    other = dataclass(frozen=True)(type('Other', (Good,), {}))
    with pytest.raises(InputError, match="another method called 'mine'"): register('method', 'mine', other)


@pytest.mark.parametrize('kind, name, thing', [
    ('score', 'aum', Score('mine', True, measure=most)), ('selection', 'random', Rule(lambda *a: None)),
    ('protocol', 'hard', Protocol('hard', Recipe())), ('protocol', 'kd', dict(cifar10=Protocol('kd', Recipe()))),
    ('schedule', 'cosine', lambda: None), ('input', 'teacher', Input('mine', print)),
])
def test_what_has_no_name_of_its_own_hides_nothing_of_others(kind, name, thing):
    before = registered(kind)[name]
    with pytest.raises(InputError, match='there is another'): register(kind, name, thing)
    assert register(kind, name, before) is before


def test_what_has_no_name_of_its_own_is_replaced_by_the_module_that_registered_it():
    register('score', 'mine', Score('first', True, measure=most))
    assert register('score', 'mine', Score('second', True, measure=most)).help == 'second'
    register('schedule', 'mine', lambda: 1)
    register('schedule', 'mine', lambda: 2)
    foreign = "from ddnb.core.config import register\nregister('schedule', 'mine', lambda: 3)"
    with pytest.raises(InputError, match='there is another'): exec(foreign, dict(__name__='foreign'))


def test_a_method_and_a_base_share_no_name():
    with pytest.raises(InputError, match="there is a base called 'dm'"): register('method', 'dm', Good)
    mine = dataclass(frozen=True)(type('Mine', (Base,), {}))
    with pytest.raises(InputError, match="there is a method called 'cda'"): register('base', 'cda', mine)


# ---- one bad entry, and the rest -------------------------------------------------------------------------------

@dataclass(frozen=True)
class TwoOfOne(Good):
    "Two settings of one option"
    flip: bool = True
    no_flip: int = 3


def ends(*argv):
    with pytest.raises(SystemExit) as e: main(list(argv))
    return e.value.code


def test_a_method_that_can_not_be_offered_is_named_and_the_rest_works(capsys):
    known('method')(TwoOfOne)
    for command in (['--version'], ['--help'], ['run', '--help'], ['run', 'cda', '--help'], ['evaluate', '--help']):
        assert ends(*command) == 0
        out, err = capsys.readouterr()
        assert 'the method twoofone' in err and 'no-flip' in err and 'twoofone' not in out


def install(folder, name, source):
    "A package with one entry point, as pip would leave it"
    (folder/f'{name}.py').write_text(source)
    about = folder/f'{name}-1.0.dist-info'
    about.mkdir()
    (about/'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')
    (about/'entry_points.txt').write_text(f'[ddnb]\n{name} = {name}\n')


@pytest.mark.parametrize('source', ['import sys; sys.exit(3)', 'raise GeneratorExit', 'def f(:', 'import nothing_such',
                                    "from ddnb.core.config import register; register('method', 'x', int)"])
def test_an_extension_can_not_take_the_shell_down(importable, capsys, source):
    install(importable, 'broken_one', source)
    assert ends('run', '--help') == 0
    out, err = capsys.readouterr()
    assert 'cda' in out and 'the extension broken_one = broken_one can not be loaded' in err


def test_help_may_hold_percent_signs(capsys):
    register('input', 'odd', Input('100 % of it', print))
    cls = dataclass(frozen=True)(type('Odd', (Method,), dict(stream=odd_stream, __doc__='90 % of %(all)s')))
    register('method', 'odd', cls)
    assert ends('run', 'odd', '--help') == 0 and ends('run', '--help') == 0
    assert '100 % of it' in capsys.readouterr().out


def odd_stream(self, odd, state): yield Event(1, 1)
