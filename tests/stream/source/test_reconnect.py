"""Cameras that are missing, break and come back, with planted devices in place of hardware."""

import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.pipeline.ring import Frame
from edgeseg.stream.source import reconnect as cameras
from edgeseg.stream.source.reconnect import Camera
from tests.kit.fakes import picture

GOOD, BROKEN = True, False
BROKEN_FRAMES = 5
OPENED = "camera 0 was asked for 64x48"


class Planted:
    """A device that delivers and breaks as planned, and then breaks for ever."""

    fps = 25.0
    patience = BROKEN_FRAMES

    def __init__(self, plan, note="was asked for 64x48"):
        self.note = note
        self.plan = list(plan)
        self.closed = False

    def read_into(self, frame):
        assert not self.closed, "a closed device was read"
        good = self.plan.pop(0) if self.plan else BROKEN
        if good:
            frame.stamp()
            frame.image = picture()
        return good

    def close(self):
        self.closed = True


class Socket:
    """What `connect` finds, attempt by attempt: a device's plan, or None for no device."""

    def __init__(self, *plans):
        self.plans = list(plans)
        self.devices = []

    def connect(self):
        plan = self.plans.pop(0) if self.plans else None
        if plan is None:
            raise SourceError("There is no camera 0.", remedy="plug it in")
        self.devices.append(Planted(plan))
        return self.devices[-1]


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.0)


def open_planted(socket, attempts=3):
    return Camera("camera 0", socket.connect, attempts=attempts)


def test_a_single_broken_frame_is_passed_over(said):
    camera = open_planted(Socket([GOOD, BROKEN, BROKEN, GOOD]))
    assert camera.read_into(Frame()) and camera.read_into(Frame())
    assert (camera.broken, camera.reconnects, said) == (2, 0, [OPENED])


def test_a_lost_camera_is_connected_again(said):
    socket = Socket([GOOD], None, [GOOD, GOOD])
    camera = open_planted(socket)
    assert all(camera.read_into(Frame()) for _ in range(3))
    assert (camera.broken, camera.reconnects) == (BROKEN_FRAMES, 1)
    assert socket.devices[0].closed
    assert said == [
        OPENED,
        "camera 0 delivers no frame; attempt 1 of 3 in 0 s",
        "camera 0 delivers no frame; attempt 2 of 3 in 0 s",
    ]


def test_a_camera_that_comes_back_with_another_size_says_so(said):
    devices = [Planted([GOOD]), Planted([GOOD], "was asked for 64x48 and delivers 32x24")]
    camera = Camera("camera 0", lambda: devices.pop(0), attempts=1)
    assert camera.read_into(Frame()) and camera.read_into(Frame())
    assert said[0] == OPENED
    assert said[-1] == "camera 0 was asked for 64x48 and delivers 32x24"


def test_a_device_without_patience_is_lost_at_its_first_broken_frame():
    socket = Socket([GOOD], [GOOD])
    camera = open_planted(socket)
    socket.devices[0].patience = 1
    assert camera.read_into(Frame()) and camera.read_into(Frame())
    assert (camera.broken, camera.reconnects) == (1, 1)


def test_a_camera_that_stays_away_ends_with_an_error(said):
    camera = open_planted(Socket([GOOD]))
    camera.read_into(Frame())
    with pytest.raises(SourceError, match=r"camera 0 was lost .* in 3 attempts") as caught:
        camera.read_into(Frame())
    assert "--reconnects" in caught.value.remedy
    assert len(said) == 4


def test_a_camera_that_opens_and_delivers_only_broken_frames_ends_with_an_error():
    camera = open_planted(Socket(*[[] for _ in range(10)]))
    with pytest.raises(SourceError, match="was lost"):
        camera.read_into(Frame())
    assert camera.reconnects == 3


def test_a_good_frame_gives_all_attempts_back():
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


def test_close_leaves_a_device_alone_that_hangs_in_a_read(monkeypatch):
    monkeypatch.setattr(cameras, "CLOSE_SECONDS", 0.01)
    socket = Socket([GOOD])
    camera = open_planted(socket)
    with camera._reading:
        camera.close()
    assert not socket.devices[0].closed
    camera.close()
    assert socket.devices[0].closed
