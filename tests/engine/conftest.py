"""What the tests of engines share."""

import onnx
import pytest


@pytest.fixture(scope="session")
def model(exported):
    """The exported graph of DeSTSeg."""
    return onnx.load(exported.graph)
