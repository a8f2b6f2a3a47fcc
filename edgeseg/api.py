"""Train, export and build from Python; each returns the path of what it wrote.

run = edgeseg.train("photos", profile="edge")
engine = edgeseg.build_engine(run, precision="int8")
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgeseg.cards import CARD, ENGINES, RUNS, ModelCard, read_card
from edgeseg.config import BuildConfig, ExportConfig
from edgeseg.errors import ConfigError, EdgesegError, ModelError
from edgeseg.evaluation.threshold import (
    FALSE_REJECT_RATE,
    Thresholds,
    check_rate,
    rate_warning,
    threshold_run,
)
from edgeseg.files import quoted, shown
from edgeseg.log import log
from edgeseg.machine.threads import limit_threads
from edgeseg.presets import DEFAULT
from edgeseg.recipes import TrainConfig
from edgeseg.settings import fit, plain
from edgeseg.tracking.tracking import Tracking

if TYPE_CHECKING:
    from edgeseg.products.summary import ProductsReport

S = TypeVar("S")


@dataclass(frozen=True)
class Trained:
    """A finished training, and its thresholds, if there are images for them."""

    run: Path
    thresholds: Thresholds | None

    def summary(self) -> str:
        """Return the thresholds, or how to set them, as text."""
        if self.thresholds is not None:
            return self.thresholds.summary()
        return (
            f"{shown(self.run)} has no thresholds: no image was held out (--holdout 0)\n"
            "set them on images of good parts that were not used in training:\n"
            f"  edgeseg threshold {quoted(self.run)} FOLDER --false-reject 0.01"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the run, and the thresholds at the top level."""
        found = {} if self.thresholds is None else self.thresholds.to_json()
        return {"run": str(self.run)} | found


def train(
    data: str | Path | None = None,
    *,
    name: str | None = None,
    runs_dir: str | Path = RUNS,
    false_reject_rate: float | None = None,
    resume: bool = False,
    overwrite: bool = False,
    preview: bool = True,
    add: str | Path | None = None,
    continue_run: str | Path | None = None,
    track: Sequence[str] = (),
    threads: int | None = None,
    **settings: Any,
) -> Path:
    """Train on a folder of good parts, set the thresholds, and return the run directory.

    name: of the run; default: the name of the data folder. false_reject_rate: default 0.01.
    resume: an unfinished run, with its data and settings. overwrite: replace an earlier run when
    this training is complete. add: a folder of new images of good parts, with which a finished run
    on `data` is continued: `continue_run`; default: the newest. track: trackers beside train.csv,
    such as `["tensorboard", "mlflow:http://HOST:PORT"]`. threads: of the CPU; default: all cores.
    settings: fields of TrainConfig, such as `model="dskd"`, `profile="edge"`, `image_size=256`.
    Errors: DataError, ConfigError, MissingWeights; Interrupted keeps what can be resumed.
    """
    return train_run(
        None if data is None else Path(data),
        _given(TrainConfig, settings),
        name=name,
        runs_dir=Path(runs_dir),
        false_reject_rate=false_reject_rate,
        resume=resume,
        overwrite=overwrite,
        preview=preview,
        add=None if add is None else Path(add),
        continue_run=None if continue_run is None else Path(continue_run),
        track=track,
        threads=threads,
    ).run


def train_run(
    data: Path | None,
    given: dict[str, Any],
    *,
    name: str | None,
    runs_dir: Path,
    false_reject_rate: float | None,
    resume: bool,
    overwrite: bool,
    preview: bool,
    add: Path | None = None,
    continue_run: Path | None = None,
    track: Sequence[str] = (),
    threads: int | None = None,
) -> Trained:
    """Train and set the thresholds; what can be checked before is checked before.

    given: the settings that were given; those of a resumed run must not contradict its checkpoint.
    """
    from edgeseg.data.defective.known import refuse_good_and_bad
    from edgeseg.data.layouts import open_dataset
    from edgeseg.data.rotation_policy import resolve_rotation
    from edgeseg.evaluation import added
    from edgeseg.training.folder import RESUME, choose, no_data, read_facts, resumed, run_path
    from edgeseg.training.prepare import split_samples, split_words

    if false_reject_rate is not None:
        check_rate(false_reject_rate)
    began = time.perf_counter()
    limit_threads(threads)
    tracking = Tracking(track)
    added.check_add(data, add, continue_run, resume=resume)
    if add is not None and data is not None:
        continue_run = added.run_to_continue(continue_run, data, runs_dir)
        added.refuse_settings(plain(given), read_card(continue_run / CARD, ModelCard))
        name = name or added.next_name(runs_dir / continue_run.name)
    given = given if resume or add is not None else with_default(given)
    config = None if resume else TrainConfig(**given)
    run = run_path(data, name, runs_dir, resume=resume)
    folder = choose(run, resume=resume, overwrite=overwrite)
    if resume and (folder / RESUME).is_file():
        data, config, recorded = resumed(folder, run, data, given)
        false_reject_rate = recorded if false_reject_rate is None else false_reject_rate
        facts = read_facts(folder)
        if facts.continues is not None and facts.added is not None:
            continue_run, add = Path(facts.continues), Path(facts.added)
    if data is None:
        raise no_data(resume)
    rate, origin = FALSE_REJECT_RATE, None
    if add is not None and continue_run is not None:
        added.refuse_itself(continue_run, run)
        card = read_card(continue_run / CARD, ModelCard)
        found = added.continuation(continue_run, card, data, add)
        dataset, config, origin = found.dataset, found.config, found.origin
        rate = found.rate or rate
    else:
        dataset = open_dataset(data)
        config = resolve_rotation(config or TrainConfig(**given), dataset)
    rate = rate if false_reject_rate is None else false_reject_rate
    refuse_good_and_bad(dataset)
    training, held = split_samples(dataset, config)
    log.info(split_words(dataset, training, held))
    if held and (warning := rate_warning(len(held), rate)):
        log.warning(warning)
    from edgeseg.training.timing import sized
    from edgeseg.training.train import train as run_training  # loads torch: after the checks

    config, plan = sized(dataset, config, given, started=began, resume=resume or origin is not None)
    with tracking:
        card = run_training(
            dataset,
            config,
            run,
            resume=resume,
            overwrite=overwrite,
            preview=preview,
            false_reject_rate=false_reject_rate,
            continued=origin,
            plan=plan,
            tracking=tracking,
        )
        tracking.put(tracking.step, {f"seconds/{k}": v for k, v in card.seconds.items()})
        if not card.split["holdout"]:
            return Trained(run, None)
        thresholds = _thresholds(run, data, rate)
        fields = thresholds.to_json().items()
        numbers = {f"thresholds/{k}": v for k, v in fields if isinstance(v, int | float)}
        tracking.put(tracking.step, numbers)
        return Trained(run, thresholds)


def _thresholds(run: Path, data: Path, rate: float) -> Thresholds:
    """Find the thresholds of a new run; an error tells how to do it later."""
    try:
        return threshold_run(run, data, rate)
    except EdgesegError as error:
        raise type(error)(
            f"{error.problem}; the training is complete, without thresholds",
            remedy=f"{error.remedy}, then:\n       edgeseg threshold {quoted(run)} {quoted(data)} "
            f"--false-reject {quoted(str(rate))}",
            code=error.code,
        ) from error


def train_products(
    folder: Path,
    given: dict[str, Any],
    *,
    runs_dir: Path,
    false_reject_rate: float | None,
    on: str,
    processes: int | None,
    cores: int | None,
    alone: Sequence[str] = (),
) -> "ProductsReport":
    """Train every product folder in a folder; alone: flags for a single training that were given.

    Errors: those of `train_all`; ConfigError (`config/conflict`) for such a flag.
    """
    if alone:
        raise ConfigError(
            f"--all trains every product, and {alone[0]} is for a single training",
            remedy=f"edgeseg train --all {quoted(folder)}",
            code="config/conflict",
        )
    from edgeseg.cluster.config import ExecutorConfig
    from edgeseg.products.products import train_all

    return train_all(
        folder,
        with_default(given),
        runs_dir=runs_dir,
        rate=FALSE_REJECT_RATE if false_reject_rate is None else false_reject_rate,
        executor=ExecutorConfig(on=on, processes=processes, cores=cores),
    )


def with_default(given: dict[str, Any]) -> dict[str, Any]:
    """Return the given settings with the profile of a new training, if they choose none.

    Whoever names a method alone wants that method as published.
    """
    return given if {"profile", "model"} & given.keys() else given | {"profile": DEFAULT}


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
    return build(graph_of(model, config), config, out=Path(out)).path


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


def graph_of(given: str | Path | None, build: BuildConfig | None = None) -> Path:
    """Return the ONNX file of a run, exported if it is not yet.

    build: of which the graph is the source; the form of its head is that for the target.
    ModelError (`model/not-a-graph`) for an engine.
    """
    from edgeseg.loading import find_model

    path = find_model(given)
    if path.is_dir():
        from edgeseg.exporter.ensure import exported_graph

        form = None
        if build is not None:
            from edgeseg.engine.head_form import exported_form

            form = exported_form(build)
        return exported_graph(path, form)
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
    return kind(**_given(kind, values))


def _given(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Convert keyword arguments, or the settings in a checkpoint, to fields of a configuration."""
    found = {k: v for k, v in plain(values).items() if v is not None}
    return fit(found, kind, Path("keyword arguments"))
