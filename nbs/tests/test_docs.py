"What is shown to readers: names that say what they are and that exist, notebooks of a bearable size, prose before code"
import builtins
import importlib
import inspect
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from reference import read_cells, undocumented

import ddnb.all
from ddnb.app.cli import main
from ddnb.core.config import from_config, known, register, registered, to_config
from ddnb.core.run import Method

ROOT = Path(__file__).parent.parent.parent
NBS = ROOT/'nbs'


def visible(path):
    "Is this no copy that Jupyter keeps, and no file of Python's own?"
    return not {'.ipynb_checkpoints', '__pycache__'} & set(path.parts) and path.stem[0] != '_'


def module_name(path):
    "'ddnb.methods.cda' for ddnb/methods/cda.py"
    return '.'.join(path.relative_to(ROOT).with_suffix('').parts)


def page_name(path):
    "'methods/10_cda' for nbs/methods/10_cda.ipynb"
    return path.relative_to(NBS).with_suffix('').as_posix()


MODULES = sorted(filter(visible, (ROOT/'ddnb').rglob('*.py')))
NOTEBOOKS = sorted(filter(visible, NBS.rglob('*.ipynb')))
FOR_READERS = [p for p in NOTEBOOKS if page_name(p).split('/')[0] in ('guide', 'results', 'index')]


# ---- the sources -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize('path', MODULES, ids=module_name)
def test_public_names_say_what_they_are(path):
    lacking = undocumented(path.read_text(encoding='utf-8'))
    assert not lacking, f'no docstring, or no word about a parameter: {", ".join(lacking)}'


def test_the_check_sees_what_lacks():
    assert undocumented('def f(word): return word') == ['f', 'f(word)']
    assert undocumented('def f(word): # a text\n    "Twice it"') == []
    assert undocumented('def f(word):\n    "Twice `word`"') == []


# ---- pages -----------------------------------------------------------------------------------------------------

def prose(path):
    "The text of a page's Markdown cells, without what is fenced as code"
    text = '\n\n'.join(source for kind, _, source, _ in read_cells(path) if kind == 'markdown')
    return re.sub(r'^```.*?^```', '', text, flags=re.M | re.S)


@pytest.mark.parametrize('path', NOTEBOOKS, ids=page_name)
def test_notebooks_are_books(path):
    "One title and a line below it, at most 600 kB, prose before the first visible code, no error kept in an output"
    cells = read_cells(path)
    kind, _, first, _ = cells[0]
    assert path.stat().st_size <= 600_000, f'{path.stat().st_size / 1000:.0f} kB'
    assert kind == 'markdown'
    assert first.startswith('# '), 'it begins with no title'
    if path.stem != 'index': assert re.match(r'# .+\n\n> .+', first), 'no line below the title says what it is'
    assert len(re.findall(r'^# ', prose(path), re.M)) == 1, 'a page has one title'
    assert not [o for *_, outputs in cells for o in outputs if o['output_type'] == 'error']


def shown_text(path):
    "Prose of a page and what its cells gave as Markdown"
    parts = []
    for kind, _, source, outputs in read_cells(path):
        if kind == 'markdown': parts.append(source)
        for output in outputs: parts += output.get('data', {}).get('text/markdown', [])
    return '\n'.join(parts)


def linked_pages(path):
    "The notebooks that a page links to, as its reader finds them; those of the index stand in README.md too"
    folders = [path.parent, ROOT] if path.stem == 'index' else [path.parent]
    pages = set()
    for link in re.findall(r'\]\(([\w./-]+\.ipynb)[#)]', shown_text(path)):
        targets = [folder/link for folder in folders if (folder/link).exists()]
        assert targets, f'{page_name(path)} links to {link}, which is not there'
        pages.add(targets[0].resolve())
    return pages


def test_readers_find_their_way():
    "Every notebook can be reached from the index or from a page that can, and no link leads nowhere"
    links = {p: linked_pages(p) for p in NOTEBOOKS}
    reached = set()
    todo = [NBS/'index.ipynb', NBS/'guide/tour.ipynb']
    while todo:
        page = todo.pop()
        if page in reached: continue
        reached.add(page)
        todo += links[page]
    assert not [page_name(p) for p in NOTEBOOKS if p not in reached], 'nothing leads there'


@pytest.mark.parametrize('path', [*NOTEBOOKS, ROOT/'README.md'], ids=lambda p: p.stem)
def test_no_page_mentions_a_machine(path):
    folders = re.findall(r'/(?:root|home|tmp|work)/[\w./-]+', path.read_text(encoding='utf-8'))
    assert not [f for f in folders if not f.startswith('/tmp/tmp')]


@pytest.mark.parametrize('path', FOR_READERS, ids=page_name)
def test_what_is_shown_is_run(path):
    "No cell of a page for readers is left out when the tests run it"
    for kind, directives, source, _ in read_cells(path):
        left_out = directives.get('eval', '').lower() == 'false' or directives.keys() & {'notest', 'slow'}
        assert kind != 'code' or not left_out, source[:60]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=page_name)
def test_pages_do_not_ask_whether_they_are_tested(path):
    "Smaller budgets stand in budgets.py; a page is what a reader runs"
    assert 'IN_TEST' not in path.read_text(encoding='utf-8')


# ---- names in prose --------------------------------------------------------------------------------------------

@cache
def names():
    "Every name of every module of the library, and those of `ddnb.all` above them"
    own = {}
    for path in MODULES:
        module = importlib.import_module(module_name(path))
        own |= {k: v for k, v in vars(module).items() if getattr(v, '__module__', module.__name__) == module.__name__}
    return own | {name: getattr(ddnb.all, name) for name in ddnb.all.__all__}


@cache
def words_of_the_code():
    "Every word that stands in the library, in code cells, in tests or in what builds the site"
    files = [*MODULES, *filter(visible, (NBS/'tests').glob('*.py')), *(NBS/'site').glob('*.py'), NBS/'conftest.py']
    texts = [p.read_text(encoding='utf-8') for p in files if p.name != Path(__file__).name]
    for path in NOTEBOOKS: texts += [source for kind, _, source, _ in read_cells(path) if kind == 'code']
    words = set(re.findall(r'[A-Za-z_]\w*', '\n'.join(texts)))
    return words | {p.stem for p in [*files, *NOTEBOOKS]} | set(dir(builtins))


ELSEWHERE = {  # names of other programs
    'PartialState', 'split_between_processes', 'num_processes',  # Accelerate
    'Output',                                                    # a widget
}


def gone_names(text):
    """Names in backticks that exist no more.

    That is `Class.name` where the class has no such name, and a word with an underscore or a capital inside that
    stands nowhere in the code.
    """
    gone = []
    for code in re.findall(r'(?<!`)`([^`\n]+)`(?!`)', text):
        for owner, name in re.findall(r'(?<![\w./])([A-Z]\w+)\.([a-z_]\w*)', code):
            cls = names().get(owner)
            if not isinstance(cls, type): continue
            fields = getattr(cls, '__dataclass_fields__', {})
            if not hasattr(cls, name) and name not in fields and name not in words_of_instances(cls):
                gone.append(f'{owner}.{name}')
        words = re.findall(r'\w*[a-z]_[a-z]\w*|\w*[a-z][A-Z]\w*|[A-Z][a-z]+\w*', code)
        gone += [w for w in words if w not in words_of_the_code() | ELSEWHERE]
    return gone


def words_of_instances(cls):
    "What the methods of a class put into `self`"
    try: return set(re.findall(r'self\.(\w+)', inspect.getsource(cls)))
    except OSError: return set()


@pytest.mark.parametrize('path', NOTEBOOKS, ids=page_name)
def test_prose_names_what_exists(path):
    lines = prose(path).splitlines()
    if path.stem == 'glossary':  # its tables have a column for the names of released programs, and tests of their own
        lines = [line for line in lines if line.count('|') != 5]
    assert not gone_names('\n'.join(lines))


def test_readme_names_what_exists(): assert not gone_names((ROOT/'README.md').read_text(encoding='utf-8'))


@pytest.mark.parametrize('text', ['`Protocol.but`', 'a `FlatNetwork`', '`train_the_stack(…)`', '`CDA.alpha`'])
def test_a_name_that_is_gone_is_seen(text): assert gone_names(text)


def test_names_that_exist_pass():
    assert not gone_names('`CDA.ipc`, `Run.folder`, `make_net`, `DistilledSet.save(folder)`, `Teacher`')


# ---- the glossary ----------------------------------------------------------------------------------------------

def exists(code, known_names):
    "Is this a setting of a class, or an expression that can be evaluated?"
    owner, _, field = code.partition('.')
    settings = getattr(known_names.get(owner), '__dataclass_fields__', {})
    if re.fullmatch(r'\w+\.\w+', code) and field in settings: return True
    try: eval(code, dict(known_names))
    except Exception: return False
    return True


@cache
def here_column():
    "(line, the code in its third column) of the glossary's tables paper → here"
    lines = prose(NBS/'guide/glossary.ipynb').splitlines()
    rows = [line for line in lines if line.count('|') == 5 and '---' not in line and '| here |' not in line]
    return [(row, re.findall(r'`([^`]+)`', row.split('|')[3])) for row in rows]


def test_the_glossary_names_what_exists():
    rows = here_column()
    assert len(rows) > 100
    assert not [row for row, codes in rows if not codes and row.split('|')[3].strip() != '–'], 'neither name nor dash'
    assert not [code for _, codes in rows for code in codes if not exists(code, names())]


@pytest.mark.parametrize('code', ['CDA.alpha', 'CDA(alpha=1)', 'nothing', "protocol('mine')"])
def test_the_glossary_check_sees_what_is_not_there(code):
    assert not exists(code, names())
    assert exists('CDA.ipc', names())


def settings_left_out(classes):
    "'Class.setting' of these dataclasses for each setting that no table of the glossary names"
    mentioned = {code for _, codes in here_column() for code in codes}
    left_out = []
    for cls in classes:
        parents = [parent.__name__ for parent in cls.__mro__]
        for name in cls.__dataclass_fields__:
            if not mentioned & {f'{parent}.{name}' for parent in parents}: left_out.append(f'{cls.__name__}.{name}')
    return left_out


def methods():
    "What is listed as a method or a base, without what tests and readers define"
    classes = (registered('method') | registered('base')).values()
    return [cls for cls in classes if cls.__module__.startswith('ddnb.')]


def test_the_glossary_leaves_no_setting_out():
    assert {'CDA', 'PDD', 'CCFS', 'MTT', 'DM'} <= {cls.__name__ for cls in methods()}
    assert not settings_left_out([*methods(), ddnb.all.Recipe])


# ---- a new method ----------------------------------------------------------------------------------------------

@known
@dataclass(frozen=True)
class Novelty(Method):
    "What nobody has thought of"
    strangeness: float = .5  # how far from everything else
    seed: int = 0            # of everything

    def stream(self, real, state): yield from ()


@pytest.fixture
def novelty():
    "A method that is registered and nothing else, for the length of a test"
    yield register('method', 'novelty', Novelty)
    del registered('method')['novelty']


def test_the_glossary_asks_for_the_settings_of_a_new_method(novelty):
    assert settings_left_out(registered('method').values()) == ['Novelty.strangeness', 'Novelty.seed']


def test_a_new_method_is_in_the_shell(novelty, capsys):
    with pytest.raises(SystemExit) as end: main(['run', 'novelty', '--help'])
    page = capsys.readouterr().out
    assert end.value.code == 0
    assert '--strangeness' in page
    assert 'how far from everything else' in page


def test_a_new_method_is_in_the_studio(novelty, tmp_path):
    from ddnb.view.studio import Studio
    studio = Studio(tmp_path)
    assert 'novelty' in [name.lower() for name in studio.desk.snapshot()['method']['choices']]
    studio.close()


def test_a_new_method_tells_its_settings(novelty):
    assert 'strangeness: how far from everything else' in novelty.__doc__


def test_a_new_method_can_be_made_again_from_a_folder(novelty):
    assert from_config(to_config(novelty(strangeness=.25))) == novelty(strangeness=.25)


# ---- the front page --------------------------------------------------------------------------------------------

@pytest.mark.parametrize('file', sorted((ROOT/'data/results').glob('*.json')), ids=lambda p: p.stem)
def test_the_readme_shows_the_results_as_they_are(file):
    text = (ROOT/'README.md').read_text(encoding='utf-8')
    remedy = 'run the cell in index.ipynb again, then readme()'
    assert file.stem in text, remedy
    for row in json.loads(file.read_text())['rows']:
        assert row['protocol'] in text, remedy
        assert f'{100 * row["mean"]:.1f} ± {100 * row["std"]:.1f}' in text, remedy
