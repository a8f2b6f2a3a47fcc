"""What a camera is asked for, and how it is said."""

import pytest

from edgeseg.config import StreamConfig
from edgeseg.stream.source.mode import Mode

VGA = (480, 640)


def test_the_flags_make_a_wish():
    assert Mode.of(StreamConfig()) == Mode()
    config = StreamConfig(width=640, height=480, fps=60.0, camera_format="mjpeg")
    assert Mode.of(config) == Mode(VGA, 60.0, "mjpeg")


def test_the_frames_of_the_graph_are_asked_for_by_default():
    assert Mode(fps=5.0).or_size(VGA) == Mode(VGA, 5.0)
    assert Mode((720, 1280)).or_size(VGA) == Mode((720, 1280))


@pytest.mark.parametrize(
    ("asked", "delivered", "note"),
    [
        (Mode(VGA), Mode(VGA, 30.0, "yuyv"), "was asked for 640x480"),
        (Mode(VGA, 30.0), Mode(VGA, 29.97), "was asked for 640x480, 30 frames/s"),
        (
            Mode(VGA, 60.0, "mjpeg"),
            Mode((720, 1280), 30.0, "yuyv"),
            "was asked for 640x480, 60 frames/s, mjpeg and delivers 1280x720, 30 frames/s, yuyv",
        ),
        (
            Mode(VGA, None, "gray"),
            Mode(VGA, 15.0, "Y16 "),
            "was asked for 640x480, gray and delivers 640x480, 15 frames/s, Y16 ",
        ),
    ],
)
def test_only_a_difference_is_said(asked, delivered, note):
    assert asked.note(delivered) == note
