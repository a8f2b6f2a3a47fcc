"""The result of a search: the recipe that was chosen, the table of trials and its files.

recipe.toml   settings for `edgeseg train DATA --config recipe.toml`
trials.csv    every trial
trials.png    score over cost
"""

import csv
import io
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

from edgeseg.files import write_atomic
from edgeseg.packages.extras import require
from edgeseg.text import counted, table
from edgeseg.tuning.asha import BASE, finalists
from edgeseg.tuning.journal import TrialRow
from edgeseg.tuning.space import Choices, words
from edgeseg.tuning.trial import TrialResult

RECIPE, TRIALS, PICTURE = "recipe.toml", "trials.csv", "trials.png"
ALIKE = 0.16  # of searches among equals that still find a better one
SHOWN = 12  # rows of the printed table
FACTS = ("image_auroc", "pixel_ap", "seconds", "image_size", "score_maps", "problem")
STEPS = "trained_steps"  # column of the steps of each phase; `steps` is a choice


@dataclass(frozen=True, kw_only=True)
class ChosenRecipe:
    """What the search ends with."""

    recipe: int
    choices: Choices
    score_maps: str | None
    gain: float
    """Score above that of the default recipe on the same rung."""
    error: float
    """Standard error of the gain."""
    rung: int
    best: int
    """The recipe with the highest score there, which is the chosen one if it gains enough."""
    compared: int
    """Other recipes that have a score there."""

    def line(self, default: Choices) -> str:
        """Return the choice and what it rests on, as text."""
        if self.recipe != BASE:
            return (
                f"chosen: recipe {self.recipe} ({words(self.choices, default)}), score "
                f"{self.gain:+.4f} ± {self.error:.4f} over the default recipe on rung {self.rung}"
            )
        if not self.compared:
            return "chosen: the default recipe; no other one was scored in the time"
        if self.best == BASE:
            return f"chosen: the default recipe, which has the highest score on rung {self.rung}"
        return (
            f"chosen: the default recipe; the best other one, recipe {self.best}, scores only "
            f"{self.gain:+.4f} ± {self.error:.4f} above it on rung {self.rung}"
        )


def choose_recipe(
    rows: Sequence[TrialRow], results: Mapping[tuple[int, int], TrialResult], default: Choices
) -> ChosenRecipe:
    """Choose the best recipe of the highest rung; the default unless it is better than chance.

    Better than chance: by more than `chance(others)` standard errors. Without a score of the
    default recipe there, the best one is chosen.
    """
    tried = finalists(
        [row.tried for row in rows if row.state == "done" and (row.recipe, row.rung) in results]
    )
    if not tried:
        return ChosenRecipe(
            recipe=BASE,
            choices=default,
            score_maps=None,
            gain=0.0,
            error=0.0,
            rung=0,
            best=BASE,
            compared=0,
        )
    top, rung = tried[0], tried[0].rung
    others = sum(each.recipe != BASE for each in tried)
    gain = error = 0.0
    found = top.recipe
    if (BASE, rung) in results:
        gain, error = results[top.recipe, rung].scores.gain_over(results[BASE, rung].scores)
        found = top.recipe if gain > chance(others) * error else BASE
    choices = next(row.choices for row in rows if row.recipe == found)
    levels = results[found, rung].score_maps
    return ChosenRecipe(
        recipe=found,
        choices=choices,
        score_maps=levels,
        gain=gain,
        error=error,
        rung=rung,
        best=top.recipe,
        compared=others,
    )


def chance(others: int) -> float:
    """Return the standard errors that the best of some recipes gains by chance.

    If all of them were as good as the default, it would gain more in one search of six (ALIKE), as
    a single one does with one standard error.
    """
    return NormalDist().inv_cdf((1 - ALIKE) ** (1 / max(others, 1)))


def table_lines(rows: Sequence[TrialRow], default: Choices) -> list[str]:
    """Return the best trials of every rung, the highest rung first, as text."""
    cells = [["recipe", "rung", "score", "image AUROC", "pixel AP", "min", "px", "what differs"]]
    done = [row for row in rows if row.score is not None]
    for row in sorted(done, key=lambda row: (-row.rung, -(row.score or 0.0)))[:SHOWN]:
        facts = row.facts
        cells.append(
            [
                str(row.recipe),
                str(row.rung),
                f"{row.score:.4f}",
                f"{facts['image_auroc']:.3f}",
                f"{facts['pixel_ap']:.3f}",
                f"{facts['seconds'] / 60:.1f}",
                str(facts["image_size"]),
                words(row.choices, default),
            ]
        )
    lines = table(cells, ">>>>>>><")
    lines += [
        f"failed: recipe {row.recipe}: {row.facts.get('problem', '')}"
        for row in rows
        if row.state == "failed"
    ]
    return lines


def write_table(folder: Path, rows: Sequence[TrialRow]) -> None:
    """Write trials.csv."""
    names = list(dict.fromkeys(name for row in rows for name in row.choices))
    text = io.StringIO()
    columns = ["trial", "recipe", "rung", "state", "score", *names, *FACTS, STEPS]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        facts = {name: row.facts.get(name) for name in FACTS}
        facts[STEPS] = " + ".join(str(n) for n in row.facts.get("steps", {}).values())
        fixed = {"trial": row.number, "recipe": row.recipe, "rung": row.rung}
        writer.writerow(fixed | {"state": row.state, "score": row.score} | row.choices | facts)
    write_atomic(folder / TRIALS, text.getvalue().encode())


def write_recipe(path: Path, settings: Mapping[str, Any], line: str) -> None:
    """Write settings of `edgeseg train` as TOML."""
    lines = [f"# {line}"]
    for name, value in settings.items():
        if value is not None:
            plain = str(value) if isinstance(value, Path) else value
            lines.append(f"{name} = {json.dumps(plain, ensure_ascii=False)}")
    write_atomic(path, ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))


def draw_trials(path: Path, rows: Sequence[TrialRow], chosen: int) -> None:
    """Draw the score of every trial over its cost; the trials of a recipe are joined."""
    figures = require("matplotlib.figure", extra="report")
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    figure = figures.Figure((7, 4.2), layout="constrained")
    axes = figure.subplots()
    done = [row for row in rows if row.score is not None]
    for recipe in sorted({row.recipe for row in done}):
        own = sorted((row for row in done if row.recipe == recipe), key=lambda row: row.rung)
        color = "#c86a00" if recipe == chosen else "#1c2733" if recipe == BASE else "#9db2c6"
        names = ["chosen"] * (recipe == chosen) + ["default recipe"] * (recipe == BASE)
        seconds = [row.facts["seconds"] / 60 for row in own]
        axes.plot(seconds, [row.score for row in own], "o-", color=color, label=": ".join(names))
        axes.annotate(
            str(recipe),
            (seconds[-1], own[-1].score),
            fontsize=8,
            xytext=(4, 4),
            textcoords="offset points",
        )
    axes.set_xlabel("minutes of the trial")
    axes.set_ylabel("score: (2 image AUROC + pixel AP) / 3")
    axes.set_title(f"{counted(len(done), 'trial')}; the number is the recipe's", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120)
    write_atomic(path, stream.getvalue())
