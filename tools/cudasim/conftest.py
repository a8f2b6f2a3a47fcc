"""Scenarios need Linux, a C compiler and cuda-python; otherwise the tests skip with a reason."""

import sys
from importlib.util import find_spec

import pytest

from tools.cudasim.build import NoCompilerError, build


@pytest.fixture(scope="session", autouse=True)
def simulated_driver():
    """Build the driver once."""
    if sys.platform != "linux":
        pytest.skip("the CUDA simulator stands in for libcuda.so.1, which is Linux's")
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        pytest.skip("cuda-python is not installed: pip install cuda-bindings")
    try:
        return build()
    except NoCompilerError as missing:
        pytest.skip(str(missing))
