"""The whole path on a small inspection set that it draws itself: no data, no network, no GPU."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.config import BenchConfig, BuildConfig, ExportConfig, StreamConfig
from edgeseg.errors import ConfigError
from edgeseg.log import log
from edgeseg.recipes import TrainConfig

PARTS = {"train": 80, "good": 20, "bad": 6}
TRAIN = TrainConfig(
    teacher="efficientnet_lite0",  # its weights are on the disk, with edgeseg[train]
    image_size=96,
    batch=8,
    student_steps=150,
    head_steps=80,
    schedule="cosine",
    holdout=0.2,
)
RATE = 0.05  # of false rejects: sixteen held-out parts support no smaller one


@dataclass(frozen=True)
class DemoReport:
    """What the demo measured, and where its pictures lie."""

    metrics: dict[str, Any]
    latency: dict[str, Any]
    seconds: dict[str, float]
    paths: dict[str, Path]

    def summary(self) -> str:
        """Return the table."""
        bench = self.latency
        rows = [("step", "seconds"), *((k, f"{v:.1f}") for k, v in self.seconds.items())]
        rows += [("", ""), ("metric", "value"), *((k, f"{v:.4f}") for k, v in self.metrics.items())]
        lines = [f"{name:<14}{value:>9}".rstrip() for name, value in rows]
        lines += ["", f"{bench['engine']}", f"{bench['machine']}"]
        lines += [f"p50 {bench['p50_ms']:.1f} ms, p99 {bench['p99_ms']:.1f} ms, n {bench['n']}", ""]
        return "\n".join([*lines, *(f"{what:<14}{path}" for what, path in self.paths.items())])

    def to_json(self) -> dict[str, Any]:
        """Return the six metrics at the top, the rest under their names."""
        paths = {what: str(path) for what, path in self.paths.items()}
        rest = {"seconds": self.seconds, "benchmark": self.latency, "paths": paths}
        return {**self.metrics, **rest}


def demo(folder: Path, *, config: TrainConfig = TRAIN) -> DemoReport:
    """Draw parts, train, evaluate, export, build, stream, benchmark; everything under `folder`."""
    from edgeseg.bench.benchmark import benchmark
    from edgeseg.data.frames import load_frames
    from edgeseg.data.layouts import open_dataset
    from edgeseg.data.parts import write_parts
    from edgeseg.engine.build_engine import build_engine
    from edgeseg.evaluation.evaluate import evaluate
    from edgeseg.evaluation.threshold import threshold_run
    from edgeseg.export.export import export_run
    from edgeseg.loading import open_model
    from edgeseg.stream.stream import stream_from
    from edgeseg.training.train import train

    if folder.exists():
        raise ConfigError(
            f"{folder} exists, and the demo starts afresh.",
            remedy=f"rm -r '{folder}', or edgeseg demo --out another-folder",
        )
    clock = _Clock()
    data, run, video = folder / "plates", folder / "runs" / "plates", folder / "stream.mp4"
    with clock.step("draw parts"):
        dataset = open_dataset(write_parts(data, **PARTS))
    with clock.step("train"):
        train(dataset, config, run)
        threshold_run(run, data, RATE)
    with clock.step("evaluate"), open_model(run) as model:
        evaluation = evaluate(model, dataset, out=folder / "evaluation")
    with clock.step("export"):
        graph = export_run(run, ExportConfig(), data=data).graph
    with clock.step("build"):
        engine = build_engine(graph, BuildConfig(), out=folder / "engines").path
    with open_model(engine) as model:
        with clock.step("stream"):
            clip = StreamConfig(source=str(data / "test"), out=video, window=False)
            stream_from(model, clip)
        with clock.step("benchmark"):
            frames = load_frames(model.card, data / "test")
            bench = benchmark(model, frames, BenchConfig(iterations=100))
    paths = {
        "preview": run / "preview.png",
        "curves": run / "curves.png",
        "worst cases": folder / "evaluation" / "sheet.png",
        "video": video,
        "engine": engine,
    }
    names = ("image_auroc", "pixel_auroc", "pixel_ap", "iap", "iap90", "aupro")
    found = evaluation.to_json()
    return DemoReport({k: found[k] for k in names}, bench.to_json(), clock.seconds, paths)


class _Clock:
    """Says each step as it begins, and how long it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a block."""
        log.info(f"\n== {name}")
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 2)
