"""All steps on a small generated data set: no data, network or GPU required."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.config import BenchConfig, BuildConfig, ExportConfig, StreamConfig
from edgeseg.errors import ConfigError
from edgeseg.files import quoted
from edgeseg.log import log
from edgeseg.recipes import TrainConfig
from edgeseg.text import table

PARTS = {"train": 80, "good": 20, "bad": 6}
TRAIN = TrainConfig(
    teacher="efficientnet_lite0",  # its weights are a Python package
    image_size=96,
    batch=8,
    student_steps=150,
    head_steps=80,
    schedule="cosine",
    holdout=0.2,
)
FALSE_REJECT_RATE = 0.05  # the lowest that sixteen held-out images support


@dataclass(frozen=True)
class DemoReport:
    """Metrics, latency, durations and output files of the demo."""

    folder: Path
    metrics: dict[str, Any]
    latency: dict[str, Any]
    seconds: dict[str, float]
    paths: dict[str, Path]

    def summary(self) -> str:
        bench = self.latency
        rows = [("step", "seconds"), *((k, f"{v:.1f}") for k, v in self.seconds.items())]
        rows += [("", ""), ("metric", "value"), *((k, f"{v:.4f}") for k, v in self.metrics.items())]
        lines = [*table(rows, "<>"), "", f"{bench['engine']}", f"{bench['machine']}"]
        lines += [f"p50 {bench['p50_ms']:.1f} ms, p99 {bench['p99_ms']:.1f} ms, n {bench['n']}", ""]
        lines += table([(what, str(path)) for what, path in self.paths.items()], "<<")
        return "\n".join([*lines, "", *(f"next: {step}" for step in self.next_steps())])

    def next_steps(self) -> list[str]:
        """Return the commands that use the result, and the one for photos of one's own."""
        predict = f"cd {quoted(self.folder)} && edgeseg predict plates/test --out results"
        return [predict, "edgeseg train DATA"]

    def to_json(self) -> dict[str, Any]:
        """Return the metrics at the top level, the rest under their names."""
        paths = {what: str(path) for what, path in self.paths.items()}
        rest = {"seconds": self.seconds, "benchmark": self.latency, "paths": paths}
        return {**self.metrics, **rest}


def demo(folder: Path, *, config: TrainConfig = TRAIN) -> DemoReport:
    """Generate images, train, evaluate, export, build, stream and benchmark, under `folder`."""
    from edgeseg.bench.benchmark import benchmark
    from edgeseg.data.frames import load_frames
    from edgeseg.data.layouts import open_dataset
    from edgeseg.data.parts import write_parts
    from edgeseg.engine.build_engine import build_engine
    from edgeseg.evaluation.evaluate import evaluate
    from edgeseg.evaluation.threshold import threshold_run
    from edgeseg.exporter.export import export_run
    from edgeseg.loading import open_model
    from edgeseg.stream.stream import stream_from
    from edgeseg.training.train import train

    if folder.exists():
        raise ConfigError(
            f"{folder} exists (expected a new folder)",
            remedy=f"edgeseg demo --out {quoted(f'{folder}-2')}",
            code="config/folder-exists",
        )
    watch = _Stopwatch()
    data, run, video = folder / "plates", folder / "runs" / "plates", folder / "stream.mp4"
    with watch.step("generate images"):
        dataset = open_dataset(write_parts(data, **PARTS))
    with watch.step("train"):
        train(dataset, config, run)
        threshold_run(run, data, FALSE_REJECT_RATE)
    with watch.step("evaluate"), open_model(run) as model:
        evaluation = evaluate(model, dataset, out=folder / "evaluation")
        evaluation.store()
    with watch.step("export"):
        graph = export_run(run, ExportConfig(), data=data).graph
    with watch.step("build"):
        engine = build_engine(graph, BuildConfig(), out=folder / "engines").path
    with open_model(engine) as model:
        with watch.step("stream"):
            clip = StreamConfig(source=str(data / "test"), out=video, overwrite=True, window=False)
            stream_from(model, clip)
        with watch.step("benchmark"):
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
    metrics = {k: found[k] for k in names}
    return DemoReport(folder, metrics, bench.to_json(), watch.seconds, paths)


class _Stopwatch:
    """Logs the start of each step and keeps its duration."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        log.info(f"\n== {name}")
        began = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - began, 2)
