"""Thresholds for a false-reject rate, and the warning for too few images."""

import json
from dataclasses import replace

import numpy as np
import pytest
from onnx import helper

from edgeseg.cards import CARD, IMPORTED, ModelCard, metadata_from, read_card, write_card
from edgeseg.errors import ConfigError, DataError, WriteError
from edgeseg.evaluation.threshold import (
    conformal_quantile,
    find_thresholds,
    fit_thresholds,
    threshold_run,
)
from edgeseg.files import sha256
from tests.kit.cards import make_card, make_run_card
from tests.kit.errors import fails
from tests.kit.red_backend import PlateBackend, write_image


@pytest.mark.parametrize(
    "images, rate, rank",  # rank: ceil((n + 1) (1 - rate)), counted from the smallest
    [
        (99, 0.01, 99),
        (100, 0.01, 100),
        (198, 0.01, 198),
        (199, 0.01, 198),
        (99, 0.07, 93),
        (99, 0.29, 71),
        (9, 0.5, 5),
        (19, 0.05, 19),
        (5, 0.01, 5),  # too few: the largest
    ],
)
def test_conformal_quantile_is_the_rank(images, rate, rank):
    values = np.random.default_rng(0).permutation(np.arange(1, images + 1))
    assert conformal_quantile(values, rate) == rank


def test_conformal_quantile_bounds_the_false_reject_rate():
    rng = np.random.default_rng(0)
    rejected = [rng.random() > conformal_quantile(rng.random(99), 0.05) for _ in range(4000)]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.012)  # four standard errors


def test_thresholds_from_enough_images_give_no_warning():
    scores = np.arange(99) / 100
    found = find_thresholds(scores, scores / 2, 0.01)
    assert (found.image, found.pixel) == (0.98, 0.49)
    assert (found.images, found.images_needed, found.supported_rate) == (99, 99, 0.01)
    assert found.warning is None
    assert "too few" not in found.summary()


def test_thresholds_from_too_few_images_give_a_warning():
    found = find_thresholds([0.1, 0.3, 0.2], [0.4, 0.6, 0.5], 0.01)
    assert (found.image, found.pixel) == (0.3, 0.6)
    assert "3 good images" in found.warning
    assert " 25 %, not 1 %, which needs 99;" in found.warning
    assert "too few: they support 25 %" in found.summary()


def test_the_rate_that_a_warning_offers_gives_no_warning():
    few = np.zeros(16)
    offered = find_thresholds(few, few, 0.01).warning.split("rate of ")[1].split(" %")[0]
    assert find_thresholds(few, few, float(offered) / 100).warning is None


@pytest.mark.parametrize("rate, needed", [(0.01, 99), (0.001, 999), (0.05, 19), (0.03, 33)])
def test_images_needed_for_a_rate(rate, needed):
    enough, short = np.zeros(needed), np.zeros(needed - 1 - needed // 100)
    assert find_thresholds(enough, enough, rate).warning is None
    assert f" needs {needed};" in find_thresholds(short, short, rate).warning


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan")])
def test_find_thresholds_refuses_an_invalid_rate(rate):
    with fails(ConfigError, "config/out-of-range"):
        find_thresholds([1.0], [1.0], rate)


def test_find_thresholds_refuses_no_images():
    with fails(DataError, "threshold/no-images"):
        find_thresholds([], [], 0.01)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_find_thresholds_refuses_values_that_are_not_finite(value):
    for scores, peaks in ([0.1, value], [0.1, 0.2]), ([0.1, 0.2], [value, 0.2]):
        with fails(DataError, "threshold/not-finite"):
            find_thresholds(scores, peaks, 0.5)


def test_fit_thresholds_uses_the_highest_map_value_of_each_image(tmp_path):
    paths = [
        write_image(tmp_path / "a.png", 51),  # four pixels and more at 0.2: score 0.2
        write_image(tmp_path / "b.png", 204, where=(slice(0, 1), slice(0, 1))),  # one at 0.8
    ]
    found = fit_thresholds(PlateBackend(), paths, 0.34)
    assert found.image == pytest.approx(0.2)
    assert found.pixel == pytest.approx(0.8)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with three held-out images, opened as a PlateBackend."""
    data, run = tmp_path / "data", tmp_path / "runs" / "plates"
    held = [write_image(data / "good" / f"{red}.png", red) for red in (30, 60, 90)]
    split = {"train": {}, "holdout": {f"good/{p.name}": sha256(p) for p in held}}
    card = make_run_card(name="plates", network_size=(16, 16), split=split)
    write_card(run / CARD, card)
    backend = PlateBackend()

    def open_run(path, *, context, sets_thresholds):
        backend.card = replace(backend.card, context=context or 0.0)
        return backend

    monkeypatch.setattr("edgeseg.evaluation.threshold.open_run", open_run)
    return run, data, backend


def test_threshold_run_writes_the_thresholds_to_the_card_and_keeps_the_rest(run):
    folder, data, backend = run
    before = read_card(folder / CARD, ModelCard)
    found = threshold_run(folder, data, 0.25)
    after = read_card(folder / CARD, ModelCard)
    assert after.threshold == found.pixel == pytest.approx(90 / 255)
    assert after.image_threshold == found.image == pytest.approx(90 / 255)
    assert after.threshold_note == json.loads(json.dumps(found.to_json()))
    assert after.threshold_note["images"] == 3
    assert (after.weights_sha256, after.split) == (before.weights_sha256, before.split)
    assert [path.name for path in folder.iterdir()] == [CARD]
    assert backend.closed


def test_threshold_run_writes_the_context_to_the_card(run):
    folder, data, _ = run
    threshold_run(folder, data, 0.25, context=4.0)
    assert read_card(folder / CARD, ModelCard).context == 4.0


def write_graph(path, **card):
    """Write a graph without nodes, with its card."""
    graph = helper.make_graph([], "empty", [], [])
    model = helper.make_model(graph)
    helper.set_model_props(model, metadata_from(make_card(96, 128, batch=2, **card)))
    path.write_bytes(model.SerializeToString())


def test_threshold_run_names_a_graph_with_the_old_thresholds_and_its_frames(run, said):
    folder, data, _ = run
    write_graph(folder / "plates.onnx", frame_format="gray")
    threshold_run(folder, data, 0.25)
    assert "plates.onnx" in said[-1]
    assert said[-1].endswith(
        f": edgeseg export {folder} --frame-size 128x96 --format gray --batch 2"
    )


def test_threshold_run_is_silent_about_a_graph_with_the_new_thresholds(run, said):
    folder, data, _ = run
    found = threshold_run(folder, data, 0.25)
    write_graph(folder / "plates.onnx", threshold=found.pixel, image_threshold=found.image)
    assert threshold_run(folder, data, 0.25) == found
    assert said == []


def test_thresholds_that_cannot_be_stored_are_shown(run, said, monkeypatch):
    folder, data, _ = run

    def fail(path, card):
        raise WriteError("full disk", remedy="free some space")

    monkeypatch.setattr("edgeseg.evaluation.threshold.write_card", fail)
    with fails(WriteError, "write/failed"):
        threshold_run(folder, data, 0.25)
    assert f"image threshold {90 / 255:.6g}" in said[-1]


def test_a_damaged_image_is_left_out_or_refused(run, said):
    folder, data, _ = run
    torn = write_image(data / "good" / "95.png", 95)
    torn.write_bytes(torn.read_bytes()[:60])
    card = read_card(folder / CARD, ModelCard)
    held = card.split["holdout"] | {"good/95.png": sha256(torn)}
    write_card(folder / CARD, replace(card, split={"train": {}, "holdout": held}))
    with fails(DataError, "data/damaged-images"):
        threshold_run(folder, data, 0.25, strict=True)
    assert read_card(folder / CARD, ModelCard).threshold is None
    assert threshold_run(folder, data, 0.25).images == 3
    assert all("95.png" in line for line in said)


def test_held_out_files_must_be_those_of_the_training(run):
    folder, data, _ = run
    card = (folder / CARD).read_bytes()
    write_image(data / "good" / "60.png", 200)
    with fails(DataError, "threshold/file-changed") as caught:
        threshold_run(folder, data, 0.25)
    assert "60.png" in caught.value.problem
    (data / "good" / "60.png").unlink()
    with fails(DataError, "threshold/file-missing") as caught:
        threshold_run(folder, data, 0.25)
    assert "60.png (1 of 3 are missing)" in caught.value.problem
    assert (folder / CARD).read_bytes() == card


@pytest.fixture
def imported(run):
    """The run of `run` as written by import-checkpoint, with unknown training images."""
    folder, data, _ = run
    card = read_card(folder / CARD, ModelCard)
    config = {"teacher": "resnet18", "top": 100, IMPORTED: {"file": "bottle.pckl"}}
    write_card(folder / CARD, replace(card, config=config, split={"train": {}, "holdout": {}}))
    return folder, data


def test_threshold_run_of_an_imported_run_uses_the_given_folder(imported, said):
    folder, data = imported
    found = threshold_run(folder, data / "good", 0.25)
    assert found.images == 3
    assert read_card(folder / CARD, ModelCard).threshold == pytest.approx(90 / 255)
    assert len(said) == 1 and str(data / "good") in said[0]


def test_threshold_run_of_an_imported_run_refuses_a_data_set(imported):
    folder, data = imported
    with fails(DataError, "data/no-images") as error:
        threshold_run(folder, data)
    assert error.value.remedy.endswith(": FOLDER")
    (data / "test" / "good").mkdir(parents=True)
    with fails(DataError, "data/no-images") as error:
        threshold_run(folder, data)
    assert error.value.remedy.endswith(f": {data / 'test' / 'good'}")
