"""Errors of the system and of packages have a remedy; mistakes of edgeseg have none."""

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.packages.failures import known_error

SYSTEM = [
    (OSError(28, "No space left on device", "/data/my runs/x"), "enospc", "df -h '/data/my runs'"),
    (PermissionError(13, "Permission denied", "a\x1b[2J"), "eacces", r"ls -ld $'a\x1b\x5b2J'"),
    (FileNotFoundError(2, "No such file or directory", b"\xff/x"), "enoent", r"ls -l $'\xff'"),
    (OSError(36, "File name too long", "x" * 300), "enametoolong", "shorter name"),
    (OSError(5, "Input/output error"), "eio", "check the path"),
    (MemoryError(), "memory", "--frame-size"),
    (np.zeros, "memory", "--batch"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory", "--batch"),
    (UnicodeEncodeError("latin-1", "é", 0, 1, "ordinal not in range"), "unicode", "PYTHONUTF8=1"),
]


@pytest.mark.parametrize(("error", "code", "remedy"), SYSTEM, ids=lambda value: str(value)[:20])
def test_an_error_of_the_system_has_a_remedy(error, code, remedy):
    if callable(error):
        with pytest.raises(MemoryError) as caught:
            error((1 << 45,), np.uint8)
        error = caught.value
    found = known_error(error)
    assert (found.code, found.exit_code) == (f"system/{code}", 2)
    assert remedy in found.remedy
    assert found.problem.isprintable() and found.remedy.isprintable()


def test_what_the_system_did_not_cause_is_a_mistake_of_ours():
    for mistake in (KeyError("top"), TypeError(), RuntimeError("shape"), OSError("no number")):
        assert known_error(mistake) is None
    known = DataError("p", remedy="r", code="data/x")
    assert known_error(known) is known
