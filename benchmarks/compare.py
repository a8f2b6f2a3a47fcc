"""Tell two result files apart: which figures are better, which worse, which within their noise.

    python benchmarks/compare.py OLD NEW [--max-regress 5%]

OLD, NEW: what benchmarks printed (all of it, or the last line), or a file of results/. Figures are
paired by benchmark and name. Ratios come first: both their sides were measured in one run, so that
a slow hour or another machine is in neither. Between two machines nothing else is judged.

change   new less old, as a share of the old
noise    how far the two medians may be apart by chance, from their n, p5 and p95: 95 of 100 are
         nearer. Where a document does not tell (`?`), a time is shown and not judged; a number of
         bytes has none, and the limit alone decides

Exit code: 3 where a figure is worse by more than its noise and by more than the limit, 2 for files
that cannot be read or share no figure, else 0.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from documents import RATIO, Document, Figure, read_documents
from edgeseg.errors import DataError, EdgesegError, GateFailed

TIMES = ("s", "ms", RATIO)
EXACT = ("bytes", "MiB")  # units of what is counted and not timed


ByName = dict[tuple[str, str], tuple[Document, Figure]]
"""(benchmark, figure) -> where it stands, and what it is."""


@dataclass(frozen=True)
class Pair:
    """The same figure in two files."""

    benchmark: str
    old: Figure
    new: Figure
    same_machine: bool

    @property
    def change(self) -> float:
        """New less old, as a share of the old; infinite where the old one is 0."""
        difference = self.new.p50 - self.old.p50
        if not self.old.p50:
            return math.copysign(math.inf, difference) if difference else 0.0
        return difference / abs(self.old.p50)

    @property
    def noise(self) -> float | None:
        """Of the change; None where one of the two is not known."""
        if self.old.noise is None or self.new.noise is None:
            return None
        return math.hypot(self.old.noise, self.new.noise)

    @property
    def loss(self) -> float:
        """How much worse the new one is, as a share of the old; below 0: better."""
        return self.change if self.old.better == "lower" else -self.change

    @property
    def obstacle(self) -> str:
        """Why the two cannot be compared; empty when they can."""
        if not self.same_machine and self.old.unit != RATIO:
            return "another machine"
        if self.noise is None and self.old.unit not in EXACT:
            return "noise not known"
        return ""

    def regressed(self, limit: float) -> bool:
        """Whether it is worse beyond its noise and beyond the limit."""
        return not self.obstacle and self.loss > max(limit, self.noise or 0.0)

    def verdict(self) -> str:
        """Return it in words."""
        if self.obstacle:
            return self.obstacle
        if abs(self.loss) <= (self.noise or 0.0):
            return "the same" if not self.change else "within the noise"
        worse, better = ("slower", "faster") if self.old.unit in TIMES else ("worse", "better")
        return better if self.loss < 0 else worse

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        noise = "?" if self.noise is None else f"{self.noise:.1%}"
        values = (f"{self.old.p50:.4g}", f"{self.new.p50:.4g}", self.old.unit)
        name = f"{self.benchmark}: {self.old.name}"
        return name, *values, f"{self.change:+.1%}", noise, self.verdict()


def main(words: Sequence[str] | None = None) -> int:
    """Compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument(
        "--max-regress", type=percentage, default=0.05, help="largest loss, such as 5%% or 0.05"
    )
    options = parser.parse_args(words)
    try:
        pairs, notes = match(options.old, options.new)
        print("\n".join([*table(pairs), *notes]))
        check(pairs, options.max_regress)
    except EdgesegError as error:
        print(f"error: {error.problem}\n  fix: {error.remedy}", file=sys.stderr)
        return error.exit_code
    return 0


def table(pairs: Sequence[Pair]) -> list[str]:
    """Return aligned lines: names to the left, numbers to the right."""
    head = ("figure", "old", "new", "unit", "change", "noise", "")
    rows = [head, *(pair.row() for pair in pairs)]
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = "<>><>><"
    return [
        "  ".join(f"{cell:{s}{w}}" for cell, s, w in zip(row, sides, wide, strict=True)).rstrip()
        for row in rows
    ]


def match(old: Path, new: Path) -> tuple[list[Pair], list[str]]:
    """Pair the figures of two files, ratios first; and say what has no partner or machine.

    DataError where nothing is shared.
    """
    left, right = _by_name(read_documents(old)), _by_name(read_documents(new))
    pairs = [
        Pair(key[0], left[key][1], right[key][1], left[key][0].machine == right[key][0].machine)
        for key in left
        if key in right and left[key][1].unit == right[key][1].unit
    ]
    if not pairs:
        raise DataError(
            f"{old} and {new} share no figure: {_few(left)} in the one, {_few(right)} in the "
            "other.",
            remedy="name two files of the same benchmark",
        )
    notes = [*_alone(old, left, right), *_alone(new, right, left)]
    if not all(pair.same_machine for pair in pairs):
        machines = " | ".join(sorted({d.machine for d, _ in (*left.values(), *right.values())}))
        notes.append(f"warning: not the same machine, only ratios are judged: {machines}")
    return sorted(pairs, key=lambda pair: pair.old.unit != RATIO), notes


def check(pairs: Sequence[Pair], limit: float) -> None:
    """GateFailed names what got worse by more than the limit and its noise."""
    worse = [pair for pair in pairs if pair.regressed(limit)]
    if worse:
        names = "; ".join(f"{p.benchmark}: {p.old.name} by {p.loss:.1%}" for p in worse)
        raise GateFailed(
            f"Worse by more than {limit:.1%} and than the noise: {names}.",
            remedy="measure both again in a quiet hour, or allow it: --max-regress",
        )


def percentage(text: str) -> float:
    """Turn `5%` or `0.05` into 0.05."""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


def _by_name(documents: Sequence[Document]) -> ByName:
    """Return the figures by benchmark and name; of two alike the last one counts."""
    return {(d.benchmark, f.name): (d, f) for d in documents for f in d.figures}


def _alone(path: Path, figures: ByName, others: ByName) -> list[str]:
    """Say what only one file has: a benchmark's figures by name, or that it has all of them."""
    lines = []
    for benchmark in dict.fromkeys(name for name, _ in figures):
        names = [name for kind, name in figures if kind == benchmark]
        missing = [name for name in names if (benchmark, name) not in others]
        whole = len(missing) == len(names)
        if missing:
            lines.append(f"only in {path}: {benchmark}" + f": {', '.join(missing)}" * (not whole))
    return lines


def _few(figures: ByName) -> str:
    names = [": ".join(key) for key in figures]
    return ", ".join(names[:3]) + f" and {len(names) - 3} more" * (len(names) > 3) or "none"


if __name__ == "__main__":
    sys.exit(main())
