"""A compiled graph is found in the cache, and nothing else is taken for it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgeseg.runtime import openvino as ov
from edgeseg.runtime import openvino_cache as ov_cache
from edgeseg.runtime.base import OUTPUTS
from edgeseg.runtime.openvino import OpenVinoBackend
from edgeseg.runtime.openvino_cache import CompiledGraphs, cache_folder
from tests.kit.logs import logged

pytest.importorskip("openvino")
CACHED = "the compiled graph is cached in "


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeseg" / "openvino"


@pytest.fixture
def answers():
    """Open a graph with the cache, run it on noise: (mask, score and map; what was said)."""

    def run(graph, **options):
        with (
            logged() as said,
            OpenVinoBackend(graph, cache=CompiledGraphs(graph), **options) as backend,
        ):
            slot = backend.new_slot()
            backend.bind(slot)
            slot.frame[...] = np.random.default_rng(0).integers(0, 256, slot.frame.shape)
            backend.run()
        return [slot.tensors()[name] for name in OUTPUTS], said

    return run


@pytest.fixture
def pair(red_graph, tmp_path):
    """The red graph in a file of its own, and one as long whose map is twice as high."""
    first, second = tmp_path / "a.onnx", tmp_path / "b.onnx"
    first.write_bytes(red_graph.read_bytes())
    model = onnx.load(red_graph)
    (scale,) = (i for i in model.graph.initializer if i.name == "scale")
    scale.raw_data = np.float32(127.5).tobytes()
    onnx.save(model, second)
    assert first.stat().st_size == second.stat().st_size
    return first, second


class Broken:
    """A core that refuses one of its functions."""

    def __init__(self, core, name):
        self._core, self._name = core, name

    def __getattr__(self, name):
        if name == self._name:
            raise RuntimeError(f"{name} is broken\nby a test")
        return getattr(self._core, name)


@pytest.fixture
def refuse(monkeypatch):
    """Let a function of OpenVINO's core fail from here on."""

    def plant(name):
        broken = Broken(ov._core(), name)
        monkeypatch.setattr(ov, "_core", lambda: broken)

    return plant


def assert_same(a, b):
    for mine, theirs in zip(a, b, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_second_start_compiles_nothing_and_answers_the_same(red_graph, folder, answers, refuse):
    first, said = answers(red_graph)
    assert said == [f"{CACHED}{folder}"]
    (blob,) = folder.iterdir()
    refuse("compile_model")
    second, said = answers(red_graph)
    assert said == []
    assert_same(first, second)
    assert list(folder.iterdir()) == [blob]


def test_a_new_graph_of_the_same_name_size_and_time_is_compiled_anew(pair, folder, answers):
    first, second = pair
    old, _ = answers(first)
    before = first.stat()
    first.write_bytes(second.read_bytes())
    os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns))
    new, said = answers(first)
    assert said == [f"{CACHED}{folder}"]
    np.testing.assert_allclose(new[2], 2 * old[2], rtol=1e-6)


def test_a_graph_is_known_by_its_bytes_and_not_by_its_path(red_graph, tmp_path, folder, answers):
    answers(red_graph)
    (tmp_path / "copy.onnx").write_bytes(red_graph.read_bytes())
    assert answers(tmp_path / "copy.onnx")[1] == []


def test_other_threads_and_another_openvino_are_compiled_for(
    red_graph, folder, answers, monkeypatch
):
    answers(red_graph, threads=1)
    assert answers(red_graph, threads=2)[1] == [f"{CACHED}{folder}"]
    monkeypatch.setattr("openvino.get_version", lambda: "2099.1.0-1-abc")
    assert answers(red_graph, threads=2)[1] == [f"{CACHED}{folder}"]
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data[:-8] + bytes(8),
        lambda data: data[: len(data) // 2] + b"\xff" + data[len(data) // 2 + 1 :],
    ],
    ids=["half", "empty", "end", "one byte"],
)
def test_a_damaged_file_is_replaced(red_graph, folder, answers, damage):
    first, _ = answers(red_graph)
    (blob,) = folder.iterdir()
    whole = blob.read_bytes()
    blob.write_bytes(damage(whole))
    second, said = answers(red_graph)
    assert str(blob) in said[0] and "damaged" in said[0]
    assert_same(first, second)
    answers(red_graph)
    assert answers(red_graph)[1] == []


def test_a_blob_that_openvino_refuses_is_replaced(red_graph, folder, answers, refuse):
    first, _ = answers(red_graph)
    (blob,) = folder.iterdir()
    refuse("import_model")
    second, said = answers(red_graph)
    assert str(blob) in said[0] and said[0].endswith("import_model is broken")
    assert said[1:] == [f"{CACHED}{folder}"]
    assert_same(first, second)


def test_a_folder_that_cannot_be_written_is_said_once(red_graph, folder, answers):
    folder.parent.parent.mkdir()
    folder.parent.write_text("a file where the folder would be")
    _, said = answers(red_graph)
    (line,) = said
    assert "is not cached" in line and str(folder) in line
    assert folder.parent.read_text() == "a file where the folder would be"


def test_a_full_disk_leaves_nothing_behind(red_graph, folder, answers, monkeypatch):
    def full(path, data):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    _, (line,) = answers(red_graph)
    assert "No space left on device" in line
    assert list(folder.iterdir()) == []


def test_what_was_used_longest_ago_makes_room(pair, folder, answers, monkeypatch):
    first, second = pair
    answers(first, threads=1)
    (oldest,) = folder.iterdir()
    os.utime(oldest, (1, 1))
    answers(first, threads=2)
    (used,) = set(folder.iterdir()) - {oldest}
    os.utime(used, (2, 2))
    answers(first, threads=1)  # makes the oldest the newest
    size = oldest.stat().st_size
    monkeypatch.setattr(ov_cache, "LIMIT", int(2.5 * size))
    answers(second, threads=1)
    left = set(folder.iterdir())
    assert oldest in left and used not in left and len(left) == 2


def test_the_folder_is_the_user_s(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "edgeseg" / "openvino"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for ignored in ("", "here/below"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache_folder() == tmp_path / "home" / ".cache" / "edgeseg" / "openvino"


def test_without_a_home_nothing_is_kept(red_graph, answers, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    _, said = answers(red_graph)
    assert said == ["no home directory: the compiled graph is not cached"]


def test_a_kept_graph_outlives_its_file(red_graph, folder):
    """In a process of its own: what is wrong here is a segmentation fault."""
    program = f"""
from pathlib import Path
from edgeseg.runtime.openvino import OpenVinoBackend
from edgeseg.runtime.openvino_cache import CompiledGraphs, cache_folder
graph = Path({str(red_graph)!r})
for _ in range(2):
    backend = OpenVinoBackend(graph, cache=CompiledGraphs(graph))
for path in cache_folder().iterdir():
    path.write_bytes(bytes(path.stat().st_size))
    path.unlink()
second = backend.second()
for opened in (backend, second):
    slot = opened.new_slot()
    opened.bind(slot)
    slot.frame[..., 0] = 255
    opened.run()
    print(slot.score.tolist(), slot.mask.min())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[1.0, 1.0] 255"] * 2
