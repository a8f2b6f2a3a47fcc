"""Train, export and build from Python; each returns the path of what it wrote.

run = edgeseg.train("photos", profile="edge")
engine = edgeseg.build_engine(run, precision="int8")
"""

from pathlib import Path
from typing import Any

from edgeseg.config import BuildConfig, ExportConfig
from edgeseg.evaluation.threshold import FALSE_REJECT_RATE, Thresholds, check_rate, threshold_run
from edgeseg.recipes import TrainConfig

RUNS, ENGINES = Path("runs"), Path("engines")


def train(
    data: str | Path,
    *,
    name: str | None = None,
    runs_dir: str | Path = RUNS,
    false_reject_rate: float = FALSE_REJECT_RATE,
    resume: bool = False,
    preview: bool = True,
    **settings: Any,
) -> Path:
    """Train on a folder of good parts, set the thresholds, and return the run directory.

    name: of the run; default: the name of the data folder. settings: fields of TrainConfig, such as
    `model="dskd"`, `profile="edge"`, `image_size=256`.
    Errors: DataError, ConfigError, MissingWeights; Interrupted keeps what can be resumed.
    """
    config = TrainConfig(**settings)
    run, _ = train_run(
        Path(data),
        config,
        name=name,
        runs_dir=Path(runs_dir),
        false_reject_rate=false_reject_rate,
        resume=resume,
        preview=preview,
    )
    return run


def train_run(
    data: Path,
    config: TrainConfig,
    *,
    name: str | None,
    runs_dir: Path,
    false_reject_rate: float,
    resume: bool,
    preview: bool,
) -> tuple[Path, Thresholds]:
    """Train and set the thresholds; what can be checked before is checked before."""
    from edgeseg.data.layouts import open_dataset
    from edgeseg.data.policy import settle

    check_rate(false_reject_rate)
    dataset = open_dataset(data)
    config = settle(config, dataset)
    run = runs_dir / (name or dataset.name)
    from edgeseg.training.train import train as run_training  # loads torch: after the checks

    run_training(dataset, config, run, resume=resume, preview=preview)
    return run, threshold_run(run, data, false_reject_rate)


def export(
    run: str | Path | None = None, *, data: str | Path | None = None, **settings: Any
) -> Path:
    """Export a run as one ONNX graph and return its path.

    run: a run directory or its name; default: the newest in runs/. data: the folder it was trained
    on, whose held-out images are used for the parity check. settings: fields of ExportConfig, such
    as `frame_size="640x480"`, `format="gray"`.
    """
    from edgeseg.loading import find_model

    config = ExportConfig(**settings)
    path = find_model(None if run is None else Path(run), RUNS)
    from edgeseg.export.export import export_run

    return export_run(path, config, data=None if data is None else Path(data)).graph


def build_engine(
    model: str | Path | None = None, *, out: str | Path = ENGINES, **settings: Any
) -> Path:
    """Build an engine from a run or an ONNX file of edgeseg and return its path.

    model: default: the newest run in runs/; a run without a graph is exported first. settings:
    fields of BuildConfig, such as `precision="int8"`, `runtime="openvino"`, `data=Path("photos")`.
    Errors: BuildError, GateFailed, ConfigError.
    """
    from edgeseg.engine.build_engine import build_engine as build
    from edgeseg.export.ensure import exported_graph
    from edgeseg.loading import find_model

    config = BuildConfig(**settings)
    path = find_model(None if model is None else Path(model), RUNS)
    graph = exported_graph(path) if path.is_dir() else path
    return build(graph, config, out=Path(out)).path
