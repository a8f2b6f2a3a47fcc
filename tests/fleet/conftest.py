"""A registry that all tests of the room share; each has repositories of its own."""

import pytest

from tests.kit.registry import DockerRegistry


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A real one, without a password."""
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as found:
        yield found


@pytest.fixture
def place(registry, tmp_path):
    """A tag that no other test has."""
    return f"{registry.host}/{tmp_path.name.replace('_', '-').lower()}/bottle:stable"
