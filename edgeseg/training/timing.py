"""How long a training takes on this machine: steps of every phase, timed on its own images.

The networks, the batches and the optimizer are those of the training, so that a step costs what it
will cost; what the timed steps learn is thrown away.
"""

import dataclasses
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeseg.data.defective.boxes import read_boxes
from edgeseg.data.defective.read import KnownDefect, read_defects
from edgeseg.data.frames import evenly
from edgeseg.data.layouts import Dataset
from edgeseg.frame.geometry import Size
from edgeseg.frame.tiles import Tiles
from edgeseg.log import log
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.fit_check import DRAWN, most_images
from edgeseg.model.teacher import Teacher, pretrained_teacher
from edgeseg.model.tiles.gains import gains_images
from edgeseg.presets import LONGEST, SIZED
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches
from edgeseg.training.checkpoint import Checkpoint, save_checkpoint, torch_device
from edgeseg.training.feature_cache import cache_bytes, teacher_features
from edgeseg.training.folder import Facts
from edgeseg.training.phases import phases
from edgeseg.training.plan import MINUTES, Costs, Planner, Recipe, TrainPlan, make_plan
from edgeseg.training.prepare import choose_network, defects_of, read_images, split_samples
from edgeseg.training.step import Stepper, train_step
from edgeseg.training.train import PREPARING

TIMED, WARMUP = 3, 1  # steps of each phase
ENDS = 3.0  # seconds for building the networks again, the preview, the card and loading the run
SIZES = {"image_size": "side", "batch": "batch", "head_steps": "head"} | dict.fromkeys(
    ("student_steps", "epochs"), "student"
)
"""Settings that a plan finds, and their names in it."""


def sized(
    dataset: Dataset,
    config: TrainConfig,
    given: Collection[str],
    *,
    started: float,
    resume: bool = False,
) -> tuple[TrainConfig, TrainPlan | None]:
    """Return a configuration whose sizes fit its time budget, and the prediction; both are logged.

    given: the settings that keep their values. started: `time.perf_counter()` at the start of the
    program. A resumed training, and one whose sizes are all given, is timed only. Errors:
    MissingWeights for the teacher; ConfigError (`train/too-short`) for a budget that is too small.
    """
    timer = StepTimer(dataset, config, resume=resume)
    sizes = {"side", "batch", *timer.steps}
    keeps = {SIZES[name] for name in given if name in SIZES}
    if config.profile not in SIZED:
        keeps |= {"side", "batch"}  # as published
    if "epochs" in given:
        keeps.add("batch")  # which their steps follow from
    wanted = sizes - keeps - {"batch"}  # which is smaller only for the sake of the others
    if config.minutes is None and config.profile in SIZED and not resume and wanted:
        config = dataclasses.replace(config, minutes=MINUTES[timer.device.type])
    minutes = config.minutes if wanted and not resume else None
    if minutes is None:
        if config.minutes is not None and not resume:
            log.warning(f"all sizes are given: --minutes {config.minutes:g} has no effect")
        keeps = sizes
        if sum(timer.steps.values()) <= len(timer.steps) * (WARMUP + TIMED):
            return config, None  # it takes no longer than to time it
    recipe = Recipe(
        side=config.image_size,
        batch=config.batch,
        steps=timer.steps,
        longest=LONGEST[config.profile],
        given=keeps,
    )
    plan, planner = make_plan(minutes, recipe, timer.measure, started=time.perf_counter() - started)
    _log(plan, planner, minutes, config, [name for name in SIZES if name in given])
    if minutes is None:
        return config, plan
    found: dict[str, Any] = {"head_steps": plan.steps.get("head", config.head_steps)}
    if "epochs" not in given:
        found |= {"epochs": None, "student_steps": plan.steps["student"]}
    side, batch = plan.costs.side, plan.costs.batch
    return dataclasses.replace(config, image_size=side, batch=batch, **found), plan


def _log(
    plan: TrainPlan,
    planner: Planner,
    minutes: float | None,
    config: TrainConfig,
    given: Sequence[str],
) -> None:
    head = " with a head" if config.head and config.model != "destseg" else ""
    log.info(f"profile {config.profile}: {config.model}{head}, teacher {config.teacher}")
    parts = ", ".join(f"{part} {seconds / 60:.1f}" for part, seconds in plan.parts().items())
    if minutes is None:
        log.info(f"predicted: {plan.seconds / 60:.1f} min ({parts})")
        return
    kept = ", ".join("--" + name.replace("_", "-") for name in given)
    log.info(
        f"{minutes:g} min" + (f" at most, {kept} as given" if kept else "") + f": {plan.size()}"
    )
    log.info(f"predicted: {plan.seconds / 60:.1f} min ({parts})")
    if plan.seconds > 60 * minutes:
        log.warning(f"the shortest useful training here takes longer than --minutes {minutes:g}")
    before = plan
    for more in (2 * minutes, 4 * minutes):
        other = planner.plan(60 * more)
        if other is not None and other.size() != before.size():
            log.info(f"--minutes {more:g} would buy: {other.size()}")
            before = other
    if before is plan:
        log.info("more time would buy nothing with this profile")


class StepTimer:
    """Measures the costs of one training at several resolutions."""

    def __init__(self, dataset: Dataset, config: TrainConfig, *, resume: bool) -> None:
        self.config = config
        self.device = torch_device(config.device)
        training, held = split_samples(dataset, config)
        self.paths = [sample.path for sample in training]
        self.held = len(held)
        self.teacher = (
            Teacher(config.teacher)
            if resume
            else pretrained_teacher(config.teacher, config.teacher_weights)
        )
        self.defects = defects_of(dataset, config)
        self.boxes = read_boxes(dataset.root, [s.path for s in dataset.test if not s.good])
        tiles = choose_network(self.paths, config)[1]
        self.each = tiles.count if tiles else 1
        """What the network sees of an image: tiles, or the whole."""
        self.steps = {"student": config.first_steps(len(training) * self.each)}
        if config.head:
            self.steps["head"] = config.head_steps
        self.reading = 0.0
        """Seconds for one image; of the first look, before the system has its file in memory."""

    def measure(self, side: int, batch: int) -> Costs:
        """Time the steps of every phase at one resolution and batch size."""
        began = time.perf_counter()
        config = dataclasses.replace(self.config, image_size=side, batch=batch)
        count = len(self.paths)
        sample = self.paths[:: max(count // batch, 1)][:batch]
        network, tiles = choose_network(self.paths, config)
        images = read_images(sample, [], network, config.aspect, tiles)
        self.reading = self.reading or (time.perf_counter() - began) / len(sample)
        made = build_detector(config.model, self.teacher, config.to_json(), network)
        detector: Detector = made.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        reading, known = self._known(batch, network, images.bit_depth, tiles)
        batches = Batches(images.pixels, config, known, network=network)
        features = self._features(detector, batches)
        steps: dict[str, float] = {}
        saving, passes = 0.0, int(config.features == "standard")
        for phase in phases(detector, config, count * self.each):
            cached = phase.uses_teacher and cache_bytes(
                config,
                network,
                detector.teacher.channels,
                count * self.each,
                phase.steps,
                self.device,
            )
            batches.features = teacher_features(detector, batches) if cached else None
            passes += bool(cached)
            stepper = Stepper(phase, detector, config, Checkpoint(phase.index))
            steps[phase.name] = self._step(stepper, batches)
            saving = saving or self._saving(detector, stepper)
            steps[phase.name] += saving / config.save_every
        whole, teacher = self._alone(detector, next(batches.good())[:1])
        return Costs(
            side=side,
            batch=batch,
            steps=steps,
            before=(count + self.held) * self.reading
            + len(self.defects) * reading
            + passes * count * self.each * features
            + ENDS,
            after=self.held * (self.reading + self.each * whole)
            + gains_images(count, tiles) * self.each * whole
            + self._check(teacher),
            measuring=time.perf_counter() - began,
        )

    def _known(
        self, number: int, network: Size, bit_depth: int, tiles: Tiles | None
    ) -> tuple[float, list[KnownDefect]]:
        """Read some defective images that are trained on; also return the seconds of one."""
        some = [self.defects[place] for place in evenly(len(self.defects), number)]
        began = time.perf_counter()
        known = read_defects(some, self.boxes, network, self.config.aspect, bit_depth, tiles)
        return (time.perf_counter() - began) / max(len(some), 1), known

    def _step(self, stepper: Stepper, batches: Batches) -> float:
        """Return the seconds of a step, with the wait for its batch."""
        threads = 1 if self.device.type == "cpu" else PREPARING
        began = 0.0
        stream = batches.stream(stepper.phase.index, 0, WARMUP + TIMED, threads=threads)
        for step, batch in enumerate(stream):
            train_step(stepper, batch, step)
            if step == WARMUP - 1:
                began = self._now()
        return (self._now() - began) / TIMED

    def _alone(self, detector: Detector, image: Tensor) -> tuple[float, float]:
        """Return the seconds of a single image, [1, 3, S, S'], in the detector and the teacher."""
        detector.eval()
        normalized = detector.normalize(image.to(self.device))
        times = []
        with torch.inference_mode():
            for module in (detector, detector.teacher):
                module(normalized)  # the first call with a new shape takes longer
                began = self._now()
                module(normalized)
                times.append(self._now() - began)
        return times[0], times[1]

    def _check(self, teacher: float) -> float:
        """Return the seconds of fitting the input check; teacher: those of an image in it."""
        changed = self.config.rotation != "none" or self.config.lighting > 0
        images = min(len(self.paths) + self.held, most_images(self.each))
        views = (3 if changed else 2) * images + 9 * DRAWN
        return views * (self.reading + self.each * teacher)

    def _features(self, detector: Detector, batches: Batches) -> float:
        """Return the seconds of the teacher for one image."""
        began = self._now()
        teacher_features(detector, batches)
        return (self._now() - began) / len(batches.images)

    def _saving(self, detector: Detector, stepper: Stepper) -> float:
        """Return the seconds of a checkpoint."""
        facts = Facts(phase=0, step=0, config={}, data="", split={})
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
            save_checkpoint(
                Path(folder), detector, stepper.optimizer_state(), stepper.ema.state(), facts
            )
            return time.perf_counter() - began

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
