"""The learning rate of a step."""

import pytest
import torch
from torch import nn

from edgeseg.recipes import TrainConfig
from edgeseg.training.checkpoint import Checkpoint
from edgeseg.training.phases import Phase
from edgeseg.training.step import WARM_UP, Stepper


class Point(nn.Module):
    """One weight, and the buffer that tells the device."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(1))


def rates(steps, **how):
    """The learning rates of a phase of a detector with one weight, as shares of the base."""
    point = Point()
    phase = Phase(0, "student", steps, point, [(point, 0.5)], lambda batch: point.weight.sum())
    stepper = Stepper(phase, point, TrainConfig(optimizer="adam"), Checkpoint(), **how)
    found = []
    for step in range(steps):
        stepper.backward(point.weight.sum())
        stepper.update(step)
        found.append(stepper.optimizer.param_groups[0]["lr"] / 0.5)
    return found


def test_the_rate_of_a_new_training_is_whole_from_the_first_step():
    assert rates(5) == [1.0] * 5


@pytest.mark.parametrize(("steps", "rising"), [(80, WARM_UP), (8, 2), (1, 1)])
def test_the_rate_of_a_continued_run_rises(steps, rising):
    found = rates(steps, warm_up=True)
    assert found[:rising] == pytest.approx([(n + 1) / rising for n in range(rising)])
    assert found[rising:] == [1.0] * (steps - rising)
