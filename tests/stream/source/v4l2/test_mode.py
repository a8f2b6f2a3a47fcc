"""What a camera is asked for, and devices that cannot be opened."""

import errno

import pytest

from edgeseg.errors import SourceError
from edgeseg.stream.source.v4l2.device import NotCaptureDevice
from edgeseg.stream.source.v4l2.mode import UnsupportedFormat
from tests.kit.errors import fails
from tests.kit.fake_v4l2 import FakeDriver, refusal
from tests.stream.source.v4l2.opened import SIZE, open_it


class TestOpening:
    @pytest.mark.parametrize(
        ("call", "number", "code"),
        [
            ("open", errno.EACCES, "source/camera-missing"),
            ("s_fmt", errno.EBUSY, "source/camera-missing"),
            ("s_fmt", errno.EIO, "source/camera-refused"),
        ],
    )
    def test_a_device_that_cannot_be_opened(self, call, number, code):
        driver = FakeDriver()

        def refuse(*arguments):
            raise refusal(number)

        setattr(driver, call, refuse)
        with fails(SourceError, code):
            open_it(driver)
        assert driver.opened == 0

    @pytest.mark.parametrize("number", [errno.ENOTTY, errno.EINVAL])
    def test_what_has_no_v4l2_driver_is_opened_in_another_way(self, number):
        driver = FakeDriver()

        def refuse(found):
            raise refusal(number)

        driver.querycap = refuse
        with pytest.raises(NotCaptureDevice, match="no V4L2 driver"):
            open_it(driver)
        assert driver.opened == 0

    @pytest.mark.parametrize("can", [0x04000000, 0x1, 0x1000 | 0x04000000])
    def test_so_is_a_device_without_frames_or_queue(self, can):
        driver = FakeDriver()

        def query(found):
            found.capabilities = can

        driver.querycap = query
        with pytest.raises(NotCaptureDevice):
            open_it(driver)

    def test_a_camera_whose_frames_end_in_half_a_pair_of_pixels(self):
        with pytest.raises(UnsupportedFormat, match="YUYV of 63x48"):
            open_it(FakeDriver(sizes=((48, 63),)), size=(48, 63))

    def test_a_camera_without_a_readable_format(self):
        with pytest.raises(UnsupportedFormat, match="H264, Y16 "):
            open_it(FakeDriver(formats=("H264", "Y16 ")))


EVERY = ("MJPG", "YUYV", "GREY", "NV12")
HD = (1080, 1920)


class TestMode:
    @pytest.mark.parametrize(
        ("graph", "asked", "chosen"),
        [
            ("bgr", {}, "yuyv"),
            ("gray", {}, "gray"),
            ("nv12", {}, "nv12"),
            ("bgr", {"format": "mjpeg"}, "mjpeg"),
            ("yuyv", {"format": "gray"}, "gray"),
            ("bgr", {"format": "uyvy"}, "yuyv"),  # the camera has none
        ],
    )
    def test_the_graph_s_own_format_is_preferred_to_what_opencv_took(self, graph, asked, chosen):
        with open_it(FakeDriver(formats=EVERY), graph, **asked) as camera:
            assert camera.path.startswith(chosen)

    def test_a_format_that_has_the_size_is_preferred(self):
        driver = FakeDriver(
            formats=EVERY, sizes={"MJPG": [HD], "YUYV": [SIZE], "GREY": [SIZE], "NV12": [SIZE]}
        )
        with open_it(driver, "bgr", HD) as camera:
            assert camera.path.startswith("mjpeg")

    @pytest.mark.parametrize(
        ("fps", "chosen", "delivered"),
        [(None, "yuyv", 5.0), (5.0, "yuyv", 5.0), (30.0, "mjpeg", 30.0), (90.0, "mjpeg", 30.0)],
    )
    def test_a_rate_that_is_asked_for_decides(self, fps, chosen, delivered):
        driver = FakeDriver(formats=("YUYV", "MJPG"), rates={"YUYV": 5.0, "MJPG": 30.0})
        with open_it(driver, "bgr", fps=fps) as camera:
            assert camera.path.startswith(chosen) and camera.fps == delivered

    def test_what_differs_is_told(self, said):
        with open_it(FakeDriver(sizes=((24, 32),)), "bgr"):
            pass
        assert said == [
            "camera 0: requested 64x48, delivers 32x24, 30 frames/s, yuyv",
        ]
