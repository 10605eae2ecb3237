"""The notebooks as a web site: `python nbs/site/build.py --out DIR` (or `ddnb docs`).

Prose, code and outputs stay as they are, a reference stands behind each exported cell, there is a search, a light and
a dark theme, and nothing comes from outside. The notebooks are taken as they were committed; running them is the
tests' job. Sphinx, MyST-NB and the theme Furo do most of it; `conf.py` configures them, `templates/` holds the pages
that no notebook gives. Whoever prefers Quarto can still run `nbdev_docs`: the directives in the cells are nbdev's.
"""
import argparse
import importlib.metadata
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from configparser import ConfigParser
from dataclasses import dataclass
from functools import cache, cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from reference import COMMON, LINK, all_entries, directives, entries, readme

from ddnb.core.basics import InputError, check, write_json, write_text
from ddnb.view.page import page_script, style

SITE = Path(__file__).parent
ROOT = SITE.parent.parent
TOOLS = ('sphinx', 'myst-nb', 'furo', 'sphinx-copybutton', 'sphinx-mathjax-offline')
TEXTS = ('data/README.md',)  # pages that are no notebooks


@cache
def template(name: str):  # a file in templates/
    "A template for a Markdown page"
    options = dict(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    return Environment(loader=FileSystemLoader(SITE/'templates'), **options).get_template(name)


# ---- the project -----------------------------------------------------------------------------------------------

def slug(name: str) -> str:  # path of a notebook below nbs, without .ipynb
    "The page's name, as nbdev has it: `methods/10_cda` → `methods/cda`"
    folder, _, stem = name.rpartition('/')
    stem = re.sub(r'^\d+[a-z]?_', '', stem.lower())
    return f'{folder}/{stem}' if folder else stem


@dataclass(frozen=True)
class Page:
    "A page of the site and the file it is made from"
    name: str         # 'methods/cda', without .html
    path: Path        # a notebook or a Markdown file
    module: str = ''  # 'methods.cda', the module that the notebook exports, or ''

    @property
    def folder(self) -> str:
        "The page's folder in the site, '' at the top"
        return self.name.rpartition('/')[0]


def exported_module(notebook: Path) -> str:
    "'methods.cda', the module that a `notebook` exports, or ''"
    match = re.search(r'"#\|\s*default_exp ([\w.]+)', notebook.read_text(encoding='utf-8'))
    return match[1] if match else ''


class Project:
    "Pages, modules and public names of the checkout in `root`"
    def __init__(self, root='.'):  # the project's folder
        self.root = Path(root).resolve()
        self.nbs = self.root/'nbs'
        check((self.root/'settings.ini').exists() and self.nbs.is_dir(),
              f'{str(root)!r} is no checkout with settings.ini and nbs',
              'run it in the folder of a checkout, or give --root')
        ini = ConfigParser(delimiters=['='])
        ini.read(self.root/'settings.ini', encoding='utf-8')
        self.settings = ini['DEFAULT']
        self.library = self.root/self.settings['lib_path']
        self.notebooks = [self._notebook_page(p) for p in sorted(self.nbs.rglob('*.ipynb')) if not self._is_hidden(p)]
        self.texts = [self._text_page(self.root/t) for t in TEXTS if (self.root/t).exists()]
        self._check_names()

    def _is_hidden(self, path: Path) -> bool:
        return any(part[0] in '._' for part in path.relative_to(self.nbs).parts)

    def _notebook_page(self, path: Path) -> Page:
        name = path.relative_to(self.nbs).with_suffix('').as_posix()
        return Page(slug(name), path, exported_module(path))

    def _text_page(self, path: Path) -> Page:
        name = path.relative_to(self.root).with_suffix('').as_posix()
        return Page(name.lower().replace('/', '-'), path)

    def _check_names(self):
        "Two notebooks must not become one page"
        homes = {}
        for page in self.notebooks:
            other = homes.setdefault(page.name, page)
            check(other is page,
                  f'{other.path.name!r} and {page.path.name!r} would both become {page.name}.html',
                  'rename one of them: numbers at the beginning do not count')

    @cached_property
    def modules(self) -> dict:
        "'methods.cda' → path of the module"
        found = {}
        for path in sorted(self.library.rglob('*.py')):
            parts = path.relative_to(self.library).with_suffix('').parts
            if not path.name.startswith('_'): found['.'.join(parts)] = path
        return found

    @cached_property
    def entries(self) -> dict:
        "Module → its public entries, methods among them"
        return {m: all_entries(p.read_text(encoding='utf-8'), str(p)) for m, p in self.modules.items()}

    @cached_property
    def homes(self) -> dict:
        "Public name → its modules, in the order of `entries`"
        found = {}
        for module, module_entries in self.entries.items():
            for entry in module_entries: found.setdefault(entry.name, []).append(module)
        return found

    def find(self, name: str, module: str = '') -> str:  # 'load' or 'DistilledSet.save'; the module whose page asks
        "Full name of a public name, its own module first, or ''"
        homes = self.homes.get(name, [])
        home = module if module in homes else next(iter(homes), None)
        return f'{self.library.name}.{home}.{name}' if home else ''

    def line(self, module: str, name: str) -> int | None:  # without the package's name
        "Where a name begins in its module, or None"
        return next((e.line for e in self.entries.get(module, []) if e.name == name), None)

    def link(self, page: Page, path: str, place: str = '') -> str:  # the page that links; the link; '#heading' or ''
        "The same link between pages of the site; one that leads to no page stays as it is"
        file = next((f for f in (page.path.parent/path, self.root/path) if f.exists()), None)
        if '://' in path or file is None: return path + place
        file = file.resolve()
        target = next((p for p in (*self.notebooks, *self.texts) if p.path == file), None)
        if target:
            name = target.name + file.suffix
        elif file.is_relative_to(self.nbs/'images'):
            name = file.relative_to(self.nbs).as_posix()
        else:
            return path + place
        return os.path.relpath(name, page.folder or '.') + place


# ---- prose -----------------------------------------------------------------------------------------------------

FENCE = re.compile(r'(^(?:```|~~~).*?^(?:```|~~~)\s*?$)', re.M | re.S)
NAME = re.compile(r'(?<![`\[{}\w])`([A-Za-z_][\w.]*)((?:\([^`]*\))?)`(?!`)')
CALLOUT = re.compile(r'^:::\s*\{\.callout-(\w+)[^}]*\}', re.M)


def prose(text: str, page: Page, project: Project) -> str:  # a Markdown cell of that page
    """The cell as MyST Markdown. Links to notebooks lead to their pages, backticked names of the library become
    references, and Quarto's callouts become MyST's. Code fences are left alone."""
    def reference_to(match):
        name, call = match[1], match[2]
        full_name = project.find(name, page.module)
        return f'{{py:obj}}`{name}{call} <{full_name}>`' if full_name and '<' not in call else match[0]

    def translate(part):
        part = LINK.sub(lambda m: project.link(page, m[1], m[2] or ''), part)
        part = CALLOUT.sub(r':::{\1}', part)
        return NAME.sub(reference_to, part)

    parts = FENCE.split(text)  # fences are the odd ones
    return ''.join(part if i % 2 else translate(part) for i, part in enumerate(parts))


# ---- the reference ---------------------------------------------------------------------------------------------

def words(text: str, page: Page, project: Project) -> str:
    "A docstring or comment as Markdown on that `page`: names linked, everything else letter by letter"
    parts = re.split(r'(`[^`]*`)', ' '.join(text.split()))
    escaped = [prose(p, page, project) if i % 2 else re.sub(r'([\\*_\[\]<>#|$~{}])', r'\\\1', p)
               for i, p in enumerate(parts)]
    return ''.join(escaped)


def entry_text(entry, page: Page, project: Project) -> str:  # an `Entry` that this page explains
    "One entry, and its methods, as MyST directives. What it does not say of a common parameter, `COMMON` says."
    params = []
    for names, comment in entry.params:
        comment = comment or '; '.join(COMMON[name] for name in names if name in COMMON)
        if comment: params.append((names, words(comment, page, project)))
    return template('entry.md.j2').render(
        entry=entry,
        fence='````' if entry.members else '```',
        paragraphs=[words(p, page, project) for p in entry.doc.split('\n\n')],
        params=params,
        members=[entry_text(member, page, project) for member in entry.members])


def reference(source: str, page: Page, project: Project) -> str:  # an exported cell, and its page
    "The entries of a cell's public names, or ''"
    texts = [entry_text(entry, page, project) for entry in entries(source)]
    if not texts: return ''
    return '\n'.join([f'```{{py:currentmodule}} {project.library.name}.{page.module}\n```', *texts])


# ---- a notebook becomes a page ---------------------------------------------------------------------------------

TAGS = {  # nbdev's directives → MyST-NB's tags
    ('echo', 'false'): 'remove-input',
    ('output', 'false'): 'remove-output',
    ('include', 'false'): 'remove-cell',
    ('code-fold', 'true'): 'hide-input',
    ('hide_input', ''): 'remove-input',
    ('hide_output', ''): 'remove-output',
}
LEFT_OUT = {'hide', 'default_exp', 'exporti'}


def only_imports(source: str) -> bool:  # of a code cell
    "Is there nothing but imports, comments and `__all__`'s raw material?"
    return all(re.match(r'(from|import)\s|#|\s*$', line) for line in source.splitlines())


def code_cell(cell: dict, values: dict, source: str, page: Page, project: Project) -> dict:
    "A code `cell` whose directives have the `values`, with what is left as `source`, as MyST-NB takes it"
    tags = [tag for (name, value), tag in TAGS.items() if values.get(name, '-').lower() == value]
    if only_imports(source) and not cell['outputs']: tags.append('hide-input')
    for output in cell['outputs']:
        data = output.get('data', {})
        if 'text/markdown' in data: data['text/markdown'] = prose(''.join(data['text/markdown']), page, project)
    return dict(cell, source=source, metadata=dict(tags=tags))


def markdown_cell(text: str) -> dict:
    "A cell with that `text`"
    return dict(cell_type='markdown', metadata={}, source=text)


def notebook(page: Page, project: Project) -> dict:
    "The notebook of a `page` as MyST-NB takes it: code and reference of exported cells, imports folded"
    nb = json.loads(page.path.read_text(encoding='utf-8'))
    cells = []
    for cell in nb['cells']:
        text = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            cells.append(markdown_cell(prose(text, page, project)))
            continue
        values, source = directives(text)
        if cell['cell_type'] != 'code' or values.keys() & LEFT_OUT: continue
        if not source.strip() or source.startswith('_all_ ='): continue
        cells.append(code_cell(cell, values, source, page, project))
        explanation = reference(source, page, project) if 'export' in values else ''
        if explanation: cells.append(markdown_cell(explanation))
    cells = [dict(cell, id=f'c{i}') for i, cell in enumerate(cells)]
    metadata = {k: v for k, v in nb['metadata'].items() if k in ('kernelspec', 'widgets')}
    return dict(nbformat=4, nbformat_minor=5, metadata=metadata, cells=cells)


# ---- pages that no notebook gives ------------------------------------------------------------------------------

def source_page(path, name: str) -> str:  # a module's file, its dotted name
    "A module's source as a page; line n is at `#L-n`"
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer
    formatter = HtmlFormatter(linenos='inline', lineanchors='L', anchorlinenos=True)
    code = highlight(Path(path).read_text(encoding='utf-8'), PythonLexer(), formatter)
    return template('source.md.j2').render(name=name, code=code)


def first_sentence(doc: str) -> str:  # a docstring
    "What stands before the first full stop; 'et al.' is none"
    return re.split(r'(?<=[a-z)`])(?<!et al)[.]\s', doc)[0]


def names_page(project: Project) -> str:
    "Every public name of a `project`, module by module, with the first sentence of its docstring"
    page = Page('names', project.root)
    modules = []
    for module, module_entries in project.entries.items():
        rows = [(e.name, words(first_sentence(e.doc), page, project)) for e in module_entries]
        if rows: modules.append((f'{project.library.name}.{module}', rows))
    return template('names.md.j2').render(modules=modules)


CAPTIONS = {  # folder → its heading in the sidebar, in this order; other folders follow under their own names
    'guide': 'Guide',
    'core': 'Core: files, settings, runs',
    'data': 'Data',
    'train': 'Networks and training',
    'methods': 'Methods',
    'view': 'Figures and panels',
    'app': 'Demo and shell',
    'results': 'Results',
    '': 'Names and files',
}


def mentions(project: Project) -> list:
    "Names of the pages that the index links, in its order"
    index = next(p for p in project.notebooks if p.name == 'index')
    text = index.path.read_text(encoding='utf-8')
    links = [project.link(index, m[1]) for m in LINK.finditer(text)]
    return [link.removesuffix('.ipynb') for link in links]


def contents(project: Project) -> str:
    "The table of contents as hidden toctrees, for the sidebar: by folder, by number, and as the index names them"
    named = mentions(project)

    def order(page):
        number = re.match(r'\d*', page.path.name)[0]
        return number, named.index(page.name) if page.name in named else len(named), page.name

    folders = {folder: [] for folder in CAPTIONS}
    for page in sorted(project.notebooks, key=order):
        if page.name != 'index': folders.setdefault(page.folder, []).append(page.name)
    folders[''] += ['names', *(text.name for text in project.texts)]
    sections = [(CAPTIONS.get(folder, folder), names) for folder, names in folders.items() if names]
    return template('contents.md.j2').render(sections=sections)


# ---- what the pages carry along --------------------------------------------------------------------------------

def mathjax_file() -> Path:
    "The one file of MathJax that holds everything; it comes with a Python package"
    files = importlib.metadata.files('sphinx-mathjax-offline')
    return next(Path(f.locate()) for f in files if f.name == 'tex-svg.js')


WIDGETS = {  # file → npm package and path in it; fetched once, and only where a page shows widgets
    'require.js': ('requirejs@2.3.8', 'package/require.js'),
    'embed-amd.js': ('@jupyter-widgets/html-manager@1.0.15', 'package/dist/embed-amd.js'),
}


def fetch_from_npm(package: str, member: str, path: Path):  # where the file goes
    "One file of an npm `package`, the `member` of its archive"
    with tempfile.TemporaryDirectory() as folder:
        got = subprocess.run(['npm', 'pack', '--silent', package], cwd=folder, capture_output=True, text=True)
        check(got.returncode == 0,
              f'npm could not fetch {package}: {got.stderr.strip()[-200:]}',
              'check the connection and try again; the files are kept once they are here')
        with tarfile.open(next(Path(folder).glob('*.tgz'))) as archive:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.extractfile(member).read())


def widget_files() -> list:
    "require.js and the widget manager, from the user's cache or from npm"
    cache_home = Path(os.environ.get('XDG_CACHE_HOME') or Path.home()/'.cache')
    files = []
    for name, (package, member) in WIDGETS.items():
        path = cache_home/'ddnb'/name
        if not path.exists():
            check(shutil.which('npm') is not None,
                  f'a page shows widgets, and {name!r} is not in {str(path.parent)!r}',
                  f'install npm, or put the file there from the npm package {package}')
            fetch_from_npm(package, member, path)
        files.append(path)
    return files


# ---- build -----------------------------------------------------------------------------------------------------

def write_sources(project: Project, src: Path) -> bool:  # a folder for Sphinx
    "Pages, sources and static files for Sphinx. Returns whether a page of the `project` shows widgets."
    widgets = False
    for page in project.notebooks:
        nb = notebook(page, project)
        if page.name == 'index': nb['cells'].append(dict(markdown_cell(contents(project)), id='contents'))
        write_json(src/f'{page.name}.ipynb', nb)
        widgets |= 'widgets' in nb['metadata']
    for page in project.texts:
        write_text(src/f'{page.name}.md', prose(page.path.read_text(encoding='utf-8'), page, project))
    for module, path in project.modules.items():
        name = f'{project.library.name}.{module}'
        write_text(src/'source'/f'{module.replace(".", "/")}.md', source_page(path, name))
    write_text(src/'names.md', names_page(project))
    static = [SITE/'style.css', SITE/'excerpts.js', mathjax_file(), *(widget_files() if widgets else [])]
    for file in static:
        (src/'_static').mkdir(exist_ok=True)
        shutil.copy(file, src/'_static')
    write_text(src/'_static'/'panels.css', style())
    write_text(src/'_static'/'panels.js', page_script())
    if (project.nbs/'images').is_dir(): shutil.copytree(project.nbs/'images', src/'images')
    return widgets


def source_links(project: Project):
    "A function for Sphinx: where the source of a name of the `project` is shown, as a link from the page it is on"
    pages = {page.module: page for page in project.notebooks if page.module}

    def link(domain, info):
        module = info['module'].removeprefix(f'{project.library.name}.')
        line = project.line(module, info['fullname'])
        if line is None: return None
        source = f'source/{module.replace(".", "/")}.html#L-{line}'
        return os.path.relpath(source, pages[module].folder or '.')
    return link


def configuration(project: Project, src: Path, widgets: bool) -> dict:
    "What conf.py can't know: the `project`, the folder `src` of the sources, and whether there are `widgets`"
    settings = project.settings
    return dict(
        project=settings['title'],
        release=settings['version'],
        author=settings['author'],
        copyright=settings['copyright'],
        html_title=f'{settings["title"]} {settings["version"]}',
        html_static_path=[str(src/'_static')],
        linkcode_resolve=source_links(project),
        nb_ipywidgets_js={name: {} for name in WIDGETS} if widgets else {})


def is_installed(package: str) -> bool:
    "Is a Python `package` here?"
    try: return bool(importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError: return False


def build_site(out='_docs',          # folder for the pages; one that an earlier build filled is replaced
               root=ROOT) -> Path:   # a checkout, with settings.ini, nbs and the exported library
    """Build the documentation from the notebooks as they are; open `index.html` in it.

    Raises `InputError` where a tool is missing or an internal link is dead.
    """
    project = Project(root)
    out = Path(out)
    missing = [package for package in TOOLS if not is_installed(package)]
    check(not missing, f'building the site needs {", ".join(missing)}', "pip install 'ddnb[docs]'")
    is_ours = not out.exists() or (out/'searchindex.js').exists() or not any(out.iterdir())
    check(is_ours, f'{str(out)!r} holds other files', 'give a new folder')
    with tempfile.TemporaryDirectory() as scratch:
        warnings = run_sphinx(project, Path(scratch), out)
    print(warnings, end='')
    dead = dead_links(out)
    check(not dead,
          f'{len(dead)} internal links are dead: ' + '; '.join(f'{page} → {link}' for page, link in dead[:10]),
          'mend them in the notebooks')
    return out


def run_sphinx(project: Project, scratch: Path, out: Path) -> str:
    "Write the sources of a `project` to the folder `scratch` and build them into `out`. Returns Sphinx's warnings."
    from sphinx.application import Sphinx
    src = scratch/'src'
    widgets = write_sources(project, src)
    shutil.rmtree(out, ignore_errors=True)
    warnings = io.StringIO()
    app = Sphinx(str(src), str(SITE), str(out), str(scratch/'doctrees'), 'html',
                 confoverrides=configuration(project, src, widgets), status=None, warning=warnings, freshenv=True)
    app.build()
    plain = re.sub(r'\x1b\[[\d;]*m', '', warnings.getvalue())
    return plain.replace(f'{src}/', '')


# ---- dead links ------------------------------------------------------------------------------------------------

COLOURS = re.compile(r'</?span(?: class="[\w -]*")?>')  # of highlighted code: most of a page's tags, and no link

class LinkParser(HTMLParser):
    "Collects where a page leads, and what can be led to in it"
    def __init__(self, text: str):  # the page
        super().__init__()
        self.links = []
        self.ids = {''}
        self.feed(COLOURS.sub('', text))

    def handle_starttag(self, tag, attrs):
        "Called for each `tag` with its `attrs`"
        attrs = dict(attrs)
        self.ids |= {attrs[k] for k in ('id', 'name') if attrs.get(k)}
        if tag != 'use': self.links += [attrs[k] for k in ('href', 'src') if attrs.get(k)]


def dead_links(out) -> list:  # a folder of HTML pages
    "(page, link) of every link inside the site whose file, or whose target in that file, is not there"
    out = Path(out).resolve()
    pages = {path: LinkParser(path.read_text(encoding='utf-8')) for path in sorted(out.rglob('*.html'))}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            url = urlsplit(link)
            if url.scheme or url.netloc: continue
            target = (path.parent/unquote(url.path)).resolve() if url.path else path
            if target.is_dir(): target = target/'index.html'
            has_place = target not in pages or unquote(url.fragment) in pages[target].ids
            if not target.exists() or not has_place: dead.append((path.relative_to(out).as_posix(), link))
    return dead


def main(argv=None) -> int:  # the arguments; None: those of the process
    "Build the site, or write the README. Returns the exit status."
    parser = argparse.ArgumentParser(description='The documentation site, from the notebooks as they are')
    parser.add_argument('--out', default='_docs', help='folder for the pages [_docs]')
    parser.add_argument('--root', default=ROOT, help='a checkout [the one that this file lies in]')
    parser.add_argument('--readme', action='store_true', help='write README.md from nbs/index.ipynb instead')
    args = parser.parse_args(argv)
    try:
        if args.readme:
            readme(args.root)
        else:
            print(build_site(args.out, args.root))
    except InputError as error:
        print(f'ddnb: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
