"""The JSON document that every benchmark prints as its last line, and that compare.py reads.

    {"benchmark": "startup", "day": ..., "machine": ..., "command": ..., "versions": {...},
     "figures": [{"name": ..., "unit": "s", "better": "lower", "n": 20, "p50": ..., ...}], ...}

A ratio is a figure with the unit "x"; `of` names the figure of the same run that it compares. The
noise of a figure without p5 and p95 is unknown.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgeseg.bench.conditions import PACKAGES
from edgeseg.errors import DataError
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import versions

RATIO = "x"
SPREAD = 3.29  # standard deviations of a normal distribution from its p5 to its p95
MEDIAN = 1.253  # standard error of a median, relative to that of a mean
CONFIDENCE = 1.96  # standard errors of a 95 % confidence interval

Better = Literal["lower", "higher"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number and the percentiles of its samples, in `unit`."""

    name: str
    unit: str
    """`s`, `ms`, `MiB`, `bytes`; `x` for a ratio of two figures of the same run."""
    better: Better = "lower"
    n: int = 1
    """Samples."""
    p50: float
    p5: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    of: str | None = None
    """The figure that a ratio compares."""

    @property
    def noise(self) -> float | None:
        """Half of the 95 % confidence interval of the median, relative to it; None if unknown.

        Assumes independent, nearly normal samples. Differences between runs, such as temperature or
        other load, are not included.
        """
        if self.p5 is None or self.p95 is None or not self.p50:
            return None
        deviation = (self.p95 - self.p5) / SPREAD
        return abs(CONFIDENCE * MEDIAN * deviation / self.n**0.5 / self.p50)


def figure(
    name: str, samples: Any, *, unit: str, better: Better = "lower", of: str | None = None
) -> Figure:
    """Summarize samples; a single one has no percentiles."""
    values = np.asarray(samples, np.float64)
    p5, p50, p95, p99 = (float(np.percentile(values, p)) for p in (5, 50, 95, 99))
    spread: dict[str, Any] = {}
    if len(values) > 1:
        spread = {"p5": p5, "p95": p95, "p99": p99}
        spread |= {"min": float(values.min()), "max": float(values.max())}
    return Figure(name=name, unit=unit, better=better, n=len(values), p50=p50, of=of, **spread)


@dataclass(frozen=True, kw_only=True)
class Document:
    """One run of one benchmark."""

    benchmark: str
    day: str
    machine: str
    command: str
    versions: dict[str, str]
    figures: tuple[Figure, ...]


def emit(benchmark: str, figures: Sequence[Figure], **facts: Any) -> None:
    """Print the machine, and the document as the last line; `facts`: further keys."""
    document = Document(
        benchmark=benchmark,
        day=date.today().isoformat(),
        machine=this_machine().line(),
        command=shlex.join(["python", *sys.argv]),
        versions=versions(*PACKAGES),
        figures=tuple(figures),
    )
    print(document.machine)
    print(json.dumps(asdict(document) | facts))


def read_documents(path: Path) -> list[Document]:
    """Read the documents of a file: a JSON object, or lines of text of which some are documents.

    DataError if the file cannot be read or has no document.
    """
    try:
        text = path.read_text(encoding="utf-8")
        try:
            whole = json.loads(text)
            found = whole.get("documents", [whole]) if isinstance(whole, dict) else []
        except json.JSONDecodeError:
            lines = text.splitlines()
            found = [json.loads(line) for line in lines if line.startswith('{"benchmark"')]
        documents = [_document(each) for each in found if "figures" in each]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}") from error
    if not documents:
        raise _unreadable(path, "no figures")
    return documents


def _document(found: dict[str, Any]) -> Document:
    names = ("benchmark", "day", "machine", "command", "versions")
    figures = tuple(Figure(**each) for each in found["figures"])
    return Document(**{name: found[name] for name in names}, figures=figures)


def _unreadable(path: Path, problem: str) -> DataError:
    return DataError(
        f"cannot read {path}: {problem}",
        remedy="name a file with the last line that a benchmark printed",
        code="data/no-document",
    )
