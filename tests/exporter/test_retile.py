"""Tiles of an export: those of the run, or others, whose limits are found on its images."""

from dataclasses import replace

import pytest
import torch

from edgeseg.cards import CARD, ModelCard, read_card, write_card
from edgeseg.config import ExportConfig
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, ModelError
from edgeseg.evaluation.pick import Pick, ScoredSet, choose
from edgeseg.exporter import export
from edgeseg.exporter.ensure import exported_graph
from edgeseg.exporter.export import export_run
from edgeseg.exporter.inspect import seen_lines
from edgeseg.exporter.retile import tiles_of
from edgeseg.exporter.store_thresholds import store_thresholds
from edgeseg.files import sha256
from edgeseg.frame.tiles import Tiles
from edgeseg.model import fit_check
from edgeseg.model.detectors import build_detector
from edgeseg.model.input_check import COLUMNS
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.training.checkpoint import save_weights
from tests.kit.cards import make_run_card
from tests.kit.deploy import toy_backend
from tests.kit.errors import fails

OWN = Tiles(rows=1, columns=2, overlap=(0, 8), gains=(1.0, 0.5))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("set") / "plates", train=12, good=1, bad=1)


@pytest.fixture
def run(photos, tmp_path):
    """A run with tiles and random weights."""
    config = TrainConfig(teacher="efficientnet_lite0", student_width=8, head_width=8, image_size=64)
    settings = config.to_json()
    torch.manual_seed(0)
    detector = build_detector("destseg", Teacher(config.teacher), settings, (64, 64))
    digests = {
        path.relative_to(photos).as_posix(): sha256(path)
        for path in sorted(photos.glob("train/good/*"))
    }
    names = [*digests]
    folder = tmp_path / "runs" / "plates"
    folder.mkdir(parents=True)
    card = make_run_card(
        name="plates",
        config=settings,
        frame_size=(192, 256),
        tiles=OWN,
        split={
            "train": {name: digests[name] for name in names[:9]},
            "holdout": {name: digests[name] for name in names[9:]},
        },
        threshold=0.5,
        image_threshold=0.5,
        weights_sha256=save_weights(folder, detector),
    )
    write_card(folder / CARD, card)
    return folder


def test_an_export_has_the_tiles_of_the_run(run):
    card = read_card(run / CARD, ModelCard)
    with export.opened(run, card, ExportConfig(), None) as backend:
        assert backend.card.tiles == OWN and backend.card.map_size == (64, 120)
        text = "\n".join(seen_lines(backend.card, 5_000_000))
    assert "1 x 2 tiles of 64 x 64" in text and "one network pixel is 2.53 px" in text
    assert "5 MB of tensors" in text


def test_other_tiles_need_images_for_their_thresholds(run):
    with fails(ConfigError, "config/no-data") as caught:
        export_run(run, ExportConfig(tiles="2x2"))
    assert "--tiles 2x2 --data" in caught.value.remedy
    assert not (run / "plates.onnx").exists()


def test_other_tiles_get_thresholds_gains_and_a_check_of_their_own(run, photos, said, monkeypatch):
    monkeypatch.setattr(fit_check, "DRAWN", 2)  # faster
    before = read_card(run / CARD, ModelCard)
    graph = export_run(run, ExportConfig(tiles="2x2"), data=photos).graph
    card = read_onnx_card(graph)
    assert replace(card.tiles, gains=()) == Tiles(rows=2, columns=2, overlap=(8, 8))
    assert len(card.tiles.gains) == 4 and card.tiles.score_gains == ()
    assert tuple(limit.name for limit in card.input_check) == COLUMNS
    assert card.threshold != 0.5 and card.image_threshold != 0.5
    assert read_card(run / CARD, ModelCard) == before, "the run stays as it is"
    assert any("edgeseg train" in line and "--tiles 2x2" in line for line in said)
    assert exported_graph(run) == graph and read_onnx_card(graph) == card

    scores, good = torch.rand(9).double().numpy(), torch.ones(9).bool().numpy()
    store_thresholds(run, choose(ScoredSet(scores, scores, good), Pick(false_reject=0.2)))
    assert read_onnx_card(graph) == card, "the thresholds of the run are not those of the graph"
    assert any("has other tiles than its run" in line for line in said)


def test_a_tile_size_needs_the_size_of_the_frames(run):
    card = replace(read_card(run / CARD, ModelCard), frame_size=None)
    with fails(ConfigError, "config/no-frame-size"):
        tiles_of(card, ExportConfig(tile_size=128), None)
    assert tiles_of(card, ExportConfig(tile_size=128), (192, 256)).columns == 3
    assert tiles_of(card, ExportConfig(), None) == OWN
    assert tiles_of(card, ExportConfig(tiles="1x2"), None) == OWN, "with its gains"
    assert tiles_of(card, ExportConfig(tiles="1x1"), None) is None


@pytest.mark.parametrize(
    "tiles",
    [replace(OWN, gains=(1.0,)), replace(OWN, overlap=(0, 40)), replace(OWN, rows=0)],
    ids=str,
)
def test_a_card_with_impossible_tiles_is_refused(run, tiles):
    card = replace(read_card(run / CARD, ModelCard), tiles=tiles)
    with fails(ModelError, "model/invalid-card"):
        write_card(run / CARD, card)


def test_a_graph_that_needs_more_than_the_memory_of_the_machine_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "tensor_bytes", lambda graph: 1 << 50)
    with fails(ConfigError, "config/too-large"):
        export.export_graph(toy_backend(), tmp_path / "toy.onnx", ExportConfig())
    assert not (tmp_path / "toy.onnx").exists()
