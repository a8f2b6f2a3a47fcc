"""Train, export and build from Python; each returns the path of what it wrote.

run = edgeseg.train("photos", profile="edge")
engine = edgeseg.build_engine(run, precision="int8")
"""

from pathlib import Path
from typing import Any, TypeVar

from edgeseg.cards import ENGINES, RUNS
from edgeseg.config import BuildConfig, ExportConfig
from edgeseg.errors import ConfigError, ModelError
from edgeseg.evaluation.threshold import FALSE_REJECT_RATE, Thresholds, check_rate, threshold_run
from edgeseg.recipes import TrainConfig
from edgeseg.settings import fit

S = TypeVar("S")


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
    config = _settings(TrainConfig, settings)
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
    from edgeseg.data.rotation_policy import resolve_rotation

    check_rate(false_reject_rate)
    if name is not None and (Path(name).name != name or name == ".."):
        raise ConfigError(
            f"invalid name: '{name}' (expected a name without separators)",
            remedy=f"--name {Path(name).name or 'NAME'} --runs-dir FOLDER",
            code="config/run-name",
        )
    dataset = open_dataset(data)
    config = resolve_rotation(config, dataset)
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
    config = _settings(ExportConfig, settings)
    path = run_of(run)
    from edgeseg.exporter.export import export_run

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

    config = _settings(BuildConfig, settings)
    return build(graph_of(model), config, out=Path(out)).path


def run_of(given: str | Path | None) -> Path:
    """Return a run directory; ModelError (`model/not-a-run`) for an ONNX file or an engine."""
    from edgeseg.loading import find_model

    path = find_model(given)
    if not path.is_dir():
        raise ModelError(
            f"not a run: {path} (expected a run directory or the name of a run)",
            remedy="name the run that the file was exported from, for example: runs/bottle",
            code="model/not-a-run",
        )
    return path


def graph_of(given: str | Path | None) -> Path:
    """Return the ONNX file of a run, exported if it is not yet.

    ModelError (`model/not-a-graph`) for an engine.
    """
    from edgeseg.loading import find_model

    path = find_model(given)
    if path.is_dir():
        from edgeseg.exporter.ensure import exported_graph

        return exported_graph(path)
    if path.suffix != ".onnx" or path.with_suffix(".json").is_file():
        raise ModelError(
            f"not an exported graph: {path} (expected a run or the ONNX file of edgeseg export)",
            remedy="name the run that it was built from, for example: runs/bottle",
            code="model/not-a-graph",
        )
    return path


def _settings(kind: type[S], values: dict[str, Any]) -> S:
    """Build a configuration from keyword arguments; paths may be str.

    ConfigError for an unknown name, a wrong type or a value out of bounds.
    """
    plain = {k: str(v) if isinstance(v, Path) else v for k, v in values.items() if v is not None}
    return kind(**fit(plain, kind, Path("keyword arguments")))
