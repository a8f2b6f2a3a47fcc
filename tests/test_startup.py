"""A command loads what it needs and nothing else: seconds of a start are packages being loaded.

Each command really runs, in an interpreter of its own, on the red graph; the lists are exact.
"""

import json
import subprocess
import sys

import pytest

from edgeseg.station.outputs.kinds import KINDS
from tests.kit.red_graph import write_project

HEAVY = (
    "numpy cv2 rich scipy onnx onnxscript onnxruntime openvino tensorrt tensorrt_rtx torch timm "
    "safetensors cuda pycuda matplotlib sklearn"
).split()
PROGRAM = f"""
import json, sys
from edgeseg.cli import main
try:
    main()
except SystemExit as ended:
    print(json.dumps([ended.code or 0, sorted(set({HEAVY}) & set(sys.modules))]))
"""


GATEWAY = "edgeseg.station.gateway"
LOADED = f"print(json.dumps(sorted(set({HEAVY}) & set(sys.modules))))"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("project"))


STREAM = "--source photos --no-window --frames 2"
RUNS = "--iterations 1 --warmup 0"
LOADS = [
    ("--help", ""),
    ("train --help", ""),
    ("--version", ""),
    ("doctor --matrix", ""),
    ("predict plates.onnx photos --out a", "cv2 numpy onnxruntime"),
    ("predict plates.onnx photos --out b --runtime openvino", "cv2 numpy openvino"),
    (f"stream onnxruntime.onnx {STREAM}", "cv2 numpy onnxruntime"),
    (f"stream openvino.onnx {STREAM}", "cv2 numpy openvino"),
    (f"benchmark onnxruntime.onnx {RUNS}", "cv2 numpy onnxruntime"),
    (f"benchmark openvino.onnx {RUNS}", "cv2 numpy openvino"),
    (f"profile onnxruntime.onnx {RUNS}", "cv2 numpy onnx onnxruntime"),
    ("inspect plates.onnx", "numpy onnx"),
    ("evaluate plates.onnx photos", "cv2 numpy onnxruntime scipy"),
    ("verify plates.onnx onnxruntime.onnx", "cv2 numpy onnx onnxruntime"),
    (
        "build-engine plates.onnx --precision fp32 --runtime onnxruntime",
        "cv2 numpy onnx onnxruntime",
    ),
]


@pytest.mark.parametrize(("words", "expected"), LOADS, ids=[words for words, _ in LOADS])
def test_a_command_loads_what_it_needs(project, words, expected):
    assert run(project, words) == [0, expected.split()]


def test_the_process_of_the_outputs_begins_without_packages_for_pictures():
    outputs = ", ".join(place.partition(":")[0] for place in KINDS.values())
    program = f"import json, sys, {GATEWAY}, {outputs}\n{LOADED}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert json.loads(done.stdout) == [], done.stderr


@pytest.mark.parametrize(
    "words",
    ["train nowhere", "export nowhere", "build-engine", "calibrate plates.onnx nowhere"],
)
def test_a_mistake_is_told_before_pytorch_is_loaded(project, words):
    code, found = run(project, words)
    assert code == 2
    assert not {"torch", "timm"} & set(found)


def run(folder, words):
    """Run a command: [exit code, the heavy packages that it loaded]."""
    words = ["-W", "ignore", "-c", PROGRAM, *words.split()]
    done = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True)
    assert done.stdout, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
