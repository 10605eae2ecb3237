"Formulas as plain text, for the search: what a page's index and its excerpts say instead of LaTeX"
import html
import re
from contextlib import contextmanager
from functools import cache

SYMBOLS = {
    'alpha': 'α', 'beta': 'β', 'gamma': 'γ', 'delta': 'δ', 'Delta': 'Δ', 'epsilon': 'ε', 'varepsilon': 'ε', 'eta': 'η',
    'theta': 'θ', 'lambda': 'λ', 'mu': 'μ', 'phi': 'φ', 'varphi': 'φ', 'psi': 'ψ', 'pi': 'π', 'rho': 'ρ', 'sigma': 'σ',
    'tau': 'τ', 'omega': 'ω', 'xi': 'ξ', 'zeta': 'ζ', 'kappa': 'κ', 'nu': 'ν', 'Theta': 'Θ', 'Phi': 'Φ', 'Sigma': 'Σ',
    'Omega': 'Ω', 'Lambda': 'Λ', 'Gamma': 'Γ', 'ell': 'ℓ', 'sum': 'Σ', 'prod': 'Π', 'int': '∫', 'partial': '∂',
    'nabla': '∇', 'infty': '∞', 'cdot': '·', 'times': '×', 'otimes': '⊗', 'odot': '⊙', 'circ': '∘', 'pm': '±',
    'le': '≤', 'leq': '≤', 'ge': '≥', 'geq': '≥', 'ne': '≠', 'neq': '≠', 'approx': '≈', 'equiv': '≡', 'sim': '∼',
    'propto': '∝', 'in': '∈', 'notin': '∉', 'subset': '⊂', 'subseteq': '⊆', 'cup': '∪', 'cap': '∩', 'setminus': '∖',
    'to': '→', 'rightarrow': '→', 'leftarrow': '←', 'gets': '←', 'mapsto': '↦', 'Rightarrow': '⇒', 'top': 'ᵀ',
    'dots': '…', 'ldots': '…', 'cdots': '…', 'mid': '|', 'vert': '|', 'lvert': '|', 'rvert': '|', 'Vert': '‖',
    'lVert': '‖', 'rVert': '‖', '|': '‖', 'langle': '⟨', 'rangle': '⟩', 'lfloor': '⌊', 'rfloor': '⌋', 'lceil': '⌈',
    'rceil': '⌉', 'forall': '∀', 'exists': '∃', 'star': '*', 'ast': '*', 'prime': '′', 'quad': ' ', 'qquad': ' ',
    ',': ' ', ';': ' ', ':': ' ', ' ': ' ', '!': '', '\\': ' ', '{': '{', '}': '}', '%': '%', '_': '_', '#': '#',
    '&': '&', '$': '$',
}
WORDS = ('arg', 'min', 'max', 'argmin', 'argmax', 'log', 'exp', 'sin', 'cos', 'tan', 'lim', 'sup', 'inf', 'det', 'Pr')
BARE = re.compile(r'\w+|.|\\[A-Za-z]+|\([^()]*\)')  # a word, a sign, a command, or what has brackets


def group(text: str) -> str:  # what stood in braces
    "Text that stays one thing: in brackets where it is more than a word"
    text = text.strip()
    return text if BARE.fullmatch(text) else f'({text})'


def plain_math(latex: str) -> str:
    r"LaTeX as a reader would type it: `\frac{a}{b}` is a/b, `\theta_{t}` is θ_t. No backslash and no brace is left."
    text = re.sub(r'\\(?:begin|end)\{[^{}]*\}', ' ', latex)
    text = text.replace(r'\{', '❴').replace(r'\}', '❵')
    before = None
    while text != before:  # from the inside out
        before = text
        text = re.sub(r'\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}', lambda m: f'{group(m[1])}/{group(m[2])}', text)
        text = re.sub(r'\\sqrt\s*\{([^{}]*)\}', lambda m: f'√{group(m[1])}', text)
        text = re.sub(r'([_^])\s*\{([^{}]*)\}', lambda m: m[1] + group(m[2]), text)
        text = re.sub(r'\\(?:text|mathrm|mathbf|mathbb|mathcal|mathit|mathsf|boldsymbol|bm|operatorname|hat|tilde|bar|'
                      r'vec|overline|underline|widehat|widetilde|underbrace|overbrace|textbf|textit|texttt|mbox)\*?\s*\{([^{}]*)\}',
                      r'\1', text)
        if text == before: text = re.sub(r'\{([^{}]*)\}', r'\1', text)
    text = re.sub(r'\\([A-Za-z]+|[^A-Za-z])', symbol, text)
    text = text.replace('&', ' ').replace('{', '').replace('}', '').replace('❴', '{').replace('❵', '}')
    return ' '.join(text.split())


def symbol(match) -> str:  # of a command
    "A command as a symbol, a word as itself; what only sets type is nothing"
    name = match[1]
    if name in SYMBOLS: return SYMBOLS[name]
    return f' {name} ' if name in WORDS else ''


@contextmanager
def plain_formulas(doctree):
    "The formulas of a page are plain text in a `with` block, for the index"
    from docutils import nodes
    formulas = list(doctree.findall(lambda node: isinstance(node, (nodes.math, nodes.math_block))))
    children = [formula.children for formula in formulas]
    for formula in formulas: formula.children = [nodes.Text(plain_math(formula.astext()))]
    try: yield
    finally:
        for formula, own in zip(formulas, children): formula.children = own


FORMULA = re.compile(r'<(span|div) class="math notranslate nohighlight"([^>]*)>(.*?)</\1>', re.S)


def with_plain_text(body: str) -> str:  # of a page
    "The page with the plain text of each formula in an attribute of its element"
    def marked(match):
        tag, attributes, inside = match.groups()
        formula = re.sub(r'^.*?\\[(\[]|\\[)\]]\s*$', '', html.unescape(inside), flags=re.S)
        plain = html.escape(plain_math(formula))
        return f'<{tag} class="math notranslate nohighlight" data-plain="{plain}"{attributes}>{inside}</{tag}>'
    return FORMULA.sub(marked, body)


def mark_formulas(app, pagename, templatename, context, doctree):
    "Called by Sphinx before a page is written"
    if 'body' in context: context['body'] = with_plain_text(context['body'])


def setup(app):
    "Called by Sphinx: the index is made of pages without LaTeX, and each formula carries its plain text for excerpts"
    from sphinx.builders.html import StandaloneHTMLBuilder

    class Builder(StandaloneHTMLBuilder):
        "HTML with a readable search"
        def prepare_writing(self, docnames):
            super().prepare_writing(docnames)
            language = getattr(self.indexer, 'lang', None)
            if language: language.stem = cache(language.stem)  # a word stands on many pages

        def index_page(self, pagename, doctree, title):
            with plain_formulas(doctree): super().index_page(pagename, doctree, title)

    app.add_builder(Builder, override=True)
    app.connect('html-page-context', mark_formulas)
    return dict(parallel_read_safe=True, parallel_write_safe=True)
