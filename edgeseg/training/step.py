"""One training step: forward, backward and update."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from edgeseg.model.detector import Detector
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batch
from edgeseg.training.checkpoint import Checkpoint
from edgeseg.training.optimizers import (
    OptimizerState,
    WeightEma,
    make_optimizer,
    optimizer_state,
    restore,
)
from edgeseg.training.phases import Phase

WARM_UP = 10
"""Steps over which the learning rate rises where a finished run is continued, at most a quarter of
all. A run keeps no state of its optimizer, and the first step of a new Adam moves every weight by
the whole rate: the loss then jumps (docs/experiments.md)."""


class Stepper:
    """Trains the module of one phase, step by step.

    start: the checkpoint to resume from. warm_up: whether the weights are trained already.
    """

    def __init__(
        self,
        phase: Phase,
        detector: Detector,
        config: TrainConfig,
        start: Checkpoint,
        *,
        warm_up: bool = False,
    ) -> None:
        self.warm_up = max(min(WARM_UP, phase.steps // 4), 1) if warm_up else 1
        self.phase = phase
        self.config = config
        self.device = detector.mean.device
        detector.eval()
        phase.trained.train()
        self.optimizer = make_optimizer(phase.learning_rates, config)
        self.names: dict[Tensor, str] = {p: name for name, p in detector.named_parameters()}
        restore(self.optimizer, self.names, start.optimizer)
        self.ema = WeightEma(phase.trained, config.ema_decay, start.ema)
        half = precision(self.device) is torch.float16
        self.scaler = torch.amp.GradScaler("cuda", enabled=half)

    def forward(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        with autocast(self.device):
            return self.phase.loss(batch.to(self.device))

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(self, step: int) -> None:
        """Update the weights with the learning rate of a step."""
        rate = _schedule(self.config, step, self.phase.steps) * min((step + 1) / self.warm_up, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * rate
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.ema.update()

    def rate(self) -> float:
        """Return the newest learning rate of the first part of the module."""
        return float(self.optimizer.param_groups[0]["lr"])

    def optimizer_state(self) -> OptimizerState:
        """Return the state of the optimizer, for a checkpoint."""
        return optimizer_state(self.optimizer, self.names)


def train_step(stepper: Stepper, batch: Batch, step: int) -> float:
    """Make one step and return its loss; the weights stay as they are if it is not finite."""
    loss = stepper.forward(batch)
    value = float(loss.detach())
    if math.isfinite(value):
        stepper.backward(loss)
        stepper.update(step)
    return value


def _schedule(config: TrainConfig, step: int, steps: int) -> float:
    """Return the factor of the learning rate at a step; the paper's is constant."""
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def precision(device: torch.device) -> torch.dtype:
    """Return BF16 if the hardware supports it, FP16 on older GPUs, else FP32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(False) else torch.float16
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    native = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return torch.bfloat16 if native else torch.float32


@contextmanager
def autocast(device: torch.device) -> Iterator[None]:
    """Run the forward pass in the precision of the device."""
    dtype = precision(device)
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not torch.float32):
        yield
