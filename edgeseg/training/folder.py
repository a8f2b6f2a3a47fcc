"""The folder of a training: what is in it, and how it becomes a run.

    runs/<name>/                a new training, then the finished run
    runs/<name>/replacement/    a training with --overwrite, until it is complete

A training never begins where an earlier one left files: it resumes it, or it needs another name.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from edgeseg.cards import CARD, RUNS, WEIGHTS
from edgeseg.data.layouts import open_dataset
from edgeseg.data.rotation_policy import resolve_rotation
from edgeseg.errors import ConfigError, ModelError
from edgeseg.files import cannot_write, locked, quoted, shown
from edgeseg.frame.roi import Roi
from edgeseg.recipes import TrainConfig
from edgeseg.schema import Invalid, bounded, build, check_given, is_plain, parse
from edgeseg.settings import fit, plain
from edgeseg.tracking.mlflow import RUN_IDS
from edgeseg.tracking.tensorboard import EVENTS
from edgeseg.training.history import HISTORY

RESUME = "resume.safetensors"
REPLACEMENT = "replacement"
FACTS = "edgeseg"  # key in the metadata of resume.safetensors
_LATEST = (
    "preview.png",
    "curves.png",
    RUN_IDS,
    HISTORY,
    WEIGHTS,
    CARD,
)  # the card marks a run as finished


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a checkpoint says about its training."""

    phase: int = bounded(0, 9)
    step: int = bounded(0)
    config: dict[str, Any]
    """The TrainConfig."""
    data: str
    """Absolute path of the data set."""
    split: dict[str, dict[str, str]]
    """As in the card: `train` and `holdout`, relative path -> SHA-256."""
    false_reject_rate: float | None = bounded(0, 1, default=None)
    """Wanted for the thresholds, if it was given."""
    continues: str | None = None
    """The run that is continued."""
    added: str | None = None
    """Absolute path of the folder of new images, with which it is continued."""
    roi: Roi | None = None
    """As in the card."""

    def to_json(self) -> str:
        """Return the facts as JSON, in ASCII."""
        return json.dumps(asdict(self))


@contextmanager
def training_folder(run: Path, *, resume: bool, overwrite: bool) -> Iterator[Path]:
    """Choose the folder of a training and lock the run; an empty one is removed again.

    Errors: those of `choose`; EdgesegError (`files/locked`) for a run that another process trains.
    """
    choose(run, resume=resume, overwrite=overwrite)
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(run, error) from error
    with locked(run):
        folder = choose(run, resume=resume, overwrite=overwrite)  # what others did meanwhile
        try:
            if folder != run:
                folder.mkdir(exist_ok=True)
                if overwrite:
                    for name in (RESUME, *_LATEST):  # of an earlier replacement
                        (folder / name).unlink(missing_ok=True)
                    shutil.rmtree(folder / EVENTS, ignore_errors=True)
            yield folder
        finally:
            for empty in {folder: None, run: None}:
                with suppress(OSError):
                    empty.rmdir()


def choose(run: Path, *, resume: bool, overwrite: bool) -> Path:
    """Return the folder that a training writes to, and touch nothing.

    ConfigError for an earlier training that neither flag names (`train/unfinished`,
    `train/run-exists`), or for both flags; ModelError (`train/nothing-to-resume`).
    """
    if resume and overwrite:
        raise ConfigError(
            "--resume and --overwrite are both given (expected one of them)",
            remedy=resume_command(run),
            code="config/conflict",
        )
    stopped = unfinished(run)
    if resume:
        if stopped is None or not any((stopped / name).is_file() for name in (RESUME, CARD)):
            raise _nothing_to_resume(run)
        return stopped
    if overwrite:
        return run / REPLACEMENT if _begun(run) or stopped else run
    refuse_unfinished(run)
    if (run / CARD).exists():
        raise ConfigError(
            f"run already exists: {shown(run)}",
            remedy="--name NAME for another run, or --overwrite to replace this one when the "
            "training is complete",
            code="train/run-exists",
        )
    return run


def unfinished(run: Path) -> Path | None:
    """Return the folder of an unfinished training in a run, or None."""
    if _begun(run / REPLACEMENT):
        return run / REPLACEMENT
    return run if _begun(run) and not (run / CARD).exists() else None


def checkpoint_of(run: Path) -> Path | None:
    """Return the folder of an unfinished training that has a checkpoint, or None."""
    stopped = unfinished(run)
    return stopped if stopped is not None and (stopped / RESUME).is_file() else None


def refuse_unfinished(run: Path) -> None:
    """ConfigError (`train/unfinished`) for a run in which a stopped training can be resumed."""
    stopped = unfinished(run)
    if stopped is not None:
        raise _unfinished(run, stopped)


def only_unfinished(runs: Path) -> Path:
    """Return the run whose training can be resumed; ModelError if there is none, or several."""
    found = sorted(p for p in runs.glob("*") if p.is_dir() and unfinished(p) is not None)
    if len(found) == 1:
        return found[0]
    names = ", ".join(shown(run.name) for run in found) or "none"
    raise ModelError(
        f"{len(found)} unfinished trainings in {shown(runs)} (expected one: {names})",
        remedy=resume_command(found[0]) if found else "edgeseg train DATA, without --resume",
        code="train/nothing-to-resume",
    )


def run_path(data: Path | None, name: str | None, runs_dir: Path, *, resume: bool) -> Path:
    """Return the path of a run: by name, by its data, or the only unfinished one."""
    if name is None and data is None:
        if not resume:
            raise no_data(resume)
        return only_unfinished(runs_dir)
    if name is None:
        assert data is not None
        name = data.resolve().name
    check_run_name(name)
    return runs_dir / name


def no_data(resume: bool) -> ConfigError:
    """Return the error for a training without DATA."""
    return ConfigError(
        "missing DATA (expected a folder of images)",
        remedy=f"edgeseg train {'--resume ' * resume}DATA",
        code="config/no-data",
    )


def read_facts(folder: Path) -> Facts:
    """Read the facts of a checkpoint; ModelError if it is damaged or of an older version."""
    path = folder / RESUME
    try:
        with safe_open(path, framework="np") as file:
            facts = build(Facts, parse((file.metadata() or {})[FACTS]))
        if set(facts.split) - {"defects"} != {"train", "holdout"}:
            raise Invalid(f"split has {sorted(facts.split)}", "value")
        check_given(TrainConfig, facts.config, "config")
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error
    except (KeyError, ValueError) as error:
        raise ModelError(
            f"{shown(path)} is not a checkpoint of this version of edgeseg ({error})",
            remedy="--name NAME trains another run; --overwrite replaces this one",
            code="train/other-checkpoint",
        ) from error
    return facts


def publish(folder: Path, run: Path) -> None:
    """Move a complete training to its run; the card comes last, so that it can be repeated."""
    try:
        (run / RESUME).unlink(missing_ok=True)
        if folder != run:
            shutil.rmtree(run / EVENTS, ignore_errors=True)
            if (folder / EVENTS).is_dir():
                (folder / EVENTS).replace(run / EVENTS)
            for name in _LATEST:
                if (folder / name).is_file():
                    (folder / name).replace(run / name)
            (folder / RESUME).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(run, error) from error


def check_settings(run: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """ConfigError for settings that contradict those of a checkpoint."""
    if changed := changed_settings(before, now):
        raise ConfigError(
            f"the training in {shown(run)} was started with other settings: {', '.join(changed)}",
            remedy=f"--resume takes the settings from the checkpoint: {resume_command(run)}",
            code="train/settings-changed",
        )


def resumed(
    folder: Path, run: Path, data: Path | None, given: dict[str, Any]
) -> tuple[Path, TrainConfig, float | None]:
    """Return data, settings and false-reject rate of a checkpoint; ConfigError for others given."""
    facts = read_facts(folder)
    data = Path(facts.data) if data is None else data
    if given.get("rotation") == "paper":  # the checkpoint has what it stands for
        resolved = resolve_rotation(TrainConfig(rotation="paper"), open_dataset(data))
        given = given | {"rotation": resolved.rotation}
    if given.get("texture_color") == "auto":  # as well
        given = given | {"texture_color": facts.config["texture_color"]}
    check_settings(run, facts.config, plain(given))
    settings = {name: value for name, value in facts.config.items() if value is not None}
    config = TrainConfig(**fit(settings, TrainConfig, Path("checkpoint")))
    return data, config, facts.false_reject_rate


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the settings that differ, for instance `focal_gamma (4.0 -> 2.0)`."""
    return [f"{k} ({before.get(k)} -> {v})" for k, v in now.items() if before.get(k) != v]


def check_run_name(name: str) -> None:
    """ConfigError for a name that is no plain file name."""
    plain = is_plain(name) and shown(name) == name
    if not plain or name.startswith(("-", ".")) or len(name.encode()) > 200:
        tail = Path(name).name
        inside = tail != name and tail != "" and shown(tail) == tail
        raise ConfigError(
            f"invalid name: '{shown(name)}' (expected a file name of printable characters, without "
            "separators, that begins with neither - nor .)",
            remedy=f"--name {quoted(tail)} --runs-dir FOLDER" if inside else "--name NAME",
            code="config/run-name",
        )


def resume_command(run: Path) -> str:
    """Return the command that resumes the training of a run."""
    elsewhere = "" if run.parent == RUNS else f" --runs-dir {quoted(run.parent)}"
    return f"edgeseg train --resume --name {quoted(run.name)}{elsewhere}"


def damaged(path: Path, error: Exception) -> ModelError:
    """Return the error for weights or a checkpoint that cannot be read."""
    return ModelError(
        f"cannot read {shown(path)}: {error}",
        remedy="restore the file, or train again",
        code="model/damaged-weights",
    )


def _begun(folder: Path) -> bool:
    return any((folder / name).exists() for name in (RESUME, HISTORY, WEIGHTS, CARD))


def _unfinished(run: Path, stopped: Path) -> ConfigError:
    """Return the error for a training that neither --resume nor --overwrite names."""
    when = "now" if stopped != run else "when the new training is complete"
    ways = [
        "to keep it and train another run: --name NAME",
        f"to discard it {when}: --overwrite",
    ]
    try:
        facts = read_facts(stopped)
        state = f"stopped after step {facts.step} of phase {facts.phase + 1}"
        ways.insert(0, f"to continue it: {resume_command(run)}")
    except ModelError as error:
        lacks = f"without {RESUME}"
        state = f"{error.problem if (stopped / RESUME).exists() else lacks}: it cannot be resumed"
    return ConfigError(
        f"{shown(run)} holds an unfinished training ({state})",
        remedy="\n       ".join(ways),
        code="train/unfinished",
    )


def _nothing_to_resume(run: Path) -> ModelError:
    finished = (run / CARD).is_file()
    return ModelError(
        f"no unfinished training in {shown(run)}" + finished * ": it is complete",
        remedy=f"its thresholds: edgeseg threshold {quoted(run)} DATA --false-reject 0.01"
        if finished
        else "edgeseg train DATA, without --resume",
        code="train/nothing-to-resume",
    )
