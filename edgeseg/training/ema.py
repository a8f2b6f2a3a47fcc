"""Exponential moving average (EMA) of the weights, which replaces those of the last step.

Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI
2018; with exponential decay, as is usual for Polyak averaging. The running statistics of batch
normalization are averaged like weights.
"""

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


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
