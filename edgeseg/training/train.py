"""Train a detector on good images, phase by phase.

Sources: DeSTSeg, Zhang et al., CVPR 2023, sections 3.2, 3.3 and supplement A; DSKD, Yao, 4.1.2.

A step is a pure function of the weights and (seed, phase, step): a run that was interrupted and
resumed ends with the same weights as one that was not.
"""

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import torch

from edgeseg import extras
from edgeseg.cards import CARD, ModelCard
from edgeseg.data.layouts import Dataset, Sample, split_good
from edgeseg.errors import ConfigError, DataError, Interrupted, ModelError
from edgeseg.files import sha256
from edgeseg.interrupt import stop_requests
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.teacher import pretrained_teacher
from edgeseg.progress import task
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches, common_size, load_images
from edgeseg.training.checkpoint import (
    Checkpoint,
    finish,
    load_checkpoint,
    save_checkpoint,
    save_weights,
    torch_device,
)
from edgeseg.training.feature_cache import fill_cache
from edgeseg.training.history import HISTORY, History
from edgeseg.training.phases import Phase, phases
from edgeseg.training.preview import write_preview
from edgeseg.training.step import Stepper


def train(
    dataset: Dataset, config: TrainConfig, run: Path, *, resume: bool = False, preview: bool = True
) -> ModelCard:
    """Train a model and write runs/<name>/: weights, card, train.csv, curves.png, preview.png.

    Errors: DataError for too few images, MissingWeights for the teacher, ConfigError for an
    existing run or changed settings, Interrupted after Ctrl-C or SIGTERM.
    """
    if (run / CARD).exists():
        raise ConfigError(
            f"run already exists: {run}",
            remedy=f"--name NAME for another run, or remove it: rm -r '{run}'",
            code="train/run-exists",
        )
    training, held = _split(dataset, config)
    device = torch_device(config.device)
    settings = json_config(config)
    checkpoint = load_checkpoint(run, settings) if resume else Checkpoint()
    torch.manual_seed(config.seed)
    standard = config.features == "standard"
    teacher = pretrained_teacher(config.teacher, config.teacher_weights, standard=standard)
    detector = build_detector(config.model, teacher, settings, config.image_size)
    if checkpoint.tensors:
        detector.load_state_dict(checkpoint.tensors)
    detector = detector.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    images, sizes = load_images([s.path for s in training], config.image_size)
    batches = Batches(images, config)
    if standard and not checkpoint.tensors:
        teacher.standardize(detector.normalize(x.to(device)) for x in batches.good())
    if preview:
        log.info(f"preview: {write_preview(run / 'preview.png', batches)}")
    log.info(f"{len(training)} training images, {len(held)} held out, device {device}, run {run}")

    history = History(run / HISTORY, (checkpoint.phase, checkpoint.step))
    steps = {}
    for phase in phases(detector, config, len(training)):
        steps[phase.name] = phase.steps
        if phase.index >= checkpoint.phase:
            start = checkpoint if phase.index == checkpoint.phase else Checkpoint(phase.index)
            _run_phase(phase, start, detector, batches, history, settings, run)
    history.save()
    card = ModelCard(
        name=run.name,
        model=config.model,
        image_size=config.image_size,
        frame_size=common_size(sizes),
        config=settings,
        split=split_hashes(dataset, config),
        weights_sha256=save_weights(run, detector),
        versions=versions(),
        steps=steps,
        seconds=history.seconds(),
        trained_on=f"{this_machine().line()}, {torch.get_num_threads()} threads",
    )
    finish(run, card)
    return card


def _run_phase(
    phase: Phase,
    start: Checkpoint,
    detector: Detector,
    batches: Batches,
    history: History,
    settings: dict[str, Any],
    run: Path,
) -> None:
    config = batches.config
    stepper = Stepper(phase, detector, config, start)
    ready = time.perf_counter()  # filling the cache counts as waiting
    fill_cache(phase, detector, batches)

    def save(step: int) -> None:
        facts = {"phase": phase.index, "step": step, "config": settings}
        save_checkpoint(run, detector, stepper.optimizer_state(), stepper.ema.state(), facts)
        history.save()

    stream = batches.stream(phase.index, start.step, phase.steps)
    with stop_requests() as stop, task(phase.name, phase.steps, start.step) as bar:
        for step, batch in enumerate(stream, start.step):
            began = time.perf_counter()
            loss = stepper.forward(batch)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ModelError(
                    f"training of the {phase.name} diverged: loss {value} at step {step}",
                    remedy="a lower --student-rate, --blocks-rate or --aspp-rate",
                    code="train/diverged",
                )
            stepper.backward(loss)
            stepper.update(step)
            took = time.perf_counter() - began
            history.add(phase.name, step, value, took, began - ready)
            bar.advance(f"loss {value:.4f}")
            if stop.requested or (step + 1) % config.save_every == 0:
                save(step + 1)
            if stop.requested:
                raise Interrupted(
                    f"training interrupted after step {step + 1} of the {phase.name}; saved",
                    remedy="resume with the same command and --resume",
                )
            ready = time.perf_counter()
    stepper.ema.finish()


def _split(dataset: Dataset, config: TrainConfig) -> tuple[list[Sample], list[Sample]]:
    training, held = split_good(dataset.train, config.holdout, config.seed)
    if not training:
        raise DataError(
            f"no training images left in {dataset.root} ({len(dataset.train)} good images, "
            f"{len(held)} held out)",
            remedy="add images of good parts, or --holdout 0",
            code="data/no-training-images",
        )
    return training, held


def split_hashes(dataset: Dataset, config: TrainConfig) -> dict[str, dict[str, str]]:
    """Return the hashes of the training and of the held-out files, as in the card."""
    training, held = _split(dataset, config)
    return {"train": _hashes(dataset, training), "holdout": _hashes(dataset, held)}


def json_config(config: TrainConfig) -> dict[str, Any]:
    """Return a configuration with paths as text, for JSON."""
    values = dataclasses.asdict(config)
    return {k: str(v) if isinstance(v, Path) else v for k, v in values.items()}


def _hashes(dataset: Dataset, samples: list[Sample]) -> dict[str, str]:
    return {s.path.relative_to(dataset.root).as_posix(): sha256(s.path) for s in samples}


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect the weights."""
    return extras.versions("numpy", "opencv-python", "timm", "torch")
