"""Pixels of any format become those of the slot, in as many writes as `count_writes` says."""

import cv2
import numpy as np
import pytest

from edgeseg.data.formats.frame_bytes import to_bgr, write_frame
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape
from edgeseg.stream.source import deliver as deliveries
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.deliver import convert, count_writes, deliver

PAIRS = [(kind, target) for kind in PIXEL_FORMATS for target in PIXEL_FORMATS if kind != target]


def random(kind, height=8, width=12):
    return np.random.default_rng(0).integers(0, 256, frame_shape(kind, height, width), np.uint8)


@pytest.mark.parametrize(("kind", "target"), PAIRS)
def test_a_conversion_equals_the_way_through_bgr(kind, target):
    pixels = random(kind)
    pixels.setflags(write=False)  # a driver's memory
    found, expected = (np.zeros(frame_shape(target, 8, 12), np.uint8) for _ in range(2))
    convert(pixels, kind, found, target)
    write_frame(to_bgr(pixels, kind), "bgr", expected, target)
    levels = 1 if (kind, target) == ("bayer_rggb", "gray") else 0
    assert np.abs(found.astype(int) - expected).max() <= levels


@pytest.mark.parametrize(("kind", "target"), PAIRS)
def test_the_writes_are_counted(kind, target, monkeypatch):
    """Each pass of OpenCV or NumPy over the whole frame is one."""
    passes = []
    for module, name in ((cv2, "cvtColor"), (cv2, "transform"), (np, "copyto")):
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *a, original=original, **k: passes.append(1) or original(*a, **k)
        )
    monkeypatch.setattr("edgeseg.data.formats.frame_bytes._write_yuv", lambda *a: passes.append(1))
    convert(random(kind), kind, np.zeros(frame_shape(target, 8, 12), np.uint8), target)
    by_planes = target == "bayer_rggb"  # four quarters of a frame, by NumPy
    assert len(passes) + by_planes == count_writes(kind, target)


def test_pixels_of_the_slot_s_format_are_copied_once(monkeypatch):
    monkeypatch.setattr(deliveries, "convert", None)
    frame = Frame(slot_image=np.zeros((8, 12, 2), np.uint8), slot_format="yuyv")
    deliver(frame, random("yuyv"), "yuyv")
    assert frame.image is frame.slot_image and count_writes("yuyv", "yuyv") == 1
    np.testing.assert_array_equal(frame.image, random("yuyv"))


def test_without_a_slot_pixels_are_kept_as_they_are():
    frame = Frame()
    deliver(frame, random("nv12"), "nv12")
    assert frame.format == "nv12"
    np.testing.assert_array_equal(frame.image, random("nv12"))
