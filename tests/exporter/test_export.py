"""Export: the contract of the graph, the gate before it is written, what travels inside."""

import dataclasses
import json
import re
import shutil

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, numpy_helper

from edgeseg.cards import CARD, ModelCard, card_from_metadata, read_card, write_card
from edgeseg.config import ExportConfig
from edgeseg.data.formats.frame_bytes import to_bgr, write_frame
from edgeseg.errors import ConfigError, DataError, GateFailed, ModelError
from edgeseg.evaluation.compare import compare
from edgeseg.exporter import ensure, export
from edgeseg.exporter.ensure import exported_graph
from edgeseg.exporter.export import export_graph, export_run
from edgeseg.files import sha256
from edgeseg.frame.pixel_formats import PIXEL_FORMATS
from edgeseg.graph.files import read_graph
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.dskd import DSKD
from edgeseg.model.teacher import Teacher
from edgeseg.runtime.base import Slot
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.runtime.openvino import OpenVinoBackend
from edgeseg.training.checkpoint import save_weights
from tests.kit.deploy import Toy, toy_backend
from tests.kit.errors import fails


@pytest.fixture(scope="session")
def model(exported):
    return read_graph(exported.graph)[0]


def signature(tensors):
    return {
        t.name: (t.type.tensor_type.elem_type, [d.dim_value for d in t.type.tensor_type.shape.dim])
        for t in tensors
    }


def test_inputs_and_outputs_are_the_contracts(model):
    assert signature(model.graph.input) == {
        "frame": (TensorProto.UINT8, [1, 48, 80, 3]),
        "threshold": (TensorProto.FLOAT, [1]),
    }
    assert signature(model.graph.output) == {
        "mask": (TensorProto.UINT8, [1, 48, 80]),
        "score": (TensorProto.FLOAT, [1]),
        "anomaly_map": (TensorProto.FLOAT, [1, 64, 64]),
    }
    assert [o.version for o in model.opset_import] == [19]


def test_the_graph_is_plain_and_static(model):
    kinds = [n.op_type for n in model.graph.node]
    assert kinds[0] == "Cast"  # TensorRT allows nothing else on bytes
    assert model.graph.node[0].input == ["frame"]
    assert not {"Shape", "Slice", "Identity", "Constant", "BatchNormalization"} & set(kinds)
    assert kinds.count("Conv") == 66 + 4  # two levels, each before two convolutions
    assert kinds.count("TopK") == 1
    for resize in (n for n in model.graph.node if n.op_type == "Resize"):
        antialias = [a.i for a in resize.attribute if a.name == "antialias"]
        assert antialias in ([], [0])  # TensorRT has none


def test_the_epsilon_of_the_norms_is_still_there(model):
    """onnxscript takes `x + 1e-12` for `x + 0` and drops it: a zero vector would then be NaN."""
    names = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    divisors = [
        n.input[1] for n in model.graph.node if n.op_type == "Div" and n.input[1] not in names
    ]
    writers = {n.output[0]: n for n in model.graph.node}
    assert len(divisors) == 6
    for divisor in divisors:
        assert writers[divisor].op_type == "Clip"
        assert names[writers[divisor].input[1]] == np.float32(1e-12)


def test_zero_features_give_numbers(model):
    """A teacher that sees nothing: its unit vectors are zero over zero, saved by the epsilon."""
    blind = onnx.ModelProto()
    blind.CopyFrom(model)
    used = {k for n in blind.graph.node if n.name.startswith("teacher.") for k in n.input[1:]}
    for weights in (i for i in blind.graph.initializer if i.name in used):
        weights.CopyFrom(numpy_helper.from_array(0 * numpy_helper.to_array(weights), weights.name))
    feeds = {"frame": np.full((1, 48, 80, 3), 99, np.uint8), "threshold": np.ones(1, np.float32)}
    session = onnxruntime.InferenceSession(
        blind.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    mask, score, anomaly_map = session.run(None, feeds)
    assert len(used) == 15  # ResNet18 without its last stage
    assert np.isfinite(anomaly_map).all() and np.isfinite(score).all() and not mask.any()


def test_convolutions_carry_the_names_of_their_weights(model):
    names = [n.name for n in model.graph.node if n.op_type == "Conv"]
    assert "student.encoder.layer1.0.conv1" in names
    assert "head.aspp.4" in names
    assert len({n.name for n in model.graph.node}) == len(model.graph.node)


def test_no_path_of_this_machine_is_in_the_file(exported):
    data = exported.graph.read_bytes()
    assert b"site-packages" not in data
    assert b"stack_trace" not in data


def test_everything_to_run_it_travels_in_the_file(exported, run, model):
    card = card_from_metadata({p.key: p.value for p in model.metadata_props}, exported.graph)
    assert card == exported.card
    assert (card.name, card.threshold, card.image_threshold) == ("screws", 0.5, 0.6)
    assert (card.frame_format, card.frame_shape, card.network_size) == (
        "bgr",
        (1, 48, 80, 3),
        (64, 64),
    )
    assert card.classes == ("good", "anomalous")
    assert card.weights_sha256 == read_card(run / CARD, ModelCard).weights_sha256
    assert {"torch", "onnx", "onnxscript", "edgeseg"} <= set(card.versions)
    assert card.parity["frames"] == 7
    assert card.parity["images"] == "synthetic images"


def test_the_report(exported):
    assert exported.graph.name == "screws.onnx"
    assert re.fullmatch(
        r".*screws\.onnx: 1\d\d\.\d MB, frames 1 x 80 x 48 bgr, opset 19\n"
        r"one network pixel is 0\.968 px of the frame\n"
        r"\d+ MB of tensors at a time, beside the weights\n"
        r"parity with PyTorch: map difference .*, 0 of 7 verdicts flipped",
        exported.summary(),
    )
    document = json.loads(json.dumps(exported.to_json()))
    assert document["sha256"] == sha256(exported.graph)
    assert document["parity"]["max_abs_diff"] <= 1e-4
    assert document["parity"]["mask_errors"] == 0


@pytest.mark.parametrize("runtime", [OnnxRuntimeBackend, OpenVinoBackend])
@pytest.mark.parametrize("frame_format", PIXEL_FORMATS)
def test_every_frame_format(tmp_path, frame_format, runtime):
    """The answer is that for the RGB picture which OpenCV reads from the bytes."""
    path = tmp_path / "toy.onnx"
    with toy_backend(frame_format=frame_format) as backend:
        export_graph(backend, path, ExportConfig(format=frame_format))
    coarse = np.random.default_rng(0).integers(60, 190, (6, 5, 3), np.uint8)
    picture = cv2.resize(coarse, (40, 48), interpolation=cv2.INTER_LINEAR)
    with runtime(path) as graph, toy_backend(frame_format="rgb") as reference:
        ours, theirs = Slot.on_host(graph.card), Slot.on_host(reference.card)
        write_frame(picture, "rgb", ours.frame[0], frame_format)
        theirs.frame[0] = to_bgr(ours.frame[0], frame_format)[:, :, ::-1]
        for backend, slot in ((graph, ours), (reference, theirs)):
            backend.bind(slot)
            backend.run()
    exact = frame_format in ("bgr", "rgb", "gray")
    np.testing.assert_allclose(ours.anomaly_map, theirs.anomaly_map, atol=1e-5 if exact else 2e-3)
    assert ours.mask.shape == (1, 48, 40) and np.mean(ours.mask != theirs.mask) < 0.02


def test_a_size_that_the_pixel_format_lacks_is_refused(run, run_card, tmp_path):
    with fails(ConfigError, "config/odd-size") as given:
        ExportConfig(format="nv12", frame_size="63x48")
    assert given.value.remedy == "--frame-size 62x48"
    shutil.copytree(run, tmp_path / "odd")
    write_card(tmp_path / "odd" / CARD, dataclasses.replace(run_card, frame_size=(47, 63)))
    with fails(ConfigError, "config/odd-size") as of_the_run:
        export_run(tmp_path / "odd", ExportConfig(format="yuyv"))
    assert "63x47 (expected an even width)" in of_the_run.value.problem


def test_a_batch(tmp_path):
    path = tmp_path / "toy.onnx"
    with toy_backend(batch=3) as backend:
        found = export_graph(backend, path, ExportConfig(batch=3))
    assert found.parity.frames == (2 + 3) * 3  # four pictures fill two runs
    with OnnxRuntimeBackend(path) as graph:
        assert graph.card.frame_shape == (3, 48, 40, 3)


class Drifting(Toy):
    """Answers in PyTorch otherwise than in the exported graph."""

    def forward(self, x):
        return super().forward(x) * (1.0 if torch.compiler.is_exporting() else 0.99)


class Dividing(Toy):
    """0 / 0 for a black frame."""

    def forward(self, x):
        return super().forward(x) * (x.mean() / x.mean())


@pytest.mark.parametrize(
    ("detector", "problem"),
    [
        (Drifting, r"the maps differ by 0\.00\d+, the scores differ"),
        (Dividing, "a map or score is NaN or infinite"),
    ],
)
def test_a_graph_that_fails_is_not_written(tmp_path, detector, problem):
    old = tmp_path / "toy.onnx"
    old.write_bytes(b"the graph of yesterday")
    with (
        toy_backend(detector()) as backend,
        fails(GateFailed, "gate/export-parity") as caught,
        np.errstate(invalid="ignore"),
    ):
        export_graph(backend, old, ExportConfig())
    assert caught.value.exit_code == 3
    assert re.search(problem, caught.value.problem)
    assert old.read_bytes() == b"the graph of yesterday"
    assert list(tmp_path.iterdir()) == [old]


def test_a_mask_that_is_not_the_maps_is_noticed(tmp_path, monkeypatch):
    class Inverting(OnnxRuntimeBackend):
        def run(self):
            super().run()
            np.bitwise_not(self._slot.mask, out=self._slot.mask)

    monkeypatch.setattr(export, "OnnxRuntimeBackend", Inverting)
    with toy_backend() as backend, fails(GateFailed, "gate/export-parity"):
        export_graph(backend, tmp_path / "toy.onnx", ExportConfig())


class Untraceable(Toy):
    def forward(self, x):
        return super().forward(x) if float(x.sum()) > 0 else x[:, :1, ::4, ::4]


def test_a_model_that_pytorch_cannot_export(tmp_path):
    with (
        toy_backend(Untraceable()) as backend,
        fails(export.BuildError, "build/export"),
    ):
        export_graph(backend, tmp_path / "toy.onnx", ExportConfig())


def test_a_run_without_thresholds_is_refused(run_card, tmp_path):
    write_card(tmp_path / CARD, dataclasses.replace(run_card, threshold=None))
    with fails(ModelError, "model/no-thresholds") as caught:
        export_run(tmp_path, ExportConfig())
    assert caught.value.remedy == f"edgeseg threshold {tmp_path} DATA --false-reject 0.01"


def test_data_that_is_not_the_runs_is_refused(run_card, tmp_path):
    split = {"train": {}, "holdout": {"good/000.png": "0" * 64}}
    write_card(tmp_path / CARD, dataclasses.replace(run_card, split=split))
    with fails(DataError, "threshold/file-missing"):
        export_run(tmp_path, ExportConfig(), data=tmp_path / "data")


@pytest.fixture
def toy_run(tmp_path, run_card, monkeypatch):
    """A run whose network is a toy: what `export_run` does around it."""
    folder = tmp_path / "toy"
    picture = np.random.default_rng(3).integers(0, 256, (30, 30, 3), np.uint8)
    (tmp_path / "good").mkdir()
    cv2.imwrite(str(tmp_path / "good" / "0.png"), picture)
    split = {"train": {}, "holdout": {"good/0.png": sha256(tmp_path / "good" / "0.png")}}
    card = dataclasses.replace(
        run_card, name="toy", split=split, frame_size=None, weights_sha256="0" * 64
    )
    card = dataclasses.replace(card, threshold=0.5, image_threshold=0.5)
    write_card(folder / CARD, card)

    def open_toy(run, *, frame_size, frame_format, batch):
        size = frame_size or (32, 32)
        return toy_backend(frame_size=size, frame_format=frame_format, batch=batch)

    monkeypatch.setattr(export, "open_run", open_toy)
    return folder


def test_the_pictures_are_the_runs_own(toy_run):
    found = export_run(toy_run, ExportConfig(), data=toy_run.parent)
    assert found.card.parity["images"] == "held-out images"
    assert found.parity.frames == 1 + 3


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_graph_that_is_a_link_to_the_card_is_refused(toy_run, link):
    before = (toy_run / CARD).read_bytes()
    getattr(toy_run / "toy.onnx", link)(toy_run / CARD)
    with fails(ConfigError, "output/is-input"):
        export_run(toy_run, ExportConfig())
    assert (toy_run / CARD).read_bytes() == before


def test_frames_of_mixed_size_fall_back_to_the_networks(toy_run):
    assert export_run(toy_run, ExportConfig()).card.frame_shape == (1, 32, 32, 3)
    config = ExportConfig(frame_size="64x40", format="gray")
    assert export_run(toy_run, config).card.frame_shape == (1, 40, 64, 1)


def test_a_graph_is_exported_when_it_is_missing_or_old(toy_run, said):
    graph = exported_graph(toy_run)
    assert said[0] == f"{toy_run} has no graph: exporting it"
    written = graph.stat().st_mtime_ns
    assert exported_graph(toy_run) == graph
    assert graph.stat().st_mtime_ns == written

    card = read_card(toy_run / CARD, ModelCard)
    for change in ({"threshold": 0.4}, {"context": 2.0}):
        card = dataclasses.replace(card, **change)
        write_card(toy_run / CARD, card)
        said.clear()
        exported_graph(toy_run)
        assert said[0] == f"{graph} is out of date: exporting {toy_run} again"
    assert graph.stat().st_mtime_ns > written


def test_the_form_of_the_head_is_exported_for_the_target_of_a_build(toy_run, monkeypatch, said):
    graph = exported_graph(toy_run)
    assert exported_graph(toy_run, "gpu") == graph, "a network without a head has one form"
    monkeypatch.setattr(export, "_has_head", lambda backend: True)
    export_run(toy_run, ExportConfig(frame_size="64x40", format="gray"))
    assert exported_graph(toy_run, "cpu") == exported_graph(toy_run) == graph
    other = exported_graph(toy_run, "gpu")
    assert other == toy_run / "toy-gpu.onnx"
    assert said[-2].startswith(
        f"{graph} has the head in the form for a cpu: exporting toy-gpu.onnx"
    )
    cards = [read_onnx_card(path) for path in (graph, other)]
    assert [card.optimized_for for card in cards] == ["cpu", "gpu"]
    assert cards[0].frame_shape == cards[1].frame_shape == (1, 40, 64, 1)
    written = other.stat().st_mtime_ns
    assert exported_graph(toy_run, "gpu") == other and other.stat().st_mtime_ns == written
    export_run(toy_run, ExportConfig(frame_size="32x32"))
    assert read_onnx_card(exported_graph(toy_run, "gpu")).frame_shape == (1, 32, 32, 3)
    monkeypatch.setattr(ensure, "installed", lambda name: None)
    other.unlink()
    assert exported_graph(toy_run, "gpu") == graph, "without PyTorch"
    graph.unlink()
    assert read_onnx_card(exported_graph(toy_run, "gpu")).optimized_for == "gpu"


def test_the_exporter_is_quiet(tmp_path, capfd):
    with toy_backend() as backend:
        export_graph(backend, tmp_path / "toy.onnx", ExportConfig())
    assert capfd.readouterr() == ("", "")


WIDE = (64, 96)


@pytest.fixture(scope="module", params=["destseg", "dskd"])
def wide_run(request, run, tmp_path_factory):
    """A run of a network of 96 x 64 that keeps the aspect ratio, with random weights."""
    folder = tmp_path_factory.mktemp("wide") / "screws"
    card = read_card(run / CARD, ModelCard)
    torch.manual_seed(0)
    detector, config = DeSTSeg(Teacher("resnet18")), card.config
    if request.param == "dskd":
        detector = DSKD(Teacher("resnet18"), network_size=WIDE, head=True, score_maps="m23")
        config |= {"distance_weight": 0.1, "structure": "ds", "embedding": True, "maps": "all"}
        config |= {"head": True, "score_maps": "m23", "top": 1}
    digest = save_weights(folder, detector)
    wide = dataclasses.replace(
        card,
        model=request.param,
        network_size=WIDE,
        aspect="keep",
        config=config,
        weights_sha256=digest,
        context=4.0,
    )
    write_card(folder / CARD, wide)
    return folder


@pytest.mark.parametrize("frame", ["150x104", "160x60"])
def test_runtimes_agree_on_a_wide_network_and_frames_of_any_shape(wide_run, frame):
    """Of nearly the shape of the network, which it fills, and wider: letterboxed."""
    pytest.importorskip("openvino")
    exported = export_run(wide_run, ExportConfig(frame_size=frame))
    assert exported.parity.max_abs_diff < 1e-3 and exported.parity.mask_errors == 0
    card = exported.card
    assert (card.network_size, card.aspect) == (WIDE, "keep")
    assert (card.content.size == WIDE) == (frame == "150x104")
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, card.frame_shape, np.uint8) for _ in range(2)]
    with OnnxRuntimeBackend(exported.graph) as ours, OpenVinoBackend(exported.graph) as theirs:
        found = compare(ours, theirs, frames)
    assert found.max_abs_diff < 1e-3 and found.score_diff < 1e-3 and found.mask_errors == 0
