"""The choice: better than the default by more than the best of equals is by chance."""

from pathlib import Path

import numpy as np
import pytest

from edgeseg.settings import read_toml
from edgeseg.tuning.journal import TrialRow
from edgeseg.tuning.result import RECIPE, chance, choose_recipe, draw_trials, write_recipe
from edgeseg.tuning.score import TrialScores
from edgeseg.tuning.space import default_choices
from edgeseg.tuning.trial import TrialResult

DEFAULT = default_choices({})


def result(aps):
    scores = TrialScores((0.0,), (1.0,) * len(aps), ("spot",) * len(aps), tuple(aps))
    return TrialResult(
        scores=scores,
        score_maps=None,
        image_size=64,
        steps={"student": 1},
        step_seconds={"student": 1.0},
        seconds=1.0,
        overhead=0.0,
    )


def chosen(*pixel_aps):
    """Return the choice among recipes, the default first, that have a pixel AP for each image."""
    results = {(place, 0): result(aps) for place, aps in enumerate(pixel_aps)}
    rows = [
        TrialRow(
            number=place,
            recipe=place,
            rung=0,
            choices=DEFAULT | {"steps": place},
            state="done",
            score=found.scores.score,
            facts={"seconds": 1.0},
        )
        for (place, _), found in results.items()
    ]
    return choose_recipe(rows, results, DEFAULT), rows


def test_what_counts_as_chance_grows_with_the_recipes_that_were_tried():
    assert chance(1) == pytest.approx(1.0, abs=0.01)
    draws = np.random.default_rng(0).normal(size=(20_000, 8)).max(axis=1)
    assert (draws > chance(8)).mean() == pytest.approx(0.16, abs=0.01)


def test_a_gain_of_one_and_a_half_errors_is_chosen_alone_and_not_among_eight():
    default = [0.5] * 8
    better = [0.5 + 0.1 * (1.5 / 7**0.5 + sign) for sign in (1, -1) * 4]
    one, _ = chosen(default, better)
    assert one.gain == pytest.approx(1.5 * one.error, rel=1e-6) and one.recipe == 1
    worse = [[0.4] * 8] * 7
    found, _ = chosen(default, better, *worse)
    assert (found.recipe, found.best, found.compared) == (0, 1, 8)
    assert "scores only" in found.line(DEFAULT)


def test_without_another_recipe_nothing_is_said_to_be_best(tmp_path):
    found, rows = chosen([0.5] * 8)
    assert "no other one" in found.line(DEFAULT) and "highest" not in found.line(DEFAULT)
    draw_trials(tmp_path / "trials.png", rows, found.recipe)
    assert (tmp_path / "trials.png").stat().st_size > 1000


def test_a_recipe_is_read_back_with_any_path(tmp_path):
    textures = Path("stoffe/größe 🙂")
    write_recipe(tmp_path / RECIPE, {"textures": textures, "head": True, "ema": None}, "chosen")
    assert read_toml(tmp_path / RECIPE) == {"textures": str(textures), "head": True}
