"""What the tests of engines share."""

import pytest

from edgeseg.graph.files import read_graph


@pytest.fixture(scope="session")
def model(exported):
    """The exported graph of DeSTSeg."""
    return read_graph(exported.graph)[0]
