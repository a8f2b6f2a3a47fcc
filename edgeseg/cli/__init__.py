"""The commands: typed parameters, a late import, one configuration, one call, one report.

Exit codes: 0 done, 2 the user's world is wrong, 3 a gate failed, 1 our own fault.
With `--json` the last line of standard output is one JSON document.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from edgeseg import __version__
from edgeseg.cli.flags import takes
from edgeseg.config import (
    BenchConfig,
    BuildConfig,
    CalibrateConfig,
    ExportConfig,
    ProfileConfig,
    ReproduceConfig,
    StreamConfig,
    VerifyConfig,
)
from edgeseg.errors import EdgesegError
from edgeseg.log import install_handler
from edgeseg.recipes import TrainConfig

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

RUNS, ENGINES, DEMO = Path("runs"), Path("engines"), Path("edgeseg-demo")
CALIBRATION = Path("calibration")

Data = Annotated[
    Path, typer.Argument(help="Images: MVTec AD layout, or good/ [bad/ masks/]; README: Data sets.")
]
Model = Annotated[Path, typer.Argument(help="A run (folder or name), an ONNX file or an engine.")]
Newest = Annotated[
    Path | None, typer.Option("--model", help="Run, or its name; default: the newest in runs/.")
]
NewestEngine = Annotated[
    Path | None,
    typer.Option("--model", help="Engine, ONNX file or run; default: the newest engine."),
]
Json = Annotated[bool, typer.Option("--json", help="End with one line of JSON.")]
Matrix = Annotated[
    bool, typer.Option("--matrix", help="Instead: which TensorRT serves which GPU and JetPack.")
]
Rate = Annotated[float, typer.Option(help="Share of good parts that may be rejected.")]
Context = Annotated[
    float | None,
    typer.Option(min=0.0, help="Average the map with its blur of this sigma, in pixels; 0: not."),
]
Runtime = Annotated[str | None, typer.Option(help="onnxruntime or openvino, for an ONNX file.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; default: every core.")]
PixelThreshold = Annotated[float | None, typer.Option(help="Instead of the model's, on the map.")]
PartThreshold = Annotated[float | None, typer.Option(help="Instead of the model's, on the score.")]


class Report(Protocol):
    """What a command ends with."""

    def summary(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


def main() -> None:
    """Run a command; the user's errors become two lines and an exit code."""
    install_handler(logging.INFO)
    try:
        app()
    except EdgesegError as error:
        print(f"error: {error.problem}\n  fix: {error.remedy}", file=sys.stderr)
        sys.exit(error.exit_code)


def show(report: Report, as_json: bool) -> None:
    """Print a report, and as the last line its JSON."""
    print(report.summary())
    if as_json:
        print(json.dumps(report.to_json()))


def _version(wanted: bool) -> None:
    if wanted:
        print(f"edgeseg {__version__}")
        raise typer.Exit


@app.callback()
def edgeseg(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """From photos of good parts to a defect mask for every camera frame."""


@app.command()
@takes(TrainConfig)
def train(
    data: Data,
    config: TrainConfig,
    name: Annotated[str | None, typer.Option(help="Of the run; default: the data's.")] = None,
    runs_dir: Annotated[Path, typer.Option(help="Folder of runs.")] = RUNS,
    false_reject_rate: Rate = 0.01,
    preview: Annotated[bool, typer.Option(help="Write preview.png before training.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
    as_json: Json = False,
) -> None:
    """Train on photos of good parts, and find the thresholds on those held back."""
    from edgeseg.data.layouts import open_dataset
    from edgeseg.data.policy import settle
    from edgeseg.evaluation.threshold import check_rate, threshold_run

    check_rate(false_reject_rate)
    dataset = open_dataset(data)
    config = settle(config, dataset)
    run = runs_dir / (name or dataset.name)
    from edgeseg.training.train import train as run_training  # seconds, for torch: after the checks

    run_training(dataset, config, run, resume=resume, preview=preview)
    show(threshold_run(run, data, false_reject_rate), as_json)


@app.command()
def threshold(
    run: Model,
    data: Data,
    false_reject_rate: Rate = 0.01,
    context: Context = None,
    as_json: Json = False,
) -> None:
    """Set a run's thresholds for a wanted share of false rejects, from its held-out images."""
    from edgeseg.evaluation.threshold import threshold_run
    from edgeseg.loading import find_model

    path = find_model(run, RUNS)
    show(threshold_run(path, data, false_reject_rate, context=context), as_json)


@app.command()
def import_checkpoint(
    file: Annotated[Path, typer.Argument(help="State dict that the DeSTSeg authors' code saved.")],
    out: Annotated[Path, typer.Option(help="The new run's folder: runs/NAME.")],
    as_json: Json = False,
) -> None:
    """Read a checkpoint of the DeSTSeg authors' code into a run that predicts the same."""
    from edgeseg.extras import require

    require("torch", extra="train")
    from edgeseg.training.import_checkpoint import import_checkpoint as run_import

    show(run_import(file, out), as_json)


@app.command()
def evaluate(
    model: Model,
    data: Data,
    out: Annotated[Path | None, typer.Option(help="Folder for evaluation.json, sheet.png.")] = None,
    runtime: Runtime = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Measure a run, a graph or an engine on labelled images; show its worst mistakes."""
    from edgeseg.data.layouts import open_dataset
    from edgeseg.evaluation.evaluate import evaluate as run_evaluation
    from edgeseg.loading import find_model, open_model

    path = find_model(model, RUNS)
    with open_model(path, runtime=runtime, threads=threads) as backend:
        folder = out or Path("evaluations") / path.stem
        show(run_evaluation(backend, open_dataset(data), out=folder), as_json)


@app.command()
@takes(ExportConfig)
def export(
    config: ExportConfig,
    model: Newest = None,
    data: Annotated[Path | None, typer.Option(help="The run's data: frames for parity.")] = None,
    as_json: Json = False,
) -> None:
    """Write a run as one ONNX graph, camera bytes to mask bytes, checked against PyTorch."""
    from edgeseg.loading import find_model

    path = find_model(model, RUNS)
    from edgeseg.export.export import export_run  # loads torch: after the path is known

    show(export_run(path, config, data=data), as_json)


@app.command()
@takes(CalibrateConfig)
def calibrate(
    config: CalibrateConfig,
    model: Annotated[
        Path | None, typer.Argument(help="Run, or its graph; default: newest.")
    ] = None,
    data: Annotated[Path | None, typer.Argument(help="Folder of the images.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the ranges.")] = CALIBRATION,
    as_json: Json = False,
) -> None:
    """Measure the ranges that INT8 needs, on photos of good parts."""
    from edgeseg.export.ensure import exported_graph
    from edgeseg.loading import find_model
    from edgeseg.quantize.calibrate import calibrate as run_calibration
    from edgeseg.quantize.calibrate import data_of

    named, images = data_of(model, data)
    path = find_model(named, RUNS)
    graph = exported_graph(path) if path.is_dir() else path
    show(run_calibration(graph, images, config, out=out), as_json)


@app.command()
@takes(BuildConfig)
def build_engine(
    config: BuildConfig,
    model: Newest = None,
    out: Annotated[Path, typer.Option(help="Folder for the engine and its card.")] = ENGINES,
    as_json: Json = False,
) -> None:
    """Build an engine for this machine, or with --compute-capability for another one."""
    from edgeseg.engine.build_engine import build_engine as run_build
    from edgeseg.export.ensure import exported_graph
    from edgeseg.loading import find_model

    path = find_model(model, RUNS)
    graph = exported_graph(path) if path.is_dir() else path
    show(run_build(graph, config, out=out), as_json)


@app.command()
@takes(VerifyConfig)
def verify(
    a: Model,
    b: Model,
    config: VerifyConfig,
    as_json: Json = False,
) -> None:
    """Compare two of run, ONNX file and engine on the same frames; exit code 3 beyond a limit."""
    from edgeseg.accuracy.verify import verify as run_verification
    from edgeseg.loading import find_model

    paths = [find_model(path, RUNS) for path in (a, b)]
    report = run_verification(paths[0], paths[1], config)
    show(report, as_json)
    report.check()


@app.command()
def predict(
    model: Model,
    images: Annotated[list[Path], typer.Argument(help="Image files or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder for masks, overlays and maps.")],
    threshold: PixelThreshold = None,
    image_threshold: PartThreshold = None,
    runtime: Runtime = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Write a mask, an overlay, the map and a verdict for each image."""
    from edgeseg.loading import find_model, open_model
    from edgeseg.stream.predict import predict as run_predict

    path = find_model(model, RUNS)
    limits = {"threshold": threshold, "image_threshold": image_threshold}
    with open_model(path, runtime=runtime, threads=threads) as backend:
        show(run_predict(backend, images, out, **limits), as_json)


@app.command()
@takes(StreamConfig)
def stream(
    config: StreamConfig,
    model: NewestEngine = None,
    runtime: Runtime = None,
    threads: Threads = None,
    as_json: Json = False,
) -> None:
    """Turn a camera, a video or a folder into masks, and report the latency."""
    from edgeseg.loading import find_engine, open_model
    from edgeseg.stream.stream import stream_from

    path = find_engine(model, ENGINES, RUNS)
    with open_model(path, runtime=runtime, threads=threads, gpu=config) as backend:
        report = stream_from(backend, config)
    show(report, as_json)
    report.check()


@app.command()
@takes(BenchConfig)
def benchmark(
    config: BenchConfig,
    model: Annotated[Path | None, typer.Argument(help="Default: the newest engine.")] = None,
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Measure a model's latency on real frames: median, p99, and the machine they hold for."""
    from edgeseg.bench.benchmark import benchmark as run_benchmark
    from edgeseg.bench.frames import load_frames
    from edgeseg.loading import find_engine, open_model

    path = find_engine(model, ENGINES, RUNS)
    with open_model(path, runtime=runtime, threads=config.threads, gpu=config) as backend:
        frames = load_frames(backend.card, config.data)
        show(run_benchmark(backend, frames, config), as_json)


@app.command()
@takes(ProfileConfig)
def profile(
    config: ProfileConfig,
    model: Annotated[Path | None, typer.Argument(help="Default: the newest engine.")] = None,
    runtime: Runtime = None,
    as_json: Json = False,
) -> None:
    """Show where a run's time goes, by layer and by part of the network, and draw it."""
    from edgeseg.bench.frames import load_frames
    from edgeseg.bench.profile import profile as run_profile
    from edgeseg.loading import find_engine, open_model

    path = find_engine(model, ENGINES, RUNS)
    with open_model(path, runtime=runtime, threads=config.threads) as backend:
        frames = load_frames(backend.card, config.data)
        show(run_profile(backend, path, frames, config), as_json)


@app.command()
def inspect(
    model: Model,
    graph: Annotated[Path | None, typer.Option(help="Of an engine: what it is built from.")] = None,
    as_json: Json = False,
) -> None:
    """Show the work and the parameters of each part; of a run, before and after rewriting."""
    from edgeseg.export.inspect import inspect_model
    from edgeseg.loading import find_model

    show(inspect_model(find_model(model, RUNS), graph=graph), as_json)


@app.command()
@takes(ReproduceConfig)
def reproduce(
    table: Annotated[str, typer.Argument(help="destseg-1 ... dskd-9, or a TOML file of yours.")],
    config: ReproduceConfig,
    as_json: Json = False,
) -> None:
    """Train and measure a table of the papers, and print it beside their figures."""
    from edgeseg.reproduce.reproduce import reproduce as run_reproduction

    report = run_reproduction(table, config)
    show(report, as_json)
    report.check()


@app.command()
def doctor(matrix: Matrix = False, as_json: Json = False) -> None:
    """Show what this machine can run, and what to type for what it cannot."""
    if matrix:
        from edgeseg.machine.support_report import MatrixReport

        show(MatrixReport(), as_json)
    else:
        from edgeseg.doctor import examine

        diagnosis = examine()
        show(diagnosis, as_json)
        diagnosis.check()


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = DEMO,
    as_json: Json = False,
) -> None:
    """Draw parts, train, evaluate, export, build, stream and benchmark: needs nothing."""
    from edgeseg.demo import demo as run_demo

    show(run_demo(out), as_json)
