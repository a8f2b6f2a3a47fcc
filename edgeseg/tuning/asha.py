"""Which recipe is trained next, and on which rung: asynchronous successive halving.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning, MLSys 2020, algorithm 2.
A recipe is promoted as soon as it is in the best third of its rung, in whatever order trials end.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.tuning.budget import ETA

BASE = 0  # the default recipe


@dataclass(frozen=True)
class TriedRecipe:
    """A recipe on a rung; score: None while it runs, and where it failed."""

    recipe: int
    rung: int
    score: float | None = None


def promotion(tried: Sequence[TriedRecipe], rungs: int) -> tuple[int, int] | None:
    """Return the recipe to train next and its rung, or None: it is time for a new recipe.

    The highest rung comes first. Before another recipe, the default one is promoted, so that on
    every rung there is something to compare with.
    """
    for rung in reversed(range(rungs - 1)):
        done = sorted(
            (each for each in tried if each.rung == rung and each.score is not None),
            key=lambda each: (-(each.score or 0.0), each.recipe),
        )
        best = [each.recipe for each in done[: len(done) // ETA]]
        above = {each.recipe for each in tried if each.rung == rung + 1}
        wanted = [recipe for recipe in best if recipe not in above]
        if best and BASE not in above and any(each.recipe == BASE for each in done):
            return BASE, rung + 1
        if wanted:
            return wanted[0], rung + 1
    return None


def finalists(tried: Sequence[TriedRecipe]) -> list[TriedRecipe]:
    """Return what was scored on the highest rung that has more than the default, best first."""
    scored = [each for each in tried if each.score is not None]
    for rung in sorted({each.rung for each in scored}, reverse=True):
        here = [each for each in scored if each.rung == rung]
        if any(each.recipe != BASE for each in here) or rung == 0:
            return sorted(here, key=lambda each: (-(each.score or 0.0), each.recipe))
    return []
