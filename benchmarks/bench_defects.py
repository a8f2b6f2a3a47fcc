"""What known defects do for the types that were trained on, and for a type that was left out.

    python benchmarks/bench_defects.py RUN DATA [--per-type 4] [--steps 450] [--seed 0]
        [--types crack,blowhole] [--false-reject-rate 0.01]

RUN is a finished run with a head. Only the head is trained, anew each time: without defects, with
some of every type, and once for each type (or --types) with that type left out. Teacher and
students are those of the run. The same images judge all of them: the defective ones that none was
trained on, and the good test images. Thresholds come from the held-out images of the run.

AP       pixel AP of the type, against the good test images
AUROC    image AUROC of the type
missed   images of the type with the verdict good
rejected good test images that are not good by their verdict

The last line of standard output is one JSON document.
"""

import argparse
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from documents import Figure, emit
from edgeseg.cards import CARD, ModelCard, write_card
from edgeseg.data.defective.known import digest_of
from edgeseg.data.layouts import Dataset, Sample, open_dataset
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.report import Evaluation
from edgeseg.evaluation.threshold import threshold_run
from edgeseg.loading import open_run
from edgeseg.model.detectors import build_detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.text import table
from edgeseg.training.batches import HEAD, Batches
from edgeseg.training.checkpoint import Checkpoint, load_run, save_weights
from edgeseg.training.phases import phases
from edgeseg.training.prepare import Images, read_images, read_known
from edgeseg.training.step import Stepper


def main() -> None:
    """Train the heads and print the table."""
    options = _options()
    run, data = options.run, open_dataset(options.data)
    card = load_run(run)[1]
    config = TrainConfig(**{k: v for k, v in card.config.items() if v is not None})
    config = replace(config, head_steps=options.steps, seed=options.seed, device="cpu")
    chosen = choose(data, options.per_type, options.seed)
    judging = tuple(s for s in data.test if s not in chosen)
    types = sorted({sample.label for sample in chosen})
    left_out = options.types.split(",") if options.types else types
    paths = [[data.root / name for name in card.split[part]] for part in ("train", "holdout")]
    images = read_images(*paths, card.network_size, card.aspect)
    variants = {"none": [], "all": chosen}
    variants |= {f"without {t}": [s for s in chosen if s.label != t] for t in left_out}
    rows = [["trained with", "type", "", "images", "AP", "AUROC", "missed", "rejected", "seconds"]]
    figures = []
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch:
        for label, known in variants.items():
            began = time.perf_counter()
            folder = Path(scratch) / label.replace(" ", "-")
            dataset = replace(data, test=judging, known=tuple(known))
            found = judge(train_head(run, card, config, images, dataset, folder), dataset, options)
            seconds = time.perf_counter() - began
            seen = {sample.label for sample in known}
            rows += lines(label, found, seen, seconds)
            figures += measured(label, found)
            print("\n".join(table(rows[:1] + rows[-len(types) - 1 :], "<<<>>>>>>")), flush=True)
    print("\n".join(table(rows, "<<<>>>>>>")))
    counts = {t: sum(s.label == t for s in judging) for t in types}
    emit("defects", figures, trained=len(chosen), judging=counts, steps=options.steps)


def choose(data: Dataset, count: int, seed: int) -> list[Sample]:
    """Return `count` defective images of each type, at random by seed."""
    rng = np.random.default_rng([seed, 77])
    chosen = []
    for label in sorted({sample.label for sample in data.test if not sample.good}):
        samples = [sample for sample in data.test if sample.label == label]
        chosen += [samples[place] for place in sorted(rng.permutation(len(samples))[:count])]
    return chosen


def train_head(
    run: Path, card: ModelCard, config: TrainConfig, images: Images, data: Dataset, folder: Path
) -> Path:
    """Train a new head on the networks of a run; returns the run directory with it."""
    trained, _ = load_run(run)
    known = list(data.known or ())
    config = replace(config, use_defects=bool(known))
    torch.manual_seed(config.seed)
    teacher = Teacher(config.teacher, standard=config.features == "standard")
    settings = config.to_json()
    detector = build_detector(card.model, teacher, settings, card.network_size)
    frozen = {k: v for k, v in trained.state_dict().items() if not k.startswith(("head", "score_"))}
    detector.check = trained.check
    detector.load_state_dict(frozen, strict=False)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    defects = read_known(
        replace(data, test=(*data.test, *known)), config, card.network_size, images.bit_depth
    )
    batches = Batches(images.pixels, config, defects, network=card.network_size)
    phase = next(p for p in phases(detector, config, len(images.pixels)) if p.index == HEAD)
    stepper = Stepper(phase, detector, config, Checkpoint(phase.index))
    for step, batch in enumerate(batches.stream(phase.index, 0, phase.steps)):
        stepper.backward(stepper.forward(batch))
        stepper.update(step)
    stepper.ema.finish()
    if isinstance(detector.eval(), DSKD) and detector.head_score:
        detector.fit_head_score(batches.filled(images.held))
    folder.mkdir()
    digest = save_weights(folder, detector)
    labels = {digest_of(sample.path): sample.label for sample in known}
    found = replace(
        card, name=folder.name, config=settings, defects=labels, weights_sha256=digest, metrics={}
    )
    write_card(folder / CARD, found)
    return folder


def judge(run: Path, data: Dataset, options: argparse.Namespace) -> Evaluation:
    """Set the thresholds of a run and evaluate it."""
    threshold_run(run, data.root, options.false_reject_rate)
    with closing(open_run(run)) as backend:
        return evaluate(backend, data)


def lines(label: str, found: Evaluation, seen: set[str], seconds: float) -> list[list[str]]:
    """Return the rows of the table for one training."""
    rejected = f"{found.false_rejects}/{found.good}"
    rows = []
    for row in (found.overall, *found.per_defect):
        known = "" if row is found.overall else "seen" if row.label in seen else "unseen"
        scores = [f"{row.scores.pixel_ap:.3f}", f"{row.scores.image_auroc:.3f}"]
        missed = f"{row.missed}/{row.images}"
        rows.append([label, row.label, known, str(row.images), *scores, missed, rejected, ""])
    rows[0][-1] = f"{seconds:.0f}"
    return rows


def measured(label: str, found: Evaluation) -> list[Figure]:
    """Return the figures of one training."""
    figures = []
    for row in (found.overall, *found.per_defect):
        name = f"{label}: {row.label}"
        share = row.missed / max(row.images, 1)
        for what, value in (("pixel AP", row.scores.pixel_ap), ("AUROC", row.scores.image_auroc)):
            better = Figure(name=f"{name}, {what}", unit="1", better="higher", p50=value)
            figures.append(better)
        figures.append(Figure(name=f"{name}, miss rate", unit="1", n=row.images, p50=share))
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--per-type", type=int, default=4)
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--types")
    parser.add_argument("--false-reject-rate", type=float, default=0.01)
    return parser.parse_args()


if __name__ == "__main__":
    main()
