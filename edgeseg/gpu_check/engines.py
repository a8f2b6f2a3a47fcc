"""Checks with TensorRT or TensorRT-RTX: what the commands say of an engine built on this GPU.

The network is the paper's with random weights, which PyTorch exports; or that of a graph.
"""

import tempfile
import time
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from edgeseg.cards import EngineCard
from edgeseg.config import (
    BenchConfig,
    BuildConfig,
    ExportConfig,
    GpuConfig,
    OptimizeFor,
    ProfileConfig,
    RuntimeName,
    VerifyConfig,
)
from edgeseg.engine.build_engine import Engine, build_engine
from edgeseg.engine.head_form import head_form
from edgeseg.gpu_check.finding import GpuFinding, Skipped
from edgeseg.gpu_check.pytorch import SIDE, network
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.choice import LEAN, candidates, get_lean, probe
from edgeseg.runtime.tensorrt import FLAVORS, load
from edgeseg.runtime.tensorrt_backend import TrtBackend

PAPER_MS = 9.4  # DeSTSeg in PyTorch on a V100, without camera, resize and mask
IDLE, PACED = "500ms", 12  # from one inference to the next, and how many
SLOWER = 1.05  # times what is compared
MORE, OWN_BYTES = 3, 32 << 20  # contexts, and what they may have of their own: graphs, buffers
LAYERS_NEAR = 2.0  # the sum of the layer times, as a multiple of the inference without them


@dataclass(frozen=True)
class Built:
    """A graph and its FP16 engine."""

    folder: Path
    graph: Path
    engine: Engine


def gpu_runtime() -> RuntimeName:
    """Return TensorRT or TensorRT-RTX, whichever runs engines here; Skipped if none does."""
    found = [probe(each) for each in candidates(this_machine()) if each.runtime in FLAVORS]
    for candidate in found:
        if candidate.runs:
            return candidate.runtime
    raise Skipped("; ".join(f"{each.runtime}: {each.obstacle}" for each in found))


@lru_cache(maxsize=3)
def built(
    runtime: RuntimeName | None,
    side: int,
    graph: str | None = None,
    form: OptimizeFor | None = None,
    lean: bool = False,
) -> Built:
    """Build once in a process.

    graph: default: exported here; form: of its head, default: that for this GPU.
    """
    runtime = runtime or gpu_runtime()
    folder = Path(tempfile.mkdtemp(prefix="edgeseg-"))
    config = BuildConfig(precision="fp16", runtime=runtime, lean=lean)
    path = (
        Path(graph)
        if graph
        else _exported(folder, side, form or head_form(runtime, this_machine()))
    )
    return Built(folder, path, build_engine(path, config, out=folder / "engines"))


def _exported(folder: Path, side: int, form: OptimizeFor) -> Path:
    from edgeseg.exporter.export import export_graph

    return export_graph(
        network(side), folder / "random.onnx", ExportConfig(optimize_for=form)
    ).graph


def build(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Build an FP16 engine."""
    card = built(runtime, side, graph).engine.card
    found = f"{Path(graph).name}: " if graph else ""
    found += f"{card.runtime} {card.runtime_version} for {card.target}, {card.bytes / 1e6:.1f} MB, "
    return GpuFinding(True, f"{found}{card.seconds:.0f} s", {"seconds": card.seconds})


def types(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Count the convolutions that the engine computes in FP16."""
    layers = built(runtime, side, graph).engine.card.layers
    half, every = layers.get("convolutions_fp16", 0), layers.get("convolutions", 0)
    return GpuFinding(every > 0 and half == every, f"{half} of {every} in FP16", {"layers": layers})


def masks(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Compare the engine with the graph in ONNX Runtime on the CPU."""
    return _compared(built(runtime, side, graph))


def lean(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Compare an engine for the lean runtime, and run by it, with its graph."""
    runtime = runtime or gpu_runtime()
    if runtime != LEAN.runtime:
        raise Skipped(f"{runtime} has no lean runtime")
    if find_spec(LEAN.module) is None:
        version = load(runtime).version
        raise Skipped(f"not installed: {get_lean(version, this_machine())}")
    return _compared(built(runtime, side, graph, lean=True))


def _compared(found: Built) -> GpuFinding:
    from edgeseg.accuracy.verify import verify

    compared = verify(found.graph, found.engine.path, VerifyConfig())
    comparison, problems = compared.comparison, compared.problems()
    text = f"map differs by {comparison.max_abs_diff:.2g}, mask IoU {comparison.mask_iou:.4f}, "
    text += f"{comparison.flipped_verdicts} verdicts flipped"
    text += "".join(f"; {each}" for each in problems)
    return GpuFinding(not problems, text, compared.to_json())


def graphs(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Capture the engine as a CUDA graph, and time it beside enqueued inferences."""
    names, times = [], {}
    for io in ("mapped", "copy"):
        for captured in (True, False):
            how = f"{io}, {'graph' if captured else 'enqueued'}"
            gpu = GpuConfig(io=io, cuda_graph=captured)
            times[how], name = _p50(runtime, side, graph, BenchConfig(iterations=100), gpu)
            if captured:
                names.append(name)
    refused = [name for name in names if "no CUDA graph" in name]
    text = ", ".join(f"{how} {ms:.2f} ms" for how, ms in times.items())
    return GpuFinding(not refused, "; ".join([*refused, text]), {"p50_ms": times, "engines": names})


def layer_times(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Time each layer."""
    from edgeseg.bench.profile import profile
    from edgeseg.data.frames import load_frames
    from edgeseg.loading import open_model

    found = built(runtime, side, graph)
    config = ProfileConfig(out=found.folder / "profiles", graph=found.graph, iterations=20)
    with open_model(found.engine.path) as model:
        report = profile(model, found.engine.path, load_frames(model.card, None), config)
    latency = report.latency.p50_ms
    text = (
        f"{len(report.layers)} layers, {report.layers_ms:.2f} ms; without timing {latency:.2f} ms"
    )
    near = 0 < report.layers_ms <= LAYERS_NEAR * report.timed.p50_ms
    modules = {row.module: row.ms for row in report.modules}
    return GpuFinding(near, text, {"p50_ms": latency, "modules_ms": modules})


def latency(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Time the engine beside eager FP32 PyTorch on the same GPU, and the paper's figure."""
    ms, name = _p50(runtime, side, graph, BenchConfig(iterations=300), GpuConfig())
    if graph:
        raise Skipped(f"{ms:.2f} ms; eager PyTorch is timed with the network of the checks alone")
    eager = _eager_ms(side)
    text = f"{ms:.2f} ms; eager FP32 here {eager:.2f} ms; the paper {PAPER_MS} ms on a V100"
    return GpuFinding(ms < eager, text, {"p50_ms": ms, "eager_ms": eager, "engine": name})


def head_forms(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Time both forms of the head; the one that build-engine takes is not the slower one."""
    if graph:
        raise Skipped("a graph has one form of the head")
    runtime = runtime or gpu_runtime()
    taken = head_form(runtime, this_machine())
    forms: dict[OptimizeFor, OptimizeFor | None] = {"cpu": "cpu", "gpu": "gpu", taken: None}
    config = BenchConfig(iterations=300)
    times = {  # None: the engine of the other checks
        name: _p50(runtime, side, None, config, GpuConfig(), form)[0]
        for name, form in forms.items()
    }
    text = ", ".join(f"{form} {ms:.2f} ms" for form, ms in times.items()) + f"; taken: {taken}"
    passed = times[taken] <= SLOWER * min(times.values())
    return GpuFinding(passed, text, {"p50_ms": times, "taken": taken})


def openings(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Open an engine without and with the kernels that were compiled for it."""
    from edgeseg.loading import open_model

    runtime = runtime or gpu_runtime()
    if runtime != "tensorrt-rtx":
        raise Skipped(f"{runtime} compiles no kernels when an engine is opened")
    path = built(runtime, side, graph).engine.path
    kept, seconds = path.with_suffix(".kernels"), []
    kept.unlink(missing_ok=True)
    for _ in range(2):
        began = time.perf_counter()
        with open_model(path) as model:
            model.run()
        seconds.append(time.perf_counter() - began)
    first, second = seconds
    size = kept.stat().st_size / 1e6 if kept.is_file() else 0.0
    text = f"{first:.1f} s, then {second:.1f} s with {size:.1f} MB of kernels"
    return GpuFinding(size > 0 and second < first, text, {"seconds": seconds, "kernels_mb": size})


def contexts(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Open three more contexts on an engine, which share one activation memory."""
    from edgeseg.gpu_check.kernels import Kernels

    with TrtBackend.open(*_opened(built(runtime, side, graph))) as model:
        kernels, shared = Kernels(), model.shared_bytes
        before = kernels.free_bytes()
        for _ in range(MORE):
            model.second().run()
        more = before - kernels.free_bytes()
    text = f"{MORE} more take {more / 2**20:.0f} MiB, the activations {shared / 2**20:.0f} MiB"
    figures = {"more_bytes": more, "activation_bytes": shared}
    return GpuFinding(more <= 2 * shared + OWN_BYTES, text, figures)


def _opened(found: Built) -> tuple[Path, EngineCard]:
    return found.engine.path, found.engine.card


def rebuilt(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Build an engine again, with the timing cache of the first build."""
    runtime = runtime or gpu_runtime()
    if runtime != LEAN.runtime:
        raise Skipped(f"{runtime} times no kernels when it builds")
    found = built(runtime, side, graph)
    config = BuildConfig(precision="fp16", runtime=runtime)
    again = build_engine(found.graph, config, out=found.folder / "again").card.seconds
    first = found.engine.card.seconds
    figures = {"seconds": [first, again]}
    return GpuFinding(again <= SLOWER * first, f"{first:.0f} s, then {again:.0f} s", figures)


def idle_gaps(
    *, runtime: RuntimeName | None = None, side: int = SIDE, graph: str | None = None
) -> GpuFinding:
    """Time inferences with idle time in between, and with warm-up inferences in it."""
    times = {
        how: _p50(
            runtime, side, graph,
            BenchConfig(iterations=PACED, warmup=2, pace=IDLE, keep_warm=how == "kept warm"),
            GpuConfig(),
        )[0]
        for how in ("idle", "kept warm")
    }  # fmt: skip
    text = ", ".join(f"{how} {ms:.2f} ms" for how, ms in times.items()) + f" (one per {IDLE})"
    return GpuFinding(all(ms > 0 for ms in times.values()), text, {"p50_ms": times})


def _p50(
    runtime: RuntimeName | None,
    side: int,
    graph: str | None,
    config: BenchConfig,
    gpu: GpuConfig,
    form: OptimizeFor | None = None,
) -> tuple[float, str]:
    """Return the median latency in milliseconds, and the engine's name."""
    from edgeseg.bench.benchmark import benchmark
    from edgeseg.data.frames import load_frames
    from edgeseg.loading import open_model

    with open_model(built(runtime, side, graph, form).engine.path, gpu=gpu) as model:
        report = benchmark(model, load_frames(model.card, None), config)
        return report.latency.p50_ms, model.name


def _eager_ms(side: int) -> float:
    from edgeseg.bench.benchmark import benchmark
    from edgeseg.data.frames import load_frames
    from edgeseg.packages.extras import require
    from edgeseg.runtime.pytorch import PyTorchBackend

    torch = require("torch", extra="train")
    found = network(side)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = PyTorchBackend(found.module.to(device), found.card)
    report = benchmark(model, load_frames(model.card, None), BenchConfig(iterations=100))
    return report.latency.p50_ms
