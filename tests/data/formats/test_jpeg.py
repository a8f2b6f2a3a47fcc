"""Whether a JPEG, such as a camera's MJPEG frame, is whole."""

import cv2
import numpy as np
import pytest

from edgeseg.data.formats.jpeg import camera_jpeg_size, decode_into, reduced
from edgeseg.data.formats.pillow import Damaged
from edgeseg.data.images import resize
from tests.kit.encoded import encode, noise, overwritten, smooth, without_rows

WHOLE = encode(noise(), "JPEG", quality=90)


def decode(jpeg, colors="bgr"):
    pixels = np.empty((*camera_jpeg_size(jpeg), 1 if colors == "gray" else 3), np.uint8)
    decode_into(jpeg, colors, pixels)
    return pixels


def damaged(jpeg):
    try:
        decode(jpeg)
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
    expected = decode(WHOLE)
    np.testing.assert_array_equal(decode(odd), expected)


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


def test_the_colors_are_those_that_are_asked_for():
    picture = encode(smooth(), "JPEG", quality=95)
    rgb, bgr, gray = (decode(picture, colors).astype(int) for colors in ("rgb", "bgr", "gray"))
    np.testing.assert_array_equal(rgb, bgr[:, :, ::-1])
    assert np.abs(rgb - smooth()).mean() < 2
    seen = cv2.cvtColor(bgr.astype(np.uint8), cv2.COLOR_BGR2GRAY)
    assert np.abs(gray[:, :, 0] - seen).max() <= 1, "the luma of a JPEG is the gray of OpenCV"


@pytest.mark.parametrize(
    ("size", "target", "expected"),
    [
        ((1080, 1920), (256, 256), (1080, 1920)),
        ((3000, 4096), (256, 256), (3000, 4096)),  # 11.7 times smaller: less than 2 * MARGIN
        ((3000, 4096), (187, 256), (1500, 2048)),
        ((3000, 4096), (93, 128), (750, 1024)),
        ((3001, 4097), (46, 64), (376, 513)),
        ((48, 64), (96, 128), (48, 64)),
    ],
)
def test_only_jpegs_that_are_made_much_smaller_are_decoded_in_part(size, target, expected):
    assert reduced(size, target) == expected


def photo(height, width):
    """A sheet with shades, grain in focus, and dark and bright scratches, BGR."""
    rng = np.random.default_rng(0)
    shades = rng.normal(0, 25, (height // 64, width // 64, 3)).astype(np.float32)
    sheet = 125 + cv2.resize(shades, (width, height), interpolation=cv2.INTER_CUBIC)
    sheet += rng.normal(0, 6, sheet.shape)
    sheet = sheet.clip(0, 255).astype(np.uint8)
    for level in rng.integers(0, 256, 60):
        ends = rng.integers(0, (width, height), (2, 2)).tolist()
        cv2.line(sheet, *ends, (int(level),) * 3, int(rng.integers(1, 12)), cv2.LINE_AA)
    return cv2.GaussianBlur(sheet, (0, 0), 0.8)


@pytest.mark.parametrize("smaller", [16, 32, 64])
def test_what_is_decoded_in_part_is_scaled_to_the_same_picture(smaller):
    height, width = 1024, 1536
    jpeg = encode(photo(height, width), "JPEG", quality=90)
    target = height // smaller, width // smaller
    size = reduced((height, width), target)
    assert size == (height * 8 // smaller, width * 8 // smaller)
    part = np.empty((*size, 3), np.uint8)
    decode_into(jpeg, "bgr", part)
    found, expected = (resize(each, *target).astype(int) for each in (part, decode(jpeg)))
    assert np.abs(found - expected).max() <= 1


def test_a_part_of_a_damaged_jpeg_is_damaged():
    with pytest.raises(Damaged, match="premature"):
        decode_into(without_rows(WHOLE), "bgr", np.empty((24, 32, 3), np.uint8))
