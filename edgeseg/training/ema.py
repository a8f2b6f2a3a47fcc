"""A running mean of the weights, which ends a phase in place of the last step's.

Source: Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI
2018; with exponential decay, as Polyak averaging is used in practice. Running statistics of the
normalizations are averaged like weights.
"""

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class RunningMean:
    """Follows a module's weights, step by step; with a decay of 0 it does nothing.

    state: what `state` returned before an interruption; empty at the start.
    """

    def __init__(self, module: nn.Module, decay: float, state: dict[str, Tensor]) -> None:
        self.module = module
        self.mean: AveragedModel | None = None
        if decay:
            average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
            self.mean = AveragedModel(module, multi_avg_fn=average, use_buffers=True)
            if state:
                self.mean.load_state_dict(state)

    def update(self) -> None:
        """Take the present weights in; the first ones are taken whole."""
        if self.mean is not None:
            self.mean.update_parameters(self.module)

    def state(self) -> dict[str, Tensor]:
        """Return what an interrupted training keeps."""
        return {} if self.mean is None else self.mean.state_dict()

    def finish(self) -> None:
        """Give the module the mean of its weights."""
        if self.mean is not None:
            self.module.load_state_dict(self.mean.module.state_dict())
