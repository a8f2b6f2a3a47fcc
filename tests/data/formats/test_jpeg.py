"""Whether a JPEG, such as a camera's MJPEG frame, is whole."""

import numpy as np
import pytest

from edgeseg.data.formats.jpeg import decode_bgr
from edgeseg.data.formats.pillow import Damaged
from tests.kit.encoded import encode, noise, overwritten, smooth, without_rows

WHOLE = encode(noise(), "JPEG", quality=90)


def damaged(jpeg):
    try:
        decode_bgr(jpeg, np.empty((48, 64, 3), np.uint8))
    except Damaged as error:
        return str(error)
    return None


def test_a_whole_frame_is_not_damaged():
    assert damaged(WHOLE) is None
    assert damaged(encode(smooth(), "JPEG", progressive=True)) is None
    assert damaged(encode(noise()[..., 0], "JPEG")) is None


@pytest.mark.parametrize("filling", [bytes(512), b"\xff\xd9", b"next frame"])
def test_bytes_after_the_end_are_the_buffers(filling):
    assert damaged(WHOLE + filling) is None


@pytest.mark.parametrize("filling", [bytes(3), bytes(40), b"\xff" * 9])
def test_padding_before_the_end_marker_is_no_damage(filling):
    assert damaged(WHOLE[:-2] + filling + b"\xff\xd9") is None


SCAN = WHOLE.index(b"\xff\xda")
ODD = {
    "version": overwritten(WHOLE, WHOLE.index(b"JFIF") + 5, b"\2\0"),
    "scan": overwritten(WHOLE, SCAN + 11, bytes(3)),
}
ODD["both"] = overwritten(ODD["version"], SCAN + 11, bytes(3))


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_odd_headers_of_cameras_are_no_damage_and_hide_none(odd):
    assert damaged(odd) is None
    assert damaged(odd[:-2] + bytes(5) + odd[-2:]) is None
    assert "premature" in damaged(without_rows(odd))
    expected = decode_bgr(WHOLE, np.empty(0, np.uint8))
    np.testing.assert_array_equal(decode_bgr(odd, np.empty(0, np.uint8)), expected)


BROKEN = [
    WHOLE[:-2],
    WHOLE[: len(WHOLE) // 2],
    without_rows(WHOLE),
    without_rows(WHOLE) + WHOLE,
    WHOLE[:300],
    b"",
    b"\xff\xd8",
    WHOLE[: len(WHOLE) // 2] + bytes(500) + b"\xff\xd9",
    WHOLE[:2000] + WHOLE[2512:],  # a lost packet
    overwritten(WHOLE, len(WHOLE) // 2, b"edge" * 50),
    WHOLE[2:],
    encode(smooth(), "PNG"),
]


@pytest.mark.parametrize("data", BROKEN, ids=range(len(BROKEN)))
def test_a_frame_that_is_not_whole_is_damaged(data):
    assert damaged(data)


def test_a_long_run_of_zeros_is_damage_and_costs_no_time():
    half = len(WHOLE) // 2
    zeros = WHOLE[:half] + bytes(1 << 20) + WHOLE[half:]
    assert damaged(zeros) and damaged(zeros[:-2] + bytes(9) + zeros[-2:])
