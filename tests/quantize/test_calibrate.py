"""Calibration: which images, which tensors, what is written; on a toy with a known answer."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgeseg.cards import metadata_from
from edgeseg.config import CalibrateConfig
from edgeseg.data.images import write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, DataError, ModelError
from edgeseg.files import sha256
from edgeseg.graph.files import graph_digest, read_graph
from edgeseg.graph.graph import Graph
from edgeseg.quantize.calibrate import calibrate, choose
from edgeseg.quantize.calibration_file import read_ranges
from edgeseg.quantize.placement import place
from tests.kit.errors import fails
from tests.kit.graphs import BYTES, FLOAT, make_graph

SIDE = 8


def write_graph(path, card, weight=None, batch=1):
    """frame -> Cast -> stem (the sum of the channels) -> a convolution that negates -> outputs."""
    card = dataclasses.replace(card, frame_shape=(batch, SIDE, SIDE, 3), network_size=(SIDE, SIDE))
    stem = np.ones((8, 3, 1, 1), np.float32)
    negate = -np.eye(8, dtype=np.float32)[:, :, None, None] if weight is None else weight
    nodes = [
        helper.make_node("Cast", ["frame"], ["cast"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["picture"], "transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["picture", "stem"], ["sum"], "teacher.stem"),
        helper.make_node("Conv", ["sum", "negate"], ["back"], "teacher.negate"),
        helper.make_node("ReduceMean", ["back", "axes"], ["anomaly_map"], "mean", keepdims=0),
        helper.make_node("Add", ["anomaly_map", "threshold"], ["score"], "score"),
    ]
    model = make_graph(
        nodes,
        {"stem": stem, "negate": negate, "axes": np.array([1])},
        inputs={"frame": (BYTES, [batch, SIDE, SIDE, 3]), "threshold": (FLOAT, [1])},
        outputs={"anomaly_map": (FLOAT, None), "score": (FLOAT, None)},
    )
    helper.set_model_props(model, metadata_from(card))
    onnx.save(model, path)
    return path


@pytest.fixture
def greys(tmp_path):
    """Good images of one grey each, 10 to 90; one defective image of 200."""
    for level in range(10, 100, 10):
        picture = np.full((SIDE, SIDE, 3), level, np.uint8)
        write_png(tmp_path / "greys" / "train" / "good" / f"{level}.png", picture)
    bad = np.full((SIDE, SIDE, 3), 200, np.uint8)
    write_png(tmp_path / "greys" / "test" / "scratch" / "0.png", bad)
    return tmp_path / "greys"


@pytest.fixture
def toy(tmp_path, graph_card):
    return write_graph(tmp_path / "toy.onnx", graph_card)


def measure(toy, data, tmp_path, **settings):
    config = CalibrateConfig(**{"clip_backbone": "max"} | settings)
    return calibrate(toy, data, config, out=tmp_path / "calibration")


@pytest.mark.parametrize("batch", [1, 4])
def test_the_range_of_what_convolutions_read_on_good_images(greys, tmp_path, graph_card, batch):
    toy = write_graph(tmp_path / "toy.onnx", graph_card, batch=batch)
    done = measure(toy, greys, tmp_path)
    assert done.path == tmp_path / "calibration" / "screws.ranges.json"
    found = read_ranges(done.path, toy)
    assert set(found.tensors) == {"picture", "sum"}  # the mean needs none
    assert dataclasses.astuple(found.tensors["picture"]) == (90.0, "max", 90.0, "teacher.stem")
    assert dataclasses.astuple(found.tensors["sum"]) == (270.0, "max", 270.0, "teacher.negate")
    path = greys / "train" / "good" / "50.png"
    assert found.frames["train/good/50.png"] == sha256(path)[:16]
    assert len(found.frames) == 9
    assert found.graph_sha256 == graph_digest(toy)
    assert found.settings == dataclasses.asdict(CalibrateConfig(clip_backbone="max"))


def test_defective_images_are_added_on_request(greys, toy, tmp_path):
    found = measure(toy, greys, tmp_path, defective_count=1).ranges
    assert found.limit("sum") == 600.0
    assert "test/scratch/0.png" in found.frames


def test_synthetic_anomalies_are_added_on_request_and_drawn_anew_alike(greys, toy, tmp_path):
    first, again = (measure(toy, greys, tmp_path, synthetic_count=12).ranges for _ in range(2))
    assert first == again
    drawn = [name for name in first.frames if " with anomaly " in name]
    assert len(drawn) == 12
    assert len({name.split(" with ")[0] for name in drawn}) == 9
    other = measure(toy, greys, tmp_path, synthetic_count=12, seed=1).ranges
    assert other.frames != first.frames


def test_the_method_of_each_part_is_a_setting(greys, toy, tmp_path):
    for path in (greys / "train" / "good").iterdir():  # one position in 64 is far brighter
        picture = np.full((SIDE, SIDE, 3), int(path.stem) // 10, np.uint8)
        picture[0, 0] = 255
        write_png(path, picture)
    clipped = measure(toy, greys, tmp_path, clip_backbone="relative")
    found = clipped.ranges.tensors
    assert (found["sum"].method, found["sum"].peak) == ("relative", 765.0)
    assert 27 <= found["sum"].limit < 765 / 2
    assert dataclasses.astuple(found["picture"])[:2] == (255.0, "max")  # never clipped
    assert "1 by max, 1 by relative" in clipped.summary()
    assert "input of teacher.negate, to " in clipped.summary()


def test_the_seed_chooses(greys):
    dataset = open_dataset(greys)
    names = [
        [
            shot.sample.path.name
            for shot in choose(dataset, CalibrateConfig(good_count=4, seed=seed))
        ]
        for seed in (0, 0, 1)
    ]
    assert names[0] == names[1] == sorted(names[0])
    assert names[0] != names[2]
    assert len(set(names[0])) == 4


def test_fewer_images_than_wanted_are_said(greys, said):
    shots = choose(open_dataset(greys), CalibrateConfig())
    assert len(shots) == 9
    assert said == [f"{greys} has 9 good images (200 requested)"]


def test_a_folder_without_defects_has_none_to_offer(tmp_path):
    write_png(tmp_path / "good" / "0.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    with fails(DataError, "data/no-defective-images") as caught:
        choose(open_dataset(tmp_path), CalibrateConfig(defective_count=1))
    assert caught.value.remedy == "--defective-count 0"


def test_a_graph_that_computes_nan_is_refused(greys, tmp_path, graph_card):
    weight = np.full((8, 8, 1, 1), np.nan, np.float32)
    path = write_graph(tmp_path / "toy.onnx", graph_card, weight)
    model = onnx.load(path)
    model.graph.node[4].input[0] = "further"
    extra = helper.make_node("Conv", ["back", "negate"], ["further"], "further")
    model.graph.node.insert(4, extra)
    onnx.save(model, path)
    with fails(ModelError, "model/not-finite"):
        measure(path, greys, tmp_path)
    assert not (tmp_path / "calibration").exists()


def test_the_report(greys, toy, tmp_path):
    done = measure(toy, greys, tmp_path)
    first, _ = done.summary().splitlines()
    assert first.startswith(f"{done.path}: 2 tensors (2 by max), 9 images, ")
    document = json.loads(json.dumps(done.to_json()))
    assert document["ranges"] == str(done.path)
    assert document["sha256"] == sha256(done.path)
    assert (document["tensors"], document["frames"]) == (2, 9)


def test_every_tensor_of_the_whole_model_has_a_range(exported, tmp_path):
    parts = write_parts(tmp_path / "plates", train=2, good=0, bad=0)
    done = calibrate(exported.graph, parts, CalibrateConfig(), out=tmp_path)
    tensors = done.ranges.tensors
    graph = Graph(read_graph(exported.graph)[0])
    placed = [set(place(graph, processor=each).edges) for each in ("gpu", "cpu")]
    assert len(placed[0]) == 59 and placed[0] < placed[1] <= set(tensors)
    methods = {found.reader: found.method for found in tensors.values()}
    assert methods["teacher.encoder.layer1.0.conv1"] == "relative"
    assert methods["student.layer1.1.conv2"] == "relative"
    assert methods["head.blocks.0.conv1.kept"] == methods["head.aspp.1"] == "max"
    assert all(0 <= found.limit <= found.peak for found in tensors.values())
    assert done.path.stat().st_size < 16_000


WRONG = [
    ({"good_count": 0}, "config/no-images", "--good-count 200"),
    ({"good_count": -1}, "config/out-of-range", "--good-count 0"),
    ({"clip_backbone": "mean"}, "config/not-a-choice", "--clip-backbone max"),
]


@pytest.mark.parametrize(("settings", "code", "remedy"), WRONG)
def test_settings_that_make_no_sense(settings, code, remedy):
    with fails(ConfigError, code) as caught:
        CalibrateConfig(**settings)
    assert caught.value.remedy.startswith(remedy.split()[0])
