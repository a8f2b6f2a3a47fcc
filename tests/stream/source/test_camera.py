"""Camera, Mode and CaptureConnection: broken frames, losses and reconnections, without hardware."""

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import SourceError
from edgeseg.stream.source import camera as cameras
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Camera, CaptureConnection, Mode
from edgeseg.stream.source.mjpeg import BrokenFrame
from edgeseg.verdict.verdict import PARTIAL_FRAME
from tests.kit.errors import fails
from tests.kit.fakes import solid_image
from tests.stream.source.captures import FakeCapture

GOOD, MISSING, DAMAGED = True, False, None
MOST_MISSING = 5
OPENED = "camera 0: requested 64x48"
VGA = (480, 640)


class Planted:
    """A connection that delivers whole and damaged frames as planned, and then none."""

    fps = 25.0
    path = "planted"
    skipped = driver_drops = 0
    decoding = None
    max_missing = MOST_MISSING

    def __init__(self, plan, note="requested 64x48"):
        self.note = note
        self.plan = list(plan)
        self.closed = False

    def read_into(self, frame):
        assert not self.closed, "read from a closed connection"
        next_one = self.plan.pop(0) if self.plan else MISSING
        if next_one is DAMAGED:
            raise BrokenFrame("premature end")
        if next_one:
            frame.stamp()
            frame.image = solid_image()
        return next_one

    def close(self):
        self.closed = True


class Socket:
    """The plan of each connection, attempt by attempt; None for a missing camera."""

    def __init__(self, *plans):
        self.plans = list(plans)
        self.connections = []

    def connect(self):
        plan = self.plans.pop(0) if self.plans else None
        if plan is None:
            raise SourceError("camera not found: 0", remedy="connect it")
        self.connections.append(Planted(plan))
        return self.connections[-1]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.0)


def open_planted(socket, attempts=3):
    return Camera("camera 0", socket.connect, attempts=attempts)


def faults(camera, count):
    """The faults of the next frames; empty for a whole one."""
    frames = [Frame() for _ in range(count)]
    assert all(camera.read_into(frame) for frame in frames)
    return [frame.fault for frame in frames]


def test_a_single_missing_frame_is_skipped(said):
    camera = open_planted(Socket([GOOD, MISSING, MISSING, GOOD]))
    assert camera.read_into(Frame()) and camera.read_into(Frame())
    assert (camera.broken, camera.reconnects, said) == (2, 0, [OPENED])


def test_damaged_frames_are_counted_and_told_at_powers_of_ten(said):
    camera = open_planted(Socket([*[DAMAGED, DAMAGED, GOOD] * 50, MISSING]))
    assert faults(camera, 150) == [PARTIAL_FRAME, PARTIAL_FRAME, ""] * 50
    assert (camera.broken, camera.reconnects) == (100, 0)
    line = "camera 0: broken frame (premature end)"
    assert said == [
        OPENED,
        f"{line}; not judged",
        f"{line}, the 10th; not judged",
        f"{line}, the 100th; not judged",
    ]


def test_a_camera_that_delivers_only_damaged_frames_is_connected_again_and_lost_at_last():
    socket = Socket([DAMAGED] * 1000, [DAMAGED] * (cameras.MOST_BROKEN - 1) + [GOOD])
    camera = open_planted(socket)
    count = 2 * cameras.MOST_BROKEN - 1
    assert faults(camera, count + 1) == [PARTIAL_FRAME] * count + [""]
    assert (camera.broken, camera.reconnects) == (count, 1)
    lost = open_planted(Socket(*[[DAMAGED] * 1000] * 4))
    faults(lost, 4 * cameras.MOST_BROKEN)
    with fails(SourceError, "source/lost"):
        lost.read_into(Frame())


def test_a_lost_camera_is_connected_again(said):
    socket = Socket([GOOD], None, [GOOD, GOOD])
    camera = open_planted(socket)
    assert all(camera.read_into(Frame()) for _ in range(3))
    assert (camera.broken, camera.reconnects) == (MOST_MISSING, 1)
    assert socket.connections[0].closed
    assert said == [
        OPENED,
        "camera 0: no frame; reconnecting in 0 s (attempt 1 of 3)",
        "camera 0: no frame; reconnecting in 0 s (attempt 2 of 3)",
    ]


def test_a_camera_that_comes_back_with_another_size_says_so(said):
    planted = [Planted([GOOD]), Planted([GOOD], "requested 64x48, delivers 32x24")]
    camera = Camera("camera 0", lambda: planted.pop(0), attempts=1)
    assert camera.read_into(Frame()) and camera.read_into(Frame())
    assert said[0] == OPENED
    assert said[-1] == "camera 0: requested 64x48, delivers 32x24"


def test_max_missing_1_is_lost_at_the_first_missing_frame():
    socket = Socket([GOOD], [GOOD])
    camera = open_planted(socket)
    socket.connections[0].max_missing = 1
    assert camera.read_into(Frame()) and camera.read_into(Frame())
    assert (camera.broken, camera.reconnects) == (1, 1)


def test_a_camera_that_stays_away_ends_with_an_error(said):
    camera = open_planted(Socket([GOOD]))
    camera.read_into(Frame())
    with fails(SourceError, "source/lost") as caught:
        camera.read_into(Frame())
    assert "3 attempts" in caught.value.problem
    assert len(said) == 4


def test_a_camera_that_opens_and_delivers_no_frames_ends_with_an_error():
    camera = open_planted(Socket(*[[] for _ in range(10)]))
    with fails(SourceError, "source/lost"):
        camera.read_into(Frame())
    assert camera.reconnects == 3


def test_a_good_frame_resets_the_attempts():
    camera = open_planted(Socket(*[[GOOD] for _ in range(8)]), attempts=1)
    assert all(camera.read_into(Frame()) for _ in range(8))
    assert camera.reconnects == 7


def test_pauses_grow_to_a_limit(monkeypatch):
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.5)
    camera = open_planted(Socket([]), attempts=6)
    pauses = []
    monkeypatch.setattr(camera.stopping, "wait", lambda pause: pauses.append(pause) or False)
    with pytest.raises(SourceError):
        camera.read_into(Frame())
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_the_end_of_the_stream_ends_a_pause():
    camera = open_planted(Socket([]))
    camera.stopping.set()
    assert camera.read_into(Frame()) is False


def test_close_does_not_close_a_connection_during_a_blocked_read(monkeypatch):
    monkeypatch.setattr(cameras, "CLOSE_SECONDS", 0.01)
    socket = Socket([GOOD])
    camera = open_planted(socket)
    with camera._reading:
        camera.close()
    assert not socket.connections[0].closed
    camera.close()
    assert socket.connections[0].closed


def test_mode_of_the_settings():
    assert Mode.of(StreamConfig()) == Mode()
    config = StreamConfig(width=640, height=480, fps=60.0, camera_format="mjpeg")
    assert Mode.of(config) == Mode(VGA, 60.0, "mjpeg")


def test_or_size_is_a_default():
    assert Mode(fps=5.0).or_size(VGA) == Mode(VGA, 5.0)
    assert Mode((720, 1280)).or_size(VGA) == Mode((720, 1280))


@pytest.mark.parametrize(
    ("asked", "delivered", "note"),
    [
        (Mode(VGA), Mode(VGA, 30.0, "yuyv"), "requested 640x480"),
        (Mode(VGA, 30.0), Mode(VGA, 29.97), "requested 640x480, 30 frames/s"),
        (
            Mode(VGA, 60.0, "mjpeg"),
            Mode((720, 1280), 30.0, "yuyv"),
            "requested 640x480, 60 frames/s, mjpeg, delivers 1280x720, 30 frames/s, yuyv",
        ),
        (
            Mode(VGA, None, "gray"),
            Mode(VGA, 15.0, "Y16 "),
            "requested 640x480, gray, delivers 640x480, 15 frames/s, Y16 ",
        ),
    ],
)
def test_note_names_the_delivered_mode_only_if_it_differs(asked, delivered, note):
    assert asked.note(delivered) == note


@pytest.mark.parametrize(
    "broken", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3))]
)
def test_a_frame_of_another_type_is_broken(broken):
    connection = CaptureConnection(FakeCapture([broken, solid_image()]), writes=2)
    frame = Frame()
    with pytest.raises(BrokenFrame, match=str(broken.dtype)):
        connection.read_into(frame)
    assert connection.read_into(frame)
    assert frame.image.shape == (48, 64, 3)


def test_a_frame_is_read_into_the_given_buffer_and_stamped():
    connection = CaptureConnection(FakeCapture([solid_image(1), solid_image(2)]), writes=2)
    frame = Frame(slot_image=solid_image())
    buffer = frame.slot_image
    assert connection.read_into(frame) and connection.read_into(frame)
    assert frame.image is buffer and buffer[0, 0, 2] == 2
    assert frame.arrival > 0
    assert not connection.read_into(frame), "the stream has ended"
