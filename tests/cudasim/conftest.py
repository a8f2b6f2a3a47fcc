"""Scenarios need a C compiler, and the CUDA bindings; without them, the tests skip and say so."""

from importlib.util import find_spec

import pytest

from tests.cudasim.build import NoCompilerError, build


@pytest.fixture(scope="session", autouse=True)
def simulated_driver():
    """Build the driver once."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        pytest.skip("cuda-python is not installed: pip install cuda-bindings")
    try:
        return build()
    except NoCompilerError as missing:
        pytest.skip(str(missing))
