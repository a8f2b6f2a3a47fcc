"""Cameras of the real kernel: vivid, and uvcvideo with a USB camera made of software.

`.ci/camera` runs these in a virtual machine with Debian's kernel, without conftest.py, which loads
PyTorch. Elsewhere they are skipped, unless vivid is loaded.
"""

import ctypes
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg

from edgeseg.config import StreamConfig
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.frame.pixel_formats import frame_shape
from edgeseg.stream.pipeline.in_flight import open_requests
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.open import open_source
from edgeseg.stream.stream import stream_from
from tests.kit.cards import make_card
from tests.kit.fakes import RedBackend

if sys.platform == "linux":
    from edgeseg.stream.source.v4l2 import abi
    from edgeseg.stream.source.v4l2.device import CaptureDevice
    from edgeseg.stream.source.v4l2.kernel import Linux
    from tests.kit.usb_camera import CONTROLLER, UsbCamera

EXPECTED = os.environ.get("EDGESEG_REAL_CAMERAS") == "1"  # then nothing is skipped
PROJECT = os.environ.get("EDGESEG_PLATES")  # with plates.onnx
SIZE = (180, 320)
DISCONNECT = 0x00F0F000 + 65  # VIVID_CID_DISCONNECT
LEVELS = range(20, 240, 10)


def missing(what):
    if EXPECTED:
        pytest.fail(what)
    pytest.skip(f"{what}: .ci/camera runs this in a virtual machine")


@pytest.fixture(scope="module")
def vivid():
    """The path of a camera of vivid."""
    for path in sorted(Path("/dev").glob("video*")):
        try:
            with CaptureDevice(str(path), Linux()) as device:
                if device.driver == "vivid":
                    return str(path)
        except Exception:
            continue
    missing("no camera of vivid")
    return ""


@pytest.fixture
def usb():
    """A USB camera of 64 x 48 that shows flat pictures of rising brightness."""
    if not CONTROLLER.is_dir() or not os.access(CONTROLLER / "attach", os.W_OK):
        missing("no vhci-hcd, or not root")
    return usb_camera()


def usb_camera():
    flat = [np.full((48, 64, 3), level, np.uint8) for level in LEVELS]
    pictures = {
        "yuyv": [bytes([level, 128]) * (48 * 64) for level in LEVELS],
        "mjpeg": [simplejpeg.encode_jpeg(each, quality=95) for each in flat],
    }
    return UsbCamera(64, 48, pictures, fps=20)


def frames(source, kind, size):
    """The frames of a stream with one in flight; the source has those that it keeps."""
    card = make_card(*size, frame_format=kind, side=8)
    found = open_requests(RedBackend(card), StreamConfig(), kept=source.keeps).frames()
    source.lend(found[: source.keeps])
    return found[source.keeps :]


def opened(address, kind, size=SIZE, **asked):
    return open_source(address, size=size, attempts=5, requested=Mode(**asked), frame_format=kind)


def read(source, frame, count=1):
    """Read frames; return the images, and the faults of those without."""
    found = []
    for _ in range(count):
        frame.fault = ""
        assert source.read_into(frame)
        found.append(frame.fault or frame.image.copy())
    return found


@pytest.mark.parametrize("kind", ["yuyv", "gray", "nv12"])
def test_vivid_writes_the_graph_s_format_into_the_slots(vivid, kind):
    with opened(vivid, kind) as source:
        frame, other, _ = frames(source, kind, SIZE)
        memory = {each.slot_image.ctypes.data for each in (frame, other, *source._lent)}
        pictures, numbers = [], []
        for _ in range(6):
            pictures += read(source, frame)
            numbers.append(frame.sequence)
            assert frame.image is frame.slot_image and frame.image.ctypes.data in memory
            assert frame.writes == 0 and frame.captured > 0
            frame, other = other, frame
        assert "written into the slots by vivid (USERPTR)" in source.path
        source.release()
    assert numbers == sorted(set(numbers)), "the driver's numbers rise"
    assert source.skipped + source.driver_drops == numbers[-1] - numbers[0] - 5
    assert pictures[0].shape == frame_shape(kind, *SIZE) and pictures[0].std() > 20
    assert any((one != two).any() for one, two in itertools.pairwise(pictures))


def test_opencv_shows_the_same_picture(vivid):
    """Vivid's color bars, which do not move; its texts do."""
    with opened(vivid, "yuyv") as source:
        (image,) = read(source, frames(source, "yuyv", SIZE)[0])
        source.release()
    capture = cv2.VideoCapture(vivid, cv2.CAP_V4L2)
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"YUYV"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, SIZE[1])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, SIZE[0])
    done, expected = capture.read()
    capture.release()
    assert done
    difference = np.abs(to_bgr(image, "yuyv").astype(int) - expected).max(axis=2)
    assert (difference <= 2).mean() > 0.8


@pytest.mark.parametrize("kind", ["bgr", "rgb", "gray"])
def test_vivid_s_yuyv_is_converted_out_of_its_buffers(vivid, kind):
    with opened(vivid, kind, format="yuyv") as source:
        frame, _, _ = frames(source, kind, SIZE)
        (image,) = read(source, frame)
        assert frame.writes == (2 if kind == "gray" else 1) and image.std() > 20
        assert f"converted to {kind} from the buffers of vivid (MMAP" in source.path


def disconnect(path):
    """What unplugging is to vivid: every call to its devices fails until all are closed."""
    device = os.open(path, os.O_RDWR)
    Linux().ioctl(device, abi.VIDIOC_S_CTRL, abi.Control(id=DISCONNECT, value=1))
    os.close(device)


@pytest.mark.parametrize("kind", ["yuyv", "bgr"])  # USERPTR and MMAP
def test_vivid_is_unplugged_and_comes_back(vivid, kind):
    with opened(vivid, kind) as source:
        frame, _, _ = frames(source, kind, SIZE)
        read(source, frame, 2)
        disconnect(vivid)
        (image,) = read(source, frame)
        assert (source.reconnects, source.broken) == (1, 1)
        assert image.std() > 20 and frame.image is frame.slot_image
        source.release()


def level(image):
    """Which of the flat pictures it is."""
    return min(LEVELS, key=lambda known: abs(known - float(image[..., 0].mean())))


def test_uvcvideo_writes_into_the_slots(usb):
    with usb, opened(usb.node, "yuyv", (48, 64)) as source:
        frame, _, _ = frames(source, "yuyv", (48, 64))
        pictures = read(source, frame, 8)
        assert frame.writes == 1, "it copies the packets of USB"
        assert "written into the slots by uvcvideo (USERPTR)" in source.path
        source.release()
    shown = [level(each) for each in pictures]
    assert all((each[..., 0] == each[0, 0, 0]).all() for each in pictures), "no frame is mixed"
    assert shown == sorted(set(shown)) and len(shown) == 8


@pytest.mark.parametrize("kind", ["bgr", "gray"])
def test_mjpeg_of_uvcvideo_is_decoded_into_the_slots(usb, kind):
    with usb, opened(usb.node, kind, (48, 64), format="mjpeg") as source:
        frame, _, _ = frames(source, kind, (48, 64))
        pictures = read(source, frame, 6)
        assert frame.writes == 1 and frame.image is frame.slot_image
        assert source.broken == 0
    shown = [level(each) for each in pictures]
    assert shown == sorted(set(shown)) and len(shown) == 6


@pytest.mark.parametrize("kind", ["yuyv", "bgr"])  # USERPTR and MMAP
def test_a_usb_camera_is_unplugged_and_plugged_in_again(usb, kind):
    """A device without a fixed number would come back as another one, while ours is open."""
    again = []

    def plug_in():
        time.sleep(0.3)
        again.append(usb_camera().__enter__())

    usb.__enter__()
    with opened(usb.node, kind, (48, 64)) as source:
        frame, _, _ = frames(source, kind, (48, 64))
        read(source, frame, 3)
        usb.__exit__()
        plugging = threading.Thread(target=plug_in)
        plugging.start()
        read(source, frame, 3)
        assert source.reconnects == 1 and source.broken >= 1
        source.release()
    plugging.join()
    assert again[0].node == usb.node
    again[0].__exit__()


@pytest.mark.parametrize("kind", ["yuyv", "gray"])
def test_a_stream_judges_the_frames_of_camera_0(vivid, kind, tmp_path):
    backend = RedBackend(make_card(*SIZE, frame_format=kind, side=8))
    lines = tmp_path / "lines.jsonl"
    config = StreamConfig(
        camera=vivid.removeprefix("/dev/video"), frames=5, jsonl=lines, window=False
    )
    report = stream_from(backend, config)
    assert (report.frames, report.broken, report.cpu_writes) == (5, 0, 0)
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    numbers = [line["sequence"] for line in found if "index" in line]
    assert numbers == sorted(set(numbers)) and all("captured" in line for line in found[1:])


def test_the_command_streams_camera_0(vivid, tmp_path):
    """As it is written in the documentation, with a graph of four nodes on ONNX Runtime."""
    if PROJECT is None:
        missing("no plates.onnx")
    model, number = str(Path(PROJECT) / "plates.onnx"), vivid.removeprefix("/dev/video")
    words = ["stream", model, "--camera", number, "--frames", "3", "--no-window", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "edgeseg", *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert (report["frames"], report["broken"], report["source"]) == (3, 0, f"camera {number}")
    assert "from the buffers of vivid" in report["path"]


def test_the_structures_are_those_of_this_kernel(vivid):
    """The kernel refuses a call whose number has another size."""
    with CaptureDevice(vivid, Linux()) as device:
        assert "YUYV" in device.formats() and "GREY" in device.formats()
        pix = device.set_format("YUYV", SIZE)
        assert (pix.width, pix.height, pix.bytesperline) == (320, 180, 640)
        assert device.set_rate(15.0) == pytest.approx(15.0)
    assert ctypes.sizeof(abi.Buffer) == abi.VIDIOC_DQBUF >> 16 & 0x3FFF
