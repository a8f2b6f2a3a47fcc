"""Train a detector on good images, phase by phase.

Sources: DeSTSeg, Zhang et al., CVPR 2023, sections 3.2, 3.3 and supplement A; DSKD, Yao, 4.1.2.

A step is a pure function of the weights and (seed, phase, step): a run that was interrupted and
resumed ends with the same weights as one that was not. What can fail is checked before the first
step, and what was trained is kept when it cannot be written.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.data.depth import resolve_texture_color
from edgeseg.data.layouts import Dataset
from edgeseg.errors import Interrupted, ModelError
from edgeseg.files import check_outputs, shown
from edgeseg.frame.geometry import Size, size_text
from edgeseg.frame.roi import Roi
from edgeseg.frame.tiles import Tiles
from edgeseg.interrupt import Stop, stop_at_once, stop_requests
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.fit_check import FittedCheck, fit_input_check
from edgeseg.model.fused import Fused
from edgeseg.model.teacher import Teacher, pretrained_teacher
from edgeseg.model.tiles.gains import fit_gains
from edgeseg.packages import extras
from edgeseg.progress import task
from edgeseg.recipes import TrainConfig
from edgeseg.text import counted
from edgeseg.tracking.tracking import Tracking
from edgeseg.training.batches import Batches
from edgeseg.training.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_run,
    restore_weights,
    torch_device,
)
from edgeseg.training.feature_cache import fill_cache
from edgeseg.training.folder import (
    RESUME,
    Facts,
    check_settings,
    publish,
    read_facts,
    resume_command,
    training_folder,
)
from edgeseg.training.history import HISTORY, History
from edgeseg.training.keep import (
    LAST,
    Keeper,
    check_training_room,
    file_sizes,
    kept_if_stopped,
    reserved,
    store,
)
from edgeseg.training.phases import Phase, phases
from edgeseg.training.plan import Lateness, TrainPlan
from edgeseg.training.prepare import (
    Continued,
    Images,
    check_one_size,
    check_same_images,
    choose_network,
    defect_types,
    defects_of,
    given_roi,
    grid_of,
    places_of,
    read_images,
    read_known,
    seen_lines,
    split_hashes,
    split_samples,
    where_anomalies_may_be,
)
from edgeseg.training.preview import Watcher, draw_preview, write_preview
from edgeseg.training.step import Stepper, train_step
from edgeseg.verdict.rule import Rule

PREPARING = 2  # threads for a GPU; more were not measured


def train(
    dataset: Dataset,
    config: TrainConfig,
    run: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    preview: bool = True,
    false_reject_rate: float | None = None,
    continued: Continued | None = None,
    plan: TrainPlan | None = None,
    tracking: Tracking | None = None,
    input_check: bool = True,
) -> ModelCard:
    """Train a model and write runs/<name>/: weights, card, train.csv, curves.png, preview.png.

    overwrite: replace an earlier run when this training is complete. false_reject_rate: recorded
    for the thresholds of a resumed training. continued: the run whose weights are trained on.
    plan: the predicted times, for the time left. tracking: told of every step. input_check: False
    leaves it out, for a model that no camera will see.
    Errors: DataError for too few, damaged or changed images, MissingWeights for the teacher,
    ConfigError for an existing run or changed settings, EdgesegError (`files/locked`) for a run
    that is being trained, WriteError, Interrupted after Ctrl-C, SIGTERM or SIGHUP.
    """
    inputs = [p for p in (dataset.root, config.textures, config.teacher_weights) if p is not None]
    check_outputs({"--name": run}, inputs)
    training, _ = split_samples(dataset, config)
    config = resolve_texture_color(config, [sample.path for sample in training])
    defects_of(dataset, config)
    if not resume and continued is None:
        given_roi(config, training[0].path)  # a wrong file is told at once
    with training_folder(run, resume=resume, overwrite=overwrite) as folder:
        if not (folder / CARD).is_file():  # else it was stopped between its last two files
            _train(
                dataset,
                config,
                run,
                folder,
                resume,
                preview,
                false_reject_rate,
                continued,
                plan,
                tracking or Tracking(),
                input_check,
            )
        publish(folder, run)
        return read_card(run / CARD, ModelCard)


def _train(
    dataset: Dataset,
    config: TrainConfig,
    run: Path,
    folder: Path,
    resume: bool,
    preview: bool,
    false_reject_rate: float | None,
    continued: Continued | None,
    plan: TrainPlan | None,
    tracking: Tracking,
    input_check: bool,
) -> None:
    try:
        with stop_at_once():
            training, held = ([s.path for s in part] for part in split_samples(dataset, config))
            if continued:
                network, tiles = continued.network, continued.tiles
            else:
                network, tiles = choose_network(training, config)
            start, detector = _start(run, folder, config, network, resume, continued)
            weights, checkpoint = file_sizes(detector, config)
            check_training_room(folder, weights, checkpoint)
            places = places_of(config, training[0], continued, folder if resume else None)
            images = read_images(training, held, network, config.aspect, tiles, places)
            roi = places.roi()
            check_one_size(roi, images)
            split = split_hashes(dataset, config)
            if resume:
                check_same_images(run, read_facts(folder).split, split)
            inside = where_anomalies_may_be(roi, network, config.aspect, tiles)
            known = read_known(dataset, config, network, images.bit_depth, tiles, roi)
            batches = Batches(images.pixels, config, known, network=network, inside=inside)
            if config.features == "standard" and not start.tensors and continued is None:
                device = detector.mean.device
                good = (detector.normalize(x.to(device)) for x in batches.good())
                detector.teacher.standardize(good)
            if preview:
                log.info(f"preview: {shown(write_preview(folder / 'preview.png', batches))}")
            watcher = Watcher(tracking, detector, batches, images.held)
    except KeyboardInterrupt as error:
        raise Interrupted(
            "stopped before the first step; nothing was trained", remedy="the same command"
        ) from error
    log.info(
        f"{len(training)} training images, {len(held)} held out, network {size_text(network)}, "
        f"device {detector.mean.device}, run {shown(run)}"
    )
    for line in seen_lines(images, network, config.aspect, tiles):
        log.info(line)
    lateness: Lateness | None = None
    if plan is not None:
        lateness = Lateness(plan, plan.rest([*plan.steps][start.phase], start.step))
        if resume:
            left = lateness.planned / 60
            log.info(f"of the predicted time about {left:.1f} min are left")
    facts = Facts(
        phase=0,
        step=0,
        config=config.to_json(),
        data=str(dataset.root.absolute()),
        split=split,
        false_reject_rate=false_reject_rate,
        continues=None if continued is None else str(continued.run.absolute()),
        added=None if continued is None else str(continued.added.absolute()),
        roi=roi,
    )
    history = History(folder / HISTORY, (start.phase, start.step))
    steps: dict[str, int] = {}
    warm_up = continued is not None
    with reserved(folder, weights + LAST) as reserve, stop_requests() as stop:
        keeper = Keeper(run, folder, reserve, facts, history, detector)
        for phase in phases(detector, config, len(images.pixels)):
            first = sum(steps.values())
            steps[phase.name] = phase.steps
            if phase.index == start.phase and tracking:
                tracking.begin(folder, run.name, _told(facts), first + start.step)
                tracking.picture(first + start.step, "preview", draw_preview(batches))
            if phase.index >= start.phase:
                begin = start if phase.index == start.phase else Checkpoint(phase.index)
                tell = partial(watcher.tell, phase, first)
                _run_phase(
                    phase, begin, detector, batches, keeper, stop, lateness, tell, warm_up=warm_up
                )
        with kept_if_stopped(keeper, len(steps), stop):
            if isinstance(detector, DSKD) and detector.head_score:
                raises = detector.eval().fit_head_score(batches.filled(images.held))
                log.info(f"the head {'may raise' if raises else 'does not change'} the score")
            for line in history.summary():
                log.info(line)
            if tiles:
                tiles = _with_gains(detector, images, network, config, tiles, roi)
            fitted = FittedCheck((), {})
            if input_check:
                fitted = fit_input_check(
                    detector,
                    [*training, *held],
                    network,
                    config.aspect,
                    images.bit_depth,
                    rotation=config.rotation,
                    lighting=config.lighting,
                    tiles=tiles,
                    roi=roi,
                )
        card = ModelCard(
            name=run.name,
            model=config.model,
            network_size=network,
            aspect=config.aspect,
            tiles=tiles,
            frame_size=images.frame_size,
            bit_depth=images.bit_depth,
            config=facts.config,
            split=split,
            defects=defect_types(dataset, split),
            continues={} if continued is None else continued.facts,
            roi=roi,
            rule=Rule() if continued is None else read_card(continued.run / CARD, ModelCard).rule,
            weights_sha256="",
            versions=versions(),
            steps=steps,
            seconds=history.seconds(),
            input_check=fitted.columns,
            input_note=fitted.note,
            trained_on=f"{this_machine().line()}, {counted(torch.get_num_threads(), 'thread')}",
        )
        store(keeper, card, len(steps))


def _start(
    run: Path,
    folder: Path,
    config: TrainConfig,
    network: Size,
    resume: bool,
    continued: Continued | None,
) -> tuple[Checkpoint, Detector]:
    """Return the checkpoint to begin with, and the detector with its weights."""
    device, settings = torch_device(config.device), config.to_json()
    if resume:
        check_settings(run, read_facts(folder).config, settings)
    start = load_checkpoint(folder) if resume else Checkpoint()
    torch.manual_seed(config.seed)
    if continued is not None and not resume:
        detector, _ = load_run(continued.run)
    else:
        detector = _new_detector(config, network, settings, resume)
    if resume:
        restore_weights(detector, start.tensors, folder / RESUME)
    placed: Detector = detector.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return start, placed


def _new_detector(
    config: TrainConfig, network: Size, settings: dict[str, Any], resume: bool
) -> Detector:
    standard = config.features == "standard"
    teacher = (
        Teacher(config.teacher, standard=standard)
        if resume  # the checkpoint has its weights
        else pretrained_teacher(config.teacher, config.teacher_weights, standard=standard)
    )
    return build_detector(config.model, teacher, settings, network)


def _with_gains(
    detector: Detector,
    images: Images,
    network: Size,
    config: TrainConfig,
    tiles: Tiles,
    roi: Roi | None,
) -> Tiles:
    """Return the tiles with gains that the training images give."""
    module = Fused(
        detector,
        network_size=network,
        frame_size=images.frame_size or tiles.grid(network),
        frame_format="rgb",
        aspect=config.aspect,
        top=config.top,
        tiles=tiles,
        roi=roi,
    ).to(detector.mean.device)
    count = len(images.pixels) // tiles.count
    return fit_gains(module, count, lambda k: grid_of(images.pixels, k, network, tiles))


def _run_phase(
    phase: Phase,
    start: Checkpoint,
    detector: Detector,
    batches: Batches,
    keeper: Keeper,
    stop: Stop,
    lateness: Lateness | None,
    tell: Callable[..., None],
    *,
    warm_up: bool,
) -> None:
    config = batches.config
    pace, after = (None, 0.0) if lateness is None else lateness.plan.ahead(phase.name)
    stepper = Stepper(phase, detector, config, start, warm_up=warm_up)
    ready = time.perf_counter()  # filling the cache counts as waiting
    fill_cache(phase, detector, batches)
    # On a CPU a step needs the cores; a GPU waits for its batches.
    threads = 1 if stepper.device.type == "cpu" else PREPARING
    stream = batches.stream(phase.index, start.step, phase.steps, threads=threads)
    with task(phase.name, phase.steps, start.step, pace=pace, after=after) as bar:
        for step, batch in enumerate(stream, start.step):
            began = time.perf_counter()
            value = train_step(stepper, batch, step)
            if not math.isfinite(value):
                raise ModelError(
                    f"training of the {phase.name} diverged: loss {value} at step {step}",
                    remedy="a lower --student-rate, --blocks-rate or --aspp-rate, and another "
                    "--name, or --overwrite",
                    code="train/diverged",
                )
            took = time.perf_counter() - began
            keeper.history.add(phase.name, step, value, took, began - ready)
            tell(step, loss=value, learning_rate=stepper.rate(), seconds=took + began - ready)
            bar.advance(f"loss {value:.4f}")
            if lateness and (
                late := lateness.look(step - start.step, time.perf_counter(), bar.left())
            ):
                log.warning(late)
            if stop.requested:
                keeper.keep(phase.index, step + 1, stepper)
                raise Interrupted(
                    f"training interrupted after step {step + 1} of the {phase.name}; saved",
                    remedy=resume_command(keeper.run),
                )
            if (step + 1) % config.save_every == 0:
                keeper.save(phase.index, step + 1, stepper)
            ready = time.perf_counter()
    stepper.ema.finish()


def _told(facts: Facts) -> dict[str, Any]:
    """Return what the trackers are told before the first step."""
    counts = {f"{part} images": len(files) for part, files in facts.split.items()}
    machine = {"machine": this_machine().line()}
    return facts.config | {"data": facts.data} | counts | machine | versions()


def versions() -> dict[str, str]:
    """Return the versions of the packages that affect the weights."""
    return extras.versions("numpy", "opencv-python", "timm", "torch")
