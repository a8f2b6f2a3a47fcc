"""Finds, opens and sets an industrial camera through Aravis."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edgeseg.errors import SourceError
from edgeseg.files import quoted, shown
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat
from edgeseg.packages.gobject import load_library
from edgeseg.stream.source.camera import TRY_WITHOUT, Mode
from edgeseg.stream.source.genicam.address import SCHEME, GenicamAddress, GenicamSettings
from edgeseg.stream.source.genicam.formats import (
    GENICAM_FORMATS,
    GenicamFormat,
    choose_format,
)

TYPELIB = "gir1.2-aravis-0.8"
_LOOKING = threading.Lock()  # Aravis has one list of cameras per process


def load_aravis() -> Any:
    """Return Aravis; MissingExtra with what installs it."""
    return load_library("Aravis", "0.8", TYPELIB)


@dataclass(frozen=True)
class FoundCamera:
    """A camera that answered."""

    device: str
    """Aravis' name of it."""
    serial: str
    address: str
    """IP address, or that of the USB device."""
    hardware: str
    """MAC address of a GigE camera."""

    def is_named(self, name: str) -> bool:
        """Whether this is the camera of an address."""
        names = (self.device, self.serial, self.address, self.hardware)
        return name.casefold() in (each.casefold() for each in names)


@dataclass(frozen=True)
class Sent:
    """What a camera sends."""

    name: str
    """Its name of the pixel format."""
    form: GenicamFormat
    size: tuple[int, int]
    """(height, width)"""
    payload: int
    """Bytes of a buffer."""
    fps: float | None
    """None if a trigger sets the pace."""

    @property
    def mode(self) -> Mode:
        """The mode, as --camera-format names it."""
        return Mode(self.size, self.fps, self.form.kind)


def find_cameras(aravis: Any) -> list[FoundCamera]:
    """Return the cameras that answer within a second."""
    with _LOOKING:
        aravis.update_device_list()
        return [
            FoundCamera(
                aravis.get_device_id(place) or "",
                aravis.get_device_serial_nbr(place) or "",
                aravis.get_device_address(place) or "",
                aravis.get_device_physical_id(place) or "",
            )
            for place in range(aravis.get_n_devices())
        ]


def open_device(aravis: Any, name: str) -> Any:
    """Return an Aravis.Camera that this process controls.

    SourceError: missing, not the only one, or controlled by another program.
    """
    if is_ip(name):  # also that of a camera behind a router, which a search does not find
        found = [FoundCamera(name, name, name, "")]
    else:
        found = find_cameras(aravis)
    named = [each for each in found if each.is_named(name)] if name else found
    if len(named) > 1 or (not name and not named):
        raise _unclear(name, named)
    try:
        camera = aravis.Camera.new(_device(named[0]) if named else name)
    except Exception as error:  # GLib.Error
        if is_ip(name):
            raise _missing(f"camera {name}", find_cameras(aravis)) from error
        raise _unavailable(name, found, named, error) from error
    device = camera.get_device()
    if isinstance(device, aravis.GvDevice) and not device.is_controller():
        raise SourceError(
            f"camera {shown(name or named[0].serial)} is controlled by another program.",
            remedy="close the other program, or wait until it lets the camera go",
            code="source/camera-busy",
        )
    return camera


def configure(
    camera: Any, address: GenicamAddress, asked: Mode, wanted: FrameFormat
) -> tuple[Sent, list[str]]:
    """Set a camera; return what it sends, and what it has of the settings that were asked for.

    SourceError: it refuses a setting, sends nothing that can be read, or answers no more.
    """
    setter = _Setter(address.name)
    try:
        return _configure(camera, address.settings, asked, wanted, setter)
    except SourceError:
        raise
    except Exception as error:  # GLib.Error
        raise setter.refused(f"it does not answer: {error}") from error


def _configure(
    camera: Any, settings: GenicamSettings, asked: Mode, wanted: FrameFormat, setter: "_Setter"
) -> tuple[Sent, list[str]]:
    _set_region(camera, settings, asked.size, setter)
    name, form = _set_format(camera, settings, asked, wanted, setter)
    if asked.fps is not None:
        setter.set("frame rate", asked.fps, camera.set_frame_rate, camera.get_frame_rate_bounds)
    notes = _set_trigger(camera, settings.trigger, setter)
    if settings.exposure is not None:
        bounds = camera.get_exposure_time_bounds
        setter.set("exposure", settings.exposure, camera.set_exposure_time, bounds)
        notes.append(f"exposure {camera.get_exposure_time():g} us")
    if settings.gain is not None:
        setter.set("gain", settings.gain, camera.set_gain, camera.get_gain_bounds)
        notes.append(f"gain {camera.get_gain():g}")
    if camera.is_gv_device():
        if settings.packet_size is not None:
            setter.set("packet_size", settings.packet_size, camera.gv_set_packet_size)
        if settings.packet_delay is not None:
            setter.set("packet_delay", settings.packet_delay, camera.gv_set_packet_delay)
    region = setter.read("region", camera.get_region)
    size, payload = (region.height, region.width), setter.read("payload", camera.get_payload)
    if payload < form.frame_bytes(*size) or not PIXEL_FORMATS[form.kind].fits(*size):
        what = f"frames of {size[1]}x{size[0]} {name} with {payload} bytes"
        raise setter.refused(f"it sends {what}, which cannot be read")
    fps = None
    if settings.trigger == "off" and camera.is_frame_rate_available():
        fps = float(setter.read("frame rate", camera.get_frame_rate))
    return Sent(name, form, size, payload, fps), notes


class _Setter:
    """Calls a camera, and explains what it refuses."""

    def __init__(self, name: str) -> None:
        self.name = name

    def set(
        self,
        what: str,
        value: float,
        call: Callable[[Any], Any],
        bounds: Callable[[], Any] | None = None,
    ) -> None:
        """Set a number within its bounds."""
        if bounds is not None:
            found = self.read(what, bounds)
            if not found.min <= value <= found.max:
                limits = f"expected {found.min:g} to {found.max:g}"
                raise self.refused(f"it refuses {what} {value:g} ({limits})")
        self.call(f"{what} {value:g}", lambda: call(value))

    def read(self, what: str, call: Callable[[], Any]) -> Any:
        """Read a value."""
        try:
            return call()
        except Exception as error:  # GLib.Error
            raise self.refused(f"it has no {what}: {error}") from error

    def call(self, what: str, call: Callable[[], Any]) -> None:
        """Do what it may refuse."""
        try:
            call()
        except Exception as error:  # GLib.Error
            raise self.refused(f"it refuses {what}: {error}") from error

    def refused(self, problem: str) -> SourceError:
        """Return the error of a camera that cannot be used as it was asked to."""
        return SourceError(
            f"camera {shown(self.name or SCHEME)}: {problem}.",
            remedy="change or omit that setting of the address; arv-tool-0.8 values lists them",
            code="source/genicam-refused",
        )


def _set_region(
    camera: Any, settings: GenicamSettings, size: tuple[int, int] | None, setter: _Setter
) -> None:
    """Set the region if anything of it is asked for: it cuts a part of the picture out."""
    if size is None and settings.x is None and settings.y is None:
        return
    now = setter.read("region", camera.get_region)
    height, width = size or (now.height, now.width)
    x, y = settings.x or 0, settings.y or 0
    what = f"a region of {width}x{height} at {x}, {y}"
    setter.call(what, lambda: camera.set_region(x, y, width, height))
    has = setter.read("region", camera.get_region)
    if (has.x, has.y, has.width, has.height) != (x, y, width, height):
        found = f"{has.width}x{has.height} at {has.x}, {has.y}"
        raise setter.refused(f"it refuses {what} (found {found})")


def _set_format(
    camera: Any, settings: GenicamSettings, asked: Mode, wanted: FrameFormat, setter: _Setter
) -> tuple[str, GenicamFormat]:
    offered = list(setter.read("pixel formats", camera.dup_available_pixel_formats_as_strings))
    usable = [settings.format] if settings.format in offered else offered
    if settings.format is not None and settings.format not in offered:
        usable = []
    kind = asked.format if asked.format in PIXEL_FORMATS else None
    chosen = choose_format(usable, wanted, kind)  # type: ignore[arg-type]
    if chosen is None or (asked.format is not None and kind is None):
        what = settings.format or asked.format or "a format that can be read"
        raise SourceError(
            f"camera {shown(setter.name or SCHEME)} has no {what} (found "
            f"{', '.join(offered)}; expected one of {', '.join(GENICAM_FORMATS)}).",
            remedy="omit the format, or choose one that both lists have: ?format=Mono8",
            code="source/genicam-format",
        )
    setter.call(f"format {chosen[0]}", lambda: camera.set_pixel_format_from_string(chosen[0]))
    return chosen


def _set_trigger(camera: Any, trigger: str, setter: _Setter) -> list[str]:
    """Set what a frame is taken for; return it in words."""
    if trigger == "off":
        setter.call("to be without a trigger", camera.clear_triggers)
        return []
    sources = list(setter.read("triggers", camera.dup_available_trigger_sources))
    lines = [each for each in sources if each.startswith("Line")]
    name = {"software": "Software", "hardware": lines[0] if lines else ""}.get(trigger, trigger)
    if name not in sources:
        raise setter.refused(
            f"it has no trigger '{trigger}' (found {', '.join(sources) or 'none'})"
        )
    setter.call(f"trigger {name}", lambda: camera.set_trigger(name))
    return [f"a frame for each trigger ({name})"]


def _device(found: FoundCamera) -> str:
    return found.address if is_ip(found.address) else found.device


def is_ip(text: str) -> bool:
    """Whether text is an IPv4 address, the only kind of GigE Vision."""
    return text.count(".") == 3 and all(part.isdecimal() for part in text.split("."))


def _listed(found: list[FoundCamera]) -> str:
    return ", ".join(f"{each.serial} at {each.address}" for each in found) or "none"


def _unclear(name: str, found: list[FoundCamera]) -> SourceError:
    if not found:
        return _missing("camera", found)
    address = f"{SCHEME}://{found[0].serial}"
    what = f"have the name '{shown(name)}'" if name else "are connected"
    return SourceError(
        f"{len(found)} cameras {what}: {shown(_listed(found))} (expected one).",
        remedy=f"choose one: --source {quoted(address)}",
        code="source/genicam-many",
    )


def _unavailable(
    name: str, found: list[FoundCamera], named: list[FoundCamera], error: Exception
) -> SourceError:
    if not named:
        return _missing(f"camera {name}", found)
    return SourceError(
        f"cannot open camera {shown(name or named[0].serial)} at {named[0].address}: {error}.",
        remedy="close other programs that use it; a USB camera needs permission: "
        "install aravis-tools, and connect it again; a GigE camera an address of this network",
        code="source/camera-busy",
    )


def _missing(what: str, found: list[FoundCamera]) -> SourceError:
    return SourceError(
        f"{shown(what)} not found (found {shown(_listed(found))}).",
        remedy=f"check its power, cable and address: arv-tool-0.8 lists cameras; or {TRY_WITHOUT}",
        code="source/camera-missing",
    )
