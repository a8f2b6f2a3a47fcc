"""Drawn parts, just enough of them to compare recipes, and few drawn defects."""

import pytest

from edgeseg.data.parts import write_parts
from edgeseg.tuning import judge


@pytest.fixture(scope="session")
def parts(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("tuned") / "plates", train=32, good=4, bad=2)


@pytest.fixture(scope="module", autouse=True)
def few_drawn():
    """Two defects of each family judge; drawing takes most of the time otherwise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "EACH", 2)
        yield
