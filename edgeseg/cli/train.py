"""The commands that make a model and measure it: train, threshold, evaluate and their like."""

from pathlib import Path
from typing import Annotated, Any

from edgeseg.cards import RUNS
from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import option, takes
from edgeseg.cli.help import GROUPS
from edgeseg.cli.models import (
    IMAGES,
    DeviceNumber,
    MaybeData,
    ModelArgument,
    Runtime,
    Strict,
    Threads,
    argument,
    is_model,
    split,
)
from edgeseg.config import GpuConfig
from edgeseg.errors import ConfigError
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.config import ReproduceConfig
from edgeseg.tuning.config import TuneConfig
from edgeseg.verdict.region_config import RuleConfig

PANEL = GROUPS[1]
MaybeRate = Annotated[float | None, option("Target false-reject rate, 0..1 [default: 0.01]", "X")]
Context = Annotated[
    float | None,
    option(
        "Average the anomaly map with its Gaussian blur of this sigma in pixels; 0 disables "
        "[default: unchanged]",
        "X",
        min=0.0,
    ),
]


@command(PANEL)
@takes(TrainConfig)
def train(
    given: dict[str, Any],
    data: Annotated[Path | None, argument("[DATA]", IMAGES)] = None,
    # The flag is written out: Typer 0.27 derives it from a metavar of the same letters.
    name: Annotated[
        str | None, option("Run name [default: the data folder's]", "NAME", "--name")
    ] = None,
    runs_dir: Annotated[Path, option("Folder of runs [default: runs]", "DIR")] = RUNS,
    false_reject_rate: MaybeRate = None,
    resume: Annotated[
        bool, option("Resume an unfinished run, with its settings", None, "--resume")
    ] = False,
    overwrite: Annotated[
        bool, option("Replace an earlier run when this one is complete", None, "--overwrite")
    ] = False,
    preview: Annotated[bool, option("Write preview.png first [default: yes]")] = True,
    add: Annotated[
        Path | None,
        option(
            "Continue a finished run on DATA with new images of good parts, also rejected ones, in "
            "a fifth of the steps; writes a new run",
            "DIR",
            "--add",
        ),
    ] = None,
    continue_run: Annotated[
        Path | None,
        option("Run that --add continues [default: the newest trained on DATA]", "RUN"),
    ] = None,
    track: Annotated[
        list[str] | None,
        option(
            "Also record the training with tensorboard, or mlflow:http://HOST:PORT; repeatable",
            "TRACKER",
        ),
    ] = None,
    all_products: Annotated[
        Path | None,
        option(
            "Train every product folder in DIR: runs, reports, graphs, engines and one page",
            "DIR",
            "--all",
        ),
    ] = None,
    on: Annotated[
        str | None, option("Where --all trains, as in reproduce [default: local]", "PLACE")
    ] = None,
    processes: Annotated[
        int | None, option("Products at a time with --all [default: 1]", "N", min=1)
    ] = None,
    threads: Threads = None,
) -> Report:
    """Train on images of good parts and set the thresholds."""
    if all_products is not None:
        from edgeseg.api import train_products

        alone: dict[str, object] = {
            "DATA": data,
            "--name": name,
            "--resume": resume,
            "--overwrite": overwrite,
            "--no-preview": not preview,
        }
        alone |= {"--add": add, "--continue-run": continue_run, "--track": track}
        return train_products(
            all_products,
            given,
            runs_dir=runs_dir,
            false_reject_rate=false_reject_rate,
            on=on or "local",
            processes=processes,
            cores=threads,
            alone=[flag for flag, value in alone.items() if value],
        )
    if on is not None or processes is not None:
        flag = "--processes" if on is None else "--on"
        raise ConfigError(
            f"{flag} is for many products, and one is trained",
            remedy="remove it, or train every product folder: --all DIR",
            code="config/conflict",
        )
    from edgeseg.api import train_run

    return train_run(
        data,
        given,
        name=name,
        runs_dir=runs_dir,
        false_reject_rate=false_reject_rate,
        resume=resume,
        overwrite=overwrite,
        preview=preview,
        add=add,
        continue_run=continue_run,
        track=track or (),
        threads=threads,
    )


@command(PANEL)
@takes(TuneConfig)
def tune(
    data: Annotated[Path, argument("DATA", IMAGES)],
    config: TuneConfig,
    name: Annotated[
        str | None, option("Run name [default: the data folder's]", "NAME", "--name")
    ] = None,
    runs_dir: Annotated[Path, option("Folder of runs [default: runs]", "DIR")] = RUNS,
    false_reject_rate: MaybeRate = None,
    overwrite: Annotated[
        bool, option("Replace an earlier run when this one is complete", None, "--overwrite")
    ] = False,
    threads: Threads = None,
) -> Report:
    """Find the best recipe for these parts within a budget, and train it."""
    from edgeseg.tuning.tune import tune as run_tuning

    return run_tuning(
        data,
        config,
        name=name,
        runs_dir=runs_dir,
        false_reject_rate=false_reject_rate,
        overwrite=overwrite,
        threads=threads,
    )


@command(PANEL)
@takes(RuleConfig)
def threshold(
    config: RuleConfig,
    model: ModelArgument = None,
    data: Annotated[
        Path | None, argument("[DATA]", f"{IMAGES}; not needed for the settings of regions alone")
    ] = None,
    false_reject: Annotated[
        float | None,
        option(
            "Choose by this false-reject rate, 0..1", "X", "--false-reject", "--false-reject-rate"
        ),
    ] = None,
    max_miss: Annotated[float | None, option("Choose by this miss rate, 0..1", "X")] = None,
    cost: Annotated[
        str | None,
        option("Choose by the prices of a false reject and of a miss, e.g. 1:50", "F:M"),
    ] = None,
    defect_rate: Annotated[
        float, option("Share of defective parts for --cost, 0..1 [default: 0.01]", "X")
    ] = 0.01,
    context: Context = None,
    input_check: Annotated[
        bool,
        option("First fit and store the input check of a run that has none", None, "--input-check"),
    ] = False,
    strict: Strict = False,
    runtime: Runtime = None,
    threads: Threads = None,
) -> Report:
    """Show what thresholds reject and miss; choose and store one, or a rule for regions."""
    from edgeseg.api import run_of
    from edgeseg.evaluation.pick import Pick
    from edgeseg.evaluation.regions.change import change_rule
    from edgeseg.evaluation.review import review
    from edgeseg.exporter.store_input_check import store_input_check
    from edgeseg.exporter.store_thresholds import store_thresholds
    from edgeseg.loading import find_model

    pick = None
    if (false_reject, max_miss, cost) != (None, None, None):
        pick = Pick(
            false_reject=false_reject, max_miss=max_miss, cost=cost, defect_rate=defect_rate
        )
    names_model = data is None and (model is None or is_model(model))
    alone = pick is None and context is None and not input_check
    alone = alone and config.roi is None and config.ignore is None
    if names_model and alone and config != RuleConfig():
        return change_rule(find_model(model), config, store_thresholds)
    named, images = split("threshold", model, data)
    path = run_of(named) if input_check else find_model(named)
    if input_check:
        store_input_check(path, images)
    return review(
        path,
        images,
        pick,
        context=context,
        regions=config,
        strict=strict,
        runtime=runtime,
        threads=threads,
        write=store_thresholds,
    )


@command(PANEL)
def evaluate(
    model: ModelArgument = None,
    data: MaybeData = None,
    out: Annotated[
        Path | None, option("Folder for the results [default: evaluations/NAME/DATA]", "DIR")
    ] = None,
    strict: Strict = False,
    runtime: Runtime = None,
    device: DeviceNumber = 0,
    threads: Threads = None,
) -> Report:
    """Measure a model on labelled images and say what the figures mean."""
    from edgeseg.data.layouts import open_dataset
    from edgeseg.evaluation.evaluate import evaluate as run_evaluation
    from edgeseg.evaluation.folder import default_folder
    from edgeseg.files import check_outputs
    from edgeseg.loading import find_model, open_model, warn_unchecked

    named, images = split("evaluate", model, data)
    path, dataset = find_model(named), open_dataset(images)
    folder = out or default_folder(path, dataset.name)
    check_outputs({"--out": folder}, [path, images])
    gpu = GpuConfig(device=device)
    with open_model(path, runtime=runtime, threads=threads, gpu=gpu) as backend:
        warn_unchecked(backend.card)
        return run_evaluation(backend, dataset, out=folder, model=path, strict=strict)


@command(PANEL)
def compare(
    model_a: Annotated[Path, argument("MODEL_A", "Run directory or name, ONNX file or engine")],
    model_b: Annotated[Path, argument("MODEL_B", "Run directory or name, ONNX file or engine")],
    data: Annotated[Path, option("Labeled images [required]", "DIR")],
    out: Annotated[
        Path | None, option("Folder for the results [default: evaluations/A-B/DATA]", "DIR")
    ] = None,
    threads: Threads = None,
) -> Report:
    """Show two models side by side, and the images on which their verdicts differ."""
    from edgeseg.evaluation.sides.side_by_side import compare_models
    from edgeseg.loading import find_model

    a, b = find_model(model_a), find_model(model_b)
    return compare_models(a, b, data, out=out, threads=threads)


@command(PANEL)
@takes(ReproduceConfig)
def reproduce(
    table: Annotated[str, argument("TABLE", "destseg-1 to dskd-9, or the path of a TOML file")],
    config: ReproduceConfig,
) -> Report:
    """Train and measure a table of the papers. Prints the published numbers beside it."""
    from edgeseg.reproduce.reproduce import reproduce as run_reproduction

    return run_reproduction(table, config)


@command(PANEL)
def import_checkpoint(
    file: Annotated[Path, argument("FILE", "State dict saved by the DeSTSeg authors' code")],
    out: Annotated[Path, option("New run directory, e.g. runs/NAME [required]", "DIR")],
) -> Report:
    """Convert a checkpoint of the DeSTSeg authors to a run."""
    from edgeseg.packages.extras import require

    require("torch", extra="train")
    from edgeseg.training.import_checkpoint import import_checkpoint as run_import

    return run_import(file, out)
