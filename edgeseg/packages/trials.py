"""Calls that show whether an installed package works here: its import and its version do not.

Each returns what is wrong, in a few words; empty if nothing is. They take milliseconds, except for
PyTorch, which is tried in a process beside them.
"""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from types import ModuleType

import numpy as np

from edgeseg.packages.extras import require
from edgeseg.packages.gstreamer import GStreamer

# The ONNX graph y = x + x, float32 [4], opset 13, written with onnx.helper.
DOUBLE = (
    b"\x08\x07:5\n\x0e\n\x01x\n\x01x\x12\x01y\x22\x03Add\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01"
    b"\x12\x04\n\x02\x08\x04b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x04B\x04\n\x00\x10\r"
)
GIVEN = np.array([0.5, -1.0, 2.0, 3.0], np.float32)
TEST_PIPELINE = (
    "videotestsrc num-buffers=1 ! video/x-raw,format=BGR,width=64,height=48 ! appsink sync=false"
)
# The gradient of a convolution, whatever its weights are: 108 of them, each 36 ones.
TRAIN = (
    "import torch; convolution = torch.nn.Conv2d(3, 4, 3); "
    "convolution(torch.ones(1, 3, 8, 8)).sum().backward(); "
    "print(float(convolution.weight.grad.sum()))"
)
GRADIENT = "3888.0"
PATIENCE = 10.0  # seconds; PyTorch loads in 1.5, and longer from a disk that has to be read


def try_runtime(runtime: str) -> str:
    """Compute a graph of one node with `onnxruntime` or `openvino`; others are not tried."""
    return _tried(_CALLS[runtime]) if runtime in _CALLS else ""


def try_opencv(cv2: ModuleType) -> str:
    """Resize a picture, and read it back from PNG and JPEG."""
    return _tried(lambda: _opencv(cv2))


def try_gstreamer(cv2: ModuleType) -> str:
    """Read one frame of a test pipeline."""
    return _tried(lambda: _gstreamer(cv2))


def try_appsink(gstreamer: GStreamer) -> str:
    """Read one frame of a test pipeline through PyGObject."""
    return _tried(lambda: _appsink(gstreamer))


def try_pyav() -> str:
    """Write a video in H.264 and read it back."""
    return _tried(_pyav)


class TorchTrial:
    """A step of training in a process of its own; a PyTorch that crashes ends it alone."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", TRAIN],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self, patience: float = PATIENCE) -> str | None:
        """Wait for the result: what is wrong, or None where it takes longer."""
        try:
            out, err = self._process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            return None
        if self._process.returncode:
            said = err.strip().split("\n")[-1]
            return said or f"its process ended with code {self._process.returncode}"
        return "" if out.strip() == GRADIENT else f"computes a gradient of {out.strip()}"


def _tried(call: Callable[[], str]) -> str:
    try:
        return call()
    except Exception as error:  # a library raises classes of its own
        return f"{type(error).__name__}: {error}".split("\n")[0]


def _onnxruntime() -> str:
    ort = require("onnxruntime", extra="cpu")
    session = ort.InferenceSession(DOUBLE, providers=["CPUExecutionProvider"])
    return _compared(session.run(None, {"x": GIVEN})[0])


def _openvino() -> str:
    core = require("openvino", extra="openvino").Core()
    compiled = core.compile_model(core.read_model(DOUBLE), "CPU")
    return _compared(compiled({"x": GIVEN})[0])


_CALLS = {"onnxruntime": _onnxruntime, "openvino": _openvino}


def _compared(found: object) -> str:
    same = np.array_equal(np.asarray(found), 2 * GIVEN)
    return "" if same else f"computes {found} of {GIVEN} + {GIVEN}"


def _opencv(cv2: ModuleType) -> str:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = 255
    small = cv2.resize(picture, (32, 24), interpolation=cv2.INTER_AREA)
    if small.shape != (24, 32, 3) or small[0, 0, 0] != 0 or small[0, 31, 0] != 255:
        return "resizes a picture wrongly"
    for suffix, most in ((".png", 0), (".jpg", 8)):
        done, data = cv2.imencode(suffix, picture)
        back = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
        if back is None or np.abs(back.astype(int) - picture).max() > most:
            return f"does not read back its own {suffix}"
    return ""


def _gstreamer(cv2: ModuleType) -> str:
    capture = cv2.VideoCapture(TEST_PIPELINE, cv2.CAP_GSTREAMER)
    done, frame = capture.read() if capture.isOpened() else (False, None)
    capture.release()
    if not done or frame is None:
        return "a test pipeline delivers no frame: plugins are missing"
    return "" if frame.shape == (48, 64, 3) else f"a test pipeline delivers {frame.shape}"


def _appsink(gstreamer: GStreamer) -> str:
    core = gstreamer.core
    pipeline = core.parse_launch(f"{TEST_PIPELINE} name=sink")
    pipeline.set_state(core.State.PLAYING)
    sample = pipeline.get_by_name("sink").try_pull_sample(core.SECOND)
    pipeline.set_state(core.State.NULL)
    if sample is None:
        return "a test pipeline delivers no frame: plugins are missing"
    size = sample.get_buffer().get_size()
    return "" if size == 48 * 64 * 3 else f"a test pipeline delivers {size} bytes"


def _pyav() -> str:
    av = require("av", extra="video")
    picture, file = np.full((48, 64, 3), 200, np.uint8), BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width = picture.shape[:2]
        for packet in (
            *stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")),
            *stream.encode(),
        ):
            container.mux(packet)
    file.seek(0)
    with av.open(file) as container:
        found = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    near = len(found) == 1 and np.abs(found[0].astype(int) - picture).max() <= 8
    return "" if near else "does not read back its own H.264"
