"""Promotions of asynchronous successive halving, on records with known answers."""

from edgeseg.tuning.asha import TriedRecipe, finalists, promotion


def scored(rung, *scores):
    return [TriedRecipe(recipe, rung, score) for recipe, score in enumerate(scores)]


def test_nothing_is_promoted_before_a_third_is_one():
    assert promotion(scored(0, 0.5, 0.6), rungs=2) is None


def test_the_default_is_promoted_before_the_best():
    tried = scored(0, 0.5, 0.9, 0.6)
    assert promotion(tried, rungs=2) == (0, 1)
    assert promotion([*tried, TriedRecipe(0, 1)], rungs=2) == (1, 1)
    assert promotion([*tried, TriedRecipe(0, 1), TriedRecipe(1, 1)], rungs=2) is None


def test_the_highest_rung_comes_first():
    tried = [*scored(0, *[0.5 + k / 100 for k in range(9)]), *scored(1, 0.4, 0.6, 0.5)]
    assert promotion([*tried, TriedRecipe(0, 2)], rungs=3) == (1, 2)


def test_what_failed_is_never_promoted_and_equal_scores_go_by_age():
    tried = [
        TriedRecipe(0, 0, 0.5),
        TriedRecipe(1, 0),
        TriedRecipe(2, 0, 0.7),
        TriedRecipe(3, 0, 0.7),
        TriedRecipe(0, 1),
    ]
    assert promotion(tried, rungs=2) == (2, 1)


def test_a_default_that_failed_stops_nobody():
    assert promotion([TriedRecipe(0, 0), *scored(0, None, 0.9, 0.6, 0.5)[1:]], rungs=2) == (1, 1)


def test_the_choice_is_made_on_the_highest_rung_that_compares():
    low = scored(0, 0.5, 0.9, 0.6)
    assert [each.recipe for each in finalists(low)] == [1, 2, 0]
    assert finalists([*low, TriedRecipe(0, 1, 0.99)])[0].recipe == 1, (
        "the default alone compares nothing"
    )
    assert finalists([*low, TriedRecipe(0, 1, 0.7), TriedRecipe(1, 1, 0.65)])[0].recipe == 0
    assert finalists([TriedRecipe(0, 0)]) == []
