"""Calls that show whether an installed package works here: its import and its version do not.

Each takes milliseconds and returns what is wrong, in a few words; empty if nothing is.
"""

from collections.abc import Callable
from types import ModuleType

import numpy as np

from edgeseg.packages.extras import require

# The ONNX graph y = x + x, float32 [4], opset 13, written with onnx.helper.
DOUBLE = (
    b"\x08\x07:5\n\x0e\n\x01x\n\x01x\x12\x01y\x22\x03Add\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01"
    b"\x12\x04\n\x02\x08\x04b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x04B\x04\n\x00\x10\r"
)
GIVEN = np.array([0.5, -1.0, 2.0, 3.0], np.float32)
TEST_PIPELINE = (
    "videotestsrc num-buffers=1 ! video/x-raw,format=BGR,width=64,height=48 ! appsink sync=false"
)


def try_runtime(runtime: str) -> str:
    """Compute a graph of one node with `onnxruntime` or `openvino`; others are not tried."""
    return _tried(_CALLS[runtime]) if runtime in _CALLS else ""


def try_opencv(cv2: ModuleType) -> str:
    """Resize a picture, and read it back from PNG and JPEG."""
    return _tried(lambda: _opencv(cv2))


def try_gstreamer(cv2: ModuleType) -> str:
    """Read one frame of a test pipeline."""
    return _tried(lambda: _gstreamer(cv2))


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
