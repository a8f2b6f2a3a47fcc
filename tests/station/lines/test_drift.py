import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.station.lines.drift import NEWEST, Drift
from tests.kit.cards import make_card

CHECK = (
    InputLimit(name="brightness", low=0.2, high=0.6),
    InputLimit(name="features", high=1.5),
)


def drift(frames):
    found = Drift(make_card(input_check=CHECK), image_threshold=1.0)
    for score, *check in frames:
        found.add(score, np.array(check, np.float32))
    return found


def test_it_says_nothing_before_there_are_enough_frames():
    assert drift([(0.5, 0.4, 0.0)] * (NEWEST - 1)).positions() == {}


def test_frames_like_the_training_are_at_the_middle():
    found = drift([(0.5, 0.4, -2.0)] * NEWEST)
    assert found.positions() == {"brightness": 0.0, "features": 0.03, "score": 0.0}
    assert found.status()["alarms"] == []


@pytest.mark.parametrize(
    ("frame", "name", "position"),
    [
        ((0.5, 0.5, -2.0), "brightness", 0.5),
        ((0.5, 0.3, -2.0), "brightness", -0.5),
        ((0.5, 0.4, 0.81), "features", 0.502),
        ((0.8, 0.4, -2.0), "score", 0.6),
    ],
)
def test_half_of_the_way_to_a_limit_is_an_alarm(frame, name, position):
    found = drift([(0.5, 0.4, -2.0)] * NEWEST + [frame] * NEWEST)
    assert found.positions()[name] == pytest.approx(position, abs=2e-3)
    assert found.status()["alarms"] == [name]


def test_single_parts_do_not_move_it():
    found = drift([(0.5, 0.4, -2.0)] * NEWEST + [(9.0, 0.59, 1.4)] * (NEWEST // 3))
    assert found.status()["alarms"] == []


def test_a_card_without_a_check_has_the_score_alone():
    found = Drift(make_card(), image_threshold=1.0)
    for _ in range(NEWEST):
        found.add(0.5, np.zeros(0, np.float32))
    assert found.positions() == {"score": 0.0}
