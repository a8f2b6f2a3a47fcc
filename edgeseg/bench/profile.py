"""Where a run's time goes: by layer and by part of the network, beside the work of each.

The layers' times come from the runtime itself, in runs that this makes slower. The same command
times as many runs without it on the same frames, half of them before and half behind, and reports
the ratio, and whether the two halves agree. ONNX Runtime, OpenVINO and TensorRT give times; PyTorch
is not asked for them.
"""

import json
from pathlib import Path

from edgeseg.bench.circumstances import circumstances
from edgeseg.bench.frames import Frames
from edgeseg.bench.profile_report import LayerRow, ProfileReport, by_part
from edgeseg.bench.timing import summarize, time_runs
from edgeseg.bench.trace import draw_timeline, end_to_end
from edgeseg.cards import write_atomic
from edgeseg.config import ProfileConfig
from edgeseg.cuda.nvtx import marker
from edgeseg.data.images import Image, write_png
from edgeseg.errors import ConfigError
from edgeseg.graph.files import graph_file, read_graph
from edgeseg.runtime.base import Backend
from edgeseg.runtime.layer_times import Layered


def profile(backend: Backend, path: Path, frames: Frames, config: ProfileConfig) -> ProfileReport:
    """Time a model's layers; write their JSON document and their picture into `config.out`.

    path: the model, as it was opened. Errors: ConfigError for a runtime that times no layers,
    ModelError for an engine whose graph was not named.
    """
    if not isinstance(backend, Layered):
        raise ConfigError(
            f"{path} runs on {backend.name}, which gives no times of single layers.",
            remedy=f"edgeseg export {path}; edgeseg profile {path / path.name}.onnx",
        )
    from edgeseg.graph.modules import PARTS, Network

    mark = marker(on=config.nvtx)
    graph = config.graph or graph_file(path)
    network = Network(read_graph(graph)[0])
    slot = backend.new_slot()
    backend.bind(slot)

    def prepare(turn: int) -> None:
        with mark("frame"):
            frames.fill(slot, turn)

    def run() -> None:
        with mark("run"):
            backend.run()

    half = -(-config.iterations // 2)
    before = time_runs(run, prepare, warmup=config.warmup, runs=half).seconds
    with mark("runs with their layers timed"):
        timed = backend.layer_times(prepare, warmup=config.warmup, runs=config.iterations)
    after = time_runs(run, prepare, warmup=config.warmup, runs=half).seconds
    layers = tuple(
        LayerRow(
            label=placed.label,
            name=placed.layer.name,
            kind=placed.layer.kind,
            part=placed.part,
            ms=placed.layer.seconds * 1e3,
            gmac=placed.macs / 1e9,
            known=bool(placed.nodes),
        )
        for placed in network.place(timed.layers)
    )
    work = network.part_macs()
    runtime = backend.name.replace(",", "").split()[0]
    stem = path.stem if runtime in path.stem else f"{path.stem}-{runtime}"
    report = ProfileReport(
        **circumstances(backend, frames, config),
        latency=summarize(before + after),
        halves=(summarize(before).p50_ms, summarize(after).p50_ms),
        timed=summarize(timed.seconds),
        layers=layers,
        parts=by_part(layers, {part: work[part] / 1e9 for part in PARTS}),
        slowest=config.slowest,
        document=config.out / f"{stem}.json",
        picture=config.out / f"{stem}.png",
    )
    text = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
    write_png(report.picture, picture_of(report))
    write_atomic(report.document, (text + "\n").encode())
    return report


def picture_of(report: ProfileReport) -> Image:
    """Draw a report's layers along the time, a row for each part, RGB uint8 [H, W, 3]."""
    rows = [part.part for part in report.parts]
    labels = [f"{p.part}\n{p.ms:.1f} ms, {p.time_share:.1%}" for p in report.parts]
    bars = end_to_end([(rows.index(row.part), row.label, row.ms) for row in report.layers])
    lines = [
        f"{report.model} on {report.engine}",
        report.machine,
        f"means of {report.timed.n} runs with their layers timed, end to end in the "
        f"order in which they ran; a run takes {report.slowdown:.2f} times as long as without"
        + " (UNSTEADY: other work on this machine)"
        * (not report.steady),
    ]
    return draw_timeline(bars, labels, lines)
