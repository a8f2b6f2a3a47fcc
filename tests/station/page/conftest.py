import pytest

from tests.kit.pages import Station


@pytest.fixture
def station(tmp_path):
    with Station(tmp_path) as found:
        yield found
