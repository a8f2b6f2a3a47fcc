"""SGD or Adam, the average of the weights they find, and the state of both in checkpoints.

Source of the average: Izmailov et al., Averaging Weights Leads to Wider Optima and Better
Generalization, UAI 2018; with exponential decay, as is usual for Polyak averaging. The running
statistics of batch normalization are averaged like weights.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from edgeseg.recipes import TrainConfig

SECOND_BETA = 0.999  # of Adam; DSKD, section 4.1.2

OptimizerState = dict[str, Tensor]
"""`<kind>.<parameter>`, such as `momentum_buffer.head.aspp.4.bias`, -> tensor."""


def make_optimizer(rates: list[tuple[nn.Module, float]], config: TrainConfig) -> Optimizer:
    """Return an optimizer; the key `base` of each group is its learning rate."""
    groups: list[dict[str, Any]] = [
        {"params": list(part.parameters()), "base": rate} for part, rate in rates
    ]
    decay = config.weight_decay
    if config.optimizer == "adam":
        betas = (config.momentum, SECOND_BETA)
        # Takes a third of the time on a CPU; for SGD the fused update is slower.
        on_cpu = all(p.device.type == "cpu" for group in groups for p in group["params"])
        fused = on_cpu or None
        return torch.optim.Adam(groups, lr=0.0, betas=betas, weight_decay=decay, fused=fused)
    return torch.optim.SGD(groups, lr=0.0, momentum=config.momentum, weight_decay=decay)


def optimizer_state(optimizer: Optimizer, names: dict[Tensor, str]) -> OptimizerState:
    """Return the state of an optimizer; names: of the parameters."""
    return {
        f"{kind}.{names[parameter]}": value
        for parameter, values in optimizer.state.items()
        for kind, value in values.items()
        if isinstance(value, Tensor)
    }


def restore(optimizer: Optimizer, names: dict[Tensor, str], state: OptimizerState) -> None:
    """Load the state of an optimizer."""
    parameters = {name: parameter for parameter, name in names.items()}
    for key, value in state.items():
        kind, name = key.split(".", 1)
        parameter = parameters[name]
        if value.shape == parameter.shape:
            # A fused update requires the same memory layout as that of the parameter.
            value = torch.empty_like(parameter).copy_(value)
        optimizer.state[parameter][kind] = value  # Adam's step counter stays on the CPU


class WeightEma:
    """Average the weights of a module over the steps; disabled by a decay of 0.

    state: what `state` returned before an interruption; empty at the start.
    """

    def __init__(self, module: nn.Module, decay: float, state: dict[str, Tensor]) -> None:
        self.module = module
        self.average: AveragedModel | None = None
        if decay:
            update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(module, multi_avg_fn=update, use_buffers=True)
            if state:
                self.average.load_state_dict(state)

    def update(self) -> None:
        """Add the current weights; the first call copies them."""
        if self.average is not None:
            self.average.update_parameters(self.module)

    def state(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint."""
        return {} if self.average is None else self.average.state_dict()

    def finish(self) -> None:
        """Load the average into the module."""
        if self.average is not None:
            self.module.load_state_dict(self.average.module.state_dict())
