"""What is trained, in which order, to lower which loss: the one place that knows the models apart.

destseg    the student; then the head, where there is one, with the student frozen
dskd       both students at once; then the head, where there is one
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
    """One training: which weights move, at which rates, to lower which loss."""

    index: int
    name: str
    steps: int
    trained: nn.Module
    rates: list[tuple[nn.Module, float]]
    loss: Callable[[Batch], Tensor]
    follows: bool = False
    """Whether the loss looks at the teacher's features of the clean images."""


def phases(detector: Detector, config: TrainConfig, images: int) -> Iterator[Phase]:
    """Yield the phases of a detector's training, on a number of good images."""
    steps = config.first_steps(images)
    if isinstance(detector, DSKD):
        yield _students(detector, config, steps)
    else:
        assert isinstance(detector, DeSTSeg), "a detector that nobody trains"
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

    rates = _rates(detector.student, config)
    return Phase(0, "student", steps, detector.student, rates, loss, follows=True)


def _head(detector: DeSTSeg | DSKD, head: SegmentationHead, config: TrainConfig) -> Phase:
    def loss(batch: Batch) -> Tensor:
        with torch.no_grad():
            evidence = detector.evidence(detector.normalize(batch.corrupted))
        return head_loss(head(evidence), batch.mask.float(), config.focal_gamma, l1=config.l1)

    rates: list[tuple[nn.Module, float]] = [
        (head.blocks, config.blocks_rate),
        (head.aspp, config.aspp_rate),
    ]
    return Phase(1, "head", config.head_steps, head, rates, loss)


def _students(detector: DSKD, config: TrainConfig, steps: int) -> Phase:
    def loss(batch: Batch) -> Tensor:
        pairs = detector.pairs(detector.normalize(batch.clean), batch.target)
        return dskd_loss(pairs, config.distance_weight)

    rates = _rates(detector.student, config)
    return Phase(0, "student", steps, detector.student, rates, loss, follows=True)


def _rates(student: nn.Module, config: TrainConfig) -> list[tuple[nn.Module, float]]:
    return [(student, config.student_rate)]
