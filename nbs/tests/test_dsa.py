"Siamese augmentation: what it refuses"
import pytest

from ddnb.core.basics import InputError, seeded
from ddnb.data.dsa import draw_dsa, strategy


@pytest.mark.parametrize('settings', [dict(operations=('sharpen',)), dict(operations=()), dict(rule='two')])
def test_unknown_operations_and_rules_are_refused(settings):
    with pytest.raises(InputError, match='operations|rule'): draw_dsa(1, 1, 16, seeded(0), **settings)


def test_an_unknown_strategy_is_refused():
    message = "choose one of \\['one', 'idc', 'idc-walk', 'idc-match'\\]"
    with pytest.raises(InputError, match=message): strategy('two', flips=True)
