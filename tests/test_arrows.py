"""The rooms import along the arrows only, and what runs on a device never imports torch.

Every import of every file is read, those inside functions too; a planted source for each rule shows
that the reader catches it.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
PACKAGE = REPOSITORY / "edgeseg"
FILES = sorted(PACKAGE.rglob("*.py"))

# A room may import those named behind it, and all that these may import.
ARROWS = {
    "packages": "",
    "cluster": "machine",
    "frame": "",
    "verdict": "frame",
    "machine": "",
    "cuda": "machine",
    "runtime": "cuda",
    "graph": "runtime",
    "data": "runtime",
    "model": "data",
    "tracking": "",
    "training": "model tracking",
    "evaluation": "training",
    "reproduce": "evaluation cluster",
    "exporter": "evaluation graph",
    "quantize": "exporter",
    "accuracy": "quantize",
    "engine": "accuracy",
    "serving": "exporter",
    "stream": "data",
    "station": "stream",
    "fleet": "station engine",
    "bench": "stream graph",
    "report": "evaluation",
    "products": "engine report cluster",
    "tuning": "report cluster",
    "gpu_check": "bench engine",
}
# Any file may import these.
GROUND = {"frame", "verdict", "packages"}
# These know every room; only they know each other.
ON_TOP = ("cli", "demo", "api", "__init__", "__main__")
LOADING = (
    "loading",
    "prediction",
    "given_frame",
)  # open any model: root modules that know some rooms
LOADS = {"machine", "cuda", "runtime", "graph", "data", "model", "training", "stream"}
TORCH = {"torch", "torchvision", "timm"}
TORCH_FREE = (
    "packages/",
    "frame/",
    "verdict/",
    "data/",
    "graph/",
    "stream/",
    "station/",
    "bench/",
    "machine/",
    "cuda/",
    "report/",
    "evaluation/metrics.py",
)
CUDA = {"cuda", "pycuda"}
CUDA_SEAM = ("cuda/driver.py", "cuda/compiler.py")
LONGEST, CROWDED = 400, 17  # lines in a file, files in a room

IMPORTERS = ("require", "import_module", "__import__")  # calls whose first argument is a module


def reachable(room: str) -> set[str]:
    """Return the rooms that a room may import."""
    found = {room}
    for below in ARROWS[room].split():
        found |= reachable(below)
    return found


def drawn() -> str:
    """Draw the arrows, for the message of a failure."""
    lines = [f"    {room:<10} -> {below or '(no room)'}" for room, below in ARROWS.items()]
    return "\n".join(["", "each room may import these, and what they may import:", *lines])


def imports(source: str, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module) of every import; `package` is where the source lies."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(parents if node.level else []), *filter(None, [node.module])])
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            if called in IMPORTERS and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def violations(file: str, source: str) -> list[str]:
    """Return what a file (`room/name.py`, below edgeseg/) breaks."""
    package = ".".join(["edgeseg", *Path(file).parent.parts])
    room = package.split(".")[1] if "/" in file else Path(file).stem
    known = reachable(room) if room in ARROWS else LOADS if room in LOADING else set()
    known = known if room in GROUND else known | GROUND
    found = []
    for line, module in imports(source, package):
        top, _, rest = module.partition(".")
        target = rest.split(".")[0]
        where = f"{file}:{line} imports {module}: "
        if top == "edgeseg" and room not in ON_TOP:
            if target in ON_TOP:
                found.append(where + "nothing imports the top")
            elif target in ARROWS and target not in known and not _facts(room, target):
                found.append(where + "against the arrows")
            elif target in LOADING and room in reachable("training"):
                found.append(where + "against the arrows")
        if top in TORCH and file.startswith(TORCH_FREE):
            found.append(where + "no torch on the device")
        if top in CUDA and file not in CUDA_SEAM:
            found.append(where + f"only {' and '.join(CUDA_SEAM)} talk to CUDA")
    return found


def _facts(room: str, target: str) -> bool:
    """Whether the doctor reads facts."""
    return room == "doctor" and target in {"machine", "runtime", "cuda"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_the_arrows_hold(path):
    source = path.read_text(encoding="utf-8")
    found = violations(path.relative_to(PACKAGE).as_posix(), source)
    assert not found, "\n".join([*found, drawn()])


def test_every_room_has_arrows():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms - {"cli"} == set(ARROWS)


BROKEN = [
    ("frame/tiles.py", "from edgeseg.verdict.rule import Rule", "against the arrows"),
    ("data/images.py", "import edgeseg.model.teacher", "against the arrows"),
    ("data/images.py", "def f():\n    from edgeseg.bench import timing", "against the arrows"),
    ("stream/stream.py", "from ..bench.timing import time_iterations", "against the arrows"),
    ("stream/stream.py", "from .. import bench", "against the arrows"),
    ("stream/stream.py", "from edgeseg.evaluation import metrics", "against the arrows"),
    ("evaluation/evaluate.py", "from edgeseg import engine", "against the arrows"),
    ("exporter/export.py", "from edgeseg.engine import build_engine", "against the arrows"),
    ("runtime/tensorrt.py", "from edgeseg.engine.tensorrt import build_plan", "against the arrows"),
    ("runtime/tensorrt.py", "from edgeseg.data.images import resize", "against the arrows"),
    ("runtime/base.py", "from edgeseg.loading import open_model", "against the arrows"),
    ("machine/facts.py", "from edgeseg.cuda import driver", "against the arrows"),
    ("cards.py", "def f():\n    import edgeseg.stream", "against the arrows"),
    ("doctor.py", "from .stream import sink", "against the arrows"),
    ("errors.py", "import edgeseg.cli", "nothing imports the top"),
    ("bench/benchmark.py", "from edgeseg.demo import demo", "nothing imports the top"),
    ("data/synth.py", "import torch", "no torch on the device"),
    ("stream/stream.py", "def f():\n    from torch import Tensor", "no torch"),
    ("evaluation/metrics.py", "import torch.nn.functional as f", "no torch"),
    ("bench/benchmark.py", 'torch = require("torch", extra="train")', "no torch"),
    ("data/synth.py", 'importlib.import_module("timm.layers")', "no torch"),
    ("engine/tensorrt.py", "def f():\n    from cuda.bindings import runtime", "talk to CUDA"),
    ("runtime/tensorrt.py", 'require("pycuda.driver", extra="tensorrt")', "talk to CUDA"),
]


@pytest.mark.parametrize(("file", "source", "words"), BROKEN)
def test_a_planted_violation_is_caught(file, source, words):
    (found,) = violations(file, f'"""A module."""\n\n{source}\n')
    assert found.startswith(f"{file}:{source.count(chr(10)) + 3} imports ")
    assert words in found


ALLOWED = [
    ("cuda/driver.py", "from edgeseg.packages.extras import require"),
    ("exporter/export.py", "import torch\nfrom edgeseg.model.fused import Fused"),
    ("evaluation/evaluate.py", "def f():\n    import torch"),
    ("stream/stream.py", "from edgeseg.runtime.base import Slot\nfrom edgeseg.data import images"),
    ("stream/stream.py", "from .pipeline.ring import Ring\nfrom ..cards import GraphCard"),
    ("cuda/driver.py", "from cuda.bindings import runtime"),
    ("cuda/compiler.py", "from cuda.bindings import nvrtc"),
    ("doctor.py", "from edgeseg import __version__\nfrom edgeseg.machine.facts import Machine"),
    ("cli/run.py", "def f():\n    from edgeseg.bench import benchmark"),
    ("demo.py", "from edgeseg.engine.build_engine import build_engine"),
    ("loading.py", "from edgeseg.training.checkpoint import load_run"),
]


@pytest.mark.parametrize(("file", "source"), ALLOWED)
def test_what_is_allowed_is_not_reported(file, source):
    assert violations(file, source) == []


def modules(*rooms: str) -> list[str]:
    """Name every module of the rooms."""
    files = [file for room in rooms for file in sorted((PACKAGE / room).rglob("*.py"))]
    parts = [file.relative_to(REPOSITORY).with_suffix("").parts for file in files]
    return [".".join(part for part in path if part != "__init__") for path in parts]


def loaded(code: str) -> set[str]:
    """Run code in a fresh interpreter; return the top-level modules that it has loaded."""
    report = "\nimport json, sys; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code + report], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


DEVICE = ["data", "stream", "station", "bench", "machine", "cuda", "report"]
RUNTIMES = {"onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"}


@pytest.mark.parametrize("room", DEVICE)
def test_importing_a_room_of_the_device_loads_no_torch_and_no_runtime(room):
    names = modules(room)
    assert len(names) > 1
    after = loaded("".join(f"import {name}\n" for name in names))
    assert not after & (TORCH | CUDA | RUNTIMES)


def test_the_metrics_load_no_torch():
    assert not loaded("import edgeseg.evaluation.metrics") & (TORCH | CUDA | RUNTIMES)


def test_import_edgeseg_loads_no_package_but_itself():
    assert not loaded("import edgeseg") & {"cv2", "numpy", "onnx", "openvino", "torch", "typer"}


def test_no_file_is_longer_than_the_cap_and_no_room_is_crowded():
    folders = ("edgeseg", "tests", "benchmarks", "tools")
    files = [file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")]
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(lengths) > 20
    assert {str(file): n for file, n in lengths.items() if n > LONGEST} == {}
    rooms = {path.parent: len(list(path.parent.glob("*.py"))) for path in FILES}
    assert {str(room): n for room, n in rooms.items() if n > CROWDED and room != PACKAGE} == {}


SHARED = {"Counts"}  # an alias of one type of array in two files


def test_no_two_classes_or_aliases_share_a_name():
    places: dict[str, list[str]] = {}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [n.name for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
        for node in tree.body:
            target = node.targets[0] if isinstance(node, ast.Assign) else None
            if isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper():
                names.append(target.id)
        for name in names:
            places.setdefault(name.strip("_"), []).append(path.relative_to(PACKAGE).as_posix())
    assert len(places) > 100
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert set(twice) <= SHARED, twice
