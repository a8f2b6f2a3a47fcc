"""A repository from graphs and engines: what is written, refused and left alone."""

import dataclasses
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.errors import ConfigError, EdgesegError, EngineMismatch, ModelError, WriteError
from edgeseg.files import PART, locked
from edgeseg.frame.roi import Locate, Roi
from edgeseg.runtime.openvino import OpenVinoBackend
from edgeseg.serving import export, repository, servable
from edgeseg.serving.config import ServingConfig
from edgeseg.serving.export import export_to_server
from tests.kit.cards import write_engine
from tests.kit.errors import fails
from tests.kit.red_graph import CARD, red_graph, write_plates
from tests.kit.served import plate, save_plates

DEFAULT = ServingConfig()


@pytest.fixture
def graph(tmp_path):
    return save_plates(tmp_path / "plates.onnx")


def written(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def add(path, folder, config=DEFAULT, **more):
    return export_to_server(path, config, "triton", folder, **more)


def test_a_new_version_leaves_the_others_as_they_are(graph, tmp_path):
    first = add(graph, tmp_path / "models")
    before = written(first.folder)
    second = add(graph, tmp_path / "models")
    after = written(first.folder)
    assert (first.version, second.version) == (1, 2)
    config = first.folder / "config.pbtxt"
    assert {path: data for path, data in after.items() if path in before and path != config} == {
        path: data for path, data in before.items() if path != config
    }
    assert b"versions: [2]" in after[config] and b"versions: [1]" in before[config]
    for number, old in ((1, before), (2, after)):  # to go back: copy the one of the version
        assert after[first.folder / str(number) / "config.pbtxt"] == old[config]


def test_frames_of_the_warm_up_are_images_of_the_data(graph, tmp_path):
    photos = write_plates(tmp_path / "photos", good=2, bad=2)
    folder = add(graph, tmp_path / "models", data=photos).folder
    raw = [np.fromfile(path, np.uint8) for path in sorted((folder / "warmup").glob("1-?.raw"))]
    assert len(raw) == 3 and {each.size for each in raw} == {16 * 16 * 3}
    assert max(each.max() for each in raw) == 250, "a defect is among the test images"
    assert np.fromfile(folder / "warmup" / "1-threshold.raw", "<f4") == [0.5]


def test_the_configuration_has_the_tensors_thresholds_and_limits_of_the_card(tmp_path):
    card = replace(CARD, input_check=(InputLimit(name="brightness", high=0.5),))
    graph = save_plates(tmp_path / "plates.onnx", card=card)
    config = ServingConfig(instances=3, instance_threads=2)
    text = (add(graph, tmp_path / "models", config).folder / "config.pbtxt").read_text()
    lines = [line.strip().rstrip(",") for line in text.splitlines()]
    assert 'backend: "onnxruntime"' in lines and "max_batch_size: 0" in lines
    assert '{ name: "frame" data_type: TYPE_UINT8 dims: [1, 16, 16, 3] }' in lines
    assert '{ name: "threshold" data_type: TYPE_FP32 dims: [1] optional: true }' in lines
    assert '{ name: "input_check" data_type: TYPE_FP32 dims: [1, 1] }' in lines
    assert "instance_group [{ count: 3 kind: KIND_CPU }]" in lines
    limits = json.dumps(json.dumps([dataclasses.asdict(card.input_check[0])], sort_keys=True))
    assert (
        f'parameters {{ key: "edgeseg.input_check" value {{ string_value: {limits} }} }}' in lines
    )
    assert 'parameters { key: "intra_op_thread_count" value { string_value: "2" } }' in lines
    assert "dynamic_batching" not in text


@pytest.mark.parametrize("step", ["write", "write_warmup", "serve"])
def test_a_failure_in_between_leaves_the_running_version(graph, tmp_path, monkeypatch, step):
    folder = add(graph, tmp_path / "models").folder
    before = written(folder)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    where = {"write": servable.Servable, "write_warmup": repository, "serve": repository}[step]
    monkeypatch.setattr(where, "write" if step == "write" else "write_atomic", full)
    with pytest.raises((WriteError, OSError)):
        add(graph, tmp_path / "models")
    monkeypatch.undo()
    assert before.items() <= written(folder).items()
    (folder / f"{PART}0123").mkdir()  # of an export that was killed
    assert add(graph, tmp_path / "models").version in (2, 3)
    assert list(folder.glob(f"{PART}*")) == []


@pytest.mark.parametrize("step", ["warmup", "version"])
def test_what_fails_leaves_no_version_and_the_next_export_has_its_number(
    graph, tmp_path, monkeypatch, step
):
    models = tmp_path / "models"

    def killed(*_, **__):
        raise KeyboardInterrupt

    where = (servable.Servable, "write") if step == "version" else (export, "write_warmup")
    monkeypatch.setattr(*where, killed)
    with pytest.raises(KeyboardInterrupt):
        add(graph, models)
    assert not (models / "plates" / "1").exists()
    monkeypatch.undo()
    assert add(graph, models).version == 1


def test_a_full_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    """Also for OpenVINO, which calls a full disk an iostream error."""
    engine = tmp_path / "plates-fp32-openvino-cpu.onnx"
    write_engine(engine, red_graph().SerializeToString(), CARD, precision="fp32")
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1 << 10))
    with fails(WriteError, "write/full"):
        add(engine, tmp_path / "models")
    assert list((tmp_path / "models").rglob("*.*")) == []


@pytest.mark.parametrize("name", ["Deckel groß", "a;b", "日本"])
def test_a_name_that_no_address_may_have_is_replaced(tmp_path, name, said):
    """Triton decodes no address, and its Python backend gives the name to a shell."""
    graph = save_plates(tmp_path / "plates.onnx", card=replace(CARD, name=name))
    found = add(graph, tmp_path / "models")
    served = found.to_json()["name"]
    assert found.folder.name == served and re.fullmatch(r"[A-Za-z0-9_-]+-[0-9a-f]{8}", served)
    text = (found.folder / "config.pbtxt").read_text()
    assert text.startswith(f'name: "{served}"\n') and f"/{served}/load" in found.summary()
    assert any(served in line for line in said)
    assert add(graph, tmp_path / "models").version == 2


def test_a_path_that_the_python_backend_cannot_use_is_told(graph, tmp_path, said):
    add(graph, tmp_path / "my models")
    assert not any("starts no model" in line for line in said)
    add(graph, tmp_path / "my models", ServingConfig(backend="python"))
    assert any("starts no model" in line for line in said)


@pytest.mark.parametrize("backend", [None, "python"])
def test_a_delay_without_batches_is_refused(graph, tmp_path, backend):
    with fails(ConfigError, "config/no-batching"):
        add(graph, tmp_path / "m", ServingConfig(backend=backend, queue_delay_ms=5.0))
    assert not (tmp_path / "m").exists()


def test_a_repository_that_cannot_be_written_is_told_before_the_export(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeseg.exporter.export.export_run", lambda *_, **__: 1 / 0)
    (tmp_path / "run").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(WriteError):
        add(tmp_path / "run", tmp_path / "file" / "models")


@pytest.mark.parametrize("theirs", ["1", "photos"])
def test_a_folder_of_others_is_left_alone(graph, tmp_path, theirs):
    models = tmp_path / "models"
    (models / "plates" / theirs).mkdir(parents=True)
    with fails(ModelError, "serving/foreign-model"):
        add(graph, models)
    assert [path.name for path in (models / "plates").rglob("*")] == [theirs]


def test_a_model_with_other_tensors_is_refused(graph, tmp_path):
    models = tmp_path / "ours"
    folder = add(graph, models).folder
    before = written(folder)
    wide = replace(CARD, frame_shape=(2, *CARD.frame_shape[1:]))
    with fails(ModelError, "serving/other-tensors"):
        add(save_plates(tmp_path / "wide.onnx", card=wide), models)
    with locked(folder), fails(EdgesegError, "files/locked"):
        add(graph, models)
    assert written(folder) == before
    (folder / "1" / "edgeseg.json").write_text("[]")
    with fails(ModelError, "serving/damaged-version"):
        add(graph, models)


def test_a_model_that_moves_the_picture_first_is_refused(tmp_path):
    still = Roi(picture=(16, 16), locate=Locate(template="", place=(0.0, 0.0), least=0.5))
    with fails(ModelError, "serving/locates"):
        add(save_plates(tmp_path / "plates.onnx", card=replace(CARD, roi=still)), tmp_path / "m")


def test_an_engine_of_openvino_is_written_in_its_own_format(tmp_path, said):
    """With the threshold as an input, which has no default there, and the same mask."""
    engine = tmp_path / "plates-fp32-openvino-cpu.onnx"
    card = replace(CARD, threshold=0.3)  # changed in the card, without a build
    write_engine(engine, red_graph().SerializeToString(), card, precision="fp32")
    folder = add(engine, tmp_path / "models").folder
    text = (folder / "config.pbtxt").read_text()
    assert 'backend: "openvino"' in text and "dims: [1] }" in text and "optional" not in text
    assert 'key: "edgeseg.threshold" value { string_value: "0.3" }' in text
    assert any("bfloat16" in line for line in said)
    import openvino

    model = openvino.Core().compile_model(folder / "1" / "model.xml", "CPU")
    given = {"frame": plate(100), "threshold": np.array([0.3], np.float32)}
    mask = model(given)["mask"]
    with OpenVinoBackend(engine) as backend:
        slot = backend.new_slot()
        backend.bind(slot)
        np.copyto(slot.frame, given["frame"])
        slot.threshold[:] = 0.3
        backend.run()
        np.testing.assert_array_equal(mask, slot.mask)
    assert mask.max() == 255 and mask.min() == 0


def test_a_tensorrt_plan_is_copied_for_its_backend_on_a_gpu(tmp_path):
    engine = write_engine(
        tmp_path / "plates-fp16-trt-sm86.engine",
        b"plan",
        CARD,
        runtime="tensorrt",
        runtime_version="10.16.0",
        target="sm86",
    )
    found = add(engine, tmp_path / "models")
    assert "TensorRT 10.16.0 on sm86" in found.summary()
    assert (found.folder / "1" / "model.plan").read_bytes() == b"plan"
    text = (found.folder / "config.pbtxt").read_text()
    assert 'backend: "tensorrt"' in text and "KIND_GPU" in text and "optional" not in text
    with fails(ConfigError, "config/not-a-choice"):
        add(engine, tmp_path / "models", ServingConfig(backend="python"))
    engine.write_bytes(b"plam")
    with fails(EngineMismatch, "engine/changed"):
        add(engine, tmp_path / "models")


@pytest.mark.parametrize("changes", [{"runtime": "tensorrt-rtx"}, {"lean": True}])
def test_an_engine_without_a_backend_is_refused(tmp_path, changes):
    changes = {"runtime": "tensorrt", "target": "sm86", **changes}
    engine = write_engine(tmp_path / "plates.engine", b"plan", CARD, **changes)
    with fails(ModelError, "serving/no-backend"):
        add(engine, tmp_path / "models")


def test_a_changed_threshold_has_no_default_in_the_graph(tmp_path):
    engine = tmp_path / "plates-fp32-cpu.onnx"
    data = red_graph().SerializeToString()
    write_engine(engine, data, replace(CARD, threshold=0.3), runtime="onnxruntime")
    folder = add(engine, tmp_path / "models").folder
    assert "optional" not in (folder / "config.pbtxt").read_text()
    folder = add(engine, tmp_path / "other", ServingConfig(backend="python")).folder
    assert "optional: true" in (folder / "config.pbtxt").read_text()
