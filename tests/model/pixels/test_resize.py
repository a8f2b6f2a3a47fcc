"""A frame in any pixel format becomes the picture that training sees."""

import cv2
import numpy as np
import pytest
import torch

from edgeseg.data.formats.frame_bytes import to_bgr, write_frame
from edgeseg.data.formats.planes import planes_of
from edgeseg.data.images import place
from edgeseg.frame.geometry import Box, fit
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape
from edgeseg.model.pixels.resize import FrameResize

YUV = ("yuyv", "uyvy", "nv12")


def colors(height, width):
    """A picture of smooth colors, far from the ends of their range, with fine gray detail."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(70, 180, (6, 8, 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.int64)
    return (smooth + rng.integers(-40, 41, (height, width, 1))).clip(0, 255).astype(np.uint8)


def frame_of(kind, rgb):
    frame = np.zeros(frame_shape(kind, *rgb.shape[:2]), np.uint8)
    write_frame(rgb, "rgb", frame, kind)
    return frame


def seen(kind, frames, size, target, box=None):
    resize = FrameResize(planes_of(kind, size, target, box or Box(0, 0, *target)))
    return resize(torch.from_numpy(np.stack(frames))).permute(0, 2, 3, 1).numpy()


def by_opencv(kind, frame, target, box=None):
    """OpenCV converts, then the resize of training; float, without its last rounding."""
    rgb = np.ascontiguousarray(to_bgr(frame, kind)[:, :, ::-1])
    return place(rgb, target, box or Box(0, 0, *target)).astype(np.float32)


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
@pytest.mark.parametrize("size", [(270, 480), (96, 128), (40, 50)])
def test_a_frame_is_what_opencv_and_training_make_of_it(kind, size):
    frame = frame_of(kind, colors(*size))
    found = seen(kind, [frame], size, (64, 96))[0]
    assert np.abs(found - by_opencv(kind, frame, (64, 96))).max() <= 2.0


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_at_the_size_of_the_network_any_bytes_give_the_values_of_opencv(kind):
    frame = np.random.default_rng(1).integers(0, 256, frame_shape(kind, 48, 64), np.uint8)
    found = seen(kind, [frame], (48, 64), (48, 64))[0]
    assert np.abs(found - by_opencv(kind, frame, (48, 64))).max() <= 1.0


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_frames_of_a_batch_do_not_mix(kind):
    frames = [frame_of(kind, colors(54, 72)), frame_of(kind, 255 - colors(54, 72))]
    both = seen(kind, frames, (54, 72), (32, 32))
    for frame, found in zip(frames, both, strict=True):
        np.testing.assert_allclose(found, seen(kind, [frame], (54, 72), (32, 32))[0], atol=1e-3)


@pytest.mark.parametrize("kind", ["bgr", "nv12", "bayer_rggb"])
def test_a_letterbox_repeats_the_edges(kind):
    size, target = (40, 120), (64, 96)
    box = fit(size, target)
    frame = frame_of(kind, colors(*size))
    found = seen(kind, [frame], size, target, box)[0]
    assert box.top == 16 and (found[:16] == found[16]).all() and (found[48:] == found[47]).all()
    assert np.abs(found - by_opencv(kind, frame, target, box)).max() <= 2.0


@pytest.mark.parametrize("kind", YUV)
def test_colors_out_of_range_are_clipped(kind):
    frame = frame_of(kind, np.full((16, 16, 3), 255, np.uint8))
    frame[frame == 235] = 255  # brighter than white
    assert (seen(kind, [frame], (16, 16), (8, 8)) == 255).all()
    assert (seen(kind, [frame * 0 + 128 * (frame == 128)], (16, 16), (8, 8)) <= 0.1).all()


@pytest.mark.parametrize("kind", ["bgr", "bayer_rggb"])
def test_in_fp16_little_is_lost(kind):
    frame = np.random.default_rng(2).integers(0, 256, frame_shape(kind, 270, 480), np.uint8)
    resize = FrameResize(planes_of(kind, (270, 480), (64, 64), Box(0, 0, 64, 64)))
    exact = resize(torch.from_numpy(frame[None]))
    for product in (p for part in resize.parts for p in (part.rows, part.columns)):
        product.band.copy_(product.band.half().float())
        product.register_forward_hook(lambda _, __, output: output.half().float())
    assert (resize(torch.from_numpy(frame[None])) - exact).abs().max() <= 0.2
