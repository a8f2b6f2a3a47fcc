"""Make the README's tables of figures from a result file.

    python benchmarks/readme_table.py benchmarks/results/FILE

One table for each benchmark whose rows are runtimes or commands, one of the magnetic tiles' metrics
by defect, and one of what `edgeseg reproduce` reported (results/reproduced/); a file without the
data for a table makes none of it. tests/benchmarks/ sees to it that the README, or the log, has
them word for word.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from documents import RATIO, Document, Figure, read_documents
from edgeseg.errors import EdgesegError
from edgeseg.evaluation.report import COLUMNS
from edgeseg.reproduce.table import plus_minus

# Benchmark -> the head of the rows, and of the ratios where there are any.
HEADS = {
    "latency": ("what runs it", ""),
    "backends": ("what runs it", "against the first"),
    "profiles": ("at 256 x 256, random weights", "times as fast as the first"),
    "startup": ("from the start of the process to", "times `import numpy, cv2`"),
}
REPRODUCED = "reproduced"  # the folder of the reports


def main(words: Sequence[str] | None = None) -> int:
    """Print the tables; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("results", type=Path)
    path = parser.parse_args(words).results
    try:
        print("\n\n".join(f"{name}:\n\n{table}" for name, table in tables(path).items()))
    except EdgesegError as error:
        print(f"error: {error.problem}\n  fix: {error.remedy}", file=sys.stderr)
        return error.exit_code
    return 0


def tables(path: Path) -> dict[str, str]:
    """Return the Markdown of each table that a result file has the data for, by its name."""
    if path.parent.name == REPRODUCED:
        report = json.loads(path.read_text(encoding="utf-8"))
        return {report["table"]: methods(report)}
    found = {d.benchmark: times(d) for d in read_documents(path) if d.benchmark in HEADS}
    with suppress(json.JSONDecodeError):  # lines of documents, and nothing else in the file
        if tiles := json.loads(path.read_text(encoding="utf-8")).get("magnetic_tile"):
            found["magnetic_tile"] = defects(tiles["evaluation"])
    return found


def times(document: Document) -> str:
    """Return rows of median, p99 and, where the document has it, the ratio."""
    head, ratio_head = HEADS[document.benchmark]
    ratios = {f.of: f"{f.p50:.3g}" for f in document.figures if f.unit == RATIO}
    rows = [(head, "p50", "p99", ratio_head)]
    rows += [
        (f.name, *_median_and_p99(f), ratios.get(f.name, ""))
        for f in document.figures
        if f.unit != RATIO
    ]
    return _markdown([row if ratios else row[:3] for row in rows])


def defects(evaluation: dict[str, Any]) -> str:
    """Return the metrics over all defective images and for each kind of defect."""

    def rows() -> Iterator[tuple[str, ...]]:
        yield "defect", "images", "image AUROC", "pixel AP", "AUPRO"
        whole = evaluation | {"images": evaluation["counts"]["defective"]}
        for name, found in {"all": whole, **evaluation["per_defect"]}.items():
            metrics = (f"{found[key]:.3f}" for key in ("image_auroc", "pixel_ap", "aupro"))
            yield name, str(found["images"]), *metrics

    return _markdown(list(rows()))


def methods(report: dict[str, Any]) -> str:
    """Return a reproduced table on one data set: mean and deviation over the seeds, in percent."""
    found = {label: next(iter(row.values())) for label, row in report["rows"].items()}
    known = [name for name, key in COLUMNS.items() if all(key in row for row in found.values())]
    rows: list[tuple[str, ...]] = [("", *known)]
    for label, row in found.items():
        ours = (row[COLUMNS[name]]["ours"] for name in known)
        rows.append((label, *(plus_minus(each["mean"], each["std"]) for each in ours)))
    return _markdown(rows)


def _median_and_p99(figure: Figure) -> tuple[str, str]:
    digits = 0 if figure.unit == "ms" else 2
    p99 = "" if figure.p99 is None else f"{figure.p99:.{digits}f} {figure.unit}"
    return f"{figure.p50:.{digits}f} {figure.unit}", p99


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"| {' | '.join('---' for _ in rows[0])} |", *lines[1:]])


if __name__ == "__main__":
    sys.exit(main())
