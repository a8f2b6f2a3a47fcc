"""What every benchmark ends with: one JSON document of figures that can be told from another's.

    {"benchmark": "startup", "day": ..., "machine": ..., "command": ..., "versions": {...},
     "figures": [{"name": ..., "unit": "s", "better": "lower", "n": 20, "p50": ..., ...}], ...}

A ratio is a figure too: its unit is "x", and `of` names the figure that it compares with another of
the same run. A figure without p5 and p95 is one whose noise is not known.
"""

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from edgeseg.bench.conditions import versions
from edgeseg.errors import DataError
from edgeseg.machine.facts import this_machine

RATIO = "x"
SPREAD = 3.29  # standard deviations of a normal distribution from its p5 to its p95
MEDIANS = 1.253  # its median scatters so much more than its mean
SURE = 1.96  # standard errors in which 95 of 100 medians lie


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of one run, with what is known of its samples; all in `unit`."""

    name: str
    unit: str
    """`s`, `ms`, `MiB`, `bytes`; `x` is a ratio of two figures of the same run."""
    better: Literal["lower", "higher"] = "lower"
    n: int = 1
    """Samples."""
    p50: float
    p5: float | None = None
    p95: float | None = None
    p99: float | None = None
    min: float | None = None
    max: float | None = None
    of: str | None = None
    """Of a ratio, the figure that it compares."""

    def __post_init__(self) -> None:
        numbers = (self.p50, self.n, *filter(None, (self.p5, self.p95)))
        if not all(isinstance(number, int | float) for number in numbers) or self.n < 1:
            raise TypeError(f"numbers in the figure {self.name!r}: {numbers}")
        if self.better not in ("lower", "higher"):
            raise TypeError(f"'better' in the figure {self.name!r}: {self.better!r}")

    @property
    def noise(self) -> float | None:
        """How far this run's median may be from the true one, as a share of it; None: not known.

        95 of 100 such medians are nearer, if the samples are independent and nearly normal. What
        differs between two runs (heat, neighbors, another machine) is not in it.
        """
        if self.p5 is None or self.p95 is None or not self.p50:
            return None
        deviation = (self.p95 - self.p5) / SPREAD
        return abs(SURE * MEDIANS * deviation / self.n**0.5 / self.p50)


def figure(
    name: str,
    samples: Sequence[float] | Any,
    *,
    unit: str,
    better: Literal["lower", "higher"] = "lower",
    of: str | None = None,
) -> Figure:
    """Summarize samples; one alone has no spread."""
    values = np.asarray(samples, np.float64)
    p5, p50, p95, p99 = (float(np.percentile(values, p)) for p in (5, 50, 95, 99))
    low, high = float(values.min()), float(values.max())
    if len(values) == 1:
        return Figure(name=name, unit=unit, better=better, p50=p50, of=of)
    return Figure(
        name=name,
        unit=unit,
        better=better,
        n=len(values),
        p50=p50,
        p5=p5,
        p95=p95,
        p99=p99,
        min=low,
        max=high,
        of=of,
    )


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
    """Print the document as one line; `facts` are what else was found, as JSON."""
    document = Document(
        benchmark=benchmark,
        day=date.today().isoformat(),
        machine=this_machine().line(),
        command=shlex.join(["python", *sys.argv]),
        versions=versions(),
        figures=tuple(figures),
    )
    print(json.dumps(asdict(document) | facts))


def read_documents(path: Path) -> list[Document]:
    """Read a document, a file of `documents`, or the lines of text that are documents.

    DataError for a file without any, with what was found in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _damaged(path, f"cannot be read: {error}") from error
    try:
        candidates = list(_candidates(text))
    except json.JSONDecodeError as error:
        raise _damaged(path, f"is damaged: {error}") from error
    if not candidates:
        raise _damaged(path, f"holds no figures; it begins with {text[:40]!r}")
    return [_document(found, path) for found in candidates]


def _candidates(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects that have figures; JSONDecodeError where text begins like one."""
    try:
        whole = json.loads(text)
        found = whole.get("documents", [whole]) if isinstance(whole, dict) else []
    except json.JSONDecodeError:
        found = [json.loads(line) for line in text.splitlines() if line.startswith('{"benchmark"')]
        if not found and text.lstrip().startswith("{"):
            raise
    yield from (each for each in found if isinstance(each, dict) and "figures" in each)


def _document(found: dict[str, Any], path: Path) -> Document:
    try:
        figures = tuple(Figure(**each) for each in found["figures"])
        names = ("benchmark", "day", "machine", "command", "versions")
        return Document(**{name: found[name] for name in names}, figures=figures)
    except (KeyError, TypeError) as error:
        fault = f"{type(error).__name__}, {error}"
        raise _damaged(path, f"holds a document with a fault: {fault}") from error


def _damaged(path: Path, what: str) -> DataError:
    return DataError(f"{path} {what}.", remedy="name a file with what a benchmark printed last")
