"""Which of its formats a camera is asked for, and what it then sends."""

from dataclasses import dataclass

from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat
from edgeseg.stream.source.camera import SAME_RATE, Mode
from edgeseg.stream.source.v4l2 import abi
from edgeseg.stream.source.v4l2.device import CaptureDevice

JPEGS = ("MJPG", "JPEG")
RAW: dict[str, FrameFormat] = {form.fourcc: kind for kind, form in PIXEL_FORMATS.items()}
ORDER = ("BGR3", "RGB3", "YUYV", "UYVY", "NV12", "RGGB", *JPEGS, "GREY")
"""After the graph's own format: raw before compressed, color before gray."""


@dataclass(frozen=True)
class SentMode:
    """How the frames lie that a driver sends."""

    letters: str
    kind: FrameFormat | None
    """None: JPEGs."""
    size: tuple[int, int]
    """(height, width)"""
    line: int
    """Bytes from one row to the next."""
    image: int
    """Bytes of a buffer, at most."""
    fps: float | None

    @property
    def name(self) -> str:
        """The format as --camera-format names it."""
        return self.kind or ("mjpeg" if self.letters in JPEGS else self.letters)

    @property
    def mode(self) -> Mode:
        """The mode, for the log."""
        return Mode(self.size, self.fps, self.name)

    @property
    def packed(self) -> bool:
        """Whether rows follow each other without a gap."""
        form = PIXEL_FORMATS[self.kind] if self.kind else None
        return form is not None and self.line == self.size[1] * form.channels


class UnsupportedFormat(Exception):
    """The camera has no format that can be read; str() lists those that it has."""


def choose_mode(device: CaptureDevice, asked: Mode, graph: FrameFormat) -> SentMode:
    """Ask a camera for the mode that is closest to what is asked for, and to the graph's format.

    Formats are tried in order; the first one wins that has the size, and the rate if one is asked
    for, else the first with the size and the highest rate.
    """
    assert asked.size is not None
    offered = device.formats()
    known = [letters for letters in _named(asked.format) if letters in offered]
    if not known:
        order = dict.fromkeys((PIXEL_FORMATS[graph].fourcc, *ORDER))
        known = [letters for letters in order if letters in offered]
    if not known:
        raise UnsupportedFormat(", ".join(offered) or "none")
    exact = [letters for letters in known if _has_size(device, letters, asked.size)]
    best: SentMode | None = None
    for letters in exact or known[:1]:
        found = _set(device, letters, asked)
        if asked.fps is None or (found.fps or 0.0) >= asked.fps * (1 - SAME_RATE):
            return found
        if best is None or (found.fps or 0.0) > (best.fps or 0.0):
            best = found
    assert best is not None
    return _set(device, best.letters, asked)


def _named(name: str | None) -> list[str]:
    """Return what drivers call a format of --camera-format."""
    if name == "mjpeg":
        return list(JPEGS)
    return [form.fourcc for kind, form in PIXEL_FORMATS.items() if kind == name]


def _has_size(device: CaptureDevice, letters: str, size: tuple[int, int]) -> bool:
    try:
        found = device.set_format(letters, size, only_try=True)
    except OSError:  # a driver without this call takes any size
        return True
    return (found.height, found.width) == size


def _set(device: CaptureDevice, letters: str, asked: Mode) -> SentMode:
    assert asked.size is not None
    pix = device.set_format(letters, asked.size)
    found = abi.letters(pix.pixelformat)
    if found not in RAW and found not in JPEGS:
        raise UnsupportedFormat(found)
    kind = RAW.get(found)
    if kind and not PIXEL_FORMATS[kind].fits(pix.height, pix.width):
        raise UnsupportedFormat(f"{found} of {pix.width}x{pix.height}")
    return SentMode(
        letters=found,
        kind=kind,
        size=(pix.height, pix.width),
        line=pix.bytesperline,
        image=pix.sizeimage,
        fps=device.set_rate(asked.fps),
    )
