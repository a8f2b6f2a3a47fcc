"""The rooms import leftwards only, and what runs on the device never imports torch.

    data -> model -> training -> evaluation -> deploy -> stream -> bench

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

ROOMS = ("data", "model", "training", "evaluation", "deploy", "stream", "bench")
ON_TOP = ("cli", "demo")  # the only modules that know every room
TORCH = {"torch", "torchvision", "timm"}
TORCH_FREE = ("data/", "stream/", "bench/", "evaluation/metrics.py")
CUDA = {"cuda", "pycuda"}
CUDA_SEAM = "cuda/driver.py"
LONGEST = 400  # lines

IMPORTERS = ("require", "import_module", "__import__")  # calls whose first argument is a module


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
    found = []
    for line, module in imports(source, package):
        top, _, rest = module.partition(".")
        target = rest.split(".")[0]
        where = f"{file}:{line} imports {module}: "
        if top == "edgeseg" and room not in ON_TOP:
            if target in ON_TOP:
                found.append(where + "nothing imports the top")
            elif target in ROOMS and room not in ROOMS:
                found.append(where + "runtime and root modules know no room")
            elif target in ROOMS and ROOMS.index(target) > ROOMS.index(room):
                found.append(where + "arrows point left to right")
        if top in TORCH and file.startswith(TORCH_FREE):
            found.append(where + "no torch on the device")
        if top in CUDA and file != CUDA_SEAM:
            found.append(where + f"only {CUDA_SEAM} talks to CUDA")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_the_arrows_hold(path):
    source = path.read_text(encoding="utf-8")
    assert violations(path.relative_to(PACKAGE).as_posix(), source) == []


BROKEN = [
    ("data/images.py", "import edgeseg.model.teacher", "arrows point left to right"),
    ("data/images.py", "def f():\n    from edgeseg.bench import timing", "arrows point"),
    ("stream/loop.py", "from ..bench.timing import summarize", "arrows point"),
    ("stream/loop.py", "from .. import bench", "arrows point"),
    ("evaluation/opener.py", "from edgeseg import deploy", "arrows point"),
    ("runtime/trt.py", "from edgeseg.engine.build_engine import build", "know no room"),
    ("runtime/trt.py", "from edgeseg.data.images import resize", "know no room"),
    ("cards.py", "def f():\n    import edgeseg.stream", "know no room"),
    ("doctor.py", "from .stream import sources", "know no room"),
    ("errors.py", "import edgeseg.cli", "nothing imports the top"),
    ("bench/bench.py", "from edgeseg.demo import demo", "nothing imports the top"),
    ("data/synth.py", "import torch", "no torch on the device"),
    ("stream/loop.py", "def f():\n    from torch import Tensor", "no torch"),
    ("evaluation/metrics.py", "import torch.nn.functional as f", "no torch"),
    ("bench/bench.py", 'torch = require("torch", extra="train")', "no torch"),
    ("data/synth.py", 'importlib.import_module("timm.layers")', "no torch"),
    ("deploy/engine.py", "def f():\n    from cuda.bindings import runtime", "talks to CUDA"),
    ("runtime/trt.py", 'require("pycuda.driver", extra="tensorrt")', "talks to CUDA"),
]


@pytest.mark.parametrize(("file", "source", "words"), BROKEN)
def test_a_planted_violation_is_caught(file, source, words):
    (found,) = violations(file, f'"""A module."""\n\n{source}\n')
    assert found.startswith(f"{file}:{source.count(chr(10)) + 3} imports ")
    assert words in found


ALLOWED = [
    ("deploy/export.py", "import torch\nfrom edgeseg.model.fused import Fused"),
    ("evaluation/evaluate.py", "def f():\n    import torch"),
    ("stream/loop.py", "from edgeseg.runtime.base import Slot\nfrom edgeseg.data import images"),
    ("stream/loop.py", "from .ring import Ring\nfrom ..cards import GraphCard"),
    ("runtime/memory.py", "from cuda.bindings import runtime"),
    ("doctor.py", "from edgeseg import __version__\nfrom edgeseg.machine.facts import Machine"),
    ("cli.py", "def f():\n    from edgeseg.bench import bench\n    from edgeseg.demo import demo"),
]


@pytest.mark.parametrize(("file", "source"), ALLOWED)
def test_what_is_allowed_is_not_reported(file, source):
    assert violations(file, source) == []


def modules(*rooms: str) -> list[str]:
    """Name every module of the rooms."""
    files = [file for room in rooms for file in sorted((PACKAGE / room).glob("*.py"))]
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


RUNTIMES = {"onnxruntime", "openvino", "tensorrt", "tensorrt_rtx"}


@pytest.mark.parametrize("room", ["data", "stream", "bench"])
def test_importing_a_room_of_the_device_loads_no_torch_and_no_runtime(room):
    names = modules(room)
    assert len(names) > 1
    after = loaded("".join(f"import {name}\n" for name in names))
    assert not after & (TORCH | CUDA | RUNTIMES)


def test_the_metrics_load_no_torch():
    assert not loaded("import edgeseg.evaluation.metrics") & (TORCH | CUDA | RUNTIMES)


def test_help_loads_no_torch_and_no_runtime():
    code = """
from typer.testing import CliRunner
from edgeseg.cli import app
names = [command.name or command.callback.__name__ for command in app.registered_commands]
assert "train" in names
for words in ([], *([name.replace("_", "-")] for name in names)):
    result = CliRunner().invoke(app, [*words, "--help"])
    assert result.exit_code == 0, (words, result.output)
"""
    after = loaded(code)
    assert "edgeseg" in after
    assert not after & (TORCH | CUDA | RUNTIMES | {"onnx", "scipy"})


def test_no_file_is_longer_than_the_cap():
    folders = ("edgeseg", "tests", "benchmarks")
    files = [file for folder in folders for file in (REPOSITORY / folder).rglob("*.py")]
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(lengths) > 20
    assert {str(file): n for file, n in lengths.items() if n > LONGEST} == {}
