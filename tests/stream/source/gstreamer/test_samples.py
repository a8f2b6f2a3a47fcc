"""Frames of GStreamer's own samples: each layout of their rows, and what is no whole frame."""

import numpy as np
import pytest

from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.gstreamer.samples import layout_of, mapped, read_jpeg, read_pixels
from edgeseg.stream.source.mjpeg import BrokenFrame
from edgeseg.stream.source.retrieve import UnknownFormat
from edgeseg.verdict.verdict import BROKEN_FRAME, PARTIAL_FRAME

CAPS = "{},width={},height={},framerate=30000/1001"


def pictured(kind, height, width):
    shape = frame_shape(kind, height, width)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def padded(pixels, stride):
    """The bytes of rows that are `stride` bytes apart."""
    rows = pixels.reshape(len(pixels), -1)
    return np.pad(rows, ((0, 0), (0, stride - rows.shape[1])), constant_values=77)


@pytest.fixture
def sampled(gstreamer):
    """Make a sample of caps and bytes."""

    def make(caps, data):
        core = gstreamer.core
        buffer = core.Buffer.new_wrapped(data.tobytes())
        return core.Sample.new(buffer, core.Caps.from_string(caps), None, None)

    return make


def read(sample, gstreamer, graph=None, inside=0):
    layout = layout_of(sample.get_caps(), gstreamer)
    frame = Frame()
    if graph is not None:
        slot = np.zeros(frame_shape(graph, *layout.size), np.uint8)
        frame = Frame(slot_image=slot, slot_format=graph)
    read_pixels(sample, layout, frame, gstreamer, inside)
    assert graph is None or frame.image is frame.slot_image
    return frame


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_padded_rows_become_a_frame_by_one_copy(gstreamer, sampled, kind):
    even = any(PIXEL_FORMATS[kind].even)
    height, width = (46, 62) if even else (47, 61)
    pixels = pictured(kind, height, width)
    nbytes = width * PIXEL_FORMATS[kind].channels
    data = padded(pixels, -(-nbytes // 4) * 4)
    frame = read(
        sampled(CAPS.format(PIXEL_FORMATS[kind].caps, width, height), data), gstreamer, kind
    )
    np.testing.assert_array_equal(frame.image, pixels)
    assert (frame.format, frame.writes) == (kind, 1)
    layout = layout_of(
        sampled(CAPS.format(PIXEL_FORMATS[kind].caps, width, height), data).get_caps(), gstreamer
    )
    assert (layout.kind, layout.size) == (kind, (height, width))
    assert layout.fps == pytest.approx(29.97, abs=0.001)


def test_a_frame_is_converted_to_the_graph_s_format_and_writes_before_count(gstreamer, sampled):
    pixels = pictured("bgr", 8, 8)
    sample = sampled(CAPS.format("video/x-raw,format=BGR", 8, 8), pixels)
    frame = read(sample, gstreamer, "rgb", inside=2)
    np.testing.assert_array_equal(frame.image, pixels[..., ::-1])
    assert frame.writes == 3


@pytest.mark.parametrize(("gap", "writes"), [(0, 1), (3, 2)])
def test_rows_and_planes_may_lie_as_the_buffer_says(gstreamer, sampled, gap, writes):
    """As those of hardware decoders, whose planes have more rows than the picture."""
    height, width, stride = 46, 62, 80
    pixels = pictured("nv12", height, width)
    rows = padded(pixels, stride)
    data = np.concatenate([rows[:height], np.zeros((gap, stride), np.uint8), rows[height:]])
    sample = sampled(CAPS.format("video/x-raw,format=NV12", width, height), data)
    core, video = gstreamer.core, gstreamer.video
    buffer = core.Buffer.new_wrapped(data.tobytes())
    offsets, strides = [0, stride * (height + gap), 0, 0], [stride, stride, 0, 0]
    video.buffer_add_video_meta_full(
        buffer, video.VideoFrameFlags.NONE, video.VideoFormat.NV12, width, height, 2, offsets,
        strides,
    )  # fmt: skip
    sample = core.Sample.new(buffer, sample.get_caps(), None, None)
    frame = read(sample, gstreamer, "nv12")
    np.testing.assert_array_equal(frame.image, pixels)
    assert frame.writes == writes


def test_memory_in_pieces_is_joined_and_counted(gstreamer, sampled):
    pixels = pictured("gray", 8, 8)
    sample = sampled(CAPS.format("video/x-raw,format=GRAY8", 8, 8), pixels[:4])
    buffer = sample.get_buffer().append(gstreamer.core.Buffer.new_wrapped(pixels[4:].tobytes()))
    sample = gstreamer.core.Sample.new(buffer, sample.get_caps(), None, None)
    frame = read(sample, gstreamer, "gray")
    np.testing.assert_array_equal(frame.image, pixels)
    assert frame.writes == 2


@pytest.mark.parametrize("kind", ["bgr", "nv12"])
def test_a_frame_that_was_cut_is_partial(gstreamer, sampled, kind):
    pixels = pictured(kind, 8, 8).reshape(-1)
    for nbytes in (0, 1, pixels.size - 1):
        sample = sampled(CAPS.format(PIXEL_FORMATS[kind].caps, 8, 8), pixels[:nbytes])
        with pytest.raises(BrokenFrame) as caught:
            read(sample, gstreamer)
        assert caught.value.fault == PARTIAL_FRAME
        assert str(caught.value).startswith(f"{nbytes} bytes, expected ")


@pytest.mark.parametrize(("flag", "fault"), [("CORRUPTED", BROKEN_FRAME), ("GAP", PARTIAL_FRAME)])
def test_what_an_element_calls_damaged_is_no_picture(gstreamer, sampled, flag, fault):
    pixels = pictured("gray", 8, 8)
    sample = sampled(CAPS.format("video/x-raw,format=GRAY8", 8, 8), pixels)
    buffer = gstreamer.core.Buffer.new_wrapped(pixels.tobytes())
    buffer.set_flags(getattr(gstreamer.core.BufferFlags, flag))
    broken = gstreamer.core.Sample.new(buffer, sample.get_caps(), None, None)
    for reading in (lambda: read(broken, gstreamer), lambda: read_jpeg(broken, gstreamer)):
        with pytest.raises(BrokenFrame) as caught:
            reading()
        assert caught.value.fault == fault


@pytest.mark.parametrize(
    ("caps", "words"),
    [
        ("video/x-raw,format=I420,width=8,height=8", "video/x-raw I420"),
        ("video/x-bayer,format=bggr,width=8,height=8", "video/x-bayer bggr"),
        ("video/x-raw,format=NV12,width=7,height=8", "NV12 of 7x8 (it needs an even width and"),
        ("video/x-raw,format=BGR", "video/x-raw BGR"),
        (
            "video/x-raw(memory:NVMM),format=NV12,width=8,height=8",
            "video/x-raw NV12 in memory:NVMM",
        ),
        ("audio/x-raw,format=S16LE", "audio/x-raw S16LE"),
    ],
)
def test_what_cannot_be_read_is_named(gstreamer, caps, words):
    with pytest.raises(UnknownFormat) as caught:
        layout_of(gstreamer.core.Caps.from_string(caps), gstreamer)
    assert str(caught.value).startswith(words)


def test_jpegs_are_taken_as_they_are(gstreamer, sampled):
    sample = sampled("image/jpeg", np.arange(100, dtype=np.uint8))
    layout = layout_of(sample.get_caps(), gstreamer)
    assert (layout.kind, layout.size, layout.fps) == (None, None, None)
    assert read_jpeg(sample, gstreamer) == bytes(range(100))


def test_the_bytes_are_those_of_the_buffer(gstreamer, sampled):
    """PyGObject's hash of a buffer is its address, as its text also says."""
    buffer = sampled("image/jpeg", np.arange(5, dtype=np.uint8)).get_buffer()
    assert f"0x{hash(buffer):x}" in repr(buffer)
    with mapped(buffer) as first, mapped(buffer) as second:
        assert first.ctypes.data == second.ctypes.data and list(first) == [0, 1, 2, 3, 4]
