"""How much of a training step goes into making its batch.

Measures, in one process and in turn: the batch (rotation, light, texture, Perlin mask, blend) and
the two kinds of step without it (forward, backward, optimizer). The share is of the two summed, as
if nothing overlapped; in training the next batch is made while the step computes.
Does not measure: decoding, which happens once, and any GPU.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from documents import RATIO, Figure, emit
from edgeseg.config import TrainConfig
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.runtime.machine import this_machine
from edgeseg.training.batches import Batches, load_images
from edgeseg.training.train import train


def main() -> None:
    """Print a table, and its JSON as the last line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="of each phase; the first warms up")
    args = parser.parse_args()
    config = TrainConfig(
        teacher="efficientnet_lite0",
        image_size=args.image_size,
        batch=args.batch,
        student_steps=args.steps,
        head_steps=args.steps,
        rotation="full",
        lighting=0.3,
        device="cpu",
    )
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset(write_parts(Path(folder) / "plates", train=16, good=0, bad=0))
        images, _ = load_images([sample.path for sample in dataset.train], config.image_size)
        batch = _median_batch(Batches(images, replace(config)), args.steps)
        run = Path(folder) / "run"
        train(dataset, config, run, preview=False, say=lambda line: None)
        steps = _median_steps(run / "train.csv")

    machine = this_machine().line()
    print(f"{machine}; {args.image_size} pixels, batch {args.batch}, medians of {args.steps - 1}")
    print(f"batch          {batch * 1e3:9.1f} ms")
    shares = {phase: batch / (batch + seconds) for phase, seconds in steps.items()}
    for phase, seconds in steps.items():
        print(f"{phase + ' step':<14} {seconds * 1e3:9.1f} ms   batch's share {shares[phase]:.1%}")
    times = {"batch": batch, **{f"{phase} step": seconds for phase, seconds in steps.items()}}
    n = args.steps - 1
    figures = [Figure(name=name, unit="s", n=n, p50=seconds) for name, seconds in times.items()]
    for phase, share in shares.items():
        name = f"batch's share of a {phase} step"
        figures.append(Figure(name=name, unit=RATIO, n=n, p50=share, of="batch"))
    emit("train", figures, image_size=args.image_size, batch=args.batch)


def _median_batch(batches: Batches, count: int) -> float:
    seconds = []
    for step in range(count):
        began = time.perf_counter()
        batches.make(0, step)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def _median_steps(history: Path) -> dict[str, float]:
    rows = [line.split(",") for line in history.read_text().splitlines()[1:]]
    phases = dict.fromkeys(row[0] for row in rows)
    return {
        p: statistics.median(float(r[3]) for r in rows if r[0] == p and r[1] != "0") for p in phases
    }


if __name__ == "__main__":
    main()
