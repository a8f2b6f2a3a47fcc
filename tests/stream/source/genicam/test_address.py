"""Addresses of industrial cameras."""

import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.source.genicam.address import GenicamSettings, parse_address
from tests.kit.errors import fails


def test_settings_are_typed():
    found = parse_address("4103412345?exposure=2000&gain=1.5&trigger=Line2&packet_size=8000&x=16")
    assert found.name == "4103412345"
    assert found.settings == GenicamSettings(
        exposure=2000.0, gain=1.5, trigger="Line2", packet_size=8000, x=16
    )


@pytest.mark.parametrize(
    ("rest", "name"), [("", ""), ("192.168.1.20", "192.168.1.20"), ("Top%20camera/", "Top camera")]
)
def test_a_camera_is_named_or_the_only_one(rest, name):
    assert parse_address(rest) == parse_address(f"{rest}?trigger=off")
    assert parse_address(rest).name == name


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("exposure=long", "exposure is 'long' (expected a number)"),
        ("gain=nan", "gain"),
        ("exposure=0", "exposure is 0.0 (expected 0.1"),
        ("packet_size=1.5", "packet_size"),
        ("speed=3", "unknown setting 'speed' (expected exposure, gain, trigger"),
    ],
)
def test_an_invalid_setting_is_named(query, words):
    with fails(SourceError, "source/invalid-genicam") as caught:
        parse_address(f"1?{query}")
    assert words in caught.value.problem
