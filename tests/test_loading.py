"""From a path to a backend, and which run or engine is taken when none is named."""

import dataclasses
import os
import shutil
from pathlib import Path

import onnx
import pytest
from onnx import helper

from edgeseg.cards import (
    CARD,
    IMPORTED,
    EngineCard,
    InputLimit,
    ModelCard,
    read_card,
    write_card,
)
from edgeseg.errors import ConfigError, EngineMismatch, ModelError
from edgeseg.loading import (
    find_model,
    newest_engine,
    newest_run,
    open_model,
    open_run,
    warn_unchecked,
)
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.base import Slot
from edgeseg.runtime.choice import candidates
from tests.kit.cards import make_card, make_run_card, write_engine
from tests.kit.errors import fails
from tests.kit.red_graph import red_graph


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "plates.onnx"
    onnx.save(red_graph(), path)
    return path


@pytest.fixture
def make_engine(tmp_path, graph):
    """Write an engine and its card to engines/; age: in seconds."""

    def make(name, age=0, **changes):
        path = write_engine(tmp_path / "engines" / name, graph.read_bytes(), **changes)
        os.utime(path.with_suffix(".json"), (1e9 - age, 1e9 - age))
        return path

    return make


def test_a_run_is_opened_in_pytorch(run, said):
    with open_model(run) as backend:
        card = backend.card
        assert (card.frame_format, card.frame_shape) == ("rgb", (1, 64, 64, 3))
        assert (card.threshold, card.image_threshold) == (0.5, 0.6)
        assert card.training == {"teacher": "resnet18", "top": 100}
        slot = Slot.on_host(card)
        backend.bind(slot)
        backend.run()
        assert 0 < slot.score[0] < 1
    assert len(said) == 1
    assert said[0] == f"{run}: {backend.name}"


def test_a_run_may_take_other_frames(run):
    with open_run(run, frame_size=(20, 44), frame_format="gray", batch=2) as backend:
        assert backend.card.frame_shape == (2, 20, 44, 1)
        slot = Slot.on_host(backend.card)
        backend.bind(slot)
        backend.run()


def test_a_run_may_take_frames_of_the_size_of_its_training_images(run, tmp_path):
    photos = shutil.copytree(run, tmp_path / "photos")
    card = read_card(run / CARD, ModelCard)
    for size, expected in (((48, 96), (48, 96)), (None, (64, 64))):
        write_card(photos / CARD, dataclasses.replace(card, frame_size=size))
        with open_model(photos, whole_frames=True) as backend:
            assert backend.card.frame_size == expected


def test_open_run_without_thresholds_logs_the_default(run, tmp_path, said):
    fresh = shutil.copytree(run, tmp_path / "fresh")
    card = read_card(run / CARD, ModelCard)
    write_card(fresh / CARD, dataclasses.replace(card, threshold=None))
    with open_model(fresh) as backend:
        assert (backend.card.threshold, backend.card.image_threshold) == (0.5, 0.6)
    assert said[0].endswith("; thresholds not set, using 0.5 for both")


def test_a_graph_is_opened_in_onnx_runtime_or_openvino(graph, said):
    for runtime, expected in ((None, "onnxruntime"), ("openvino", "openvino")):
        with open_model(graph, runtime=runtime, threads=1) as backend:
            assert backend.name.startswith(f"{expected} ")
            assert backend.name.endswith("CPU, 1 thread")
        assert said[-1] == f"{graph}: {backend.name}"


def test_what_openvino_compiled_of_a_graph_serves_its_engine(graph, make_engine, monkeypatch, said):
    monkeypatch.setenv("XDG_CACHE_HOME", str(graph.parent / "cache"))
    for path in (graph, make_engine("plates-fp32-openvino-cpu.onnx")):
        with open_model(path, runtime="openvino"):
            pass
    cached, *others = said
    assert cached.startswith("the compiled graph is cached in ")
    assert [line.split(":")[0] for line in others if " CPU, " in line] == [str(graph), str(path)]


def test_an_engine_is_opened_by_its_card(make_engine):
    path = make_engine("plates-fp16-openvino-cpu.onnx")
    for name in (path, path.with_suffix(".json")):
        with open_model(name) as backend:
            assert backend.name.startswith("openvino ")
    with open_model(path, runtime="openvino"):
        pass
    with fails(ConfigError, "config/runtime"):
        open_model(path, runtime="onnxruntime")


def test_an_engine_has_the_thresholds_of_its_card(make_engine):
    path = make_engine("plates-fp16-openvino-cpu.onnx")
    card = read_card(path.with_suffix(".json"), EngineCard)
    changed = dataclasses.replace(card.graph, threshold=0.125, image_threshold=0.0625)
    write_card(path.with_suffix(".json"), dataclasses.replace(card, graph=changed))
    with open_model(path) as backend:
        assert (backend.card.threshold, backend.card.image_threshold) == (0.125, 0.0625)
        assert backend.new_slot().threshold[0] == 0.125


def test_a_copy_of_an_engine_and_its_card_is_opened_under_its_own_name(make_engine, said):
    path = make_engine("plates-fp16-openvino-cpu.onnx")
    for suffix in (".onnx", ".json"):
        copy = path.with_name(f"copy{suffix}")
        copy.write_bytes(path.with_suffix(suffix).read_bytes())
    open_model(path.with_name("copy.onnx")).close()
    assert said[-1].startswith(str(path.with_name("copy.onnx")))
    path.with_name("copy.onnx").write_bytes(b"another file")
    with fails(EngineMismatch, "engine/changed"):
        open_model(path.with_name("copy.onnx"))


def test_an_edited_engine_is_refused(make_engine):
    path = make_engine("plates-fp16-openvino-cpu.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with fails(EngineMismatch, "engine/changed"):
        open_model(path)


def test_paths_that_are_no_model(tmp_path, graph):
    with fails(ModelError, "model/not-found"):
        open_model(tmp_path / "nothing.onnx")
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"")
    with fails(ModelError, "model/unknown-file"):
        open_model(photo)
    plan = tmp_path / "plan.engine"
    plan.write_bytes(b"ftrt")
    with fails(ModelError, "model/no-card"):
        open_model(plan)
    empty = tmp_path / "empty"
    empty.mkdir()
    with fails(ModelError, "model/not-a-run"):
        open_model(empty)
    (empty / "resume.safetensors").touch()
    with fails(ModelError, "model/unfinished") as caught:
        open_model(empty)
    assert "edgeseg train --resume --name empty" in caught.value.remedy


def test_a_runtime_that_reads_no_graph(graph, run):
    with fails(ConfigError, "config/runtime"):
        open_model(graph, runtime="tensorrt")
    with fails(ConfigError, "config/runtime"):
        open_model(run, runtime="openvino")


def test_a_foreign_graph(tmp_path):
    path = tmp_path / "resnet.onnx"
    onnx.save(helper.make_model(helper.make_graph([], "other", [], []), ir_version=9), path)
    with pytest.raises(ModelError, match=r"resnet\.onnx was not exported by edgeseg"):
        open_model(path, runtime="openvino")


def runs_in(folder, *names):
    for age, name in enumerate(names):
        write_card(folder / name / CARD, make_run_card(name=name))
        os.utime(folder / name / CARD, (1e9 - age, 1e9 - age))
    return folder


def test_the_newest_run(tmp_path, said):
    runs = runs_in(tmp_path, "new", "old", "older")
    (runs / "unfinished").mkdir()
    assert newest_run(runs) == runs / "new"
    assert said == [f"model: {runs / 'new'}, the newest of 3 in {runs}"]
    with fails(ModelError, "model/no-runs") as caught:
        newest_run(tmp_path / "elsewhere")
    assert caught.value.remedy == "edgeseg train DATA"


def test_a_model_by_path_by_name_or_the_newest(tmp_path, graph):
    runs = runs_in(tmp_path / "runs", "new", "old")
    assert find_model(None, runs) == runs / "new"
    assert find_model(Path("old"), runs) == runs / "old"
    assert find_model(graph, runs) == graph
    with fails(ModelError, "model/not-found") as caught:
        find_model(Path("bolts"), runs)
    assert "new, old" in caught.value.problem


def test_an_unfinished_run_is_named_before_a_data_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun = Path("runs/cap")
    begun.mkdir(parents=True)
    (begun / "train.csv").touch()
    for given in ("cap", None, Path("cap")):
        with fails(ModelError, "model/unfinished") as caught:
            find_model(given)
        assert "runs/cap" in caught.value.problem
        assert caught.value.remedy == "edgeseg train --resume --name cap"
        Path("cap").mkdir(exist_ok=True)
    write_card(begun / CARD, make_run_card(name="cap"))
    assert find_model("cap") == begun


@pytest.mark.parametrize("name", ["bolts-fp16", "bolts-fp16.onnx", "bolts-fp16.json"])
def test_an_engine_by_its_name(make_engine, tmp_path, name):
    engine = make_engine("bolts-fp16.onnx")
    found = find_model(name, tmp_path / "runs", tmp_path / "engines")
    assert found in (engine, engine.with_suffix(".json"))
    with fails(ModelError, "model/not-found") as caught:
        find_model("bolts", tmp_path / "runs", tmp_path / "engines")
    assert "bolts-fp16" in caught.value.problem


def test_an_engine_of_another_version_of_its_runtime_is_said(make_engine, said):
    here = next(c.version for c in candidates(this_machine()) if c.runtime == "onnxruntime")
    for version, lines in ((here, 1), ("0.0.1", 2)):
        engine = make_engine("a.onnx", runtime="onnxruntime", runtime_version=version)
        said.clear()
        open_model(engine).close()
        assert len(said) == lines
    assert "built and checked with onnxruntime 0.0.1" in said[0]
    assert said[0].endswith(f"edgeseg verify red {engine}")


def test_the_newest_engine_that_fits(make_engine, tmp_path, said):
    make_engine("c.engine", age=0, target="sm86", runtime="tensorrt-rtx")
    edited = make_engine("b.onnx", age=1)
    edited.write_bytes(b"")
    expected = make_engine("a.onnx", age=2)
    assert newest_engine(tmp_path / "engines") == expected
    lines = "\n".join(said).splitlines()
    assert lines[0].startswith("skipped c: ")
    assert lines[1].startswith("skipped b: ") and "has 0 bytes" in lines[1]
    assert lines[2] == f"engine: {expected}"


def test_no_engine_fits(make_engine, tmp_path):
    make_engine("c.engine", target="sm86", runtime="tensorrt-rtx")
    with fails(ModelError, "model/no-engines") as e:
        newest_engine(tmp_path / "engines")
    assert e.value.remedy == "edgeseg build-engine"
    with fails(ModelError, "model/no-engines"):
        newest_engine(tmp_path / "nowhere")


def test_a_command_that_sets_the_thresholds_is_not_told_that_they_are_unset(run, tmp_path, said):
    fresh = shutil.copytree(run, tmp_path / "fresh")
    write_card(fresh / CARD, dataclasses.replace(read_card(run / CARD, ModelCard), threshold=None))
    with open_run(fresh, sets_thresholds=True):
        assert said and "thresholds" not in said[0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {IMPORTED: "net.pth"}}, "(imported)"),
        (
            {"input_note": {"images": 4, "needed": 10}},
            "10 good photos or more, then: edgeseg train",
        ),
        ({}, "(made by an earlier version)"),
        ({}, "edgeseg threshold RUN DATA --input-check"),
    ],
)
def test_a_model_without_an_input_check_is_warned_of_once(said, changes, words):
    for _ in range(2):
        warn_unchecked(make_card(**changes))
    (line,) = said
    assert "plates does not check its input" in line.replace(make_card().name, "plates")
    assert words in line


def test_a_model_with_an_input_check_is_not_warned_of(said):
    warn_unchecked(make_card(input_check=(InputLimit(name="brightness", low=0.1, high=0.9),)))
    assert said == []
