"""What the sources say about themselves: the README from its notebook, and what each public name is documented with.

Nothing is imported to find it out: signatures, docstrings and the comments beside parameters are read from the text.
"""
import ast
import io
import json
import os
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

from ddnb.core.basics import write_text

# ---- cells of a notebook ---------------------------------------------------------------------------------------

DIRECTIVE = re.compile(r'#\|\s*([\w-]+)\s*:?\s*(.*)')
HIDDEN = {'hide', 'default_exp', 'export', 'exporti'}  # directives of cells that the README leaves out


def directives(source: str) -> tuple[dict, str]:  # source of a code cell
    "The directives at the top of a cell, name → value, and the rest of its source"
    values = {}
    lines = source.splitlines()
    while lines:
        match = DIRECTIVE.fullmatch(lines[0].strip())
        if not match: break
        values[match[1]] = match[2].strip()
        lines.pop(0)
    return values, '\n'.join(lines).strip('\n')


def read_cells(notebook) -> list:  # path of an .ipynb file
    "(type, directives, source, outputs) of each cell"
    rows = []
    for cell in json.loads(Path(notebook).read_text(encoding='utf-8'))['cells']:
        source = ''.join(cell['source'])
        values = {}
        if cell['cell_type'] == 'code':
            values, source = directives(source)
        rows.append((cell['cell_type'], values, source, cell.get('outputs', [])))
    return rows


# ---- the README ------------------------------------------------------------------------------------------------

LINK = re.compile(r'(?<=\]\()([^)#\s]+)(#[^)\s]*)?(?=\))')  # where a Markdown link leads: path, and place in it


def relink(text: str,    # Markdown
           old: Path,    # folder that its links start from
           new: Path) -> str:
    "The same text for a file in the folder `new`: links to files keep their targets"
    def moved(match):
        target = old/match[1]
        if '://' in match[1] or not target.exists(): return match[0]
        return Path(os.path.relpath(target, new)).as_posix() + (match[2] or '')
    return LINK.sub(moved, text)


def output_text(output: dict) -> str:  # one output of a cell
    "Printed text, Markdown or an HTML table of an output as Markdown; '' for anything else"
    if output['output_type'] == 'stream':
        return '```\n' + ''.join(output['text']).rstrip() + '\n```'
    data = output.get('data', {})
    if 'text/markdown' in data: return ''.join(data['text/markdown'])
    html = ''.join(data.get('text/html', '')).strip()
    return html if html.startswith('<table') else ''


def readme_text(notebook) -> str:  # path of an .ipynb file
    "The notebook as Markdown for the folder above: prose as it is, code as code, printed output and tables below it"
    notebook = Path(notebook).resolve()
    parts = []
    for kind, values, source, outputs in read_cells(notebook):
        if kind == 'markdown':
            parts.append(source)
        elif source.strip() and not values.keys() & HIDDEN:
            if values.get('echo') != 'false':
                parts.append(f'```python\n{source}\n```')
            parts += [text for text in map(output_text, outputs) if text]
    parts.insert(1, f'<!-- made from {notebook.parent.name}/{notebook.name}: edit that -->')
    return relink('\n\n'.join(parts) + '\n', notebook.parent, notebook.parent.parent)


def readme(root='.'):  # the project's folder
    "Write README.md of the project in `root` from `nbs/index.ipynb`"
    write_text(Path(root)/'README.md', readme_text(Path(root)/'nbs/index.ipynb'))


# ---- public names ----------------------------------------------------------------------------------------------

@dataclass
class Entry:
    "What the source says about a public name"
    name: str       # 'load', or 'DistilledSet.save' for a method
    kind: str       # 'function', 'class', 'method' or 'property'
    signature: str  # '(name_or_folder, root=None) -> RealData'
    doc: str        # its docstring, or ''
    params: list    # (names, comment) pairs in the order of the signature; comment '' where there is none
    line: int       # where it begins in its module, from 1
    members: list   # entries of a class's own public methods


def line_comments(source: str) -> dict:  # Python source
    "Line → the comment on it"
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip('#').strip() for t in tokens if t.type == tokenize.COMMENT}


def grouped(params: list, comments: dict) -> list:  # (name, line) pairs; line → comment
    "(names, comment) pairs: `params` that share a line share the comment on it"
    names = {}
    for name, line in params:
        names.setdefault(line, []).append(name)
    return [(group, comments.get(line, '')) for line, group in names.items()]


def arguments(f: ast.FunctionDef, skip: int) -> tuple[str, list]:  # a function; how many first parameters are left out
    "The signature without self, and (name, line) of the parameters in it"
    a = f.args
    params = [*a.posonlyargs, *a.args][skip:]
    if a.vararg: params.append(a.vararg)
    params += a.kwonlyargs
    if a.kwarg: params.append(a.kwarg)
    copy = ast.parse(ast.unparse(f)).body[0].args
    if skip: del (copy.posonlyargs or copy.args)[0]
    returns = f' -> {ast.unparse(f.returns)}' if f.returns else ''
    return f'({ast.unparse(copy)}){returns}', [(p.arg, p.lineno) for p in params]


def is_public(node) -> bool:  # a node of a syntax tree
    "A function or class without an underscore?"
    return isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith('_')


def decorated(node, word: str) -> bool:  # a function or class; part of the decorator's text
    "Does a decorator of `node` contain `word`?"
    return any(word in ast.unparse(d) for d in node.decorator_list)


def function_entry(f: ast.FunctionDef, comments: dict, owner: str = '', skip: int = 0) -> Entry:
    "The entry of `f`, a function, or a method of the class `owner`; its first `skip` parameters are left out"
    signature, params = arguments(f, skip)
    kind = 'function'
    if owner: kind = 'method'
    if decorated(f, 'property'): kind = 'property'
    name = f'{owner}.{f.name}' if owner else f.name
    return Entry(name, kind, signature, ast.get_docstring(f) or '', grouped(params, comments), f.lineno, [])


def field_text(field: ast.AnnAssign) -> str:  # a line of a dataclass's body
    "'steps: int = 4000' as in a signature; a default that is computed is shown as …"
    text = f'{ast.unparse(field.target)}: {ast.unparse(field.annotation)}'
    if not field.value: return text
    default = ast.unparse(field.value)
    return f'{text} = …' if default.startswith('field(') else f'{text} = {default}'


def class_entry(c: ast.ClassDef, comments: dict) -> Entry:
    "The entry of the class `c`: described by its fields if it is a dataclass, by `__init__` otherwise"
    functions = [f for f in c.body if isinstance(f, ast.FunctionDef)]
    fields = [f for f in c.body if isinstance(f, ast.AnnAssign)] if decorated(c, 'dataclass') else []
    init = next((f for f in functions if f.name == '__init__'), None)
    if fields:
        signature = f'({", ".join(map(field_text, fields))})'
        params = [(f.target.id, f.lineno) for f in fields]
    elif init:
        signature, params = arguments(init, 1)
    else:
        signature, params = '', []
    members = []
    for f in filter(is_public, functions):
        if decorated(f, '.setter'): continue  # its property is there already
        members.append(function_entry(f, comments, c.name, skip=0 if decorated(f, 'staticmethod') else 1))
    return Entry(c.name, 'class', signature, ast.get_docstring(c) or '', grouped(params, comments), c.lineno, members)


def added_method(node, functions: dict, comments: dict) -> Entry | None:  # a statement; name → function of the module
    "The entry of `Class.name = staticmethod(function)`, or None where the statement is another one"
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Attribute): return None
    match = re.fullmatch(r'staticmethod\((\w+)\)', ast.unparse(node.value))
    if not match: return None
    target = node.targets[0]
    entry = function_entry(functions[match[1]], comments, ast.unparse(target.value))
    entry.name = f'{ast.unparse(target.value)}.{target.attr}'
    return entry


def entries(source: str,          # Python source, of a module or of a cell
            path: str = '') -> list:
    "An `Entry` for each public function, class and added method of a source, in its order; `path` is for errors"
    tree = ast.parse(source, path or '<source>')
    comments = line_comments(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    result = []
    for node in tree.body:
        added = added_method(node, functions, comments)
        if added:
            result.append(added)
        elif is_public(node) and isinstance(node, ast.ClassDef):
            result.append(class_entry(node, comments))
        elif is_public(node) and decorated(node, 'patch'):
            owner = ast.unparse(node.args.args[0].annotation)
            result.append(function_entry(node, comments, owner, skip=1))
        elif is_public(node):
            result.append(function_entry(node, comments))
    return result


def all_entries(source: str, path: str = '') -> list:  # as for `entries`
    "`entries` of a `source` (in the file `path`), each class followed by its methods"
    return [x for entry in entries(source, path) for x in (entry, *entry.members)]


# ---- what lacks a word -----------------------------------------------------------------------------------------

COMMON = {  # parameters that mean the same in the whole library, and what the reference says of them
    'base': 'a base method: MTT, IDC, DC, DSA or DM',
    'channels': 'channels of an image',
    'classes': 'class names in the order of the labels, or how many there are',
    'colour': 'a colour of the figures',
    'device': "'auto', 'cpu', 'cuda', … (see `pick_device`)",
    'difficulty': 'a `Difficulty`, or None',
    'earlier': 'the set that an earlier run made, or None',
    'epoch': 'counted from 0',
    'error': 'what was raised',
    'experts': '`Experts` to use, or None to train new ones',
    'folder': 'path of a folder',
    'forgetting': 'a `Difficulty` of forgetting counts, or None',
    'generator': 'a torch.Generator: where the random numbers come from',
    'hi': 'upper bound of the crop, share of the area',
    'i': 'number of the stage, from 0',
    'images': '(N, C, S, S), bytes or floats in [0, 1]',
    'j': 'how many stages',
    'labels': '(N,) class numbers',
    'lo': 'lower bound of the crop, share of the area',
    'mean': 'mean of each channel over the training images',
    'method': 'a method, a frozen dataclass',
    'milestone': 'share of the run after which the lower bound stays at `lo`',
    'mixed': 'a set that CCFS made',
    'model': 'a `FunctionalNet`: a network as a function of one vector',
    'net': 'a network, or its name for `make_net`',
    'nets': 'names of networks for `make_net`',
    'panel': 'the panel it belongs to',
    'path': 'path of a file',
    'pieces': 'finished parts of a run, name → tensor',
    'precision': "'float32' or 'bf16'",
    'progress': 'show a progress bar',
    'protocol': 'a `Protocol`, or its name',
    'real': 'the real data, what `load` gives',
    'recipe': 'a `Recipe`: how a network is trained',
    'repeats': 'students a row, each with its own seed',
    'root': "folder that holds the data set's files",
    'rows': 'rows of `evaluate`',
    'run': 'a `Run`',
    's': 'number of the step, from 0',
    'schedule': 'a crop schedule: progress in [0, 1] → (lower, upper)',
    'seed': 'whole number; equal seeds give equal results',
    'size': 'pixels along a side of the square image',
    'small': 'a `DistilledSet` or an `ImageSet`',
    'stage': 'a `Stage`: what a base sees of one stage',
    'state': 'what a broken run left, or an empty dict (see `Method`)',
    'stats': "BatchNorm of the teacher: 'running' or 'batch' statistics",
    'std': 'standard deviation of each channel over the training images',
    'steps': 'steps of the run',
    'teacher': 'a `Teacher`, what `squeeze` gives',
    'theta': 'parameters of a network, (P,), or of several, (K, P)',
    'title': 'text above it',
    'watch': 'called after each step, see `train`',
    'x': 'images, (N, C, S, S)',
    'z': "images in the network's space, (classes, n, C, S, S)",
}


def is_explained(name: str, entry: Entry) -> bool:  # a parameter; whose it is
    "Is the parameter `name` one of `COMMON`, or in backticks in the docstring?"
    return name in COMMON or bool(re.search(rf'`[^`]*\b{name}\b[^`]*`', entry.doc))


def undocumented(source: str) -> list:  # of a module
    """What lacks a docstring, or a word about a parameter: 'name' or 'name(parameter)'.

    A word is a comment beside it, its name in the docstring, or one of `COMMON`.
    """
    lacking = []
    for entry in all_entries(source):
        if not entry.doc:
            lacking.append(entry.name)
        bare = [name for names, comment in entry.params if not comment for name in names]
        lacking += [f'{entry.name}({name})' for name in bare if not is_explained(name, entry)]
    return lacking
