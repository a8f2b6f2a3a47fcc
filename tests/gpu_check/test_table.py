"""Every check of the table exists, and the documentation names each."""

import inspect
from importlib import import_module

import pytest

from edgeseg.gpu_check.table import BUILD, CHECKS, DEVICE, ENGINE


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_can_be_called_as_the_table_says(check):
    module, _, name = check.function.partition(":")
    inspect.signature(getattr(import_module(module), name)).bind(**check.arguments)
    assert check.expected
    assert 0 < check.seconds <= 120 or (check.group, check.seconds) == (ENGINE, BUILD)


def test_names_are_unique_and_a_group_is_one_process():
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    groups = [check.group for check in CHECKS]
    changes = [a for a, b in zip(groups, [*groups[1:], None], strict=True) if a != b]
    assert len(set(changes)) == len(changes)
    assert CHECKS[0].name == DEVICE
