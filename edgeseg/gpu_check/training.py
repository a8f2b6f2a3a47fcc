"""A check of training on CUDA: some steps of each phase, against the CPU's."""

from typing import Any

import numpy as np

from edgeseg.gpu_check.finding import GpuFinding
from edgeseg.gpu_check.pytorch import cuda_torch

STEPS, SIDE, BATCH = 12, 128, 4
NEAR = 0.02  # relative, of the losses in BF16 of two devices
FALLS = 0.95  # the last loss of a phase, as a share of its first


def steps(*, device: str = "cuda", count: int = STEPS, side: int = SIDE) -> GpuFinding:
    """Train student and head on one batch, on the CPU, and twice on the GPU."""
    if device == "cuda":
        cuda_torch()
    expected, first, second = (_losses(d, count, side) for d in ("cpu", device, device))
    found, problems = [], []
    worst = again = 0.0
    for phase, ours in first.items():
        near = abs(ours[0] - expected[phase][0]) / abs(expected[phase][0])
        repeated = max(
            abs(a - b) / max(abs(a), 1e-9) for a, b in zip(ours, second[phase], strict=True)
        )
        worst, again = max(worst, near), max(again, repeated)
        found.append(f"{phase} {ours[0]:.4f} to {ours[-1]:.4f}")
        if not (np.isfinite(ours).all() and ours[-1] < FALLS * ours[0]):
            problems.append(f"the loss of the {phase} does not fall")
    if worst > NEAR:
        problems.append("the CPU differs")
    text = f"{', '.join(found)}; first losses differ from the CPU's by {worst:.2%}, the GPU's "
    text += f"between two runs by {again:.2%}" + "".join(f"; {each}" for each in problems)
    figures = {"cpu": expected, "gpu": first, "gpu_again": second}
    return GpuFinding(not problems, text, figures)


def _losses(device: str, count: int, side: int) -> dict[str, list[float]]:
    """Return the losses of each phase with random weights of a seed."""
    import torch

    from edgeseg.data.parts import draw_part
    from edgeseg.model.detectors import build_detector
    from edgeseg.model.teacher import Teacher
    from edgeseg.recipes import TrainConfig
    from edgeseg.training.batches import Batches
    from edgeseg.training.checkpoint import Checkpoint
    from edgeseg.training.phases import phases
    from edgeseg.training.step import Stepper, train_step
    from edgeseg.training.train import json_config

    torch.manual_seed(0)
    config = TrainConfig(
        model="destseg",
        profile="paper",
        image_size=side,
        batch=BATCH,
        student_steps=count,
        head_steps=count,
    )
    random = np.random.default_rng(0)
    images = [np.ascontiguousarray(draw_part(random)[:side, :side]) for _ in range(BATCH)]
    detector = build_detector("destseg", Teacher("resnet18"), json_config(config), (side, side))
    detector.to(device)
    batches, losses = Batches(images, config), {}
    for phase in phases(detector, config, len(images)):
        stepper = Stepper(phase, detector, config, Checkpoint())
        batch: Any = batches.make(phase.index, 0)
        losses[phase.name] = [train_step(stepper, batch, step) for step in range(count)]
    return losses
