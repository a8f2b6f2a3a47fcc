"""What a figure needs beside it to be believed: model, engine, machine, versions, frames."""

import platform
from dataclasses import dataclass
from typing import Any

from edgeseg.bench.frames import Frames
from edgeseg.config import BenchConfig, ProfileConfig
from edgeseg.extras import installed
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.base import Backend

PACKAGES = ("edgeseg", "numpy", "torch", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx")


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """On what a model was timed, and with what; reports add what was found."""

    model: str
    engine: str
    """The backend: runtime, version, where it computes."""
    machine: str
    threads: int | None
    """As asked for; None left it to the runtime."""
    versions: dict[str, str]
    frames: str
    """Where the frames are from."""
    frame_shape: tuple[int, int, int, int]
    image_size: int
    warmup: int

    def lines(self) -> list[str]:
        """Return what the reports begin with."""
        threads = "not set; the engine's line has them" if self.threads is None else self.threads
        return [
            f"model       {self.model}, network {self.image_size}x{self.image_size}",
            f"engine      {self.engine}",
            f"machine     {self.machine}",
            f"threads     {threads}",
            f"versions    {', '.join(f'{k} {v}' for k, v in self.versions.items())}",
        ]


def circumstances(
    backend: Backend, frames: Frames, config: BenchConfig | ProfileConfig
) -> dict[str, Any]:
    """Return the fields of `Circumstances`, for a report to be made of."""
    card = backend.card
    return {
        "model": card.name,
        "engine": backend.name,
        "machine": this_machine().line(),
        "threads": config.threads,
        "versions": versions(),
        "frames": frames.origin,
        "frame_shape": card.frame_shape,
        "image_size": card.image_size,
        "warmup": config.warmup,
    }


def versions() -> dict[str, str]:
    """Return the versions of what may have had a part in the figures."""
    found = {name: installed(name) for name in PACKAGES}
    return {"python": platform.python_version()} | {k: v for k, v in found.items() if v}
