"""Run some checks in this process, one JSON line each.

    python -m edgeseg.gpu_check.worker FUNCTION ARGUMENTS FUNCTION ARGUMENTS ...

A function is `module:function`, its arguments are a JSON object. Started by run.py, which ends a
process that hangs.
"""

import json
import sys
import time
import traceback
from importlib import import_module
from typing import Any

from edgeseg.errors import EdgesegError, MissingExtra
from edgeseg.gpu_check.finding import GpuFinding, Skipped
from edgeseg.packages.extras import missing_extra
from edgeseg.schema import without_nan

MARK = "check: "


def carry_out(function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run one check; return its state, what was found, and its seconds and figures."""
    began = time.perf_counter()
    figures: dict[str, Any] = {}
    detail: dict[str, str] = {}
    try:
        module, _, name = function.partition(":")
        outcome: GpuFinding = getattr(import_module(module), name)(**arguments)
        state, found, figures = "PASS" if outcome.passed else "FAIL", outcome.found, outcome.figures
    except Skipped as skipped:
        state, found = "SKIP", str(skipped)
    except MissingExtra as error:
        state, found, detail = "SKIP", error.problem, {"remedy": error.remedy}
    except EdgesegError as error:
        state, found, detail = "FAIL", error.problem, {"remedy": error.remedy}
    except Exception as error:
        missing = missing_extra(error) if isinstance(error, ImportError) else None
        if missing:
            state, found, detail = "SKIP", missing.problem, {"remedy": missing.remedy}
        else:
            state, found = "FAIL", f"{type(error).__name__}: {error}"
            detail = {"traceback": traceback.format_exc()}
    seconds = round(time.perf_counter() - began, 3)
    return {
        "state": state, "found": found, "seconds": seconds, "figures": figures, "detail": detail
    }  # fmt: skip


def main(words: list[str]) -> None:
    """Run the checks of a command line in order."""
    for function, arguments in zip(words[::2], words[1::2], strict=True):
        answer = carry_out(function, json.loads(arguments))
        print(MARK + json.dumps(without_nan(answer)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
