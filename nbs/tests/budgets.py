"""What the tests run instead of the budgets that stand in a page.

`BUDGETS` is page → {text in its code cells: text that stands there while the tests run it}. A page is named by its path
below `nbs`, without `.ipynb`. A text occurs exactly once in the code cells of its page, so that a page which changes
can't lose its smaller budget unseen.
"""
import re
from pathlib import Path

TINY_MTT = "net='convnet2-w4', experts=2, expert_batch=50, student_steps=3, max_start=2, steps=3"
FEW_DIGITS = "replace(load('digits'), train=replace(load('digits').subset(70).train, index=None))"  # with own numbers
RUNS = "Path(__import__('os').environ['DDNB_RUNS'])"  # where a page's own files go under test

BUDGETS = {
    # core and data

    # train
    'train/01_train': {
        'squeeze(real, progress=False)': "squeeze(real, 'convnet2-w16-batch', epochs=5, progress=False)",
        'teacher.accuracy > .95': 'teacher.accuracy > .6',
        'brief = Recipe(epochs=3, lr=.05, batch=64)': 'brief = Recipe(epochs=2, lr=.05, batch=64)',
        "Squeeze('convnet3-w16-batch', replace(SQUEEZE['digits'][1], epochs=4))":
            "Squeeze('convnet2-w8-batch', replace(SQUEEZE['digits'][1], epochs=2))",
        "squeeze(real, 'convnet3-w16-batch', epochs=4, ": "squeeze(real, 'convnet2-w8-batch', epochs=2, ",
    },
    'train/02_ensemble': {
        "FunctionalNet('convnet3-w32'": "FunctionalNet('convnet3-w16'",
        '(5, 32 * 2 * 2)': '(5, 16 * 2 * 2)',
        'augmented = Recipe(epochs=4,': 'augmented = Recipe(epochs=3,',
    },
    'train/03_evaluate': {
        "'convnet3-w64-batch', protocol('hard').recipe":
            "'convnet3-w16-batch', protocol('hard').replace(epochs=5).recipe",
        "'convnet3-w64', recipe, 0": "'convnet2-w8', recipe, 0",
        "protocol('mtt').replace(epochs=20)": "protocol('mtt').replace(epochs=5)",
        "quick = protocol('hard').replace(epochs=10)": "quick = protocol('hard').replace(epochs=3)",
        'squeeze(real, progress=False)': "squeeze(real, 'convnet2-w8-batch', epochs=2, progress=False)",
        "short = protocol('rd3').replace(epochs=20)": "short = protocol('rd3').replace(epochs=4)",
        'real, teacher, short, ': "real, teacher, short, 'convnet2-w8', ",
    },
    'train/04_relabel': {
        'squeeze(real, epochs=15, ': "squeeze(real, 'convnet2-w8-batch', epochs=3, ",
    },
    'train/05_incremental': {
        'steps=300': 'steps=5',
        'epochs=100': 'epochs=2',
    },

    # methods
    'methods/22_ccfs': {
        'ipc=3, steps=60)': 'ipc=3, steps=20)',
        "protocol='ccfs(epochs=20)'), time.time()": "protocol='ccfs(epochs=8)'), time.time()",
        "protocol='ccfs(epochs=8)', ipc=6": "protocol='ccfs(epochs=4)', ipc=6",
        'epochs=25, batch=32': 'epochs=2, batch=32',
        'repeats=3)': 'repeats=1)',
        'ccfs(epochs=4, batch=32)': 'ccfs(epochs=2, batch=32)',
    },
    'methods/14_shards': {
        "'convnet3-w16-batch', epochs=4": "'convnet2-w8-batch', epochs=1",
        "ProcessPoolExecutor(2, get_context('spawn'))": 'ThreadPoolExecutor(1)',  # processes: test_scale.py
    },
    'methods/10_cda': {
        "make_net('resnet18', 10, 3, 32, seed=0)": "make_net('resnet18-w8', 10, 3, 32, seed=0)",
        'squeeze(real, progress=False)': "squeeze(real, 'convnet2-w8-batch', epochs=3, progress=False)",
        "method = CDA.preset('digits')": "method = CDA.preset('digits', ipc=4, steps=30)",
        "[protocol('hard'), protocol('rd3').replace(epochs=60)]": "protocol('hard').replace(epochs=1)",
        'assert with_curriculum.mean - without.mean > 3 * max(with_curriculum.std, without.std)':
            "assert [row.name for row in rows] == ['random real', *sets]",
        '(1, 25, 100, 200, 400)': '(1, 25)',
        'squeeze(inner, progress=False, epochs=40)':
            "squeeze(inner, 'convnet2-w8-batch', progress=False, epochs=1)",
        'steps=400, epochs=100, repeats=2': 'steps=2, epochs=1, repeats=1',
        'candidates = [': 'candidates = [(.1, .03, 0)] or [',
    },
    'methods/12_trajectory': {
        "'convnet3-w16', 10, 3, 32": "'convnet1-w8', 10, 3, 32",
        "real = load('digits')": "real = load('digits').subset(60)",
        "'convnet2-w16', 10, 1, 16": "'convnet2-w8', 10, 1, 16",
        "base = MTT.preset('digits')": "base = MTT.preset('digits', net='convnet2-w4', experts=2, steps=3)",
        'epochs=200': 'epochs=2',
    },
    'methods/11_matching': {
        'few = dict(ipc=2, stops=12, real_batch=32)': "few = dict(ipc=2, net='convnet3-w8', stops=12, real_batch=32)",
        "IDC.preset('digits', ipc=2, net_images=128)":
            "IDC.preset('digits', ipc=2, net='convnet3-w8', net_images=64)",
        'small = dict(ipc=1, real_batch=8,': "small = dict(ipc=1, net='convnet2-w4', real_batch=8,",
        "base = DM.preset('digits', ipc=2)": "base = DM.preset('digits', ipc=2, net='convnet3-w8', real_batch=32)",
    },

    'methods/20_difficulty': {
        "real = load('digits')\nlog": "real = load('digits').subset(60)\nlog",
    },

    # view
    'view/03_plots_ccfs': {
        "real = load('digits')": f"real = {FEW_DIGITS}",
        "'convnet2-w16-batch', epochs=8": "'convnet2-w8-batch', epochs=12",
        'ipc=3, steps=40': 'ipc=3, steps=20',
        'ccfs(epochs=15)': 'ccfs(epochs=6)',
        'ccfs(epochs=6)': 'ccfs(epochs=3)',
        'hard(epochs=6, batch=32, lr=0.05)': 'hard(epochs=1, batch=32, lr=0.05)',
    },
    'view/02_plots_pdd': {
        "real = load('digits')": "real = load('digits').subset(20)",
        "base = MTT.preset('digits', steps=40, together=4)":
            f"base = MTT.preset('digits', {TINY_MTT}, together=2)",
        'transition_epochs=60)': 'transition_epochs=2)',
        'epochs, repeats = 60, 3': 'epochs, repeats = 1, 2',
        "'convnet2-w8', epochs=20": "'convnet2-w8', epochs=8",
        '((1, 6), (2, 3), (6, 1))': '((1, 6),)',
        "['forgetting'], 4": "['forgetting'], 2",
        'stages=2, ipc=3, discard=delta': 'stages=2, ipc=1, discard=delta',
        'steps=300)': "steps=3, net='convnet2-w4')",
        'replace(epochs=100)': 'replace(epochs=1)',
        "net='convnet3-w16', repeats": "net='convnet2-w4', repeats",
    },

    # app, index
    'index': {
        'squeeze(real, progress=False)': "squeeze(real, 'convnet3-w16-batch', epochs=3, progress=False)",
        "CDA.preset('digits')": "CDA.preset('digits', steps=20)",
        'epochs=100': 'epochs=5',
    },

    # guide
    'guide/tour': {
        'squeeze(real, progress=False)': "squeeze(real, 'convnet2-w8-batch', epochs=2, progress=False)",
        "CDA.preset('digits')": "CDA.preset('digits', steps=40, ipc=2)",
        'first(1000)': 'first(200)',
        "photos, 'convnet3-w16-batch'": "photos, 'convnet2-w8-batch'",
        "CDA.preset('cifar10')": "CDA.preset('cifar10', batch=10)",
        'epochs=15': 'epochs=3',
        'steps=60, lr=.05': 'steps=20, lr=.05',
        "protocol='kd', repeats=3":
            "protocol=[Protocol(p, protocol(p, real).replace(epochs=2).recipe) for p in ('kd', 'hard')], repeats=3",
    },
    'guide/tutorial_cda': {
        'squeeze(real, progress=False)': "squeeze(real, 'convnet2-w8-batch', epochs=2, progress=False)",
        'steps=200': 'steps=20',
        "nets='convnet3-w32-batch', repeats=3": "nets='convnet2-w8-batch', repeats=2",
        "CDA.preset('digits')": "CDA.preset('digits', steps=40, ipc=2)",
        "CDA.preset('cifar10', device='cpu')": "CDA.preset('cifar10', device='cpu', batch=10)",
        'epochs=150': 'epochs=2',
        'epochs=80': 'epochs=2',
    },
    'guide/tutorial_pdd': {
        "load('digits')": "load('digits').subset(20)",
        '    steps=40, ': f'    {TINY_MTT}, ',
        'max_start=8)': 'max_start=3)',
        'transition_epochs=60': 'transition_epochs=2',
        'steps=200': 'steps=5',
        'epochs = 60': 'epochs = 1',
        'repeats=3': 'repeats=2',
    },
    'guide/tutorial_ccfs': {
        "load('digits')": "load('digits').subset(30)",
        'epochs=25': 'epochs=2',
        'steps=300': 'steps=20',
        "'ccfs(epochs=60)'": "'ccfs(epochs=2)'",
        'epochs=40': 'epochs=2',
        'judge, repeats=3':
            "[judge, Protocol('hard', protocol('hard', real).replace(epochs=2).recipe)], repeats=2",
    },
    'guide/how_it_is_built': {
        'epochs=100': 'epochs=10',
    },

    # results
    'results/cda_cifar10': {
        "load('cifar10').first(10_000)":
            "replace(load('cifar10').first(500), test=load('cifar10').test.take(torch.arange(200)))",
        'epochs=30': 'epochs=2',
        'warmup=2': 'warmup=0',
        "precision='bf16'": "precision='float32'",  # bf16 is slow on processors without its instructions
        'convnet-w64x128x256-batch': 'convnet-w8x16x32-batch',
        'steps=500': 'steps=8',
        "protocol('hard', real).replace(": "protocol('hard', real).replace(epochs=4, ",
        'epochs=100': 'epochs=2',
        'repeats=3': 'repeats=2',
        "Path('../../data/results')": RUNS,
    },
    'results/pdd_cifar10': {
        'subset(200)': 'subset(10)',
        'range(2000)': 'range(100)',
        "net='convnet3-w16', steps=60": "net='convnet2-w4', steps=1",
        'student_steps=8': 'student_steps=2',
        'experts=4, together=4': 'experts=2, together=2',
        'transition_epochs=200': 'transition_epochs=1',
        'max_start=10': 'max_start=4',
        "Path('../../data/runs/pdd-cifar10')": RUNS,
        'epochs = 100': 'epochs = 1',
        'repeats=3': 'repeats=2',
        "Path('../../data/results')": RUNS,
    },
    'results/ccfs_cifar10': {
        "load('cifar10').first(10_000)":
            "replace(load('cifar10').first(600), test=load('cifar10').test.take(torch.arange(200)))",
        'epochs=25': 'epochs=1',
        'convnet-w48x96x144-batch': 'convnet-w8x16x32-batch',
        'convnet-w64x128x256-batch': 'convnet-w8x16x32-batch',
        'warmup=2': 'warmup=0',
        'replace(recipe, epochs=30)': 'replace(recipe, epochs=1)',
        'epochs=20': 'epochs=2',
        'ipc=50, steps=60': 'ipc=6, steps=3',
        'arange(2000)': 'arange(200)',
        'ipc=50, alpha': 'ipc=6, alpha',
        'resnet10-w16': 'resnet10-w4',
        'repeats=3': 'repeats=2',
        "['forgetting'] >= .55": "['forgetting'] >= -1",
        "['aum'] >= .75": "['aum'] >= -1",
        "['el2n'] >= .75": "['el2n'] >= -1",
        "['aum'] >= .78": "['aum'] >= -1",
        "Path('../../data/results')": RUNS,
    },
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
