"""New good images for a finished run: what `edgeseg train DATA --add DIR` trains on.

All images of the run are trained on again, with the new ones; those that the run rejects or calls
unknown, its false rejects, come several times. A share of the new ones is held out for the
thresholds, as in the first training. Everything is checked before: the images of the run are there
and unchanged, and the new ones are others, of the same size and bit depth, and not damaged.
"""

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, IMPORTED, ModelCard, read_card
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.defective.known import digest_of
from edgeseg.data.images import read_pixels
from edgeseg.data.layouts import Dataset, Sample, open_dataset, split_good
from edgeseg.data.listing import walk_images
from edgeseg.errors import ConfigError, DataError, ModelError
from edgeseg.evaluation.regions.score import judge_outcome
from edgeseg.evaluation.run_images import run_images
from edgeseg.files import newest, quoted, shown
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.recipes import TrainConfig
from edgeseg.text import listed
from edgeseg.training.prepare import LISTED, Continued, name_of
from edgeseg.verdict.names import GOOD

SHORT = 0.2
"""Share of the steps of the first training."""
REJECTED = 0.1
"""Wanted share of the false rejects among the training images ..."""
REPEATED = 5
"""... and how often each comes at most."""


@dataclass(frozen=True)
class Continuation:
    """A training that continues a run: its images, its settings and its origin."""

    dataset: Dataset
    config: TrainConfig
    origin: Continued
    rate: float | None
    """The false-reject rate of the run's thresholds."""


def check_add(
    data: Path | None, add: Path | None, continue_run: Path | None, *, resume: bool
) -> None:
    """ConfigError for --add without DATA or with --resume, or for --continue-run without --add."""
    if add is not None and resume:
        raise ConfigError(
            "--add and --resume are both given (expected one of them: a resumed training has its "
            "new images from its checkpoint)",
            remedy="edgeseg train --resume",
            code="config/conflict",
        )
    if continue_run is not None and add is None:
        raise ConfigError(
            "--continue-run needs new images of good parts",
            remedy="edgeseg train DATA --add DIR",
            code="config/conflict",
        )
    if add is not None and data is None:
        raise ConfigError(
            "missing DATA (expected the folder that the run was trained on)",
            remedy="edgeseg train DATA --add DIR",
            code="config/no-data",
        )


def refuse_itself(run: Path, new: Path) -> None:
    """ConfigError for a run that would replace the one that it continues."""
    if new.resolve() == run.resolve():
        raise ConfigError(
            f"{shown(run)} is the run to continue, and stays as it is",
            remedy="--name NAME for the new run",
            code="train/run-exists",
        )


def continuation(run: Path, card: ModelCard, data: Path, added: Path) -> Continuation:
    """Check the images of a run and the new ones, and return what to train on.

    Errors: DataError for images of the run that are missing or have changed (`data/not-the-same`),
    for new ones that are known already (`data/duplicates`), damaged or of another size or bit depth
    (`data/other-images`); ModelError for an imported run (`train/cannot-continue`).
    """
    if IMPORTED in card.config or not card.split.get("train"):
        raise ModelError(
            f"{shown(run)} was not trained here, and its images are not known",
            remedy="edgeseg train DATA",
            code="train/cannot-continue",
        )
    before = open_dataset(data)
    check_unchanged(run, card, data)
    paths = walk_images(added)
    _check_new(paths, added, card, before)
    with closing(open_run(run)) as backend:
        outcomes = run_images(backend, paths, title="judge new images", damaged=DamagedImages())
        limit = math.inf if card.image_threshold is None else card.image_threshold
        passed = {
            each.path
            for each in outcomes
            if judge_outcome(each, backend.card, limit).verdict.name == GOOD
        }
    rejected = [Sample(path) for path in paths if path not in passed]
    accepted = [Sample(path) for path in paths if path in passed]
    config = _config(card)
    parts = [split_good(each, config.holdout, config.seed) for each in (rejected, accepted)]
    old = [Sample(data / name) for name in card.split["train"]]
    times = repeats(len(old), len(parts[0][0]))
    log.info(
        f"{len(paths)} new images: {len(rejected)} of them are not good for {shown(run)}, "
        f"{sum(len(held) for _, held in parts)} are held out"
    )
    known = {data / name for name in card.split.get("defects", {})}
    dataset = replace(
        before,
        train=(*old, *parts[1][0], *parts[0][0] * times),
        held=(
            *(Sample(data / name) for name in card.split["holdout"]),
            *(sample for _, held in parts for sample in held),
        ),
        known=tuple(sample for sample in before.test if sample.path in known),
    )
    facts = {"run": card.name, "weights_sha256": card.weights_sha256, "full_steps": _full(card)}
    counts = {"added": len(paths), "rejected": len(rejected)}
    origin = Continued(run, added, card.network_size, card.tiles, facts | counts)
    return Continuation(dataset, config, origin, card.threshold_note.get("false_reject_rate"))


def repeats(old: int, rejected: int) -> int:
    """Return how often each false reject comes among the training images."""
    wanted = REJECTED * old / max(rejected, 1)
    return max(1, min(round(wanted), REPEATED))


def run_to_continue(named: Path | None, data: Path, runs: Path) -> Path:
    """Return the run to continue: the named one, or the newest that was trained on `data`.

    ModelError (`train/nothing-to-continue`) if there is none.
    """
    if named is not None:
        return next((p for p in (named, runs / named) if (p / CARD).is_file()), named)
    for card in newest(runs, f"*/{CARD}"):
        names = read_card(card, ModelCard).split.get("train", {})
        if names and all((data / name).is_file() for name in names):
            return card.parent
    raise ModelError(
        f"no finished run of {shown(data)} in {shown(runs)}",
        remedy=f"edgeseg train {quoted(data)}",
        code="train/nothing-to-continue",
    )


def next_name(run: Path) -> str:
    """Return the first free name for a run that continues another: cap-2, cap-3."""
    stem, _, number = run.name.rpartition("-")
    base = stem if stem and number.isdecimal() else run.name
    numbers = range(2, 10**6)
    return next(f"{base}-{n}" for n in numbers if not (run.parent / f"{base}-{n}").exists())


def check_unchanged(run: Path, card: ModelCard, data: Path) -> None:
    """DataError (`data/not-the-same`) for images of a run that are missing or have changed."""
    missing, changed = [], []
    for part in card.split.values():
        for name, digest in part.items():
            if not (data / name).is_file():
                missing.append(name)
            elif digest_of(data / name) != digest:
                changed.append(name)
    kinds = {"missing": missing, "changed": changed}
    faults = [
        f"{len(names)} {kind}: {listed([*map(shown, sorted(names))], LISTED)}"
        for kind, names in kinds.items()
        if names
    ]
    if faults:
        raise DataError(
            f"the images in {shown(data)} are not those that {shown(run)} was trained on: "
            f"{'; '.join(faults)}",
            remedy="restore them, name the folder that holds them, or train again: "
            f"edgeseg train {quoted(data)}",
            code="data/not-the-same",
        )


def _check_new(paths: Sequence[Path], added: Path, card: ModelCard, before: Dataset) -> None:
    """Check the new images against each other and those of the run; every one is decoded."""
    known = {digest: name for part in card.split.values() for name, digest in part.items()}
    seen = {digest_of(s.path): name_of(before, s.path) for s in before.test} | known
    twice = []
    for path in paths:
        digest = digest_of(path)
        if digest in seen:
            twice.append(f"{path.relative_to(added).as_posix()} is {seen[digest]}")
        seen[digest] = path.relative_to(added).as_posix()
    if twice:
        raise DataError(
            f"{len(twice)} of {len(paths)} images in {shown(added)} are known already: "
            f"{listed([*map(shown, twice)], LISTED)}",
            remedy="leave only new images there",
            code="data/duplicates",
        )
    others = []
    for path in paths:
        pixels = read_pixels(path)
        height, width = pixels.shape[:2]
        name = path.relative_to(added).as_posix()
        if card.frame_size not in (None, (height, width)):
            others.append(f"{name} has {width} x {height} pixels")
        elif int(pixels.max(initial=0)) >= 1 << max(card.bit_depth, 8):
            others.append(f"{name} has values above {card.bit_depth} bits")
    if others:
        size = "any size"
        if card.frame_size is not None:
            size = f"{card.frame_size[1]} x {card.frame_size[0]} pixels"
        raise DataError(
            f"{len(others)} of {len(paths)} images in {shown(added)} are not like those of the "
            f"training ({size}, {card.bit_depth} bits): {listed([*map(shown, others)], LISTED)}",
            remedy="images from the camera and with the settings of the first training",
            code="data/other-images",
        )


def _config(card: ModelCard) -> TrainConfig:
    """Return the settings of a run, with a short share of its steps."""
    settings: dict[str, Any] = {k: v for k, v in card.config.items() if v is not None}
    steps = {name: max(round(SHORT * count), 1) for name, count in _full(card).items()}
    settings.setdefault("aspect", card.aspect)
    settings.pop("epochs", None)
    settings["seed"] += 1  # other random numbers than those of the first training
    settings["student_steps"] = steps["student"]
    if "head" in steps:
        settings["head_steps"] = steps["head"]
    for name in ("textures", "teacher_weights", "roi", "ignore", "locate"):
        if name in settings:
            settings[name] = Path(settings[name])
    return TrainConfig(**settings)


def _full(card: ModelCard) -> dict[str, int]:
    """Return the steps of the first training of a run, by phase."""
    full: dict[str, int] = card.continues.get("full_steps", card.steps)
    return full


def refuse_settings(given: dict[str, Any], card: ModelCard) -> None:
    """ConfigError for settings that were given and differ from those of the run."""
    if changed := [name for name, value in given.items() if card.config.get(name) != value]:
        flags = ", ".join("--" + name.replace("_", "-") for name in changed)
        raise ConfigError(
            f"{flags} differs from the settings of the run, which --add takes over",
            remedy=f"omit {flags}, or train again without --add",
            code="config/conflict",
        )
