"""`edgeseg threshold`: which images it uses, what it shows, and what it stores."""

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.cards import CARD, InputLimit, write_card
from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.pick import Pick
from edgeseg.evaluation.review import review
from edgeseg.files import sha256
from edgeseg.verdict.region_config import RuleConfig
from edgeseg.verdict.rule import Rule
from tests.kit.cards import make_run_card
from tests.kit.errors import fails
from tests.kit.red_backend import PlateBackend, write_image

CORNER = slice(12, 16), slice(12, 16)  # other files than the good ones, of the same scores


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A run with twenty held-out images at 41 to 60, and five defective ones at 50 to 250."""
    data, run = tmp_path / "plates", tmp_path / "runs" / "plates"
    held = [write_image(data / f"good/{red}.png", red) for red in range(41, 61)]
    write_image(data / "good/200.png", 200)  # a training image
    for red in (50, 100, 150, 200, 250):
        write_image(data / f"bad/{red}.png", red, CORNER)
    split = {"train": {}, "holdout": {f"good/{p.name}": sha256(p) for p in held}}
    write_card(run / CARD, make_run_card(name="plates", split=split))
    backend = PlateBackend()
    for name in ("open_run", "open_model"):
        monkeypatch.setattr(f"edgeseg.evaluation.review.{name}", lambda *_, **__: backend)
    return run, data, backend


def test_it_shows_the_rates_of_held_out_and_defective_images_and_stores_nothing(model):
    run, data, backend = model
    written = []
    found = review(run, data, write=lambda *given: written.append(given))
    found.store()
    assert not written and backend.closed
    present = found.present
    assert (present.false_rejects.count, present.false_rejects.total) == (0, 20)
    assert (present.misses.count, present.misses.total) == (2, 5)  # 50 and 100 are below 0.5
    counts = [(o.point.false_rejects.count, o.point.misses.count) for o in found.offers]
    assert len(set(counts)) == len(counts)
    assert counts == sorted(counts, key=lambda pair: (pair[0], -pair[1]))
    text = found.summary()
    assert "20 held-out good and 5 defective images" in text
    assert "2 of 5 [12 to 77 %]" in text
    assert "the thresholds are as before" in text
    assert f"edgeseg threshold {run} {data} --false-reject 0.05" in text, "20 images support it"
    document = found.to_json()["images"]
    assert document == {"good": 20, "defective": 5, "good_kind": "held-out good"}


def test_a_change_is_counted_from_the_present_threshold(model):
    run, data, _ = model
    text = review(run, data).summary()
    (line,) = (line for line in text.splitlines() if "--false-reject 0.01" in line)
    assert "200 (-200)" in line and " 0 (+0)" in line
    (line,) = (line for line in text.splitlines() if "--max-miss 0.05" in line)
    assert "550 (+550)" in line and "0 (-400)" in line


def test_a_rate_that_the_images_do_not_support_is_marked(model):
    run, data, _ = model
    found = review(run, data)
    needs = {offer.by: offer.needs for offer in found.offers if offer.needs}
    assert needs == {
        "--false-reject 0.01": "99 good images",
        "--max-miss 0.05": "19 defective images",
    }
    assert found.summary().count("too few: needs") == 2


def test_an_image_that_is_good_and_defective_is_refused(model):
    run, data, _ = model
    write_image(data / "bad/new.png", 200)  # the bytes of a training image
    with fails(DataError, "data/good-and-bad"):
        review(run, data)


def test_a_choice_is_written_when_it_is_stored(model):
    run, data, _ = model
    written = []
    found = review(run, data, Pick(max_miss=0.4), write=lambda *given: written.append(given))
    assert not written
    found.store()
    ((path, chosen, *others),) = written
    assert (path, others) == (run, [None, None, None])
    assert 60 / 255 < chosen.image < 100 / 255
    assert "judge it by others" in found.summary()
    document = found.to_json()
    assert (document["image"], document["pixel"]) == (chosen.image, chosen.pixel)
    assert document["chosen"]["misses"]["count"] == 1


def test_a_rule_is_measured_and_stored_with_the_choice(model):
    """Defective images have four by four red pixels, like the good ones: too few to count."""
    run, data, _ = model
    written = []
    regions = RuleConfig(rule="region", min_area="17")
    found = review(run, data, regions=regions, write=lambda *given: written.append(given))
    assert (found.present.false_rejects.count, found.present.misses.count) == (0, 5)
    assert "a region counts from 17 px on (new)" in found.summary()
    found.store()
    assert written == [(run, None, None, Rule(by="region", min_area=17), None)]
    regions = RuleConfig(rule="region", min_area="16")
    chosen = review(run, data, Pick(max_miss=0.4), regions=regions).chosen
    assert 60 / 255 < chosen.pixel < 100 / 255 and chosen.image == 0.5, "the image threshold stays"
    assert chosen.point.misses.count == 1


def test_a_choice_that_rejects_everything_is_a_warning(model):
    run, data, _ = model
    write_image(data / "bad/040.png", 40)  # below all good images
    assert "warning: this threshold rejects every good part" in (
        review(run, data, Pick(max_miss=0.05)).summary()
    )
    assert "every good part" not in review(run, data, Pick(false_reject=0.05)).summary()


def test_unknown_images_are_not_counted(model, monkeypatch):
    run, data, backend = model
    backend.card = replace(backend.card, input_check=(InputLimit(name="brightness", low=1e9),))
    with fails(DataError, "threshold/no-images"):
        review(run, data)


def test_a_graph_without_its_run_is_judged_by_good_images_of_the_test_set(model, tmp_path, said):
    _, data, _ = model
    graph = tmp_path / "plates.onnx"
    graph.touch()
    found = review(graph, data)
    assert found.measured.good.sum() == 4  # a fifth of 21, as in evaluate
    assert found.good_kind == "good test"
    assert "the run of plates is not here" in said[-1]


def test_a_folder_of_good_images_is_enough_for_a_false_reject_rate(model, tmp_path):
    _, data, _ = model
    graph = tmp_path / "plates.onnx"
    graph.touch()
    found = review(graph, data / "good", Pick(false_reject=0.05))
    assert len(found.measured.scores) == 21
    assert found.chosen.image == pytest.approx(200 / 255)  # 21 images: the highest
    with fails(DataError, "threshold/no-defective-images"):
        review(graph, data / "good", Pick(max_miss=0.05))


def test_a_graph_takes_no_context(model, tmp_path):
    _, data, _ = model
    with fails(ConfigError, "config/context"):
        review(tmp_path / "plates.onnx", data, context=4.0)


def test_the_scores_are_those_of_the_model_itself(model):
    run, data, backend = model
    halved = backend.run

    def run_halved():
        halved()
        backend._slot.score[:] /= 2

    backend.run = run_halved
    assert review(run, data).measured.scores.max() == pytest.approx(125 / 255)
    assert np.max(review(run, data).measured.peaks) == pytest.approx(250 / 255)
