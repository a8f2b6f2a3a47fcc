"""One verdict for a score everywhere, and no threshold that judges nothing."""

import math

import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.errors import ConfigError
from edgeseg.evaluation.compare import Outputs, compare_outputs
from edgeseg.prediction import Model
from edgeseg.verdict.verdict import are_anomalous, checked_threshold, is_anomalous, judge
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import RedBackend

NOT_NUMBERS = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize(("score", "anomalous"), [(0.4, False), (0.5, False), (0.6, True)])
def test_a_frame_is_anomalous_above_the_threshold(score, anomalous):
    assert is_anomalous(score, 0.5) is anomalous


@pytest.mark.parametrize("score", NOT_NUMBERS)
@pytest.mark.parametrize("threshold", [-1.0, 0.5, 1e6])
def test_a_score_that_is_not_finite_is_never_good(score, threshold):
    assert is_anomalous(score, threshold)
    np.testing.assert_array_equal(are_anomalous([score, threshold], threshold), [True, False])


@pytest.mark.parametrize("value", [*NOT_NUMBERS, 1e300, -2e6, "0.5", None, True, [0.5]])
def test_a_threshold_that_is_not_a_finite_number_is_refused(value):
    with fails(ConfigError, "config/invalid"):
        checked_threshold("image_threshold", value)


@pytest.mark.parametrize("value", [0, 0.5, -3, np.float32(0.25), 1e6])
def test_a_threshold_becomes_a_float(value):
    found = checked_threshold("threshold", value)
    assert type(found) is float and found == value


def test_a_score_that_rounds_to_the_threshold_has_the_same_verdict_everywhere():
    score, threshold = np.float32(0.1), 0.1  # in float64 the score is the larger
    frame = np.full((48, 64), 255, np.uint8)
    backend = RedBackend(make_card(image_threshold=threshold))

    def run():
        backend._slot.score[0] = score

    model = Model(backend)
    backend.run = run
    assert model(frame).verdict == "anomalous"
    assert are_anomalous(np.array([score]), threshold).all()
    maps = np.zeros((1, 4, 4), np.float32)
    low, high = (
        Outputs(maps, np.array([value], np.float32), maps > 1, 0.5, threshold)
        for value in (0.0, score)
    )
    assert compare_outputs(low, high).flipped_verdicts == 1


LIMITS = (
    InputLimit(name="brightness", low=0.2, high=0.8),
    InputLimit(name="sharpness", low=0.1),
    InputLimit(name="a_new_column", high=1.0),
)


@pytest.mark.parametrize(
    ("score", "check", "expected"),
    [
        (0.4, (0.5, 0.5, 0.5), ("good", "")),
        (0.6, (0.5, 0.5, 0.5), ("anomalous", "")),
        (0.4, (0.1, 0.5, 0.5), ("unknown", "too dark")),
        (0.4, (0.9, 0.0, 0.5), ("unknown", "too bright")),
        (0.6, (0.5, 0.0, 0.5), ("unknown", "blurred")),
        (0.4, (0.2, 9.0, 1.0), ("good", "")),
        (0.4, (0.5, 0.5, 1.1), ("unknown", "a_new_column too high")),
        (0.4, (0.5, math.nan, 0.5), ("unknown", "the result is not a number")),
        (math.inf, (0.5, 0.5, 0.5), ("unknown", "the result is not a number")),
    ],
)
def test_what_cannot_be_judged_is_unknown_whatever_its_score(score, check, expected):
    assert judge(score, 0.5, np.array(check, np.float32), LIMITS) == expected


def test_a_model_without_a_check_judges_by_its_score_alone():
    assert [judge(score, 0.5).name for score in (0.4, 0.6)] == ["good", "anomalous"]


def test_a_check_of_another_number_of_columns_is_an_error():
    with pytest.raises(ValueError, match="longer"):
        judge(0.4, 0.5, np.full(2, 0.5, np.float32), LIMITS)
