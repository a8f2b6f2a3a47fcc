"""The command `profile`: the time of each layer and each module, beside its MACs.

Layer times come from the runtime itself, which slows the inference down. The same number of
iterations is timed without layer times on the same frames, half of them before and half after; the
report gives the ratio, and whether the two halves agree. ONNX Runtime, OpenVINO and TensorRT report
layer times; PyTorch is not supported.
"""

import json
from pathlib import Path
from typing import Any

from edgeseg.bench.conditions import conditions
from edgeseg.bench.profile_report import LayerRow, ProfileReport, by_module
from edgeseg.bench.timing import time_iterations
from edgeseg.bench.trace import chrome_trace
from edgeseg.config import ProfileConfig
from edgeseg.cuda.nvtx import marker
from edgeseg.data.frames import FrameSet
from edgeseg.errors import ConfigError
from edgeseg.files import quoted, write_atomic
from edgeseg.graph.files import graph_file, read_graph
from edgeseg.runtime.base import Backend
from edgeseg.runtime.layer_times import Layered
from edgeseg.stream.pipeline.latency import summarize


def profile(backend: Backend, path: Path, frames: FrameSet, config: ProfileConfig) -> ProfileReport:
    """Time the layers of the opened model `path`; write the report and its trace to `config.out`.

    Errors: ConfigError for a runtime without layer times, ModelError for an engine whose graph is
    not given.
    """
    if not isinstance(backend, Layered):
        raise ConfigError(
            f"{backend.name} reports no layer times for {path}",
            remedy=f"edgeseg export {quoted(path)}; "
            f"edgeseg profile {quoted(path / f'{path.name}.onnx')}",
            code="config/no-layer-times",
        )
    from edgeseg.graph.layers import LayerMap
    from edgeseg.graph.modules import module_macs

    mark = marker(on=config.nvtx)
    network = LayerMap(read_graph(config.graph or graph_file(path))[0])
    slot = backend.new_slot()
    backend.bind(slot)

    def prepare(turn: int) -> None:
        with mark("frame"):
            frames.fill(slot, turn)

    def run() -> None:
        with mark("run"):
            backend.run()

    half = -(-config.iterations // 2)
    before = time_iterations(run, prepare, warmup=config.warmup, iterations=half).seconds
    with mark("layer times"):
        timed = backend.layer_times(prepare, warmup=config.warmup, iterations=config.iterations)
    after = time_iterations(run, prepare, warmup=config.warmup, iterations=half).seconds
    layers = tuple(
        LayerRow(
            label=placed.label,
            name=placed.layer.name,
            kind=placed.layer.kind,
            module=placed.module,
            ms=placed.layer.seconds * 1e3,
            gmac=placed.macs / 1e9,
            known=bool(placed.nodes),
        )
        for placed in network.place(timed.layers)
    )
    macs = module_macs(network.graph)
    runtime = backend.name.replace(",", "").split()[0]
    stem = path.stem if runtime in path.stem else f"{path.stem}-{runtime}"
    report = ProfileReport(
        **conditions(backend, frames, config),
        latency=summarize(before + after),
        halves=(summarize(before).p50_ms, summarize(after).p50_ms),
        timed=summarize(timed.seconds),
        layers=layers,
        modules=by_module(layers, {module: count / 1e9 for module, count in macs.items()}),
        slowest=config.slowest,
        document=config.out / f"{stem}.json",
        trace=config.out / f"{stem}.trace.json",
    )
    _write(report.trace, chrome_trace(report))
    _write(report.document, report.to_json())
    return report


def _write(path: Path, document: dict[str, Any]) -> None:
    write_atomic(path, (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())
