"""Expected errors, by class and code."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def fails(kind, code: str) -> Iterator[pytest.ExceptionInfo]:
    """Expect an EdgesegError of this class and code, with a problem and a remedy in words."""
    with pytest.raises(kind) as caught:
        yield caught
    assert (caught.value.code, bool(caught.value.problem), bool(caught.value.remedy)) == (
        code,
        True,
        True,
    )
