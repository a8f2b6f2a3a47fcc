"""A V4L2 camera on a driver in memory: paths, losses, reconnections and what is counted."""

import threading

import numpy as np
import pytest

from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.errors import SourceError
from edgeseg.stream.source import camera as cameras
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.v4l2 import connection as connections
from edgeseg.stream.source.v4l2.connection import LENT
from edgeseg.verdict.verdict import BROKEN_FRAME, PARTIAL_FRAME
from tests.kit.encoded import encode, noise
from tests.kit.errors import fails
from tests.kit.fake_v4l2 import FakeDriver, rows_with_gaps
from tests.stream.source.v4l2.opened import lent, open_it, pictures, read


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(cameras, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(connections, "NO_FRAME", 0.05)
    monkeypatch.setattr(connections, "SLICE", 0.01)


class TestUserptr:
    def test_the_driver_writes_into_the_slots(self):
        sent = pictures("yuyv", 12)
        driver = FakeDriver([each.tobytes() for each in sent])
        with open_it(driver) as camera:
            assert camera.keeps == LENT
            (frame, other), every = lent(camera)
            addresses = {each.slot_image.ctypes.data for each in every}
            for number, picture in enumerate(sent):
                driver.frames.clear()
                driver.frames.append(picture.tobytes())
                read(camera, frame)
                np.testing.assert_array_equal(frame.image, picture)
                assert frame.image is frame.slot_image and frame.format == "yuyv"
                assert (frame.writes, frame.sequence) == (0, number)
                frame, other = other, frame
            assert set(driver.written) <= addresses
            assert len({each.slot_image.ctypes.data for each in every}) == len(every)
            assert {each.request for each in every} == set(range(len(every)))
            assert camera.path == "yuyv, written into the slots by fake (USERPTR)"
        assert driver.opened == 0

    def test_a_slot_keeps_its_request(self):
        driver = FakeDriver([picture.tobytes() for picture in pictures("yuyv", 20)])
        with open_it(driver) as camera:
            (frame, _), every = lent(camera)
            owner = {each.slot_image.ctypes.data: each.request for each in every}
            for _ in range(20):
                if not driver.frames and not driver.done:
                    break
                read(camera, frame)
                assert owner[frame.slot_image.ctypes.data] == frame.request

    def test_a_slot_is_never_filled_while_inference_has_it(self):
        sent = pictures("yuyv", 30)
        driver = FakeDriver()
        with open_it(driver) as camera:
            (frame, computed), _ = lent(camera)
            driver.frames.append(sent[0].tobytes())
            read(camera, computed)
            for picture in sent[1:]:
                driver.frames.append(picture.tobytes())
                read(camera, frame)
                np.testing.assert_array_equal(computed.image, sent[0])

    def test_frames_that_were_not_taken_in_time_are_skipped(self):
        sent = pictures("yuyv", 3)
        driver = FakeDriver()
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            driver.frames.extend([sent[0].tobytes()])
            read(camera, frame)
            driver.streaming = True
            for picture in sent[1:]:
                driver.frames.append(picture.tobytes())
            driver.wait = eager(driver)
            read(camera, frame)
            np.testing.assert_array_equal(frame.image, sent[2])
            assert camera.skipped == 1

    def test_a_broken_frame_is_not_skipped_and_replaces_no_whole_one(self):
        sent = [each.tobytes() for each in pictures("yuyv", 2)]
        driver = FakeDriver()
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            driver.frames.append(sent[0])
            read(camera, frame)
            driver.frames.extend([sent[1], "damaged"])
            driver.wait = eager(driver)
            assert read(camera, frame).fault == ""
            assert frame.image.tobytes() == sent[1]
            assert read(camera, frame).fault == BROKEN_FRAME
            assert (camera.skipped, camera.broken) == (0, 1)

    @pytest.mark.parametrize("userptr", ["unknown", "refused"])
    def test_a_driver_that_refuses_addresses_has_its_frames_copied(self, userptr, said):
        sent = pictures("yuyv", 2)
        driver = FakeDriver([each.tobytes() for each in sent[:1]], userptr=userptr)
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            read(camera, frame)
            np.testing.assert_array_equal(frame.image, sent[0])
            assert frame.image is frame.slot_image and frame.writes == 1
            assert camera.path.startswith("yuyv, copied from the buffers of fake (MMAP: ")
            assert ("takes no addresses" if userptr == "unknown" else "refuses") in camera.path
            assert driver.written == []

    @pytest.mark.parametrize(
        ("options", "asked", "why"),
        [
            ({"padding": 16}, {}, "its rows have gaps"),
            ({"fewest": 3}, {}, "it needs 3 buffers"),
            ({"sizes": ((24, 32),)}, {}, "another size than the graph's"),
            ({"formats": ("GREY",)}, {}, "the graph takes yuyv"),
            ({"formats": ("MJPG",)}, {}, "JPEGs"),
        ],
    )
    def test_other_reasons_for_a_copy(self, options, asked, why):
        with open_it(FakeDriver(**options), **asked) as camera:
            assert camera.keeps == 0 and camera.path.endswith(f"(MMAP: {why})")

    def test_the_copy_of_uvcvideo_is_counted(self):
        driver = FakeDriver([pictures("yuyv", 1)[0].tobytes()], driver="uvcvideo")
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            assert read(camera, frame).writes == 1


def eager(driver):
    """A `wait` that fills every buffer there is."""
    once = type(driver).wait

    def wait(device, seconds):
        while driver.streaming and driver.queued and driver.frames:
            driver._capture(driver.frames.popleft())
        return once(driver, device, seconds)

    return wait


class TestMmap:
    @pytest.mark.parametrize(
        ("letters", "kind"),
        [
            ("YUYV", "yuyv"),
            ("UYVY", "uyvy"),
            ("NV12", "nv12"),
            ("GREY", "gray"),
            ("RGGB", "bayer_rggb"),
            ("BGR3", "bgr"),
            ("RGB3", "rgb"),
        ],
    )
    @pytest.mark.parametrize("padding", [0, 16])
    def test_each_format_is_converted_once_into_the_slot(self, letters, kind, padding):
        (picture,) = pictures(kind, 1)
        driver = FakeDriver([rows_with_gaps(picture, padding)], formats=(letters,), padding=padding)
        driver.userptr = "unknown"
        with open_it(driver, "bgr") as camera:
            (frame, _), _ = lent(camera, "bgr")
            read(camera, frame)
        np.testing.assert_array_equal(frame.image, to_bgr(picture, kind))
        assert frame.image is frame.slot_image and frame.writes == 1

    @pytest.mark.parametrize("graph", ["bgr", "rgb", "gray"])
    def test_jpegs_are_decoded_into_the_slot(self, graph):
        jpeg = encode(noise(), "JPEG", quality=95)
        driver = FakeDriver([jpeg, jpeg[: len(jpeg) // 2]], formats=("MJPG",))
        with open_it(driver, graph) as camera:
            (frame, _), _ = lent(camera, graph)
            read(camera, frame)
            assert frame.image is frame.slot_image and frame.writes == 1
            assert frame.image.std() > 30
            assert read(camera, frame).fault == PARTIAL_FRAME
        assert camera.broken == 1

    def test_the_first_jpeg_of_many_cameras_is_damaged_and_skipped(self):
        jpeg = encode(noise(), "JPEG", quality=95)
        driver = FakeDriver([jpeg[1:], jpeg, jpeg[1:]], formats=("MJPG",))
        with open_it(driver, "bgr") as camera:
            (frame, _), _ = lent(camera, "bgr")
            assert read(camera, frame).sequence == 1
            assert (camera.skipped, camera.broken) == (1, 0)
            assert read(camera, frame).fault == BROKEN_FRAME

    def test_frames_of_another_size_are_left_to_inference(self):
        (picture,) = pictures("yuyv", 1, (24, 32))
        driver = FakeDriver([picture.tobytes()], sizes=((24, 32),))
        with open_it(driver, "bgr") as camera:
            (frame, _), _ = lent(camera, "bgr")
            read(camera, frame)
        assert frame.format == "yuyv" and not frame.slot_image.any()
        np.testing.assert_array_equal(frame.image, picture)

    def test_without_slots_frames_are_copied(self):
        """As the check of a camera reads them."""
        (picture,) = pictures("yuyv", 1)
        with open_it(FakeDriver([picture.tobytes()])) as camera:
            frame = read(camera, Frame())
        np.testing.assert_array_equal(frame.image, picture)


class TestCounts:
    def test_drops_of_the_driver_are_counted_by_the_numbers_of_the_frames(self):
        good = pictures("yuyv", 1)[0].tobytes()
        driver = FakeDriver([good, "lost", "lost", good, "lost", good])
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            numbers = [read(camera, frame).sequence for _ in range(3)]
        assert (numbers, camera.driver_drops, camera.skipped) == ([0, 3, 5], 3, 0)

    @pytest.mark.parametrize("userptr", ["taken", "unknown"])
    def test_damaged_and_partial_frames_are_broken(self, userptr):
        good = pictures("yuyv", 1)[0].tobytes()
        driver = FakeDriver(["damaged", good, "short", good], userptr=userptr)
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            faults = [read(camera, frame).fault for _ in range(4)]
        assert faults == [BROKEN_FRAME, "", PARTIAL_FRAME, ""]
        assert camera.broken == 2

    @pytest.mark.parametrize("complete", [True, False])
    def test_the_kernel_s_time_stamp_is_kept(self, complete):
        driver = FakeDriver([pictures("yuyv", 1)[0].tobytes()], complete=complete)
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            read(camera, frame)
        late = frame.arrival - frame.captured
        assert late == 0 if complete else late >= 5_000_000


class TestLosses:
    @pytest.mark.parametrize("userptr", ["taken", "unknown"])
    def test_an_unplugged_camera_is_connected_again(self, userptr, said):
        good = [each.tobytes() for each in pictures("yuyv", 2)]
        driver = FakeDriver([good[0], "unplug"], userptr=userptr)
        with open_it(driver) as camera:
            (frame, _), every = lent(camera)
            read(camera, frame)
            connect = driver.open

            def plug_in(path):
                driver.present = True
                driver.frames.extend(good)
                return connect(path)

            driver.open = plug_in
            read(camera, frame)
            read(camera, frame)
            assert len({id(each.slot_image) for each in every}) == len(every)
        assert (camera.reconnects, camera.broken) == (1, 1)
        assert any("attempt 1 of 2" in line for line in said)

    def test_a_camera_that_stays_away_ends_with_an_error(self):
        driver = FakeDriver(["unplug"])
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            with fails(SourceError, "source/lost"):
                camera.read_into(frame)

    def test_a_camera_that_sends_nothing_is_lost_after_a_while(self):
        with open_it(FakeDriver()) as camera:
            (frame, _), _ = lent(camera)
            with fails(SourceError, "source/lost"):
                camera.read_into(frame)
            assert camera.broken == 3 * connections.V4L2Connection.max_missing

    def test_the_end_of_the_stream_ends_the_wait(self, monkeypatch):
        monkeypatch.setattr(connections, "NO_FRAME", 1000.0)
        with open_it(FakeDriver()) as camera:
            (frame, _), _ = lent(camera)
            threading.Timer(0.05, camera.stopping.set).start()
            assert not camera.read_into(frame)
            assert camera.broken == 0

    def test_release_takes_every_slot_back(self):
        driver = FakeDriver([pictures("yuyv", 1)[0].tobytes()])
        with open_it(driver) as camera:
            (frame, _), _ = lent(camera)
            read(camera, frame)
            assert driver.queued
            camera.release()
            assert not driver.queued and not driver.streaming and driver.memory == 0
