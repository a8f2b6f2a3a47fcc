"""Read and write weights and checkpoints, as safetensors (no pickle), written atomically.

runs/<name>/model.safetensors    all tensors of the detector, including the teacher
runs/<name>/resume.safetensors   these and the state of optimizer and EMA, during training
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from edgeseg.cards import CARD, WEIGHTS, ModelCard, read_card
from edgeseg.errors import ConfigError, ModelError
from edgeseg.files import sha256, shown, write_atomic
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.input_check import InputCheck
from edgeseg.model.teacher import Teacher
from edgeseg.training.folder import (
    FACTS,
    REPLACEMENT,
    RESUME,
    Facts,
    damaged,
    read_facts,
    resume_command,
)

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
            f"not found: {shown(path)}",
            remedy="restore the file, or train again",
            code="model/no-weights",
        )
    if sha256(path) != card.weights_sha256:
        raise ModelError(
            f"{shown(path)} does not match its card (different SHA-256)",
            remedy=resume_command(run)
            if (run / REPLACEMENT / CARD).is_file()  # killed while it replaced the run
            else "restore the file, or train again",
            code="model/weights-changed",
        )
    standard = card.config.get("features") == "standard"  # absent from cards of older runs
    teacher = Teacher(card.config["teacher"], standard=standard)
    detector = build_detector(card.model, teacher, card.config, card.network_size)
    if card.input_check:
        detector.check = InputCheck(teacher.channels, card.map_size)
    restore_weights(detector, _read(path), path)
    return detector.eval(), card


def restore_weights(detector: Detector, tensors: dict[str, Tensor], path: Path) -> None:
    """Load all tensors of a detector; ModelError if they are those of another network."""
    try:
        detector.load_state_dict(tensors)
    except RuntimeError as error:
        raise damaged(path, error) from error


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
    facts: Facts,
) -> None:
    """Write resume.safetensors."""
    tensors = detector.state_dict()
    tensors |= {OPTIMIZER + name: t for name, t in optimizer.items()}
    tensors |= {EMA + name: t for name, t in ema.items()}
    _write(run / RESUME, tensors, {FACTS: facts.to_json()})


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read resume.safetensors; ModelError if it is damaged."""
    facts = read_facts(folder)
    tensors = _read(folder / RESUME)
    return Checkpoint(
        phase=facts.phase,
        step=facts.step,
        tensors={k: t for k, t in tensors.items() if not k.startswith((OPTIMIZER, EMA))},
        optimizer=_below(OPTIMIZER, tensors),
        ema=_below(EMA, tensors),
    )


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    # Not save_file, which creates files with mode 600.
    write_atomic(path, save(plain, metadata=metadata))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


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
