"""What the tests run instead of the budgets that stand in a page.

`BUDGETS` is page → {text in its code cells: text that stands there while the tests run it}. A page is named by its path
below `nbs`, without `.ipynb`. A text occurs exactly once in the code cells of its page, so that a page which changes
can't lose its smaller budget unseen.
"""
import re
from pathlib import Path

BUDGETS = {
    'train/01_train': {'squeeze(real, progress=False)': 'squeeze(real, epochs=12, progress=False)',
                       'teacher.accuracy > .95': 'teacher.accuracy > .8'},
}


def skipped_under_test(source):
    "Is this the source of a code cell that nbdev leaves out of its tests?"
    return bool(re.search(r'^\s*#\|\s*(eval:\s*false|notest\b)', source, re.M | re.I)) or 'nbdev_export(' in source


def page_name(path, nbs):
    "A notebook's path below the folder `nbs`, without its suffix: 'methods/10_cda'"
    return Path(path).relative_to(nbs).with_suffix('').as_posix()


def use_budget(sources, budget):
    "The code cells with each text of `budget` (old → new) replaced. ValueError unless each occurs exactly once."
    counts = dict.fromkeys(budget, 0)

    def small(match):
        counts[match[0]] += 1
        return budget[match[0]]

    longest_first = sorted(budget, key=len, reverse=True)
    if budget: sources = [re.sub('|'.join(map(re.escape, longest_first)), small, s) for s in sources]
    wrong = [f'{text!r} occurs {n} times' for text, n in counts.items() if n != 1]
    if wrong: raise ValueError(f'a budget wants each of its texts exactly once in the code cells: {"; ".join(wrong)}')
    return sources


def as_tested(nb, page):
    "A notebook (of nbformat) as the tests run it, changed in place: no skipped cells, and the budget of its `page`"
    cells = [c for c in nb.cells if c.cell_type == 'code']
    sources = ['' if skipped_under_test(c.source) else c.source for c in cells]
    for cell, source in zip(cells, use_budget(sources, BUDGETS.get(page, {}))): cell.source = source
    return nb
