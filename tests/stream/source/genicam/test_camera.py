"""genicam:// with a real GigE Vision camera of software, which sends packets on the network."""

import threading
import time

import numpy as np
import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.source import camera as cameras
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.genicam import connection as connections
from edgeseg.stream.source.genicam.connection import BUFFERS, LAST_ID, FrameNumbers
from edgeseg.stream.source.genicam.device import open_device
from edgeseg.stream.source.open import open_source
from edgeseg.verdict.verdict import PARTIAL_FRAME
from tests.kit.errors import fails
from tests.kit.gige import gige, other_address

__all__ = ["gige"]
SIZE = (96, 128)
SHADES = 20  # of the gradient that the camera draws


def opened(query="", *, name="EDGE1", kind="gray", size=SIZE, fps=100.0, attempts=3, **mode):
    """Open the camera for a graph of these frames."""
    requested = Mode(SIZE, fps, **mode)
    address = f"genicam://{name}{'?' if query else ''}{query}"
    return open_source(
        address, size=size, attempts=attempts, requested=requested, frame_format=kind
    )


class Ring:
    """Slots of a graph, which a source fills."""

    def __init__(self, source, kind="gray", channels=1):
        images = [np.zeros((*SIZE, channels), np.uint8) for _ in range(source.keeps + 2)]
        self.frames = [Frame(image=i, slot_image=i, slot_format=kind) for i in images]
        self.slots = {image.ctypes.data for image in images}
        self.source = source
        source.lend(self.frames[: source.keeps])

    def read(self, place=0):
        """Read a frame, in turn with the others."""
        frame = self.frames[self.source.keeps + place % 2]
        frame.fault = ""
        assert self.source.read_into(frame)
        return frame


def test_frames_land_in_the_slots_without_a_copy_and_their_numbers_pass_16_bits(gige):
    gige.plug_in()
    with opened("exposure=2000", fps=400.0) as source:
        assert (source.keeps, source.sends) == (2, "gray")
        assert source.path == "Mono8, put together in the slots by Aravis"
        ring, numbers, stamps, before = Ring(source), [], [], 0
        for place in range(200):
            frame = ring.read(place)
            numbers.append(frame.sequence)
            if place == 0:
                before = source.skipped + source.driver_drops
            if frame.fault:  # of a machine that is busy
                continue
            assert frame.image is frame.slot_image and frame.image.ctypes.data in ring.slots
            assert frame.writes == 1
            assert 0 <= frame.arrival - frame.captured < 5e9
            assert len(np.unique(frame.image)) > SHADES
            stamps.append(frame.camera_ns)
        assert len({f.slot_image.ctypes.data for f in ring.frames}) == len(ring.slots)
        assert numbers[0] < LAST_ID < numbers[-1], "the camera counts from 65400"
        assert len(stamps) > 100 and stamps == sorted(set(stamps))
        assert len(set(numbers)) == len(numbers)
        between = source.skipped + source.driver_drops - before
        assert max(numbers) - numbers[0] + 1 == 200 + between
        source.release()
        left = [frame.slot_image.copy() for frame in ring.frames]
        time.sleep(0.1)
        for frame, image in zip(ring.frames, left, strict=True):
            assert (frame.slot_image == image).all(), "written after the release"


@pytest.mark.parametrize(
    ("query", "kind", "channels", "delivered", "writes", "keeps"),
    [
        ("", "bayer_rggb", 1, "bayer_rggb", 1, 2),
        ("", "rgb", 3, "rgb", 1, 2),
        ("", "bgr", 3, "bgr", 2, 0),  # RGB8, converted
        ("format=Mono16", "gray", 1, "gray", 2, 0),
        ("format=BayerGB8", "gray", 1, "gray", 3, 0),
        ("format=Mono8", "bgr", 3, "bgr", 2, 0),
    ],
)
def test_each_pixel_format(gige, query, kind, channels, delivered, writes, keeps):
    gige.plug_in()
    with opened(query, kind=kind) as source:
        ring = Ring(source, kind, channels)
        frame = ring.read()
        assert (frame.format, frame.image.shape) == (delivered, (*SIZE, channels))
        assert (frame.writes, source.keeps, frame.fault) == (writes, keeps, "")
        assert ("put together in the slots" in source.path) == (keeps > 0)
        assert frame.image.ctypes.data in ring.slots
        assert len(np.unique(frame.image)) > SHADES


def test_another_size_is_copied_and_left_to_inference(gige):
    gige.plug_in()
    with opened(size=(48, 64)) as source:
        assert source.keeps == 0
        assert "another size than the graph's" in source.path
        small = np.zeros((48, 64, 1), np.uint8)
        frame = Frame(image=small, slot_image=small, slot_format="gray")
        assert source.read_into(frame)
        assert (frame.image.shape, frame.writes) == ((*SIZE, 1), 2)


def test_a_software_trigger_brings_one_frame(gige, said):
    gige.plug_in()
    with opened("trigger=software") as source:
        assert said[-1].endswith("requested 128x96, a frame for each trigger (Software)")
        ring, numbers = Ring(source), []
        source.trigger()  # before the camera was started: it waits for that
        for place in range(5):
            numbers.append(ring.read(place).sequence)
            if place < 4:
                source.trigger()
        assert numbers == list(range(numbers[0], numbers[0] + 5))
        late = threading.Timer(0.3, source.stopping.set)
        late.start()
        assert not source.read_into(ring.frames[-1]), "a frame came without a trigger"


def test_a_frame_that_found_no_buffer_is_broken_and_answers_its_trigger(gige):
    gige.plug_in()
    with opened("trigger=software&format=Mono16", fps=1000.0) as source:
        ring = Ring(source)
        source.trigger()
        first = ring.read().sequence
        for _ in range(BUFFERS + 3):
            source.trigger()
            time.sleep(0.15)
        threading.Timer(0.2, source.trigger).start()
        found = [(f.sequence, f.fault) for f in map(ring.read, range(BUFFERS))]
        found += [(f.sequence, f.fault) for f in map(ring.read, range(4))]
        assert [number for number, _ in found] == list(range(first + 1, first + BUFFERS + 5))
        assert [fault for _, fault in found] == [""] * BUFFERS + [PARTIAL_FRAME] * 3 + [""]
        assert (source.broken, source.driver_drops) == (3, 3)


def test_a_wire_trigger_is_set_and_no_frame_comes_without_it(gige, said):
    gige.plug_in()
    with opened("trigger=hardware") as source:
        assert said[-1].endswith("a frame for each trigger (Line0)")
        source.trigger()  # of a program: it does not apply
        threading.Timer(0.3, source.stopping.set).start()
        assert not source.read_into(Ring(source).frames[-1])


def test_a_frame_with_missing_packets_is_broken_and_others_are_whole(gige):
    gige.plug_in(lost=50)
    with opened(fps=50.0) as source:
        ring, faults = Ring(source), []
        for place in range(25):
            frame = ring.read(place)
            faults.append(frame.fault)
            assert frame.fault or len(np.unique(frame.image)) > SHADES
        assert set(faults) == {"", PARTIAL_FRAME}
        assert source.broken == faults.count(PARTIAL_FRAME)


def test_a_camera_that_another_program_controls_is_busy(gige):
    gige.plug_in()
    with opened() as source:
        with fails(SourceError, "source/camera-busy") as caught:
            opened()
        assert "EDGE1 is controlled by another program" in caught.value.problem
        assert source.read_into(Ring(source).frames[-1])


@pytest.mark.slow
def test_a_lost_camera_is_found_again_by_its_serial_number_at_another_address(
    gige, monkeypatch, said
):
    def without_packet_socket(aravis, name):
        """Let Aravis look for packets on every interface: those to ourselves pass none."""
        camera = open_device(aravis, name)
        camera.gv_set_stream_options(aravis.GvStreamOption.PACKET_SOCKET_DISABLED)
        return camera

    monkeypatch.setattr(connections, "open_device", without_packet_socket)
    monkeypatch.setattr(connections, "NO_FRAME", 1.0)
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.2)
    gige.plug_in()
    with opened(attempts=20) as source:
        ring = Ring(source)
        assert not ring.read().fault
        gige.unplug()
        gige.plug_in(address=other_address() or "127.0.0.1")
        while not source.reconnects:  # frames that arrived before
            frame = ring.read(1)
        assert not frame.fault and frame.image.ctypes.data in ring.slots
        assert source.reconnects == 1 and source.broken >= 1
        assert any("reconnecting" in line for line in said)


@pytest.mark.slow
def test_a_triggered_camera_that_answers_no_more_is_lost(gige):
    gige.plug_in()
    with opened("trigger=software", attempts=0) as source:
        ring = Ring(source)
        source.trigger()
        assert not ring.read().fault
        gige.freeze()
        with fails(SourceError, "source/lost"):
            ring.read()


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("exposure=20000000", "source/genicam-refused", "exposure 2e+07 (expected 10 to 1e+07)"),
        ("trigger=Line7", "source/genicam-refused", "'Line7' (found Line0, Software)"),
        ("format=Mono12p", "source/genicam-format", "no Mono12p (found BayerBG8, "),
    ],
)
def test_what_the_camera_refuses_is_named(gige, query, code, words):
    gige.plug_in()
    with fails(SourceError, code) as caught:
        opened(query)
    assert words in caught.value.problem


def test_a_camera_that_refused_a_setting_is_let_go(gige):
    gige.plug_in()
    for _ in range(2):
        try:
            opened("gain=99", name="127.0.0.1")
        except SourceError as error:
            assert "gain 99 (expected 0 to 10)" in error.problem
    with opened(name="127.0.0.1") as source:
        assert not Ring(source).read().fault


def test_a_missing_camera_is_told_with_those_that_were_found(gige):
    gige.plug_in()
    with fails(SourceError, "source/camera-missing") as caught:
        opened(name="4103412345")
    assert "camera 4103412345 not found (found EDGE1 at 127.0.0.1)" in caught.value.problem
    with opened(name="") as source, fails(SourceError, "source/camera-busy"):
        assert source.name == "genicam://"
        opened(name="127.0.0.1")


@pytest.mark.parametrize(
    ("ids", "numbers", "missing"),
    [
        ([65533, 65534, 65535, 1, 2], [65533, 65534, 65535, 65536, 65537], 0),
        ([65534, 3], [65534, 65538], 3),
        ([7, 9, 12], [7, 9, 12], 3),
        ([100_000, 100_001], [100_000, 100_001], 0),
        ([500, 1, 2], [500, 1, 2], 0),  # restarted
        ([1, 60_000], [1, 60_000], 0),
        ([5, 8, 6, 9, 7], [5, 8, 6, 9, 7], 0),  # late
        ([65534, 2, 65535, 3, 1], [65534, 65537, 65535, 65538, 65536], 0),
    ],
)
def test_numbers_go_on_after_16_bits(ids, numbers, missing):
    counter = FrameNumbers()
    taken = [counter.take(each) for each in ids]
    assert [number for number, _ in taken] == numbers
    assert sum(gap for _, gap in taken) == missing
