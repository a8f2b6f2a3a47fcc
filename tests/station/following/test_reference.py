"""Names of models in registries."""

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.following.reference import Reference, parse_reference
from tests.kit.errors import fails

DIGEST = "sha256:" + "0" * 64
GOOD = {
    "registry.example:5000/line/bottle:stable": ("registry.example:5000", "line/bottle", "stable"),
    f"127.0.0.1/bottle@{DIGEST}": ("127.0.0.1", "bottle", "", DIGEST),
    f"[::1]:5000/a/b-c/d__e:1.0@{DIGEST}": ("[::1]:5000", "a/b-c/d__e", "1.0", DIGEST),
}
BAD = (
    "bottle:stable",
    "registry/bottle",
    "registry/Bottle:stable",
    "registry/line//bottle:stable",
    "registry/../bottle:stable",
    "registry/bottle:-stable",
    "registry:0/bottle:stable",
    "registry:99999/bottle:stable",
    "https://registry/bottle:stable",
    f"registry/bottle@{DIGEST[:-1]}",
    "user:secret@registry/bottle:stable",
    "registry/bottle:stable\n",
    "",
)


@pytest.mark.parametrize("text", GOOD)
def test_a_reference_is_read_and_written(text):
    found = parse_reference(text)
    assert found == Reference(*GOOD[text]) and str(found) == text
    assert found.target == (found.digest or found.tag)


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_refused(text):
    with fails(ConfigError, "registry/reference") as error:
        parse_reference(text)
    assert "secret" not in str(error.value)
