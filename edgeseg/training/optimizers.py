"""SGD or Adam, and their state in checkpoints."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

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
