"""The training phases of each model.

destseg    the student; then the head, if any, with the student frozen
dskd       both students together; then the head, if any
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.detector import Detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.head import SegmentationHead
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batch
from edgeseg.training.losses import cosine_loss, dskd_loss, head_loss


@dataclass(frozen=True)
class Phase:
    """A training phase: the trained module, its learning rates and its loss."""

    index: int
    name: str
    steps: int
    trained: nn.Module
    learning_rates: list[tuple[nn.Module, float]]
    loss: Callable[[Batch], Tensor]
    uses_teacher: bool = False
    """Whether the loss uses the teacher's features of the clean images."""


def phases(detector: Detector, config: TrainConfig, images: int) -> Iterator[Phase]:
    """Yield the phases of a training on a number of good images."""
    steps = config.first_steps(images)
    if isinstance(detector, DSKD):
        yield _students(detector, config, steps)
    else:
        assert isinstance(detector, DeSTSeg), "unknown detector"
        yield _student(detector, config, steps)
    if detector.head is not None:
        yield _head(detector, detector.head, config)


def _student(detector: DeSTSeg, config: TrainConfig, steps: int) -> Phase:
    def loss(batch: Batch) -> Tensor:
        target = batch.target
        if target is None:
            with torch.no_grad():
                target = detector.teacher(detector.normalize(batch.clean))
        return cosine_loss(target, detector.student(detector.normalize(batch.corrupted)))

    student = detector.student
    rates: list[tuple[nn.Module, float]] = [(student, config.student_rate)]
    return Phase(0, "student", steps, student, rates, loss, uses_teacher=True)


def _head(detector: DeSTSeg | DSKD, head: SegmentationHead, config: TrainConfig) -> Phase:
    def loss(batch: Batch) -> Tensor:
        with torch.no_grad():
            inputs = detector.head_input(detector.normalize(batch.corrupted))
        among = None if batch.among is None else batch.among.float()
        logits, mask = head(inputs), batch.mask.float()
        return head_loss(logits, mask, config.focal_gamma, l1=config.l1, among=among)

    rates: list[tuple[nn.Module, float]] = [
        (head.blocks, config.blocks_rate),
        (head.aspp, config.aspp_rate),
    ]
    return Phase(1, "head", config.head_steps, head, rates, loss)


def _students(detector: DSKD, config: TrainConfig, steps: int) -> Phase:
    def loss(batch: Batch) -> Tensor:
        clean = detector.normalize(batch.clean)
        if config.denoising:
            corrupted = detector.normalize(batch.corrupted)
            pairs = detector.repairing_pairs(clean, corrupted, batch.target)
        else:
            pairs = detector.pairs(clean, batch.target)
        return dskd_loss(pairs, config.distance_weight)

    student = detector.student
    rates: list[tuple[nn.Module, float]] = [(student, config.student_rate)]
    return Phase(0, "student", steps, student, rates, loss, uses_teacher=True)
