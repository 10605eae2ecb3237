"What the sources say about themselves: cells, the README, entries of public names, and what lacks a word"
import json

from reference import COMMON, directives, entries, read_cells, readme_text, relink, undocumented

SOURCE = '''
@dataclass(frozen=True)
class Bread:
    "A loaf"
    grams: int = 500   # of flour
    seeds: list = field(default_factory=list)
    def bake(self, minutes):
        "Bake it"
    @property
    def weight(self):
        "In grams"
    @staticmethod
    def read(path):
        "From a file"
@patch
def cut(self: Bread, n: int = 8) -> list: # slices
    "Cut it"
    return []
def mix(a, b, *more,     # two doughs, and others
        slowly=True):
    "Mix `a` and `b`"
def _secret(x):
    "Read it"
Bread.open = staticmethod(_secret)
'''


def notebook(path, *cells):
    "Write a notebook of (type, text, outputs) cells"
    rows = [dict(cell_type=kind, source=text, outputs=outputs) for kind, text, outputs in cells]
    path.write_text(json.dumps(dict(cells=rows)))
    return path


def printed(text): return dict(output_type='stream', text=[text])


def displayed(kind, text): return dict(output_type='display_data', data={kind: [text]})


def test_directives_are_taken_off_the_top():
    assert directives('#| code-fold: true\n#|hide\nx = 1') == ({'code-fold': 'true', 'hide': ''}, 'x = 1')
    assert directives('x = 1\n#| hide') == ({}, 'x = 1\n#| hide')


def test_cells_have_type_directives_source_and_outputs(tmp_path):
    path = notebook(tmp_path/'x.ipynb', ('markdown', '#| no directive', []), ('code', '#| hide\nx', [printed('1')]))
    assert read_cells(path) == [('markdown', {}, '#| no directive', []), ('code', {'hide': ''}, 'x', [printed('1')])]


def test_the_readme_is_the_notebook_without_what_is_hidden(tmp_path):
    path = notebook(
        tmp_path/'x.ipynb',
        ('markdown', '# Title', []),
        ('code', '#| hide\nsecret', []),
        ('code', '#| echo: false\nunseen', [displayed('text/markdown', '| a table |')]),
        ('code', 'picture', [displayed('image/png', 'AAAA'), displayed('text/html', '<table></table>')]),
        ('code', 'print(1)', [printed('1\n')]))
    text = readme_text(path)
    assert text.startswith('# Title\n\n<!-- made from')
    assert 'secret' not in text and 'unseen' not in text and '| a table |' in text
    assert 'AAAA' not in text and '<table></table>' in text
    assert text.endswith('```python\nprint(1)\n```\n\n```\n1\n```\n')


def test_links_of_the_readme_start_from_its_own_folder(tmp_path):
    (tmp_path/'nbs/guide').mkdir(parents=True)
    (tmp_path/'nbs/guide/tour.ipynb').touch()
    (tmp_path/'data').mkdir()
    text = '[tour](guide/tour.ipynb#top) [data](../data) [gone](guide/gone.ipynb) [out](https://example.org/x)'
    expected = '[tour](nbs/guide/tour.ipynb#top) [data](data) [gone](guide/gone.ipynb) [out](https://example.org/x)'
    assert relink(text, tmp_path/'nbs', tmp_path) == expected


def test_entries_of_functions_classes_and_added_methods():
    bread, cut, mix, opened = entries(SOURCE)
    assert (bread.name, bread.kind) == ('Bread', 'class')
    assert bread.signature == '(grams: int = 500, seeds: list = …)'
    assert bread.params == [(['grams'], 'of flour'), (['seeds'], '')]
    assert [(m.name, m.kind, m.signature) for m in bread.members] == [
        ('Bread.bake', 'method', '(minutes)'), ('Bread.weight', 'property', '()'), ('Bread.read', 'method', '(path)')]
    assert (cut.name, cut.signature, cut.params) == ('Bread.cut', '(n: int=8) -> list', [(['n'], 'slices')])
    assert (mix.kind, mix.doc) == ('function', 'Mix `a` and `b`')
    assert mix.params[0] == (['a', 'b', 'more'], 'two doughs, and others')
    assert (opened.name, opened.kind, opened.signature) == ('Bread.open', 'method', '(x)')


def test_a_name_or_parameter_without_a_word_is_found():
    assert undocumented('def f(word): return word') == ['f', 'f(word)']
    assert undocumented('class A:\n    def b(self): ...') == ['A', 'A.b']
    assert undocumented('def f(x, seed, y): "Takes `x`"') == ['f(y)']


def test_a_comment_the_docstring_or_a_common_word_is_enough():
    assert undocumented('def f(word): # a text\n    "Twice it"') == []
    assert undocumented('def f(word):\n    "Twice `word`"') == []
    assert 'seed' in COMMON and undocumented('def f(seed):\n    "Chance"') == []


def test_private_names_need_no_word():
    assert undocumented('def _f(word): return word\nclass _A: pass') == []
