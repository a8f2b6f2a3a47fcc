"""The structures have the kernel's layout, and the calls its numbers."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest

from edgeseg.stream.source.v4l2 import abi

STRUCTURES = {
    "v4l2_capability": abi.Capability,
    "v4l2_fmtdesc": abi.FormatDescription,
    "v4l2_pix_format": abi.PixFormat,
    "v4l2_format": abi.Format,
    "v4l2_fract": abi.Fraction,
    "v4l2_captureparm": abi.CaptureParm,
    "v4l2_streamparm": abi.StreamParm,
    "v4l2_requestbuffers": abi.RequestBuffers,
    "v4l2_timecode": abi.TimeCode,
    "v4l2_buffer": abi.Buffer,
    "v4l2_control": abi.Control,
}
SIZES = {  # of 64-bit Linux
    "v4l2_capability": 104,
    "v4l2_fmtdesc": 64,
    "v4l2_pix_format": 48,
    "v4l2_format": 208,
    "v4l2_fract": 8,
    "v4l2_captureparm": 40,
    "v4l2_streamparm": 204,
    "v4l2_requestbuffers": 20,
    "v4l2_timecode": 16,
    "v4l2_buffer": 88,
    "v4l2_control": 8,
}
CALLS = [name for name in vars(abi) if name.startswith("VIDIOC_")]
CONSTANTS = [
    *CALLS,
    *(f"V4L2_{name}" for name in vars(abi) if name.startswith(("CAP_", "BUF_TYPE_", "MEMORY_"))),
    *(f"V4L2_{name}" for name in vars(abi) if name.startswith(("FIELD_", "BUF_FLAG_", "CID_"))),
]
NAMES = {"V4L2_PARM_TIMEPERFRAME": "V4L2_CAP_TIMEPERFRAME"}
HEADER = Path("/usr/include/linux/videodev2.h")


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="sizes of 64-bit Linux")
def test_the_sizes_and_two_calls_are_known():
    assert {name: ctypes.sizeof(kind) for name, kind in STRUCTURES.items()} == SIZES
    assert abi.VIDIOC_QUERYCAP == 0x80685600
    assert abi.VIDIOC_DQBUF == 0xC0585611


def test_the_letters_of_a_format():
    assert abi.fourcc("YUYV") == 0x56595559
    assert abi.letters(abi.fourcc("GREY")) == "GREY"


def test_the_installed_header_says_the_same(tmp_path):
    """A C program prints the sizes, the places of the members, and the constants."""
    compiler = shutil.which("cc")
    if compiler is None or not HEADER.exists():
        pytest.skip("no C compiler, or no Linux headers (linux-libc-dev)")
    lines = []
    expected = {}
    for name, kind in STRUCTURES.items():
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        expected[name] = ctypes.sizeof(kind)
        for member, *_ in kind._fields_:
            if member in ("reserved", "flags", "request_fd"):  # others in other kernels
                continue
            place = f"{name}.{member}"
            lines.append(f'printf("{place} %zu\\n", offsetof(struct {name}, {member}));')
            expected[place] = getattr(kind, member).offset
    for name in [*CONSTANTS, "V4L2_PARM_TIMEPERFRAME"]:
        lines.append(
            f'printf("{name} %lu\\n", (unsigned long)(unsigned)({NAMES.get(name, name)}));'
        )
        expected[name] = getattr(abi, name.removeprefix("V4L2_"))
    source = tmp_path / "sizes.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/videodev2.h>\n"
        f"int main(void) {{ {' '.join(lines)} return 0; }}\n"
    )
    subprocess.run([compiler, source, "-o", tmp_path / "sizes"], check=True)
    printed = subprocess.run([tmp_path / "sizes"], check=True, capture_output=True, text=True)
    found = dict(line.split() for line in printed.stdout.splitlines())
    assert {name: int(number) for name, number in found.items()} == expected
    assert len(expected) > 90
