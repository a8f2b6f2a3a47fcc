"""Pixel formats of industrial cameras: their bytes become the upper 8 bits of the pixels."""

import numpy as np
import pytest

from edgeseg.stream.source.genicam.formats import GENICAM_FORMATS, bytes_of_frame, choose_format

SIZES = [(4, 8), (3, 7), (1, 5)]


def dense(values, bits):
    """Pack values without gaps, the lowest bits first: the `p` of the naming convention."""
    total = sum(int(v) << (bits * place) for place, v in enumerate(values))
    return np.frombuffer(total.to_bytes(-(-len(values) * bits // 8), "little"), np.uint8)


def grouped(values, bits):
    """Pack two values in three bytes, the middle one has the low bits: `Packed` of GigE Vision."""
    data, low = [], bits - 8
    for first, second in zip(values[0::2], [*values[1::2], 0], strict=False):
        middle = (first & ((1 << low) - 1)) | (second & ((1 << low) - 1)) << 4
        data += [first >> low, middle, second >> low]
    return np.array(data[: -(-len(values) * 12 // 8)], np.uint8)


def in_words(values, bits):
    return np.array(values, "<u2").view(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("name", "bits", "pack"),
    [
        ("Mono10", 10, in_words),
        ("Mono12", 12, in_words),
        ("Mono14", 14, in_words),
        ("Mono16", 16, in_words),
        ("Mono10Packed", 10, grouped),
        ("Mono12Packed", 12, grouped),
        ("Mono10p", 10, dense),
        ("Mono12p", 12, dense),
    ],
)
def test_a_gray_format_is_scaled_by_its_upper_bits(name, bits, pack, size):
    values = np.random.default_rng(1).integers(0, 1 << bits, size[0] * size[1]).tolist()
    values[:2] = [(1 << bits) - 1, 0]
    form = GENICAM_FORMATS[name]
    data = pack(values, bits)
    assert len(data) == form.frame_bytes(*size)
    pixels = np.full((*size, 1), 77, np.uint8)
    form.unpack(data, pixels)
    assert pixels.ravel().tolist() == [value >> (bits - 8) for value in values]


@pytest.mark.parametrize("name", ["BayerGR8", "BayerGB8", "BayerBG8"])
@pytest.mark.parametrize(("color", "bgr"), [("R", 2), ("G", 1), ("B", 0)])
def test_a_pattern_of_one_color_becomes_that_color(name, color, bgr):
    first = name[5:7]
    second = {"GR": "BG", "GB": "RG", "BG": "GR"}[first]
    tile = np.array([[c == color for c in row] for row in (first, second)], np.uint8) * 200
    pixels = np.zeros((8, 8, 3), np.uint8)
    GENICAM_FORMATS[name].unpack(np.tile(tile, (4, 4)).ravel(), pixels)
    inside = pixels[2:-2, 2:-2].reshape(-1, 3)
    assert (inside[:, bgr] == 200).all()
    assert (np.delete(inside, bgr, axis=1) == 0).all()


@pytest.mark.parametrize(
    ("offered", "wanted", "asked", "chosen"),
    [
        (["Mono8", "RGB8", "BayerRG8"], "bgr", None, "RGB8"),
        (["Mono8", "BGR8Packed", "RGB8Packed"], "bgr", None, "BGR8Packed"),
        (["Mono8", "BayerGB8"], "bgr", None, "BayerGB8"),
        (["Mono8", "BayerRG8", "RGB8"], "bayer_rggb", None, "BayerRG8"),
        (["Mono16", "Mono12p", "RGB8"], "gray", None, "Mono12p"),
        (["RGB8"], "gray", None, "RGB8"),
        (["Mono8", "RGB8"], "rgb", "gray", "Mono8"),
    ],
)
def test_the_format_that_needs_the_least_work_is_chosen(offered, wanted, asked, chosen):
    assert choose_format(offered, wanted, asked)[0] == chosen


def test_no_format_can_be_read():
    assert choose_format(["Coord3D_C16", "Mono1p"], "gray", None) is None
    assert choose_format(["Mono8"], "bgr", "bayer_rggb") is None


def test_bytes_of_a_frame():
    assert bytes_of_frame("rgb", (3, 5)) == 45
    assert GENICAM_FORMATS["Mono8"].frame_bytes(3, 5) == bytes_of_frame("gray", (3, 5)) == 15
