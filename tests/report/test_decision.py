"""The verdict of the report, and what it cannot tell."""

from dataclasses import replace

import pytest

from edgeseg.cards import InputLimit
from edgeseg.report.decision import MARKS, decide, limits
from tests.kit.cards import make_card
from tests.report.conftest import measured

GOOD = {"ranking": "good", "thresholds": "fit", "next": []}
LOW, HIGH = [0.1] * 60, [0.9] * 60


def found(good, defective, *, unknown=0, **assessment):
    return decide(
        measured(good, defective, unknown=unknown, assessment=GOOD | assessment), "runs/x DATA"
    )


@pytest.mark.parametrize(
    ("ranking", "thresholds", "tone"),
    [
        ("good", "fit", "trial"),
        ("usable", "fit", "trial"),
        ("unclear", "fit", "caution"),
        ("weak", "fit", "stop"),
        ("useless", "fit", "stop"),
        ("good", "unfit", "stop"),
    ],
)
def test_the_evaluation_s_verdict_decides(ranking, thresholds, tone):
    assert found(LOW, HIGH, ranking=ranking, thresholds=thresholds).tone == tone


def test_few_photos_never_justify_a_trial():
    assert found(LOW, HIGH[:49]).tone == "caution" == found(LOW[:49], HIGH).tone


def test_escapes_that_cannot_be_excluded_need_a_second_check():
    assert found(LOW, HIGH[:54] + LOW[:6]).title.startswith("Useful beside a second check")
    assert found(LOW, HIGH).title.startswith("Ready for a trial on the line")


def test_an_unfit_threshold_is_named_by_its_error():
    assert "passes most defective" in found(LOW, LOW, thresholds="unfit").title
    assert "rejects most good" in found(HIGH, HIGH, thresholds="unfit").title


def test_photos_of_good_parts_that_cannot_be_judged_stop_the_trial():
    decision = found(LOW, HIGH, unknown=10)
    assert decision.title.startswith("Not ready")
    assert any("cannot be judged: 10 of 70" in line for line in decision.words)
    assert any("rejected, without the unknown ones: 0 of 60" in line for line in decision.words)
    assert any("pass as good: 0 of 60" in line for line in decision.words)


def test_nothing_measured_is_no_verdict():
    assert decide(None).tone == "unmeasured"
    assert found(LOW, []).title == "Not measured: no photos of defective parts"
    assert found([], HIGH).title == "Not measured: no photos of good parts"


def test_the_next_steps_name_the_paths_and_are_sentences():
    steps = found(LOW, HIGH, next=["try: edgeseg threshold MODEL DATA"]).steps
    assert steps == ("Try: edgeseg threshold runs/x DATA",)
    assert "collect photos" in found(LOW, []).steps[-1].lower()


def test_every_tone_has_a_mark_of_its_own():
    assert len(set(MARKS.values())) == len(MARKS) == 4


CARD = make_card()


def told(measurement, card=CARD, *, gpu=True):
    return "\n".join(limits(measurement, card, gpu=gpu))


def test_limits_name_what_was_too_few():
    text = told(measured(LOW[:20], HIGH[:5]))
    assert "20 photos of good parts are few" in text and "from 0 to 16 %" in text
    assert "5 photos of defective parts are few" in text and "from 0 to 43 %" in text
    assert "Fewer than ten photos of: dent" in text
    assert "are few" not in told(measured(LOW, HIGH))


def test_limits_name_what_was_not_measured():
    assert "No photo of a defective part" in told(measured(LOW))
    assert "Defects of other types than dent" in told(measured(LOW, HIGH))
    assert "GPU" in told(None, gpu=False) and "GPU" not in told(None)
    assert "2 defective photos have no mask" in told(
        measured(LOW, HIGH, counts={"without_mask": 2})
    )
    assert "1 photos could not be read" in told(measured(LOW, HIGH, damaged=[{}]))
    assert "on these very photos" in told(replace(measured(LOW), set_threshold=True))


def test_a_model_without_an_input_check_is_said_to_judge_everything():
    assert "judges every picture" in told(None)
    assert "judges every picture" not in told(None, make_card(input_check=(InputLimit(name="x"),)))


def test_defects_of_the_training_are_not_counted_which_is_said():
    found = measured(LOW, HIGH, counts={"trained_on": 3})
    assert any("3 photos of defects" in line for line in limits(found, make_card(), gpu=True))
