"""NVIDIA's own bindings of TensorRT and its lean runtimes, on a machine without a GPU.

    described("10.3.0")["Builder"]["create_network"]    the signature, as pybind11 documents it
    run("10.3.0", "tests.runtime.real_scenarios:start", kind="Builder")

`.ci/tensorrt FOLDER` downloads the wheels; TENSORRT_WHEELS names the folder. Without it tests skip.
The bindings want libraries of TensorRT: forwarder.c stands in for them and leads to the real lean
runtime of the same version where there is one. Each version is imported in a process of its own.
"""

import ctypes
import json
import os
import subprocess
import sys
import warnings
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from tools.cudasim.build import NoCompilerError, compiled

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("forwarder.c")
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin", "nvparsers")
MARK = "result: "
WHEELS = tuple(
    line for line in (ROOT / ".ci/tensorrt.txt").read_text().splitlines() if line[:1] != "#"
)
VERSIONS = {wheel.partition("==")[2]: wheel for wheel in WHEELS if "-lean-" not in wheel}
LEAN = {
    wheel.partition("==")[2]: wheel for wheel in WHEELS if "-lean-" in wheel and "-libs" in wheel
}
LEAN_ALONE = "tensorrt-lean-cu12-bindings==10.16.1.11"
"""Instead of a version: the module that is installed where engines only run."""
RTX = "RTX"


def wheels():
    """Return the folder of the wheels; skip where none is named."""
    folder = os.environ.get("TENSORRT_WHEELS")
    if not folder:
        pytest.skip("no bindings of TensorRT: run .ci/tensorrt FOLDER, set TENSORRT_WHEELS=FOLDER")
    return Path(folder)


def install(version):
    """Put the bindings of a version where `import tensorrt` finds them; once in a process."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of pybind11's enumerations in 8.6
    major, folder = version.split(".")[0], wheels()
    for name in LIBRARIES:
        library = f"lib{name}.so.{major}"
        flags = ("-shared", "-fPIC", f"-Wl,-soname,{library}")
        ctypes.CDLL(str(compiled(library, [SOURCE], flags) / library), ctypes.RTLD_GLOBAL)
    if version in LEAN:
        (runtime,) = (folder / LEAN[version]).glob("*/libnvinfer_lean.so.*")
        os.environ["LEAN_RUNTIME"] = str(runtime)
    sys.path.insert(0, str(folder / VERSIONS[version]))
    module = import_module("tensorrt_bindings")
    module.__spec__ = ModuleSpec("tensorrt", None)  # as of the package that has both names
    sys.modules["tensorrt"] = module
    return module


def module_of(version):
    """Return the installed module of a version, or of TensorRT-RTX."""
    if version == LEAN_ALONE:
        return install_lean()
    return import_module("tensorrt_rtx") if version == RTX else install(version)


def install_lean():
    """Put the lean runtime, with nothing in anyone's place, where `import tensorrt_lean` is."""
    folder, version = wheels(), LEAN_ALONE.partition("==")[2]
    (runtime,) = (folder / LEAN[version]).glob("*/libnvinfer_lean.so.*")
    ctypes.CDLL(str(runtime), ctypes.RTLD_GLOBAL)
    sys.path.insert(0, str(folder / LEAN_ALONE))
    module = import_module("tensorrt_lean_bindings")
    module.__spec__ = ModuleSpec("tensorrt_lean", None)
    sys.modules["tensorrt_lean"] = module
    return module


def run(version, function, **arguments):
    """Call `module:function` where a version is installed; return its JSON result.

    A process that crashes is an AssertionError with its output.
    """
    if version != RTX:
        wheels()
    try:
        compiled(LIBRARIES[0], [SOURCE], ("-shared", "-fPIC"))
    except NoCompilerError as missing:
        pytest.skip(str(missing))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", __name__, version, function, json.dumps(arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}\n{done.stderr}"
    (result,) = (line for line in done.stdout.splitlines() if line.startswith(MARK))
    return json.loads(result.removeprefix(MARK))


@cache
def described(version):
    """Return what the module of a version has: name -> members -> signature, number or None."""
    return run(version, f"{__name__}:describe")


def describe(module):
    """Name the classes of a module with their members: numbers of enumerations, signatures."""
    found = {"": {name: None for name in dir(module)}}
    todo = [(name, value) for name, value in vars(module).items() if isinstance(value, type)]
    for name, kind in todo:
        members = found[name] = {}
        numbers = getattr(kind, "__members__", {})
        for member in dir(kind):
            if member.startswith("__") and member != "__init__":
                continue
            value = getattr(kind, member, None)
            if isinstance(value, type):
                todo.append((f"{name}.{member}", value))
            elif member in numbers:
                members[member] = int(numbers[member])
            else:
                members[member] = getattr(value, "__doc__", None)
    return found


if __name__ == "__main__":
    module, (room, _, called) = module_of(sys.argv[1]), sys.argv[2].partition(":")
    answer = getattr(import_module(room), called)(module, **json.loads(sys.argv[3]))
    print(MARK + json.dumps(answer))
