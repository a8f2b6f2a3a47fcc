"""Parity: how far one runtime's answers are from another's, on the same frames.

Every hop is measured by `compare`: PyTorch -> ONNX, FP32 -> FP16, graph -> engine. The command
`edgeseg verify` does the same for any two models that a user names; see verification.py.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.runtime.base import Backend, Slot

NEAR = 1e-4  # a pixel whose map value is this near to the threshold may fall on either side


@dataclass(frozen=True, kw_only=True)
class Parity:
    """The differences between two backends over some frames."""

    max_abs_diff: float
    """Of the anomaly maps, at any pixel of any frame."""
    mean_abs_diff: float
    score_diff: float
    """The largest of any frame."""
    mask_iou: float
    """Of the anomalous pixels of all frames; 1 when neither marks any."""
    marked_pixels: int
    """Pixels that either marks: what the IoU is of."""
    mask_errors: int
    """Pixels that differ though the map is farther than 1e-4 from the threshold."""
    flipped_verdicts: int
    """Frames that one accepts and the other rejects."""
    frames: int
    finite: bool
    """Whether every map and score of both is a number."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return dataclasses.asdict(self)

    def line(self) -> str:
        """Return the differences in one line."""
        if not self.finite:
            return f"NaN or infinity within {self.frames} frames"
        return (
            f"map within {self.max_abs_diff:.1e}, score within {self.score_diff:.1e}, "
            f"mask IoU {self.mask_iou:.4f}, {self.flipped_verdicts} flipped verdicts "
            f"over {self.frames} frames"
        )


def compare(
    a: Backend,
    b: Backend,
    frames: Sequence[NDArray[np.uint8]],
    *,
    threshold: float | None = None,
) -> Parity:
    """Run both over the same frames; each marks and rejects by its own card's thresholds.

    frames: each uint8 [N, H, W, C], in the format of `a`; of bgr and rgb, `b` may take the other.
    threshold: on both maps, instead of the cards'.
    """
    assert a.card.frame_shape == b.card.frame_shape, "the graphs take different frames"
    turned = slice(None, None, 1 if a.card.frame_format == b.card.frame_format else -1)
    ours, theirs = a.new_slot(), b.new_slot()
    for backend, slot in ((a, ours), (b, theirs)):
        backend.bind(slot)
        if threshold is not None:
            slot.threshold[:] = threshold
    maps, scores, sums = [0.0], [0.0], []
    both = either = errors = flips = 0
    finite = True
    for frame in frames:
        np.copyto(ours.frame, frame)
        np.copyto(theirs.frame, frame[..., turned])
        for backend, slot in ((a, ours), (b, theirs)):
            backend.run()
            finite &= bool(np.isfinite(slot.anomaly_map).all() and np.isfinite(slot.score).all())
        difference = np.abs(ours.anomaly_map - theirs.anomaly_map)
        maps.append(float(difference.max()))
        sums.append(float(difference.mean()))
        scores.append(float(np.abs(ours.score - theirs.score).max()))
        marked, too = ours.mask > 0, theirs.mask > 0
        both += int((marked & too).sum())
        either += int((marked | too).sum())
        errors += int(((marked != too) & ~_near(ours)).sum())
        rejected, also = ours.score > a.card.image_threshold, theirs.score > b.card.image_threshold
        flips += int((rejected != also).sum())
    return Parity(
        max_abs_diff=max(maps),
        mean_abs_diff=float(np.mean(sums)),
        score_diff=max(scores),
        mask_iou=both / either if either else 1.0,
        marked_pixels=either,
        mask_errors=errors,
        flipped_verdicts=flips,
        frames=len(frames) * len(ours.frame),
        finite=finite,
    )


def _near(slot: Slot) -> NDArray[np.bool_]:
    """Return where the map, at frame size, is near to the threshold, bool [N, H, W]."""
    height, width = slot.mask.shape[1:]
    full = [
        cv2.resize(m, (width, height), interpolation=cv2.INTER_LINEAR) for m in slot.anomaly_map
    ]
    return np.abs(np.stack(full) - slot.threshold) <= NEAR
