"""Weights to files and back: safetensors only, nothing pickled, nothing half written.

runs/<name>/model.safetensors    every tensor of the detector, the teacher's included
runs/<name>/resume.safetensors   the same with the optimizer's state, while training runs
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgeseg.cards import CARD, WEIGHTS, ModelCard, read_card, sha256, write_atomic, write_card
from edgeseg.errors import ConfigError, ModelError
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.teacher import Teacher

RESUME = "resume.safetensors"
STATE, AVERAGE = "optimizer.", "average."  # what resume.safetensors has beside the detector


def save_weights(run: Path, detector: Detector) -> str:
    """Write model.safetensors; returns its SHA-256."""
    _write(run / WEIGHTS, detector.state_dict(), {})
    return sha256(run / WEIGHTS)


def load_run(run: Path) -> tuple[Detector, ModelCard]:
    """Return a trained detector in eval mode, and its card; needs no network.

    ModelError when the weights are missing, damaged, or not those that the card describes.
    """
    card = read_card(run / CARD, ModelCard)
    path = run / WEIGHTS
    if not path.is_file():
        raise ModelError(f"{run} holds a card and no {WEIGHTS}.", remedy="edgeseg train, again")
    if sha256(path) != card.weights_sha256:
        raise ModelError(
            f"{path} is not the file that its card describes (another SHA-256).",
            remedy="restore the file, or train again",
        )
    standard = card.config.get("features") == "standard"  # absent from cards of older runs
    teacher = Teacher(card.config["teacher"], standard=standard)
    detector = build_detector(card.model, teacher, card.config, card.image_size)
    tensors, _ = _read(path)
    detector.load_state_dict(tensors)
    return detector.eval(), card


@dataclass(frozen=True)
class Progress:
    """Where an interrupted training stands."""

    phase: int = 0
    step: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)


def save_progress(
    run: Path,
    detector: Detector,
    optimizer: dict[str, Tensor],
    average: dict[str, Tensor],
    facts: dict[str, Any],
) -> None:
    """Write what `--resume` needs; facts: phase, step and the configuration."""
    tensors = detector.state_dict()
    tensors |= {STATE + name: t for name, t in optimizer.items()}
    tensors |= {AVERAGE + name: t for name, t in average.items()}
    _write(run / RESUME, tensors, {"edgeseg": json.dumps(facts)})


def load_progress(run: Path, config: dict[str, Any]) -> Progress:
    """Read what `save_progress` wrote; ConfigError when the settings have changed since."""
    path = run / RESUME
    if not path.is_file():
        raise ModelError(
            f"{run} holds no unfinished training.", remedy="edgeseg train without --resume"
        )
    tensors, metadata = _read(path)
    facts = json.loads(metadata["edgeseg"])
    if changed := changes(facts["config"], config):
        raise ConfigError(
            f"The training in {run} began with other settings: {', '.join(changed)}.",
            remedy="repeat the first settings with --resume, or choose another --name",
        )
    return Progress(
        phase=facts["phase"],
        step=facts["step"],
        tensors={k: t for k, t in tensors.items() if not k.startswith((STATE, AVERAGE))},
        optimizer=_below(STATE, tensors),
        average=_below(AVERAGE, tensors),
    )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def begun_with(run: Path) -> dict[str, Any] | None:
    """Return the settings of an unfinished training, or None where none was interrupted."""
    path = run / RESUME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            settings: dict[str, Any] = json.loads(file.metadata()["edgeseg"])["config"]
            return settings
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return which settings differ, for instance `focal_gamma (4.0 -> 2.0)`."""
    return [f"{k} ({before.get(k)} -> {v})" for k, v in now.items() if before.get(k) != v]


def finish(run: Path, card: ModelCard) -> None:
    """Write the card, which makes the run whole, and drop what only --resume needed."""
    write_card(run / CARD, card)
    (run / RESUME).unlink(missing_ok=True)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    # Not save_file: it leaves a file that its owner alone may read.
    write_atomic(path, save(plain, metadata=metadata))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path} is damaged: {error}.", remedy="restore the file, or train again")


def torch_device(name: str) -> torch.device:
    """Resolve `auto`; ConfigError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"The device '{name}' cannot be used: {str(error).splitlines()[0]}.",
            remedy="--device cpu",
        ) from error
    return device
