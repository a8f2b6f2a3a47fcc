"""Compare two results of benchmarks: what became better or worse, beyond the noise.

    python benchmarks/compare.py OLD NEW [--max-regress 5%]

OLD, NEW: output of a benchmark (all of it, or its last line), or a file of results/. Figures are
paired by benchmark and name. Ratios come first: both of their sides were measured in the same run,
so that they do not depend on the load or the machine. Results of two machines are compared by
ratios only.

change   new minus old, relative to old
noise    95 % confidence interval of the change, from n, p5 and p95 of both. A time whose noise is
         unknown (`?`) is shown but not judged; a number of bytes has no noise

Exit code: 3 if a figure is worse by more than its noise and by more than the limit, 2 if a file
cannot be read or the two share no figure, else 0.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from documents import RATIO, Document, Figure, read_documents
from edgeseg.errors import DataError, EdgesegError, GateFailed
from edgeseg.text import table

EXACT = ("bytes", "MiB")  # units without noise

ByName = dict[tuple[str, str], tuple[Document, Figure]]
"""(benchmark, figure) -> its document and the figure."""


@dataclass(frozen=True)
class Pair:
    """The same figure in two files."""

    benchmark: str
    old: Figure
    new: Figure
    same_machine: bool

    @property
    def change(self) -> float:
        """New minus old, relative to old; infinite if old is 0."""
        difference = self.new.p50 - self.old.p50
        if not self.old.p50:
            return math.copysign(math.inf, difference) if difference else 0.0
        return difference / abs(self.old.p50)

    @property
    def noise(self) -> float | None:
        """Noise of the change; None if that of one figure is unknown."""
        if self.old.noise is None or self.new.noise is None:
            return None
        return math.hypot(self.old.noise, self.new.noise)

    @property
    def loss(self) -> float:
        """How much worse the new figure is, relative to old; negative if it is better."""
        return self.change if self.old.better == "lower" else -self.change

    @property
    def obstacle(self) -> str:
        """Why the two cannot be compared; empty if they can."""
        if not self.same_machine and self.old.unit != RATIO:
            return "another machine"
        if self.noise is None and self.old.unit not in EXACT:
            return "noise unknown"
        return ""

    def regressed(self, limit: float) -> bool:
        """Whether it is worse by more than its noise and the limit."""
        return not self.obstacle and self.loss > max(limit, self.noise or 0.0)

    def verdict(self) -> str:
        if self.obstacle:
            return self.obstacle
        if abs(self.loss) <= (self.noise or 0.0):
            return "within the noise" if self.change else "the same"
        return "better" if self.loss < 0 else "worse"

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
        head = ("figure", "old", "new", "unit", "change", "noise", "")
        print("\n".join([*table([head, *(pair.row() for pair in pairs)], "<>><>><"), *notes]))
        check(pairs, options.max_regress)
    except EdgesegError as error:
        print(f"error: {error.problem}\n  fix: {error.remedy}", file=sys.stderr)
        return error.exit_code
    return 0


def match(old: Path, new: Path) -> tuple[list[Pair], list[str]]:
    """Pair the figures of two files, ratios first; also return notes on unpaired figures.

    DataError if the files share no figure.
    """
    left, right = _by_name(read_documents(old)), _by_name(read_documents(new))
    pairs = [
        Pair(key[0], left[key][1], right[key][1], left[key][0].machine == right[key][0].machine)
        for key in left
        if key in right and left[key][1].unit == right[key][1].unit
    ]
    if not pairs:
        raise DataError(
            f"{old} and {new} share no figure",
            remedy="name two files of the same benchmark",
            code="data/no-shared-figure",
        )
    notes = [
        f"only in {path}: {': '.join(key)}"
        for path, own, other in ((old, left, right), (new, right, left))
        for key in own
        if key not in other
    ]
    if not all(pair.same_machine for pair in pairs):
        machines = " | ".join(sorted({d.machine for d, _ in (*left.values(), *right.values())}))
        notes.append(f"warning: different machines, only ratios are judged: {machines}")
    return sorted(pairs, key=lambda pair: pair.old.unit != RATIO), notes


def check(pairs: Sequence[Pair], limit: float) -> None:
    """Raise GateFailed if a figure is worse by more than its noise and the limit."""
    worse = [pair for pair in pairs if pair.regressed(limit)]
    if worse:
        names = "; ".join(f"{p.benchmark}: {p.old.name} by {p.loss:.1%}" for p in worse)
        raise GateFailed(
            f"worse by more than {limit:.1%} and the noise: {names}",
            remedy="measure both again on an idle machine, or raise the limit: --max-regress",
            code="gate/regression",
        )


def percentage(text: str) -> float:
    """Turn `5%` or `0.05` into 0.05."""
    value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


def _by_name(documents: Sequence[Document]) -> ByName:
    """Return the figures by benchmark and name; the last of duplicates."""
    return {(d.benchmark, f.name): (d, f) for d in documents for f in d.figures}


if __name__ == "__main__":
    sys.exit(main())
