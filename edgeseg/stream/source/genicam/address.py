"""The address of an industrial camera, with its settings.

genicam://                                    the only camera that is found
genicam://4103412345                          by its serial number
genicam://192.168.1.20                        by its IP address
genicam://Basler-acA2440-4103412345           by the name that `arv-tool-0.8` lists, or its own
genicam://4103412345?exposure=2000&gain=1.5&trigger=hardware
"""

from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import unquote

from edgeseg.errors import SourceError
from edgeseg.files import quoted
from edgeseg.schema import Invalid, bounded, build

SCHEME = "genicam"
EXAMPLE = "genicam://SERIAL?exposure=2000&gain=1.5&trigger=software&packet_size=8000"


@dataclass(frozen=True, kw_only=True)
class GenicamSettings:
    """What a camera is set to; None leaves what is set in the camera."""

    exposure: float | None = bounded(0.1, 1e9, default=None)
    """Microseconds."""
    gain: float | None = bounded(-100, 1000, default=None)
    """In the camera's unit, most often dB."""
    trigger: str = "off"
    """off (it sends all the time), software, hardware (its first line), or the name of a line."""
    format: str | None = None
    """The camera's name of one, such as Mono12p [default: the nearest to the graph's]."""
    x: int | None = bounded(0, 100_000, default=None)
    """Left edge of the region that is sent, whose size --width and --height request."""
    y: int | None = bounded(0, 100_000, default=None)
    packet_size: int | None = bounded(220, 65_535, default=None)
    """Bytes of a GigE Vision packet [default: Aravis']; 8000 and more need jumbo frames."""
    packet_delay: int | None = bounded(0, 10**9, default=None)
    """Nanoseconds between two packets, for several cameras on one link."""


@dataclass(frozen=True)
class GenicamAddress:
    """A camera and its settings."""

    name: str
    """Serial number, IP address or name; empty: the only camera."""
    settings: GenicamSettings


def parse_address(rest: str) -> GenicamAddress:
    """Read what follows `genicam://`; SourceError for an unknown or invalid setting."""
    name, _, query = rest.partition("?")
    types = {each.name: str(each.type) for each in fields(GenicamSettings)}
    found: dict[str, Any] = {}
    for part in filter(None, query.split("&")):
        key, _, value = part.partition("=")
        if key not in types:
            raise _invalid(rest, f"unknown setting '{key[:40]}' (expected {', '.join(types)})")
        found[key] = _value(unquote(value), types[key])
    try:
        settings = build(GenicamSettings, found, "")
    except Invalid as error:
        raise _invalid(rest, str(error)) from error
    return GenicamAddress(unquote(name).strip("/"), settings)


def _value(text: str, kind: str) -> float | int | str:
    """Return a number where one is expected and given; else the text, which the schema refuses."""
    try:
        if "int" in kind:
            return int(text)
        return float(text) if "float" in kind else text
    except ValueError:
        return text


def _invalid(rest: str, problem: str) -> SourceError:
    return SourceError(
        f"invalid source: '{SCHEME}://{rest}': {problem}.",
        remedy=f"--source {quoted(EXAMPLE)}",
        code="source/invalid-genicam",
    )
