"""`edgeseg tune` compared with the default recipe, trained for the same minutes.

    python benchmarks/bench_tune.py parts --minutes 8 [--clock cpu] [--tuned-only]
    python benchmarks/bench_tune.py tiles --data DIR --minutes 8

parts and board: generated plates and boards (120 good, of which 12 set the thresholds); fabric: a
generated cloth; tiles: DIR is the magnetic tiles. Both sides get the same minutes in all: the
search and the final training of one, the only training of the other (`edgeseg train --minutes`),
which may end earlier where more steps are of no use. Each is trained once. The test set is
evaluated once for each, after both are chosen and trained.

`--clock cpu` counts the processor time of all threads instead of minutes, for a machine with other
load; it uses one thread and one process.

The last line of standard output is one JSON document.
"""

import argparse
import os
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

KINDS = ("parts", "fabric", "board", "tiles")
SIZES = {"train": 120, "good": 40}
BAD = {"parts": 15, "fabric": 15, "board": 10}  # of each type of defect


def main() -> None:
    """Tune, train the default, evaluate both and print the table."""
    options = _options()
    if options.clock == "cpu":
        time.perf_counter = time.process_time  # before edgeseg is imported
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
        data = options.data.absolute() if options.data else None
        settings = options.train_config.absolute() if options.train_config else None
        os.chdir(folder)
        compare(options, data or write_data(options.kind, Path("data")), settings)


def write_data(kind: str, root: Path) -> Path:
    """Write a generated data set."""
    from edgeseg.data.parts import write_parts
    from generated import write_set

    sizes = SIZES | {"bad": BAD[kind]}
    if kind == "parts":
        return write_parts(root / kind, **sizes)
    return write_set(root / kind, kind, **sizes)


def compare(options: argparse.Namespace, data: Path, settings: Path | None) -> None:
    """Tune and train on a data set, and evaluate both models."""
    from documents import Figure, emit
    from edgeseg.api import train_run
    from edgeseg.settings import read_toml
    from edgeseg.text import table
    from edgeseg.tuning.config import TuneConfig
    from edgeseg.tuning.result import table_lines
    from edgeseg.tuning.tune import tune

    threads = 1 if options.clock == "cpu" else None
    config = TuneConfig(minutes=options.minutes, train_config=settings)
    began = time.perf_counter()
    tuned = tune(data, config, name="tuned", threads=threads, clock=time.perf_counter)
    used = {"tuned": (time.perf_counter() - began) / 60}
    if not options.tuned_only:
        began = time.perf_counter()
        given: dict[str, Any] = {
            **(read_toml(settings) if settings else {}),
            "minutes": options.minutes,
        }
        train_run(
            data,
            given if {"profile", "model"} & set(given) else {"profile": "line", **given},
            name="default",
            runs_dir=Path("runs"),
            false_reject_rate=None,
            resume=False,
            overwrite=False,
            preview=False,
            threads=threads,
        )
        used = {"default": (time.perf_counter() - began) / 60, **used}
    figures, rows = [], [["", "image AUROC", "pixel AP", "minutes"]]
    for name in used:
        scores = judged(Path("runs") / name, data)
        rows.append([name, *(f"{scores[each]:.4f}" for each in scores), f"{used[name]:.1f}"])
        figures += [
            Figure(name=f"{options.kind}: {name}, {what}", unit="1", better="higher", p50=value)
            for what, value in scores.items()
        ]
        figures.append(Figure(name=f"{options.kind}: {name}, minutes", unit="min", p50=used[name]))
    print("\n".join(table_lines(tuned.rows, tuned.default)))
    print(tuned.chosen.line(tuned.default))
    print("\n".join(table(rows, "<>>>")))
    facts = {"trials": sum(row.score is not None for row in tuned.rows)}
    facts |= {"chosen": tuned.chosen.choices, "score_maps": tuned.chosen.score_maps}
    facts |= {"gain": tuned.chosen.gain, "error": tuned.chosen.error}
    emit("tune", figures, set=options.kind, minutes=options.minutes, clock=options.clock, **facts)


def judged(run: Path, data: Path) -> dict[str, float]:
    """Evaluate a run on the test set."""
    from edgeseg.data.layouts import open_dataset
    from edgeseg.evaluation.evaluate import evaluate
    from edgeseg.loading import open_run

    with closing(open_run(run)) as backend:
        scores = evaluate(backend, open_dataset(data)).overall.scores
    return {"image AUROC": scores.image_auroc, "pixel AP": scores.pixel_ap}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--data", type=Path, help="the data set of tiles")
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--tuned-only", action="store_true", help="leave out the default recipe")
    parser.add_argument("--train-config", type=Path, help="settings that both sides keep")
    return parser.parse_args()


if __name__ == "__main__":
    main()
