"""PyTorch: runs the fused module itself, before anything is exported."""

from typing import TYPE_CHECKING, Any

from edgeseg.cards import GraphCard
from edgeseg.extras import require
from edgeseg.machine.threads import cpu_threads, on_cpu
from edgeseg.runtime.base import INPUTS, OUTPUTS, OnHost, Slot

if TYPE_CHECKING:
    from torch.nn import Module


class PyTorchBackend(OnHost):
    """The module that is exported, on the device where its weights lie.

    PyTorch allocates its intermediate results in every run; this is the reference, not the engine.
    `threads` holds for the whole process: PyTorch has no smaller setting.
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
        """Fix the memory that `run` reads and writes."""
        views: dict[str, Any] = {
            name: self._torch.from_numpy(array) for name, array in slot.tensors().items()
        }
        self._inputs = [views[name] for name in INPUTS]
        self._outputs = [views[name] for name in OUTPUTS]

    def run(self) -> None:
        """Read the slot's frame and threshold; rewrite its mask, score and map."""
        with self._torch.inference_mode():
            results = self.module(*(view.to(self._device) for view in self._inputs))
            for view, result in zip(self._outputs, results, strict=True):
                view.copy_(result)
