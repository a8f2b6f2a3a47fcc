"""The conditions of a measurement: model, engine, machine, versions, frames."""

from dataclasses import dataclass
from typing import Any

from edgeseg.config import BenchConfig, ProfileConfig
from edgeseg.data.frames import FrameSet
from edgeseg.frame.geometry import Size, size_text
from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import versions
from edgeseg.runtime.base import Backend

PACKAGES = ("numpy", "torch", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx")


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What was measured, on which machine; reports add the results."""

    model: str
    engine: str
    """The backend: runtime, version, device."""
    machine: str
    threads: int | None
    """As requested; None: chosen by the runtime."""
    versions: dict[str, str]
    frames: str
    """Origin of the frames."""
    frame_shape: tuple[int, int, int, int]
    frame_format: FrameFormat
    frame_size: Size
    network_size: Size
    warmup: int

    def lines(self) -> list[str]:
        """Return the first lines of a report."""
        return [
            f"model       {self.model}, network {size_text(self.network_size)}",
            f"engine      {self.engine}",
            f"machine     {self.machine}",
            f"threads     {'chosen by the runtime' if self.threads is None else self.threads}",
            f"versions    {', '.join(f'{k} {v}' for k, v in self.versions.items())}",
            f"frames      {self.frames}; {size_text(self.frame_size)} {self.frame_format}, "
            f"batch {self.frame_shape[0]}",
        ]


def conditions(
    backend: Backend, frames: FrameSet, config: BenchConfig | ProfileConfig
) -> dict[str, Any]:
    """Return the fields of `Conditions`, for the constructor of a report."""
    card = backend.card
    return {
        "model": card.name,
        "engine": backend.name,
        "machine": this_machine().line(),
        "threads": config.threads,
        "versions": versions(*PACKAGES),
        "frames": frames.origin,
        "frame_shape": card.frame_shape,
        "frame_format": card.frame_format,
        "frame_size": card.frame_size,
        "network_size": card.network_size,
        "warmup": config.warmup,
    }
