"""Where a run's time goes: by layer and by part of the network, beside the work of each.

The layers' times come from the runtime itself, in runs that this makes slower: the same command
times runs without it, on the same frames, and reports the ratio. PyTorch names no layers here.
"""

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from edgeseg.bench.bench import versions
from edgeseg.bench.frames import Frames
from edgeseg.bench.profile_report import PartTime, ProfileReport, Row
from edgeseg.bench.timeline import Bar, draw_timeline
from edgeseg.bench.timing import summarize, time_runs
from edgeseg.cards import write_atomic
from edgeseg.config import ProfileConfig
from edgeseg.data.images import write_png
from edgeseg.errors import ConfigError, ModelError
from edgeseg.runtime.base import Backend, Slot
from edgeseg.runtime.engines import card_path, engine_path
from edgeseg.runtime.graphs import read_graph
from edgeseg.runtime.layer_times import Layered
from edgeseg.runtime.machine import this_machine
from edgeseg.runtime.nvtx import marker


def profile(backend: Backend, path: Path, frames: Frames, config: ProfileConfig) -> ProfileReport:
    """Time a model's layers; write a JSON document and a picture of them into `config.out`.

    path: the model, as it was opened. Errors: ConfigError for a runtime that times no layers,
    ModelError for an engine whose graph is not known.
    """
    if not isinstance(backend, Layered):
        raise ConfigError(
            f"{backend.name} gives no times of single layers, and {path} runs on it.",
            remedy=f"edgeseg export --model {path}, then profile the .onnx file that it writes",
        )
    from edgeseg.deploy.network import PARTS, Network

    network = Network(read_graph(graph_of(path, config.graph))[0])
    card, mark = backend.card, marker(on=config.nvtx)
    slot = Slot.on_host(card)
    backend.bind(slot)
    batch, count = card.frame_shape[0], len(frames.pixels)

    def prepare(i: int) -> None:
        with mark("frame"):
            for n in range(batch):
                np.copyto(slot.frame[n], frames.pixels[(i * batch + n) % count])

    def run() -> None:
        with mark("run"):
            backend.run()

    plain = time_runs(run, prepare, warmup=config.warmup, runs=config.runs)
    with mark("runs with layers timed"):
        timed = backend.layer_times(prepare, warmup=config.warmup, runs=config.runs)
    placed = network.place(timed.layers)
    total = sum(p.layer.seconds for p in placed)
    work = network.part_macs()
    rows = tuple(
        Row(p.label, p.layer.name, p.layer.kind, p.part, p.layer.seconds * 1e3, p.macs / 1e9)
        for p in placed
    )
    unknown = [p.layer for p in placed if not p.nodes]
    stem = path.stem if backend_word(backend) in path.stem else f"{path.stem}-{backend_word(backend)}"
    report = ProfileReport(
        parts=tuple(
            PartTime.of(part, rows, total_ms=total * 1e3, gmac=work[part] / 1e9, gmac_all=sum(work.values()) / 1e9)
            for part in PARTS
        ),
        layers=rows,
        statistic=timed.statistic,
    )
    return report
