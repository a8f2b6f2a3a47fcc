"""PyTorch: runs the fused module itself, without an export."""

from typing import TYPE_CHECKING, Any

from edgeseg.cards import GraphCard
from edgeseg.machine.threads import cpu_threads, on_cpu
from edgeseg.packages.extras import require
from edgeseg.runtime.base import INPUTS, OnHost, Slot, output_names

if TYPE_CHECKING:
    from torch.nn import Module


class PyTorchBackend(OnHost):
    """The module that would be exported, on the device of its weights.

    A reference for the engines: PyTorch allocates intermediate results in every run. `threads`
    applies to the whole process.
    """

    def __init__(self, module: "Module", card: GraphCard, *, threads: int | None = None) -> None:
        self._torch = torch = require("torch", extra="train")
        self.card = card
        self.module = module
        self._device = next(module.buffers()).device
        where = str(self._device)
        if self._device.type == "cpu":
            if threads:
                torch.set_num_threads(cpu_threads(threads))
            where = on_cpu(torch.get_num_threads())
        self.name = f"pytorch {torch.__version__.split('+')[0]}, {where}"

    def bind(self, slot: Slot) -> None:
        views: dict[str, Any] = {
            name: self._torch.from_numpy(array) for name, array in slot.tensors().items()
        }
        self._inputs = [views[name] for name in INPUTS]
        self._outputs = [views[name] for name in output_names(self.card)]

    def run(self) -> None:
        with self._torch.inference_mode():
            results = self.module(*(view.to(self._device) for view in self._inputs))
            for view, result in zip(self._outputs, results, strict=True):
                view.copy_(result)
