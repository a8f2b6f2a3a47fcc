"""One function decodes every image: upright, whole, of bounded size, or refused by name."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from edgeseg.data.formats.decode import LIMIT, decode
from edgeseg.errors import DataError
from tests.kit.encoded import (
    chunk,
    encode,
    noise,
    overwritten,
    png_of_zeros,
    smooth,
    turn_of,
)
from tests.kit.errors import fails

RGB = smooth(6, 9)
GRAY = RGB[..., 0]
LOSSLESS = ("PNG", "TIFF", "BMP")


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("pixels", [RGB, GRAY], ids=["rgb", "gray"])
def test_lossless_pixels_are_exact(kind, pixels):
    np.testing.assert_array_equal(decode(encode(pixels, kind), "a"), pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_alpha_is_the_fourth_channel(kind):
    rgba = np.dstack([RGB, GRAY])
    np.testing.assert_array_equal(decode(encode(rgba, kind), "a"), rgba)


def test_gray_with_alpha_becomes_four_channels():
    pair = np.dstack([GRAY, GRAY // 2])
    found = decode(encode(pair, "PNG", "LA"), "a")
    np.testing.assert_array_equal(found, np.dstack([GRAY, GRAY, GRAY, GRAY // 2]))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 4)])
def test_sixteen_bits_are_exact(suffix, shape):
    deep = np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    stored = deep[..., [2, 1, 0, 3][: shape[2]]] if len(shape) == 3 else deep
    found = decode(cv2.imencode(suffix, stored)[1].tobytes(), "a")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, deep)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_palette_gives_colors(kind):
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    picture, file = Pillow.fromarray(indices).convert("P"), io.BytesIO()
    picture.putdata(indices.ravel())
    picture.putpalette([0, 0, 0, 250, 10, 20, 30, 40, 50])
    picture.save(file, kind)
    np.testing.assert_array_equal(decode(file.getvalue(), "a")[0, 1], [250, 10, 20])
    np.testing.assert_array_equal(decode(file.getvalue(), "a")[1], [[30, 40, 50], [250, 10, 20]])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_the_orientation_is_applied_as_viewers_do(kind, orientation):
    data = encode(smooth(), kind, exif=turn_of(orientation))
    shown = ImageOps.exif_transpose(Pillow.open(io.BytesIO(data)))
    found = decode(data, "a")
    assert found.shape == np.asarray(shown).shape
    assert np.abs(found.astype(int) - np.asarray(shown)).max() <= 2


def test_a_broken_block_of_exif_changes_nothing():
    data = encode(smooth(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data, "a").shape == (48, 64, 3)


def with_thumbnail():
    """A JPEG with a thumbnail in its header, which has its own end marker."""
    whole, small = encode(noise(), "JPEG"), encode(noise(8, 8), "JPEG")
    return whole[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + whole[2:]


WHOLE = {
    **{kind: encode(noise(), kind) for kind in (*LOSSLESS, "JPEG")},
    "progressive": encode(noise(), "JPEG", progressive=True),
    "thumbnail": with_thumbnail(),
    **{
        name: encode(noise(), "TIFF", compression=name)
        for name in ("tiff_lzw", "tiff_deflate", "packbits")
    },
}


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("whole", WHOLE.values(), ids=WHOLE)
def test_a_truncated_image_is_refused(whole, share):
    assert decode(whole, "a").shape == (48, 64, 3)
    with fails(DataError, "data/damaged-image") as caught:
        decode(whole[: int(len(whole) * share)], "part 7")
    assert "part 7" in caught.value.problem


DEEP_TIFF = cv2.imencode(".tif", noise().astype(np.uint16) * 257)[1].tobytes()


@pytest.mark.parametrize(
    "whole",
    [*(WHOLE[name] for name in ("PNG", "JPEG", "tiff_lzw", "tiff_deflate")), DEEP_TIFF],
    ids=range(5),
)
def test_bytes_changed_inside_are_noticed(whole):
    with fails(DataError, "data/damaged-image"):
        decode(overwritten(whole, len(whole) // 2, b"edge" * 50), "a")


@pytest.mark.parametrize("kind", ["TIFF", "PNG"])
def test_several_pages_or_frames_are_refused(kind):
    pages = [Pillow.fromarray(RGB), Pillow.fromarray(RGB[::-1].copy())]
    file = io.BytesIO()
    pages[0].save(file, kind, save_all=True, append_images=pages[1:])
    with fails(DataError, "data/pages") as caught:
        decode(file.getvalue(), "a")
    assert "2 " in caught.value.problem


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (encode(RGB, "GIF"), "GIF"),
        (encode(RGB, "WEBP"), "WebP"),
        (b"<html>login</html>", "HTML"),
    ],
)
def test_other_formats_are_named(data, word):
    with fails(DataError, "data/format") as caught:
        decode(data, "a.jpg")
    assert word in caught.value.problem


def _sixteen_bit_tiff(pixels, tag, value):
    """A TIFF of 16 bits with another value of one tag of 16 bits (one entry of its directory)."""
    data = cv2.imencode(".tif", pixels)[1].tobytes()
    entry = tag.to_bytes(2, "little") + b"\x03\0\x01\0\0\0"
    place = data.index(entry)
    return overwritten(data, place + 8, value.to_bytes(2, "little"))


DEEP = RGB.astype(np.uint16) * 257
UNFIT = [
    (_sixteen_bit_tiff(DEEP[..., 0], 262, 0), "white"),
    (_sixteen_bit_tiff(DEEP, 284, 2), "planes"),
    (encode(DEEP[..., 0].astype(np.int32), "TIFF"), "32-bit"),
    (encode(GRAY.astype(np.float32), "TIFF"), "floating-point"),
    (cv2.imencode(".tif", RGB.astype(np.float32))[1].tobytes(), "floating-point"),
    (encode(np.full((3, 3), np.nan, np.float32), "TIFF"), "floating-point"),
    (encode(GRAY.astype(np.int32), "TIFF"), "32-bit"),
    (encode(RGB, "TIFF", "LAB"), "L*a*b*"),
    (encode(RGB, "JPEG", "CMYK"), "CMYK"),
    (encode(RGB, "TIFF", compression="jpeg"), "jpeg"),
    (encode(GRAY, "TIFF", "1", compression="group4"), "group4"),
]


@pytest.mark.parametrize(("data", "word"), UNFIT)
def test_pixels_that_are_not_read_are_named(data, word):
    with fails(DataError, "data/pixel-type") as caught:
        decode(data, "a")
    assert word in caught.value.problem


@pytest.mark.parametrize("data", [b"", b"\0", b"no image", b"\x89PNG", b"BM", b"II*\0"])
def test_what_is_no_image_is_refused(data):
    with fails(DataError, "data/damaged-image"):
        decode(data, "a")


@pytest.mark.parametrize("kind", [*LOSSLESS, "JPEG"])
def test_the_limit_of_pixels_is_a_setting(monkeypatch, kind):
    monkeypatch.setenv(LIMIT, "53")
    with fails(DataError, "data/image-size") as caught:
        decode(encode(RGB, kind), "a")
    assert caught.value.remedy == f"export {LIMIT}=54"
    monkeypatch.setenv(LIMIT, "54")
    assert decode(encode(RGB, kind), "a").shape == RGB.shape


def _wide(kind):
    """An image whose header says 65,000 x 65,000 pixels, and what it says."""
    data, side = encode(RGB, kind), 65_000
    if kind == "PNG":
        header = chunk(b"IHDR", side.to_bytes(4, "big") * 2 + data[24:29])
        return overwritten(data, 8, header)
    if kind == "BMP":
        return overwritten(data, 18, side.to_bytes(4, "little") * 2)
    return overwritten(data, data.index(b"\xff\xc0") + 5, side.to_bytes(2, "big") * 2)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG"])
def test_the_size_is_compared_before_memory_is_allocated(kind):
    with fails(DataError, "data/image-size") as caught:
        decode(_wide(kind), "scan")
    assert "damaged" not in caught.value.problem
    assert caught.value.remedy == f"export {LIMIT}={65_000**2}"


def test_a_line_scan_image_is_read():
    assert decode(png_of_zeros(70_000, 64), "scan").shape == (70_000, 64)
