"""The limits of an engine's input check: moved and widened by what the engine moves."""

import math

import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.engine.input_limits import FEWEST, moved_limits
from edgeseg.verdict.verdict import judge
from tests.kit.cards import make_card
from tests.kit.fakes import RedBackend, solid_image

BOTH_SIDES = InputLimit(name="sharpness", low=0.1, high=0.5)
DISTANCE = InputLimit(name="features", high=0.5)  # the log of a squared distance
BRIGHTNESS = InputLimit(name="brightness", low=0.2, high=0.8)


class Moving(RedBackend):
    """A backend whose second column is off by 0.1, and by 0.02 more or less; logs: before the log
    is taken of it."""

    logs = False

    def run(self):
        super().run()
        apart = 0.1 + 0.02 * (1 if self.runs % 2 else -1)
        column = self._slot.input_check[:, 1]
        column[:] = np.log(np.exp(column) + apart) if self.logs else column + apart


class MovingDistance(Moving):
    logs = True


def photos(count):
    return [solid_image(40 * k)[None] for k in range(1, count + 1)]


WIDER = 2 * 0.02 * np.sqrt(6 / 5)


def test_limits_move_with_the_engine_and_widen_by_its_spread():
    card = make_card(input_check=(BRIGHTNESS, BOTH_SIDES), input_note={"rate": 0.005})
    found = moved_limits(RedBackend(card), Moving(card), photos(6))
    same, moved = found["input_check"]
    assert (same.low, same.high) == (pytest.approx(0.2), pytest.approx(0.8))
    assert moved.low == pytest.approx(0.2 - WIDER, abs=1e-5)
    assert moved.high == pytest.approx(0.6 + WIDER, abs=1e-5)
    assert found["input_note"]["rate"] == 0.005
    assert found["input_note"]["engine"]["photos"] == 6
    assert judge(0.0, 1.0, [0.5, 0.61], card.input_check).name == "unknown"
    assert judge(0.0, 1.0, [0.5, 0.61], found["input_check"]).name == "good"


def test_the_limit_of_a_distance_moves_by_what_was_added_before_the_log():
    card = make_card(input_check=(BRIGHTNESS, DISTANCE))
    moved = moved_limits(RedBackend(card), MovingDistance(card), photos(6))["input_check"][1]
    assert moved.low is None
    assert moved.high == pytest.approx(math.log(math.exp(0.5) + 0.1 + WIDER), abs=1e-5)


def test_too_few_photos_keep_the_limits_and_say_so():
    card = make_card(input_check=(BRIGHTNESS, DISTANCE))
    found = moved_limits(RedBackend(card), Moving(card), photos(FEWEST - 1))
    assert set(found) == {"input_note"}
    assert "too few photos" in found["input_note"]["engine"]


def test_a_graph_without_a_check_has_nothing_to_move():
    card = make_card()
    assert moved_limits(RedBackend(card), RedBackend(card), photos(6)) == {}
