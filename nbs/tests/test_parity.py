"The page that writes every method down a second time: each quantity of its table stays inside its tolerance"
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

PAGE = Path(__file__).parent.parent/'guide/parity.ipynb'

QUANTITIES = '''
crop schedules
crop, resize, flip and roll
crops, area
crops, aspect
crops, top edge
crops, left edge
recovery, pixels over 50 steps
recovery, loss over 50 steps
DSA, colour
DSA, crop
DSA, cutout
DSA, flip
DSA, scale
DSA, rotate
DSA, bounds of what is drawn
DSA, all together in IDC's order
ZCA
ConvNet with instance norm
MTT, loss (adjoint)
MTT, gradient by images (adjoint)
MTT, gradient by the step size (adjoint)
MTT, gradient by soft labels (adjoint)
MTT, loss (segments)
MTT, gradient by images (segments)
MTT, gradient by the step size (segments)
MTT, gradient by soft labels (segments)
MTT, loss of an iteration
MTT, step of the images
MTT, step of the step size
MTT, step of the soft labels
DC, loss
DC, gradient by images
DSA, loss
DSA, gradient by images
IDC, loss
IDC, gradient by images
IDC, step of the images
DM, loss
DM, gradient by images
difficulty, forgetting
difficulty, aum
difficulty, el2n
difficulty, grand
one pass, el2n
one pass, margin
one pass, confidence
one pass, entropy
one pass, loss
one pass, logit
CCFS, choices for CIFAR10 at IPC 500
CCFS, choices for CIFAR100 at IPC 50
students, learning rate of each epoch
students, epochs and batch
students, optimiser and weight decay
students, augmentation
students, labels and temperature
students, distillation loss
students, distillation loss × T²
students, batch by size of the set
settings, CDA
settings, MTT
settings, PDD over MTT
settings, CCFS
a schedule reversed twice
mosaics opened and closed
whitened and back
'''.strip().splitlines()


@pytest.fixture(scope='module')
def page():
    "What the page's code cells leave behind; its own verdict, the last one, is left to the tests"
    cells = [cell.source for cell in nbformat.read(PAGE, 4).cells if cell.cell_type == 'code']
    assert cells[-1].startswith('assert all(')
    module = sys.modules['parity'] = ModuleType('parity')
    for source in cells[:-1]: exec(compile(source, str(PAGE), 'exec'), vars(module))
    yield module
    del sys.modules['parity']


def test_the_table_has_these_rows(page): assert [row.quantity for row in page.rows] == QUANTITIES


@pytest.mark.parametrize('quantity', QUANTITIES)
def test_parity(page, quantity):
    row = next(row for row in page.rows if row.quantity == quantity)
    if row.deviation is None: pytest.skip(row.note)
    assert row.holds, row


def test_a_deviation_is_seen(page):
    def holds(deviation, tolerance): return page.Comparison('anything', 'nowhere', deviation, tolerance).holds
    assert holds(0., 0.) and holds(1e-9, 1e-9)
    assert not any(holds(deviation, 1e-9) for deviation in (1.1e-9, float('inf'), float('nan'), None))
