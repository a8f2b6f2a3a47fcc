"""The part of Linux' `videodev2.h` that capturing needs: structures, numbers of calls, constants.

Names and layouts are the kernel's (include/uapi/linux/videodev2.h); they are fixed for every
architecture, and a test compares them with the installed headers.
"""

import ctypes
from ctypes import c_char, c_int32, c_long, c_uint8, c_uint32, c_ulong

CAP_VIDEO_CAPTURE, CAP_STREAMING, CAP_DEVICE_CAPS = 0x1, 0x04000000, 0x80000000
BUF_TYPE_VIDEO_CAPTURE = 1
MEMORY_MMAP, MEMORY_USERPTR = 1, 2
FIELD_ANY = 0
PARM_TIMEPERFRAME = 0x1000
BUF_FLAG_ERROR = 0x40
BUF_FLAG_TIMESTAMP_MASK, BUF_FLAG_TIMESTAMP_MONOTONIC = 0xE000, 0x2000
BUF_FLAG_TSTAMP_SRC_MASK, BUF_FLAG_TSTAMP_SRC_SOE = 0x70000, 0x10000
CID_MIN_BUFFERS_FOR_CAPTURE = 0x00980927


class Capability(ctypes.Structure):
    """v4l2_capability: which driver it is, and what it can do."""

    _fields_ = [
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class FormatDescription(ctypes.Structure):
    """v4l2_fmtdesc: one of the pixel formats."""

    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class PixFormat(ctypes.Structure):
    """v4l2_pix_format: size and format of a frame, and how its bytes lie."""

    _fields_ = [
        ("width", c_uint32),
        ("height", c_uint32),
        ("pixelformat", c_uint32),
        ("field", c_uint32),
        ("bytesperline", c_uint32),
        ("sizeimage", c_uint32),
        ("colorspace", c_uint32),
        ("priv", c_uint32),
        ("flags", c_uint32),
        ("ycbcr_enc", c_uint32),
        ("quantization", c_uint32),
        ("xfer_func", c_uint32),
    ]


class _FormatUnion(ctypes.Union):
    # Another member of the kernel's union holds pointers, which sets its alignment.
    _fields_ = [("pix", PixFormat), ("raw_data", c_uint8 * 200), ("_aligned", c_ulong)]


class Format(ctypes.Structure):
    """v4l2_format."""

    _fields_ = [("type", c_uint32), ("fmt", _FormatUnion)]


class Fraction(ctypes.Structure):
    """v4l2_fract."""

    _fields_ = [("numerator", c_uint32), ("denominator", c_uint32)]


class CaptureParm(ctypes.Structure):
    """v4l2_captureparm: the frame rate."""

    _fields_ = [
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("timeperframe", Fraction),
        ("extendedmode", c_uint32),
        ("readbuffers", c_uint32),
        ("reserved", c_uint32 * 4),
    ]


class _ParmUnion(ctypes.Union):
    _fields_ = [("capture", CaptureParm), ("raw_data", c_uint8 * 200)]


class StreamParm(ctypes.Structure):
    """v4l2_streamparm."""

    _fields_ = [("type", c_uint32), ("parm", _ParmUnion)]


class RequestBuffers(ctypes.Structure):
    """v4l2_requestbuffers."""

    _fields_ = [
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    ]


class TimeVal(ctypes.Structure):
    """timeval."""

    _fields_ = [("tv_sec", c_long), ("tv_usec", c_long)]


class TimeCode(ctypes.Structure):
    """v4l2_timecode."""

    _fields_ = [
        ("type", c_uint32),
        ("flags", c_uint32),
        ("frames", c_uint8),
        ("seconds", c_uint8),
        ("minutes", c_uint8),
        ("hours", c_uint8),
        ("userbits", c_uint8 * 4),
    ]


class _Place(ctypes.Union):
    _fields_ = [("offset", c_uint32), ("userptr", c_ulong), ("planes", c_ulong), ("fd", c_int32)]


class Buffer(ctypes.Structure):
    """v4l2_buffer: one frame's memory, in the hands of the driver or of the program."""

    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", TimeVal),
        ("timecode", TimeCode),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Place),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int32),
    ]


class Control(ctypes.Structure):
    """v4l2_control."""

    _fields_ = [("id", c_uint32), ("value", c_int32)]


def _call(direction: int, number: int, size: int) -> int:
    """Return the number of an ioctl, as <asm-generic/ioctl.h> builds it."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


_WRITE, _READ, _BOTH = 1, 2, 3
VIDIOC_QUERYCAP = _call(_READ, 0, ctypes.sizeof(Capability))
VIDIOC_ENUM_FMT = _call(_BOTH, 2, ctypes.sizeof(FormatDescription))
VIDIOC_S_FMT = _call(_BOTH, 5, ctypes.sizeof(Format))
VIDIOC_REQBUFS = _call(_BOTH, 8, ctypes.sizeof(RequestBuffers))
VIDIOC_QUERYBUF = _call(_BOTH, 9, ctypes.sizeof(Buffer))
VIDIOC_QBUF = _call(_BOTH, 15, ctypes.sizeof(Buffer))
VIDIOC_DQBUF = _call(_BOTH, 17, ctypes.sizeof(Buffer))
VIDIOC_STREAMON = _call(_WRITE, 18, ctypes.sizeof(c_int32))
VIDIOC_STREAMOFF = _call(_WRITE, 19, ctypes.sizeof(c_int32))
VIDIOC_G_PARM = _call(_BOTH, 21, ctypes.sizeof(StreamParm))
VIDIOC_S_PARM = _call(_BOTH, 22, ctypes.sizeof(StreamParm))
VIDIOC_G_CTRL = _call(_BOTH, 27, ctypes.sizeof(Control))
VIDIOC_S_CTRL = _call(_BOTH, 28, ctypes.sizeof(Control))
VIDIOC_TRY_FMT = _call(_BOTH, 64, ctypes.sizeof(Format))


def fourcc(letters: str) -> int:
    """Return the number of a pixel format: fourcc("YUYV")."""
    return int.from_bytes(letters.encode("ascii"), "little")


def letters(number: int) -> str:
    """Return the letters of a pixel format."""
    return number.to_bytes(4, "little").decode("ascii", "replace")
