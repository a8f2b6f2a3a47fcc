"""Read and write weights and checkpoints, as safetensors (no pickle), written atomically.

runs/<name>/model.safetensors    all tensors of the detector, including the teacher
runs/<name>/resume.safetensors   these and the state of optimizer and EMA, during training
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgeseg.cards import CARD, WEIGHTS, ModelCard, read_card, write_card
from edgeseg.errors import ConfigError, ModelError
from edgeseg.files import sha256, write_atomic
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.teacher import Teacher

RESUME = "resume.safetensors"
OPTIMIZER, EMA = "optimizer.", "ema."  # prefixes in resume.safetensors


def save_weights(run: Path, detector: Detector) -> str:
    """Write model.safetensors; returns its SHA-256."""
    _write(run / WEIGHTS, detector.state_dict(), {})
    return sha256(run / WEIGHTS)


def load_run(run: Path) -> tuple[Detector, ModelCard]:
    """Return a trained detector in eval mode, and its card. Nothing is downloaded.

    ModelError if the weights are missing, damaged, or do not match the card.
    """
    card = read_card(run / CARD, ModelCard)
    path = run / WEIGHTS
    if not path.is_file():
        raise ModelError(
            f"not found: {path}",
            remedy="restore the file, or train again",
            code="model/no-weights",
        )
    if sha256(path) != card.weights_sha256:
        raise ModelError(
            f"{path} does not match its card (different SHA-256)",
            remedy="restore the file, or train again",
            code="model/weights-changed",
        )
    standard = card.config.get("features") == "standard"  # absent from cards of older runs
    teacher = Teacher(card.config["teacher"], standard=standard)
    detector = build_detector(card.model, teacher, card.config, card.image_size)
    tensors, _ = _read(path)
    detector.load_state_dict(tensors)
    return detector.eval(), card


@dataclass(frozen=True)
class Checkpoint:
    """The state of an interrupted training; the defaults are those of a new one."""

    phase: int = 0
    step: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)
    optimizer: dict[str, Tensor] = field(default_factory=dict)
    ema: dict[str, Tensor] = field(default_factory=dict)


def save_checkpoint(
    run: Path,
    detector: Detector,
    optimizer: dict[str, Tensor],
    ema: dict[str, Tensor],
    facts: dict[str, Any],
) -> None:
    """Write resume.safetensors; facts: phase, step and config."""
    tensors = detector.state_dict()
    tensors |= {OPTIMIZER + name: t for name, t in optimizer.items()}
    tensors |= {EMA + name: t for name, t in ema.items()}
    _write(run / RESUME, tensors, {"edgeseg": json.dumps(facts)})


def load_checkpoint(run: Path, config: dict[str, Any]) -> Checkpoint:
    """Read resume.safetensors; ConfigError if the settings differ."""
    path = run / RESUME
    if not path.is_file():
        raise ModelError(
            f"no interrupted training in {run}",
            remedy="edgeseg train without --resume",
            code="train/nothing-to-resume",
        )
    tensors, metadata = _read(path)
    facts = json.loads(metadata["edgeseg"])
    if changed := changed_settings(facts["config"], config):
        raise ConfigError(
            f"the training in {run} was started with other settings: {', '.join(changed)}",
            remedy="use the same settings with --resume, or choose another --name",
            code="train/settings-changed",
        )
    return Checkpoint(
        phase=facts["phase"],
        step=facts["step"],
        tensors={k: t for k, t in tensors.items() if not k.startswith((OPTIMIZER, EMA))},
        optimizer=_below(OPTIMIZER, tensors),
        ema=_below(EMA, tensors),
    )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def checkpoint_config(run: Path) -> dict[str, Any] | None:
    """Return the settings of an interrupted training, or None if there is none."""
    path = run / RESUME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            settings: dict[str, Any] = json.loads(file.metadata()["edgeseg"])["config"]
            return settings
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def changed_settings(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the settings that differ, for instance `focal_gamma (4.0 -> 2.0)`."""
    return [f"{k} ({before.get(k)} -> {v})" for k, v in now.items() if before.get(k) != v]


def finish(run: Path, card: ModelCard) -> None:
    """Write the card, which marks the run as finished, and remove resume.safetensors."""
    write_card(run / CARD, card)
    (run / RESUME).unlink(missing_ok=True)


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    # Not save_file, which creates files with mode 600.
    write_atomic(path, save(plain, metadata=metadata))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    return ModelError(
        f"cannot read {path}: {error}",
        remedy="restore the file, or train again",
        code="model/damaged-weights",
    )


def torch_device(name: str) -> torch.device:
    """Return the device of a name; `auto` prefers CUDA. ConfigError if it is unavailable."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device unavailable: {name} ({str(error).splitlines()[0]})",
            remedy="--device cpu",
            code="config/no-device",
        ) from error
    return device
