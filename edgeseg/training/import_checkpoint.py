"""Checkpoints of the DeSTSeg authors' released code, read into runs that predict the same.

Their file is a flat state dict from torch.save: 392 tensors, float32 and the counters of batch
normalization. It is read with `weights_only`, so no code in it runs. The order of the three levels
and of the ASPP's views, the epsilon of batch normalization (1e-5) and the interpolation (bilinear,
align_corners=False) are as in `edgeseg.model`. What their code does otherwise:

    unit vectors     divided by norm + 1e-12, here by max(norm, 1e-12): the same float32 from a
                     norm of 1e-5 on, and both leave a zero vector zero
    pooled branch    interpolated from one pixel, here expanded: the same values
    teacher          run twice at inference, here once: the same features
    picture          rounded to 8 bits after Pillow's resize to 256 x 256; here the graph has the
                     same filter and does not round. A 256 x 256 image is the same in both
    second map       of cosine distances, which they also return: not part of a run

The file does not say which images it was trained on, so the run has neither a split nor thresholds.
"""

import os
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeseg.cards import CARD, IMPORTED, ModelCard, sha256, write_card
from edgeseg.errors import ConfigError, ModelError, WriteError
from edgeseg.extras import installed
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.teacher import Teacher
from edgeseg.training.checkpoint import save_weights

TEACHER, SIDE, TOP = "resnet18", 256, 100
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of the pixels / 255
OWN = ("mean", "std")  # buffers of ours that their file does not hold
SHOWN = 3  # names of each kind of fault

_ASPP = "segmentation_net.head.0.aspp_"
_PREFIXES = {  # ours -> theirs, the longer before the shorter
    "teacher.encoder.": "teacher_net.encoder.",
    "student.encoder.": "student_net.encoder.",
    "student.layer": "student_net.decoder_layer",
    "head.blocks.": "segmentation_net.res.",
    "head.aspp.0.pool.1.": f"{_ASPP}feature_extractors.0.1.conv.",
    "head.aspp.0.pool.2.": f"{_ASPP}feature_extractors.0.1.norm.",
    **{f"head.aspp.0.views.{k}.0.": f"{_ASPP}feature_extractors.{k + 1}.conv." for k in range(3)},
    **{f"head.aspp.0.views.{k}.1.": f"{_ASPP}feature_extractors.{k + 1}.norm." for k in range(3)},
    "head.aspp.0.fusion.0.": f"{_ASPP}fusion_layer.conv.",
    "head.aspp.0.fusion.1.": f"{_ASPP}fusion_layer.norm.",
    "head.aspp.": "segmentation_net.head.",
}
_EXPECTED = (
    "name a file that the released DeSTSeg code saved (DeSTSeg_MVTec_<steps>_<category>.pckl): "
    "torch.save(model.state_dict(), FILE)"
)


@dataclass(frozen=True)
class Imported:
    """What was read, and where it lies now."""

    run: Path
    file: Path
    tensors: int
    parameters: int
    card: ModelCard

    def summary(self) -> str:
        """Return what was made and what it still lacks, as text."""
        return (
            f"{self.run}: {self.tensors} tensors, {self.parameters / 1e6:.1f} M parameters, "
            f"from {self.file}\n"
            "no thresholds yet; from photos of good parts that its training never saw:\n"
            f"  edgeseg threshold {self.run} FOLDER"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the same as a document, with the hashes."""
        return {
            "run": str(self.run),
            "tensors": self.tensors,
            "parameters": self.parameters,
            "imported": self.card.config[IMPORTED],
            "weights_sha256": self.card.weights_sha256,
        }


def import_checkpoint(file: Path, run: Path) -> Imported:
    """Read a checkpoint of the authors' released code into a new run.

    The run appears whole or not at all. Errors: ConfigError for a run that exists, ModelError for a
    file that is none or whose tensors are others, with their names; WriteError.
    """
    if run.exists():
        raise ConfigError(
            f"{run} exists, and nothing is overwritten.", remedy="--out runs/NAME, a new name"
        )
    state = _read(file)
    detector = DeSTSeg(Teacher(TEACHER)).eval()
    own = detector.state_dict()
    names = {_their_name(name): name for name in own if name not in OWN}
    _check(file, state, {theirs: own[name] for theirs, name in names.items()})
    with torch.no_grad():
        own["mean"].copy_(torch.tensor(MEAN).view(1, 3, 1, 1))
        own["std"].copy_(torch.tensor(STD).view(1, 3, 1, 1))
        for theirs, name in names.items():
            own[name].copy_(state[theirs])
    config = {
        "teacher": TEACHER,
        "features": "raw",
        "image_size": SIDE,
        "top": TOP,
        IMPORTED: {"file": file.name, "sha256": sha256(file), "by": "DeSTSeg's released code"},
    }
    card = _write(run, detector, config)
    parameters = sum(p.numel() for p in detector.parameters())
    return Imported(run, file, len(names), parameters, card)


def _their_name(ours: str) -> str:
    for prefix, theirs in _PREFIXES.items():
        if ours.startswith(prefix):
            return theirs + ours.removeprefix(prefix)
    raise AssertionError(f"{ours} has no counterpart in the authors' network")


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise ModelError(f"There is no file {file}.", remedy=_EXPECTED)
    try:
        _check_sums(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise a dozen kinds for a bad file
        raise ModelError(
            f"{file} is damaged, or holds something else than tensors, which is not unpickled: "
            f"{_first_line(error)}",
            remedy=_EXPECTED,
        ) from error
    if not isinstance(state, dict):
        raise ModelError(
            f"{file} holds a {type(state).__name__}; a flat dict of tensors was expected.",
            remedy=_EXPECTED,
        )
    others = [f"{key} ({type(t).__name__})" for key, t in state.items() if not _is_tensor(key, t)]
    if others or not state:
        found = f"{_some(others)}" if others else "nothing"
        raise ModelError(
            f"{file} holds {found}; a flat dict of tensors by name was expected.",
            remedy=_EXPECTED,
        )
    return dict(state)


def _check_sums(file: Path) -> None:
    """Compare the checksums in a file that is a zip archive: torch.load does not."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if broken := archive.testzip():
                raise zipfile.BadZipFile(f"the checksum of {broken} in it is wrong")


def _is_tensor(key: Any, value: Any) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def _check(file: Path, state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Refuse missing, extra, misshapen and non-finite tensors, all of them at once."""
    common = [name for name in expected if name in state]
    kinds = {
        "missing": [name for name in expected if name not in state],
        "extra": [name for name in state if name not in expected],
        "of another kind": [
            f"{name}: {_kind(state[name])}, not {_kind(expected[name])}"
            for name in common
            if _kind(state[name]) != _kind(expected[name])
        ],
    }
    if not any(kinds.values()):
        kinds["not finite"] = [name for name in common if not state[name].isfinite().all()]
    faults = [f"{len(names)} {kind}: {_some(names)}" for kind, names in kinds.items() if names]
    if faults:
        raise ModelError(
            f"{file} is not a DeSTSeg checkpoint of {len(expected)} tensors; "
            + "; ".join(faults)
            + ".",
            remedy=_EXPECTED,
        )


def _kind(tensor: Tensor) -> str:
    """Return type and shape as text; layout and device where they are unusual."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    unusual = "" if plain else f" {tensor.layout} on {tensor.device}"
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}{unusual}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _write(run: Path, detector: DeSTSeg, config: dict[str, Any]) -> ModelCard:
    """Fill a folder of another name, then rename it."""
    part = run.with_name(f".{run.name}.{os.getpid()}.part")
    packages = ("edgeseg", "timm", "torch")
    try:
        part.mkdir(parents=True)
        card = ModelCard(
            name=run.name,
            model="destseg",
            image_size=SIDE,
            frame_size=None,
            config=config,
            split={"train": {}, "holdout": {}},
            weights_sha256=save_weights(part, detector),
            versions={name: installed(name) or "?" for name in packages},
            steps={},
        )
        write_card(part / CARD, card)
        part.rename(run)
    except OSError as error:
        raise WriteError(
            f"{run} cannot be written: {error.strerror or error}.",
            remedy=f"make room, or name another folder: df -h '{run.parent}'",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card
