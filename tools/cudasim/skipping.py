"""Scenarios for tests outside this folder, which skip where something is missing."""

import pytest

from tools.cudasim.build import NoCompilerError
from tools.cudasim.run import run


def run_or_skip(scenario, **arguments):
    """Run a scenario; skip where the compiler, a binding or Linux is missing."""
    try:
        report = run(scenario, **arguments)
    except NoCompilerError as missing:
        pytest.skip(str(missing))
    for line in (report.error or "").splitlines():
        if "MissingExtra: " in line:
            pytest.skip(line.partition("MissingExtra: ")[2])
    return report
