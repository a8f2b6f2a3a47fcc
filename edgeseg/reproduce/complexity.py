"""The cost of a model on this machine: parameters, MACs, memory and time.

Measured in PyTorch on the network that is exported, with random weights and random images:

    parameters_m   of teacher, students and head, as far as inference uses them
    gmac           multiply-accumulates for one image: half of PyTorch's FLOP count, which covers
                   convolutions and matrix products
    memory_mb      the parameters, four bytes each; the peaks add what inference and training use
    training_min   EXTRAPOLATED from a few steps to the number of steps of the paper; the teacher
                   runs at each step, synthetic anomalies are not included
    inference_ms   one frame, bytes to mask: median and 99th percentile
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgeseg.extras import require
from edgeseg.recipes import TrainConfig

if TYPE_CHECKING:
    import torch

    from edgeseg.model.detector import Detector

IMAGES = 242  # good training images of a category of MVTec AD: 3629 / 15
STEPS, WARM_STEPS = 3, 1  # of each phase
FRAMES, WARM_FRAMES = 100, 5
MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Complexity:
    """The cost of one model; fields are named as in MEASURES."""

    parameters_m: float
    gmac: float
    memory_mb: float
    peak_mb: float | None
    """Added by inference to the memory of the process or of the GPU; None if unknown."""
    training_min: float
    training_peak_mb: float | None
    """Added by training steps."""
    seconds_per_step: dict[str, float]
    """Median, by phase."""
    steps: dict[str, int]
    """Training steps of the configuration, by phase."""
    inference_ms: float
    inference_p99_ms: float
    frames: int
    device: str
    threads: int


def measure_complexity(config: TrainConfig) -> Complexity:
    """Measure one model: seconds on a GPU, minutes on a CPU.

    Run it in a new process: peaks do not show in memory that earlier work freed and kept.
    """
    torch = require("torch", extra="train")
    from torch.utils.flop_counter import FlopCounterMode

    from edgeseg.model.detectors import build_detector
    from edgeseg.model.teacher import Teacher
    from edgeseg.training.checkpoint import torch_device
    from edgeseg.training.train import json_config

    device = torch_device(config.device)
    torch.manual_seed(config.seed)
    side = config.image_size
    teacher = Teacher(config.teacher, standard=config.features == "standard")
    detector = build_detector(config.model, teacher, json_config(config), side).to(device).eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        detector(torch.zeros(1, 3, side, side, device=device))
    parameters = list(detector.parameters())
    seconds, peak = _inference(detector, config, device)
    training_peak = _Peak(device)
    per_step, steps = _training(detector, config, device)
    total = sum(per_step[name] * steps[name] for name in steps)
    median, p99 = 1e3 * np.percentile(seconds, (50, 99))
    return Complexity(
        parameters_m=sum(p.numel() for p in parameters) / 1e6,
        gmac=counter.get_total_flops() / 2e9,
        memory_mb=sum(p.nbytes for p in parameters) / MB,
        peak_mb=peak,
        training_min=total / 60,
        training_peak_mb=training_peak.mb(),
        seconds_per_step=per_step,
        steps=steps,
        inference_ms=float(median),
        inference_p99_ms=float(p99),
        frames=len(seconds),
        device=str(device),
        threads=torch.get_num_threads(),
    )


def _inference(
    detector: "Detector", config: TrainConfig, device: "torch.device"
) -> tuple[list[float], float | None]:
    """Return the duration of each frame in seconds, bytes to mask, and the peak memory in MB."""
    torch = require("torch", extra="train")
    from edgeseg.model.fused import Fused

    side = config.image_size
    fused = Fused(
        detector, image_size=side, frame_size=(side, side), frame_format="rgb", top=config.top
    ).to(device)
    rng = np.random.default_rng(config.seed)
    frame = torch.from_numpy(rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8))
    threshold = torch.full((1,), 0.5)
    seconds = []
    peak = _Peak(device)
    with torch.inference_mode():
        for number in range(WARM_FRAMES + FRAMES):
            began = time.perf_counter()
            mask, _, _ = fused(frame.to(device), threshold.to(device))
            mask.cpu()  # synchronizes
            if number >= WARM_FRAMES:
                seconds.append(time.perf_counter() - began)
    return seconds, peak.mb()


def _training(
    detector: "Detector", config: TrainConfig, device: "torch.device"
) -> tuple[dict[str, float], dict[str, int]]:
    """Return the median duration of a step, and the number of steps, by phase."""
    torch = require("torch", extra="train")
    from edgeseg.training.batches import Batches
    from edgeseg.training.checkpoint import Checkpoint
    from edgeseg.training.phases import phases
    from edgeseg.training.step import Stepper

    rng = np.random.default_rng(config.seed)
    shape = (config.image_size, config.image_size, 3)
    images = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(config.batch)]
    batches = Batches(images, config)
    detector = detector.to(memory_format=torch.channels_last)
    per_step, steps = {}, {}
    for phase in phases(detector, config, IMAGES):
        stepper = Stepper(phase, detector, config, Checkpoint())
        batch = batches.make(phase.index, 0)
        taken = []
        for _ in range(WARM_STEPS + STEPS):
            began = time.perf_counter()
            stepper.backward(stepper.forward(batch))
            stepper.update(0)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - began)
        per_step[phase.name] = sorted(taken[WARM_STEPS:])[STEPS // 2]
        steps[phase.name] = phase.steps
        phase.trained.eval()
    return per_step, steps


class _Peak:
    """Peak memory added since creation: of PyTorch on a GPU, resident memory on Linux."""

    def __init__(self, device: "torch.device") -> None:
        self._cuda = require("torch", extra="train").cuda
        self._device = device
        self._before: int | None = None
        if device.type == "cuda":
            self._cuda.reset_peak_memory_stats(device)
            self._before = self._cuda.memory_allocated(device)
            return
        with suppress(OSError):  # not Linux
            Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets the peak
            self._before = _resident("VmRSS")

    def mb(self) -> float | None:
        if self._before is None:
            return None
        on_gpu = self._device.type == "cuda"
        after = self._cuda.max_memory_allocated(self._device) if on_gpu else _resident("VmHWM")
        return float((after - self._before) / MB)


def _resident(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024
