"""Checks with known ends, for the tests of the runner."""

import os
import tempfile
import time

from edgeseg.errors import CudaError, MissingExtra
from edgeseg.gpu_check.finding import GpuFinding, Skipped


def passes(found="as it must be"):
    return GpuFinding(True, found, {"n": 3, "nan": float("nan")})


def gets(graph):
    return GpuFinding(True, graph)


def fails():
    return GpuFinding(False, "7 wrong")


def skips():
    raise Skipped("there is no camera")


def lacks():
    raise MissingExtra("package x is not installed.", remedy="pip install x")


def breaks():
    raise CudaError("cuInit failed.", remedy="edgeseg doctor")


def leaves():
    """Leave a file behind, as an engine that was built."""
    return GpuFinding(True, tempfile.mkdtemp())


def crashes():
    os.abort()


def raises():
    raise ZeroDivisionError("by accident")


def hangs():
    print("noise")
    time.sleep(60)
