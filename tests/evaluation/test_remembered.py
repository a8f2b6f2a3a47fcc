"""The verdict of an evaluation in the cards of runs and engines, and the warning that follows."""

import dataclasses
import os

import pytest

from edgeseg.cards import CARD, EngineCard, ModelCard, read_card, write_card
from edgeseg.data.layouts import open_dataset
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.remembered import complaint, facts_of, remember, warn_if_useless
from tests.kit.cards import make_run_card, write_engine
from tests.kit.red_backend import PlateBackend, write_image


@pytest.fixture
def data(tmp_path):
    """Good images and defective ones that score as they do: 12 of 15 pass at 0.5."""
    root = tmp_path / "plates"
    for n in range(60):
        write_image(root / f"good/{n}.png", 100 + n % 12)
    for n in range(15):
        corner = slice(12, 16), slice(12, 16)  # other files of the same scores
        write_image(root / f"bad/{n}.png", 100 + n if n < 12 else 200, corner)
    return root


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "plates"
    backend = PlateBackend()
    values = {"threshold": 0.5, "image_threshold": 0.5, "name": "plates"}
    write_card(folder / CARD, make_run_card(**values))
    os.utime(folder / CARD, (1e9, 1e9))
    return folder, backend


def test_the_card_of_a_run_remembers_and_stays_as_old_as_it_was(run, data, said):
    folder, backend = run
    before = read_card(folder / CARD, ModelCard)
    found = evaluate(backend, open_dataset(data), model=folder)
    found.store()
    card = read_card(folder / CARD, ModelCard)
    assert card.evaluation["misses"] == [12, 15]
    assert (card.evaluation["ranking"], card.evaluation["thresholds"]) == ("useless", "unfit")
    assert dataclasses.replace(card, evaluation={}) == before
    assert (folder / CARD).stat().st_mtime == 1e9
    said.clear()
    warn_if_useless(folder, dataclasses.replace(backend.card, evaluation=card.evaluation))
    warn_if_useless(folder, dataclasses.replace(backend.card, evaluation=card.evaluation))
    (line,) = said
    assert "12 of 15 defective parts pass" in line
    assert f"image AUROC {found.overall.scores.image_auroc:.2f}" in line


def test_an_engine_remembers_in_its_own_card(tmp_path, data, said):
    backend = PlateBackend()
    engine = write_engine(tmp_path / "engines/plates-int8.onnx", graph=backend.card)
    evaluate(backend, open_dataset(data), model=engine).store()
    card = read_card(engine.with_suffix(".json"), EngineCard)
    assert complaint(card.graph, card.graph.evaluation)
    assert engine.read_bytes() == b"plan"


def test_a_graph_is_remembered_by_its_run_if_that_has_the_same_thresholds(run, data, said):
    folder, backend = run
    (folder / "plates.onnx").touch()
    evaluate(backend, open_dataset(data), model=folder / "plates.onnx").store()
    assert read_card(folder / CARD, ModelCard).evaluation
    said.clear()
    warn_if_useless(folder / "plates.onnx", backend.card)
    assert len(said) == 1
    other = PlateBackend(image_threshold=0.9)
    evaluate(other, open_dataset(data), model=folder / "plates.onnx").store()
    assert "not remembered" in said[-1]


def test_a_model_in_order_has_no_complaint(run, tmp_path, said):
    folder, backend = run
    for n in range(10):
        write_image(tmp_path / f"fine/good/{n}.png", n)
        write_image(tmp_path / f"fine/bad/{n}.png", 200 + n)
    evaluate(backend, open_dataset(tmp_path / "fine"), model=folder).store()
    said.clear()
    warn_if_useless(folder, backend.card)
    assert read_card(folder / CARD, ModelCard).evaluation["thresholds"] == "fit"
    assert said == []


def test_a_verdict_ends_with_what_it_is_about(run, data):
    _, backend = run
    found = evaluate(backend, open_dataset(data))
    facts, card = facts_of(found.to_json(), backend.card), backend.card
    assert "guessing" in complaint(card, facts) and "pass as good" in complaint(card, facts)
    moved = dataclasses.replace(card, image_threshold=0.4)
    assert "guessing" in complaint(moved, facts) and "pass" not in complaint(moved, facts)
    for changes in ({"weights_sha256": "1" * 64}, {"context": 4.0}):
        assert complaint(dataclasses.replace(card, **changes), facts) is None
    assert complaint(card, {}) is None


def test_a_card_that_cannot_be_written_is_a_warning(tmp_path, said):
    remember(tmp_path, {"of": {}})
    assert "not remembered" in said[-1] and CARD in said[-1]
