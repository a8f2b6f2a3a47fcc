"""A new rule for a run, an ONNX file or an engine."""

import dataclasses

import numpy as np
import onnx
import pytest

from edgeseg.cards import CARD, EngineCard, ModelCard, read_card, write_card
from edgeseg.data.images import write_png
from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.regions.change import change_rule, new_roi, new_rule
from edgeseg.exporter.store_thresholds import store_thresholds
from edgeseg.graph.files import graph_digest
from edgeseg.loading import open_model
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.verdict.region_config import RegionConfig, RuleConfig
from edgeseg.verdict.rule import Rule
from tests.evaluation.regions.test_checkerboard import write_board
from tests.kit.cards import make_run_card, write_engine
from tests.kit.errors import fails
from tests.kit.red_graph import CARD as GRAPH_CARD
from tests.kit.red_graph import red_graph

GIVEN = RuleConfig(rule="area:0.5mm2", min_area="3", mm_per_px=0.5)
PICTURE = (48, 64)


@pytest.fixture
def run(tmp_path):
    """A run with a graph of its weights."""
    run = tmp_path / "runs" / "plates"
    write_card(
        run / CARD,
        make_run_card(
            name="plates",
            frame_size=PICTURE,
            threshold=0.5,
            image_threshold=0.7,
            weights_sha256=GRAPH_CARD.weights_sha256,
            threshold_note={"images": 9},
        ),
    )
    onnx.save(red_graph(), run / "plates.onnx")
    return run


def test_a_run_and_its_graph_get_a_rule_and_keep_all_else(run):
    digest, before = graph_digest(run / "plates.onnx"), read_card(run / CARD, ModelCard)
    change = change_rule(run, GIVEN, store_thresholds)
    assert read_card(run / CARD, ModelCard) == before, "nothing is written before it is stored"
    change.store()
    rule = Rule(by="area", limit=2, min_area=3, mm_per_px=0.5, picture=PICTURE)
    card, graph = read_card(run / CARD, ModelCard), read_onnx_card(run / "plates.onnx")
    assert card.rule == graph.rule == rule
    assert (card.threshold, card.image_threshold) == (0.5, 0.7)
    assert card.threshold_note == {"images": 9}
    assert graph_digest(run / "plates.onnx") == digest
    assert "before: a frame is anomalous if the image score" in change.summary()
    assert change.to_json()["rule"]["by"] == "area"


def test_an_engine_gets_a_rule_in_its_card_and_keeps_its_file(run, tmp_path):
    data = (run / "plates.onnx").read_bytes()
    engine = tmp_path / "engines" / "plates-fp32-onnxruntime-cpu.onnx"
    write_engine(engine, data, GRAPH_CARD, runtime="onnxruntime", precision="fp32")
    change_rule(engine, RuleConfig(rule="region", min_area="7"), store_thresholds).store()
    rule = Rule(by="region", min_area=7)
    assert read_card(engine.with_suffix(".json"), EngineCard).graph.rule == rule
    assert engine.read_bytes() == data
    with open_model(engine) as backend:
        assert backend.card.rule == rule


def test_an_area_in_mm2_needs_a_size_of_a_pixel_and_nothing_is_changed(run):
    with fails(ConfigError, "config/no-scale"):
        change_rule(run, RuleConfig(min_area="3mm2"), store_thresholds)
    assert read_card(run / CARD, ModelCard).rule == Rule()


def test_a_checkerboard_gives_the_size_of_a_pixel_of_its_picture(run, said):
    board = write_board(run.parent / "board.png", 25.0)
    config = RuleConfig(checkerboard=board, square_mm=5.0, min_area="1mm2")
    rule = new_rule(run, Rule(), config)
    assert (rule.mm_per_px, rule.picture) == (pytest.approx(0.2, rel=0.003), (360, 480))
    assert rule.min_area == pytest.approx(25, rel=0.01)
    assert "corners in a picture of 480 x 360" in said[0]


def test_without_settings_there_is_no_new_rule(run):
    assert new_rule(run, Rule(), RuleConfig()) is None
    assert new_rule(run, Rule(), RegionConfig()) is None


def test_the_command_changes_a_rule_without_images(run, monkeypatch, capfd):
    from edgeseg.cli import main

    monkeypatch.chdir(run.parents[1])
    words = "edgeseg threshold plates --rule region --min-area 20 --min-peak 0.25"
    monkeypatch.setattr("sys.argv", words.split())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    out, err = capfd.readouterr()
    assert "a region counts from 20 px on and with a peak from 0.25 on" in out
    assert "what it rejects and misses: edgeseg threshold runs/plates DATA" in err
    assert read_card(run / CARD, ModelCard).rule == Rule(by="region", min_area=20, min_peak=0.25)
    with open_model(run / "plates.onnx") as backend:
        slot = backend.new_slot()
        assert backend.card.rule.by_regions and slot.threshold[0] == np.float32(0.5)


def write_roi(path, size=PICTURE):
    mask = np.zeros(size, np.uint8)
    mask[: size[0] // 2] = 255
    write_png(path, mask)
    return path


def test_an_engine_with_the_old_rois_is_told_with_the_build(run, tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    engine = tmp_path / "engines" / "plates-fp32-onnxruntime-cpu.onnx"
    weights = read_card(run / CARD, ModelCard).weights_sha256
    graph = dataclasses.replace(GRAPH_CARD, weights_sha256=weights)
    write_engine(engine, b"0", graph, runtime="onnxruntime", precision="fp32")
    roi = new_roi(run, RuleConfig(roi=write_roi(tmp_path / "upper.png")))
    store_thresholds(run, None, roi=roi)
    build = f"edgeseg build-engine {run} --precision fp32 --runtime onnxruntime"
    assert any(engine.stem in line and line.endswith(build) for line in said)


def test_a_run_gets_rois_and_its_graphs_are_out_of_date(run, tmp_path, said):
    roi = new_roi(run, RuleConfig(roi=write_roi(tmp_path / "upper.png")))
    assert roi.names == ("upper",)
    store_thresholds(run, None, roi=roi)
    assert read_card(run / CARD, ModelCard).roi == roi
    assert read_onnx_card(run / "plates.onnx").roi is None
    assert any("plates.onnx has the old thresholds, rule or ROIs" in line for line in said)
    assert new_roi(run, RuleConfig()) is None


def test_rois_are_for_runs_of_images_of_one_size(run, tmp_path):
    path = write_roi(tmp_path / "upper.png")
    with fails(ConfigError, "config/roi"):
        new_roi(run / "plates.onnx", RuleConfig(roi=path))
    with fails(DataError, "data/roi-size"):
        new_roi(run, RuleConfig(ignore=write_roi(tmp_path / "small.png", (24, 32))))
    write_card(run / CARD, dataclasses.replace(read_card(run / CARD, ModelCard), frame_size=None))
    with fails(DataError, "data/roi-size"):
        new_roi(run, RuleConfig(roi=path))
    assert new_rule(run, Rule(), RuleConfig(roi=path)) is None


def test_areas_stay_as_large_where_the_board_s_picture_is_larger(run, tmp_path, said):
    write_board(tmp_path / "board.png")
    board = {"checkerboard": tmp_path / "board.png", "square_mm": 5}
    before = Rule(by="area", limit=20, min_area=3, mm_per_px=0.5, picture=PICTURE)
    after = new_rule(run, before, RuleConfig(**board))
    assert after.picture == (360, 480)
    factor = 360 * 480 / (48 * 64)
    assert (after.limit, after.min_area) == pytest.approx((20 * factor, 3 * factor))
    assert any("keep their pixels, and have 9.77 times their mm2" in line for line in said)
    given = new_rule(run, before, RuleConfig(**board, rule="area:7", min_area="5"))
    assert (given.limit, given.min_area) == (7, 5)
