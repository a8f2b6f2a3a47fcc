"""DSKD, STPM, the edge profile and DeSTSeg's ablations behind one contract: trained, thresholds,
graph, precisions.

Four models are trained for a few steps each and go the whole way, one of them on tiles; of the
ablations that change the graph, each is exported with random weights and compared with PyTorch.
"""

import dataclasses
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from edgeseg.cards import CARD, ModelCard, read_card, write_card
from edgeseg.config import BuildConfig, CalibrateConfig, ExportConfig
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.engine.build_engine import build_engine
from edgeseg.evaluation.compare import compare
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.threshold import threshold_run
from edgeseg.exporter.export import export_graph, export_run
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import module_macs, node_modules
from edgeseg.loading import open_model, open_run
from edgeseg.model.detectors import build_detector
from edgeseg.model.fused import Fused
from edgeseg.model.teacher import Teacher
from edgeseg.quantize.calibrate import calibrate
from edgeseg.quantize.fp16 import half_nodes, resize_nodes
from edgeseg.quantize.placement import place
from edgeseg.recipes import TrainConfig
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.runtime.pytorch import PyTorchBackend
from edgeseg.training.train import train
from tests.kit.cards import make_card

SIDE = 64
MODELS = {
    "dskd": {"model": "dskd", "epochs": 1, "student_rate": 1e-4},
    "stpm": {"model": "stpm", "student_steps": 3},
    "dskd-head": {
        "model": "dskd",
        "profile": "edge",
        "head": True,
        "tiles": "1x2",
        "student_rate": 1e-4,
        "distance_weight": 0.01,
        "student_steps": 3,
        "head_steps": 2,
    },
    "edge": {"profile": "edge", "student_steps": 3, "head_steps": 2},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "plates"
    return write_parts(root, train=8, good=2, bad=1)


@pytest.fixture(scope="module", params=MODELS)
def trained(request, data, tmp_path_factory):
    """A run of each model, with thresholds, and its graph."""
    config = TrainConfig(
        teacher="efficientnet_lite0",
        image_size=64,
        batch=2,
        holdout=0.25,
        device="cpu",
        **({"student_rate": 1e-3} | MODELS[request.param]),
    )
    run = tmp_path_factory.mktemp("runs") / request.param
    train(open_dataset(data), config, run, preview=False)
    threshold_run(run, data, 0.4)
    card = read_card(run / CARD, ModelCard)
    # Beyond what the frames reach: INT8 of a network of three steps moves pixels across lower ones.
    raised = {"threshold": 2 * card.threshold, "image_threshold": 2 * card.image_threshold}
    write_card(run / CARD, dataclasses.replace(card, **raised))
    return run, export_run(run, ExportConfig(), data=data)


def frames_of(backend):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, backend.card.frame_shape, np.uint8) for _ in range(2)]


def test_card_names_the_model_and_its_thresholds(trained):
    run, exported = trained
    card = read_card(run / CARD, ModelCard)
    assert card.model == exported.card.model == MODELS[run.name].get("model", "destseg")
    assert exported.card.training == card.config
    assert exported.card.threshold == card.threshold
    assert exported.card.tiles == card.tiles
    if "tiles" in MODELS[run.name]:  # of a DSKD with a head, which has a map for the score
        assert (card.tiles.rows, card.tiles.columns) == (1, 2)
        assert len(card.tiles.gains) == len(card.tiles.score_gains) == 2
    with open_run(run) as backend:
        assert 0 < card.threshold < 10 and backend.card.threshold == card.threshold


def test_compare_of_the_graph_with_pytorch(trained):
    run, exported = trained
    height, width = exported.card.frame_shape[1:3]
    with (
        open_run(run, frame_size=(height, width), frame_format="bgr") as ours,
        OnnxRuntimeBackend(exported.graph) as theirs,
    ):
        found = compare(ours, theirs, frames_of(ours))
    assert found.max_abs_diff <= 1e-4 and found.score_diff <= 1e-4


def test_score_is_the_maximum_or_the_mean_of_the_highest_values(trained):
    run, exported = trained
    kinds = {n.op_type for n in read_graph(exported.graph)[0].graph.node}
    scored_by = "ReduceMax" if run.name.startswith("dskd") else "TopK"
    assert {"ReduceMax", "TopK"} & kinds == {scored_by}
    if run.name == "dskd-head":
        return  # its score is another map's
    top = 1 if run.name == "dskd" else 100
    with OnnxRuntimeBackend(exported.graph) as graph:
        slot = graph.new_slot()
        graph.bind(slot)
        np.copyto(slot.frame, frames_of(graph)[0])
        graph.run()
        inside = graph.card.content
        shown = slot.anomaly_map[0, inside.rows, inside.columns]
        highest = np.sort(shown.ravel())[-top:]
        assert slot.score[0] == pytest.approx(highest.mean(), rel=1e-5)


def test_half_nodes_leave_the_norms_in_fp32(trained):
    _, exported = trained
    model = read_graph(exported.graph)[0]
    half = half_nodes(model) - resize_nodes(model)
    modules, kinds = node_modules(Graph(model)), {n.name: n.op_type for n in model.graph.node}
    measuring = {kinds[name] for name in half if modules[name] != "head"}  # the head's are plain
    assert not measuring & {"ReduceL2", "Div", "ReduceSum", "MatMul"}
    assert {name for name, kind in kinds.items() if kind == "Conv"} <= half


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_build_engine_of_each_precision_gives_the_outputs_of_the_graph(
    trained, data, tmp_path, monkeypatch, precision
):
    _, exported = trained
    monkeypatch.chdir(tmp_path)
    if precision == "int8":
        calibrate(exported.graph, data, CalibrateConfig(good_count=4))
    config = BuildConfig(precision=precision, runtime="onnxruntime")
    built = build_engine(exported.graph, config)
    with open_model(built.path) as engine, OnnxRuntimeBackend(exported.graph) as graph:
        parity = compare(graph, engine, frames_of(graph))
        found = evaluate(engine, open_dataset(data))
    assert parity.finite
    assert parity.max_abs_diff < {"fp16": 0.02, "int8": 0.5}[precision]
    assert found.good == 2 and found.card.model == exported.card.model
    if exported.card.tiles and find_spec("tensorrt_rtx"):
        config = BuildConfig(precision=precision, runtime="tensorrt-rtx", compute_capability="8.6")
        layers = build_engine(exported.graph, config).card.layers
        assert layers[f"convolutions_{precision}"] > layers["convolutions"] / 2


def test_node_modules_of_a_model(trained):
    run, exported = trained
    graph = Graph(read_graph(exported.graph)[0])
    work = module_macs(graph)
    assert work["student"] > work["teacher"] > 0
    assert work["similarity"] == 0  # norms and sums multiply no matrices
    assert (work["head"] > 0) == (run.name in ("edge", "dskd-head"))
    modules = node_modules(graph)
    kinds = {name: node.op_type for name, node in graph.by_name.items()}
    assert {kinds[name] for name in kinds if modules[name] == "similarity"} >= {"ReduceL2", "Div"}
    ends = {"ReduceMax", "TopK", "Greater", "Where"}
    assert {modules[name] for name in kinds if kinds[name] in ends} == {"rest"}


ABLATIONS = [
    {"head_input": "concatenation", "decoder": False},
    {"head_input": "cosine"},
    {"local_contrast": 0.125},
    {"profile": "edge", "teacher": "resnet18", "head_stride": 8},
    {"model": "dskd", "structure": "e-d", "embedding": False, "maps": "m2"},
]


@pytest.mark.parametrize("settings", ABLATIONS, ids=str)
def test_export_graph_of_an_ablation(settings, tmp_path):
    config = TrainConfig(image_size=SIDE, **settings)
    torch.manual_seed(0)
    values = dataclasses.asdict(config)
    detector = build_detector(config.model, Teacher("resnet18"), values, (SIDE, SIDE))
    module = Fused(
        detector,
        network_size=(SIDE, SIDE),
        frame_size=(48, 80),
        frame_format="bgr",
        aspect="stretch",
        top=config.top,
    )
    card = make_card(48, 80, side=SIDE, name="ablation", model=config.model, training=values)
    with PyTorchBackend(module, card) as backend:
        found = export_graph(backend, tmp_path / "a.onnx", ExportConfig())
    assert found.parity.max_abs_diff <= 1e-4
    model = read_graph(found.graph)[0]
    names = [n.name for n in model.graph.node if n.op_type == "Conv"]
    assert any(n.startswith("teacher.") for n in names) == (settings.get("structure") != "e-d")
    graph = Graph(model)
    placed = place(graph)
    assert set(placed.left.values()) <= {"stem", "output", "pooled", "similarity"}
    assert len(placed.convolutions) > 20
    assert ("head" in node_modules(graph).values()) == (config.model == "destseg")
