"""Import checkpoints of the released DeSTSeg code as runs that predict the same.

The file is a flat state dict from torch.save: 392 tensors, FP32 and the counters of batch
normalization. It is read with `weights_only`, so no code in it is executed. The order of the three
levels and of the ASPP views, the epsilon of batch normalization (1e-5) and the interpolation
(bilinear, align_corners=False) are those of `edgeseg.model`. Differences of the released code:

    normalization    divides by norm + 1e-12, here by max(norm, 1e-12): the same FP32 value for
                     norms from 1e-5 on, and 0 for a zero vector
    pooled branch    interpolated from one pixel, here expanded: the same values
    teacher          run twice at inference, here once: the same features
    image            rounded to 8 bits after Pillow's resize to 256 x 256; here the graph has the
                     same filter and does not round. A 256 x 256 image is the same in both
    second output    a map of cosine distances: not part of a run

The file does not name the training images, so the run has neither a split nor thresholds.
"""

import secrets
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edgeseg.cards import CARD, IMPORTED, ModelCard, write_card
from edgeseg.errors import ConfigError, ModelError
from edgeseg.files import PART, cannot_write, quoted, sha256, shown
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.teacher import Teacher
from edgeseg.packages.extras import versions
from edgeseg.text import listed
from edgeseg.training.checkpoint import save_weights

TEACHER, SIDE, TOP = "resnet18", 256, 100
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for pixels / 255
OWN = ("mean", "std")  # our buffers that the file does not contain
SHOWN = 3  # names per kind of error

_ASPP = "segmentation_net.head.0.aspp_"
_PREFIXES = {  # ours -> theirs; a longer prefix precedes a shorter one
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
    "a file saved by the released DeSTSeg code: torch.save(model.state_dict(), FILE), for instance "
    "DeSTSeg_MVTec_<steps>_<category>.pckl"
)


@dataclass(frozen=True)
class Imported:
    """An imported run."""

    run: Path
    file: Path
    tensors: int
    parameters: int
    card: ModelCard

    def summary(self) -> str:
        """Return the run and the next step, as text."""
        return (
            f"{shown(self.run)}: {self.tensors} tensors, {self.parameters / 1e6:.1f} M parameters, "
            f"from {shown(self.file)}\n"
            "no thresholds yet; find them on images of good parts that were not used in training:\n"
            f"  edgeseg threshold {quoted(self.run)} FOLDER --false-reject 0.01"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the same with the hashes."""
        return {
            "run": str(self.run),
            "tensors": self.tensors,
            "parameters": self.parameters,
            "imported": self.card.config[IMPORTED],
            "weights_sha256": self.card.weights_sha256,
        }


def import_checkpoint(file: Path, run: Path) -> Imported:
    """Import a checkpoint of the released code into a new run, which is created atomically.

    Errors: ConfigError if the run exists; ModelError for another file, naming the tensors that
    differ; WriteError.
    """
    if run.exists():
        raise ConfigError(
            f"run already exists: {shown(run)}", remedy="--out runs/NAME", code="train/run-exists"
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
        raise ModelError(f"not found: {shown(file)}", remedy=_EXPECTED, code="import/no-file")
    try:
        _check_sums(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and pickle raise many types for a bad file
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(
            f"cannot read {shown(file)}: damaged, or not a file of tensors only ({reason})",
            remedy=_EXPECTED,
            code="import/unreadable",
        ) from error
    if not isinstance(state, dict):
        raise ModelError(
            f"{shown(file)} contains {type(state).__name__} (expected a flat dict of tensors)",
            remedy=_EXPECTED,
            code="import/not-tensors",
        )
    others = [
        f"{key} ({type(value).__name__})"
        for key, value in state.items()
        if not (isinstance(key, str) and isinstance(value, Tensor))
    ]
    if others or not state:
        raise ModelError(
            f"{shown(file)} contains {listed(others, SHOWN) or 'nothing'} "
            "(expected a flat dict of tensors)",
            remedy=_EXPECTED,
            code="import/not-tensors",
        )
    return dict(state)


def _check_sums(file: Path) -> None:
    """Verify the checksums of a zip archive, which torch.load does not."""
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if broken := archive.testzip():
                raise zipfile.BadZipFile(f"wrong checksum of {broken}")


def _check(file: Path, state: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """ModelError for missing, extra, differing or non-finite tensors, naming all of them."""
    common = [name for name in expected if name in state]
    kinds = {
        "missing": [name for name in expected if name not in state],
        "extra": [name for name in state if name not in expected],
        "different": [
            f"{name}: {_kind(state[name])} (expected {_kind(expected[name])})"
            for name in common
            if _kind(state[name]) != _kind(expected[name])
        ],
    }
    if not any(kinds.values()):
        kinds["not finite"] = [name for name in common if not state[name].isfinite().all()]
    faults = [
        f"{len(names)} {kind}: {listed(names, SHOWN)}" for kind, names in kinds.items() if names
    ]
    if faults:
        raise ModelError(
            f"{shown(file)} is not a DeSTSeg checkpoint of {len(expected)} tensors: "
            f"{'; '.join(faults)}",
            remedy=_EXPECTED,
            code="import/other-tensors",
        )


def _kind(tensor: Tensor) -> str:
    """Return type and shape as text, and layout and device if they are unusual."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    unusual = "" if plain else f" {tensor.layout} on {tensor.device}"
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}{unusual}"


def _write(run: Path, detector: DeSTSeg, config: dict[str, Any]) -> ModelCard:
    """Write to a temporary folder, then rename it."""
    part = run.with_name(f"{PART}{secrets.token_hex(8)}")
    try:
        part.mkdir(parents=True)
        card = ModelCard(
            name=run.name,
            model="destseg",
            network_size=(SIDE, SIDE),
            aspect="stretch",
            frame_size=None,
            config=config,
            split={"train": {}, "holdout": {}},
            weights_sha256=save_weights(part, detector),
            versions=versions("timm", "torch"),
            steps={},
        )
        write_card(part / CARD, card)
        part.rename(run)
    except OSError as error:
        raise cannot_write(run, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return card
