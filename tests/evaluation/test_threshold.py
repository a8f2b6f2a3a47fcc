"""A wanted false-reject rate becomes two thresholds, and few images are owned up to."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edgeseg.cards import CARD, IMPORTED, ModelCard, read_card, write_card
from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.threshold import (
    conformal_quantile,
    find_thresholds,
    fit_thresholds,
    threshold_run,
)
from edgeseg.files import sha256
from tests.kit.red_backend import RedBackend, write_image


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
def test_the_threshold_is_the_conformal_quantile(images, rate, rank):
    values = np.random.default_rng(0).permutation(np.arange(1, images + 1))
    assert conformal_quantile(values, rate) == rank


def test_a_new_good_part_exceeds_it_no_more_often_than_wanted():
    rng = np.random.default_rng(0)
    rejected = [rng.random() > conformal_quantile(rng.random(99), 0.05) for _ in range(4000)]
    assert np.mean(rejected) == pytest.approx(0.05, abs=0.012)  # four standard errors


def test_enough_images_are_taken_without_a_warning():
    scores = np.arange(99) / 100
    found = find_thresholds(scores, scores / 2, 0.01)
    assert (found.image, found.pixel) == (0.98, 0.49)
    assert (found.images, found.images_needed, found.supported_rate) == (99, 99, 0.01)
    assert found.warning is None
    assert "warning" not in found.summary()


def test_too_few_images_are_owned_up_to():
    found = find_thresholds([0.1, 0.3, 0.2], [0.4, 0.6, 0.5], 0.01)
    assert (found.image, found.pixel) == (0.3, 0.6)
    assert found.warning == (
        "3 held-out good images support a false-reject rate of 25 %, not 1 %: "
        "each threshold is the highest value seen. 99 images would do."
    )
    assert found.warning in found.summary()


@pytest.mark.parametrize("rate, needed", [(0.01, 99), (0.001, 999), (0.05, 19), (0.03, 33)])
def test_how_many_images_a_rate_needs(rate, needed):
    enough, short = np.zeros(needed), np.zeros(needed - 1)
    assert find_thresholds(enough, enough, rate).warning is None
    assert f" {needed} images would do" in find_thresholds(short, short, rate).warning


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(
        ConfigError, match=r"between 0 and 1 was expected.\n  fix: --false-reject-rate 0.01"
    ):
        find_thresholds([1.0], [1.0], rate)


def test_no_image_at_all_is_an_error():
    with pytest.raises(DataError, match="no good image to find a threshold on"):
        find_thresholds([], [], 0.01)


def test_pixels_are_judged_by_each_images_highest_value(tmp_path):
    paths = [
        write_image(tmp_path / "a.png", 51),  # four pixels and more at 0.2: score 0.2
        write_image(tmp_path / "b.png", 204, where=(slice(0, 1), slice(0, 1))),  # one at 0.8
    ]
    found = fit_thresholds(RedBackend(), paths, 0.34)
    assert found.image == pytest.approx(0.2)
    assert found.pixel == pytest.approx(0.8)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with three held-out images, opened as a RedBackend."""
    data, run = tmp_path / "data", tmp_path / "runs" / "plates"
    held = [write_image(data / "good" / f"{red}.png", red) for red in (30, 60, 90)]
    card = ModelCard(
        name="plates",
        model="destseg",
        image_size=16,
        frame_size=(16, 16),
        config={"teacher": "resnet18"},
        split={"train": {}, "holdout": {f"good/{p.name}": sha256(p) for p in held}},
        weights_sha256="00ff",
        versions={},
        steps={},
    )
    write_card(run / CARD, card)
    backend = RedBackend()

    def open_run(path, *, context):
        backend.card = replace(backend.card, context=context or 0.0)
        return backend

    monkeypatch.setattr("edgeseg.evaluation.threshold.open_run", open_run)
    return run, data, backend


def test_a_runs_card_takes_the_thresholds_and_keeps_the_rest(run):
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


def test_the_context_goes_into_the_card_with_the_thresholds_it_gives(run):
    folder, data, _ = run
    threshold_run(folder, data, 0.25, context=4.0)
    assert read_card(folder / CARD, ModelCard).context == 4.0


def test_a_graph_with_the_old_thresholds_is_named(run, said):
    folder, data, _ = run
    (folder / "plates.onnx").touch()
    threshold_run(folder, data, 0.25)
    assert f"plates.onnx still carries its old thresholds: edgeseg export {folder}" in (said[-1])


def test_the_held_out_files_must_be_those_of_the_training(run):
    folder, data, _ = run
    card = (folder / CARD).read_bytes()
    write_image(data / "good" / "60.png", 200)
    with pytest.raises(DataError, match=r"60\.png is not the file .*\(another SHA-256\)"):
        threshold_run(folder, data, 0.25)
    (data / "good" / "60.png").unlink()
    with pytest.raises(DataError, match=r"60\.png is not there; .* \(1 of 3 such files"):
        threshold_run(folder, data, 0.25)
    assert (folder / CARD).read_bytes() == card


@pytest.fixture
def imported(run):
    """The run of `run`, as import-checkpoint leaves it: nobody knows what it was trained on."""
    folder, data, _ = run
    card = read_card(folder / CARD, ModelCard)
    config = {"teacher": "resnet18", IMPORTED: {"file": "bottle.pckl"}}
    write_card(folder / CARD, replace(card, config=config, split={"train": {}, "holdout": {}}))
    return folder, data


def test_an_imported_run_takes_the_images_of_the_folder_that_is_named(imported, said):
    folder, data = imported
    found = threshold_run(folder, data / "good", 0.25)
    assert found.images == 3
    assert read_card(folder / CARD, ModelCard).threshold == pytest.approx(90 / 255)
    assert said == [
        f"{folder} was imported: the thresholds hold if its training never saw {data / 'good'}"
    ]


def test_an_imported_run_is_not_given_a_data_set(imported):
    folder, data = imported
    with pytest.raises(DataError, match=r"data itself holds no image\. plates was") as error:
        threshold_run(folder, data)
    assert error.value.remedy.endswith("never saw: FOLDER")
    (data / "test" / "good").mkdir(parents=True)
    with pytest.raises(DataError) as error:
        threshold_run(folder, data)
    assert error.value.remedy.endswith(f"never saw: {data / 'test' / 'good'}")
