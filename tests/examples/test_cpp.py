"""The C++ samples give the same mask bytes as Python; compiled where g++ is installed."""

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from edgeseg.prediction import load

SAMPLES = Path(__file__).parents[2] / "examples" / "cpp"


def onnxruntime_headers():
    """The folder of ONNX Runtime's C++ headers, which its wheel lacks; ORT_INCLUDE names it."""
    for folder in (os.environ.get("ORT_INCLUDE", ""), "/usr/include/onnxruntime"):
        if Path(folder, "onnxruntime_cxx_api.h").is_file():
            return Path(folder)
    return pytest.skip("no headers of ONNX Runtime: set ORT_INCLUDE to the folder that holds them")


def library_of(package, pattern):
    """The shared library inside an installed wheel."""
    spec = find_spec(package)
    if spec is None:
        pytest.skip(f"{package} is not installed")
    return next(iter(sorted(Path(spec.submodule_search_locations[0]).glob(pattern))))


def compiled(sample, include, library, folder):
    """Compile a sample against a library, which is found by the name that the loader asks for."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler: install g++")
    name, version = library.name.split(".so.")
    soname = f"{name}.so.{version.split('.')[0]}"  # what the loader asks for
    if not (library.parent / soname).exists():
        (folder / soname).symlink_to(library)
    program = folder / sample
    command = ["g++", "-std=c++17", f"-I{include}", str(SAMPLES / f"{sample}.cpp"), str(library)]
    done = subprocess.run(
        [*command, f"-Wl,-rpath,{library.parent}:{folder}", "-o", str(program)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture
def frame(tmp_path):
    """A frame of 80 x 48 of noise, and the file of its bytes."""
    frame = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
    frame.tofile(tmp_path / "frame.raw")
    return frame


def check(program, graph, runtime, frame, folder):
    """Compare a sample's mask and score with those of Python, on the same runtime."""
    arguments = [str(graph), str(folder / "frame.raw"), str(folder / "mask.raw")]
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    mask = np.fromfile(folder / "mask.raw", np.uint8)
    with load(graph, runtime=runtime) as model:
        found = model(frame)
    assert 0 < found.mask.mean() < 255, "a frame that leaves the mask empty or full proves nothing"
    np.testing.assert_array_equal(mask, found.mask.ravel())
    assert float(done.stdout.split()[1]) == pytest.approx(found.score, rel=1e-4)


@pytest.fixture(scope="module")
def graph(exported, tmp_path_factory):
    """The exported graph with a threshold inside the range of its map on noise."""
    import onnx
    from onnx import numpy_helper

    with load(exported.graph) as model:
        noise = np.random.default_rng(0).integers(0, 256, (48, 80, 3), np.uint8)
        middle = float(np.median(model(noise).anomaly_map))
    proto = onnx.load(exported.graph)
    (default,) = (i for i in proto.graph.initializer if i.name == "threshold")
    default.CopyFrom(numpy_helper.from_array(np.array([middle], np.float32), "threshold"))
    (entry,) = (p for p in proto.metadata_props if p.key == "edgeseg.threshold")
    entry.value = str(middle)
    path = tmp_path_factory.mktemp("cpp") / "screws.onnx"
    onnx.save(proto, path)
    return path


def test_openvino_sample_gives_the_mask_of_python(graph, frame, tmp_path):
    library = library_of("openvino", "libs/libopenvino.so.*")
    include = library.parents[1] / "include"
    program = compiled("openvino_sample", include, library, tmp_path)
    check(program, graph, "openvino", frame, tmp_path)


def test_onnxruntime_sample_gives_the_mask_of_python(graph, frame, tmp_path):
    library = library_of("onnxruntime", "capi/libonnxruntime.so.*")
    program = compiled("onnxruntime_sample", onnxruntime_headers(), library, tmp_path)
    check(program, graph, "onnxruntime", frame, tmp_path)


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.cpp")), ids=lambda path: path.stem)
def test_a_sample_is_short(sample):
    assert len(sample.read_text(encoding="utf-8").splitlines()) < 60
