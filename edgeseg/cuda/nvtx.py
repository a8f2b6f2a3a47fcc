"""Named ranges for the stages of a frame on the timeline of Nsight Systems.

    mark = marker(on=config.nvtx)
    with mark("run"):
        backend.run()

    nsys profile edgeseg profile MODEL --nvtx

Without --nvtx, a mark is one shared object that does nothing. Tested with the package `nvtx` and
without Nsight Systems.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from edgeseg.packages.extras import require

DOMAIN = "edgeseg"

Mark = Callable[[str], AbstractContextManager[Any]]


def marker(*, on: bool) -> Mark:
    """Return a function that makes ranges; MissingExtra if `nvtx` is needed and missing.

    A name's range is created once and reused: the loop allocates nothing.
    """
    if not on:
        nothing = nullcontext()
        return lambda name: nothing
    nvtx = require("nvtx", extra="nvtx")
    ranges: dict[str, AbstractContextManager[Any]] = {}

    def mark(name: str) -> AbstractContextManager[Any]:
        if name not in ranges:
            ranges[name] = nvtx.annotate(name, domain=DOMAIN)
        return ranges[name]

    return mark


UNMARKED = marker(on=False)
