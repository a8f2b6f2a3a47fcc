"""Compare two models on the same frames: anomaly maps, scores, masks, input checks and verdicts.

Every conversion is checked by `compare`: PyTorch to ONNX, FP32 to a lower precision, graph to
engine. `edgeseg verify` compares any two models that a user names. Where the frames are labeled,
the accuracy gate adds the metrics of both models.
"""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import InputLimit
from edgeseg.evaluation.regions.score import region_score
from edgeseg.frame.geometry import Box
from edgeseg.frame.roi import Roi
from edgeseg.runtime.base import Backend
from edgeseg.verdict.regions import enlarged
from edgeseg.verdict.rule import Rule
from edgeseg.verdict.verdict import BY_SCORE

if TYPE_CHECKING:
    from edgeseg.evaluation.metrics import Scores

NEAR = 1e-4  # a pixel whose map value is this near to the threshold may be in the mask or not
BORDERLINE_SHARE, BORDERLINE_LEAST = 0.05, 1e-3
"""A flipped verdict is borderline where both scores are within a margin of their thresholds: this
share of the distance from the usual score of a good frame to the threshold. INT8 that is sound
moves half of the scores by more than that, and INT8 that is not flips verdicts far beyond
(docs/experiments.md). At least what rounding to FP16 moves, whose values in 0.5 to 1 are 5e-4
apart."""
SLIM = 1e-9  # the least width of limits
BORDERLINE_CHECK = 0.05
"""A frame that is unknown for one model only is borderline where both are this near to a limit of
the input check, as a share of the width of the limits."""
ENOUGH = 100  # anomalous pixels: the IoU of fewer is not judged
METRICS = {"pixel AP": "pixel_ap", "image AUROC": "image_auroc"}


@dataclass(frozen=True)
class Outputs:
    """What one model returns for N frames, and the thresholds that it is judged by."""

    maps: NDArray[np.float32]
    """[N, h, w]"""
    scores: NDArray[np.float32]
    """[N]"""
    masks: NDArray[np.bool_]
    """[N, H, W], at frame size or at the map's size."""
    threshold: float
    image_threshold: float
    content: Box | None = None
    """The part of the maps that the masks show; None: all."""
    checks: NDArray[np.float32] | None = None
    """[N, K], the input checks; None: not compared."""
    limits: tuple[InputLimit, ...] = ()
    """Of the K columns."""
    rule: Rule = BY_SCORE
    scale: tuple[float, float] = (1.0, 1.0)
    """Pixels of the frame per pixel of a mask, (x, y)."""
    boxes: NDArray[np.intp] | None = None
    """[N, 4], a Box each: where the images lie in masks of the map's size; None: as `content`."""
    roi: Roi | None = None
    """Of the frames, where these have the shape of its picture."""

    def distances(self) -> NDArray[np.float64]:
        """Return how far each frame is above the threshold that decides its verdict, [N]."""
        if not self.rule.by_regions:
            return self.scores.astype(np.float64) - self.image_threshold
        inside = self.content or Box(0, 0, *self.maps.shape[1:])
        found = np.full(len(self.scores), np.nan)
        for place, (mask, anomaly_map) in enumerate(zip(self.masks, self.maps, strict=True)):
            if self.boxes is not None:
                inside = Box(*self.boxes[place].tolist())
                mask = mask[inside.rows, inside.columns]
            cut = anomaly_map[inside.rows, inside.columns]
            if np.isfinite(cut).all():
                found[place] = region_score(
                    mask.astype(np.uint8), cut, self.threshold, self.rule, self.scale, self.roi
                )
        return found - self.threshold

    @property
    def finite(self) -> bool:
        """Whether no map and no score holds NaN or infinity."""
        return bool(np.isfinite(self.maps).all() and np.isfinite(self.scores).all())

    def subset(self, places: NDArray[np.intp]) -> "Outputs":
        """Return the outputs of some of the frames."""
        return dataclasses.replace(
            self,
            maps=self.maps[places],
            scores=self.scores[places],
            masks=self.masks[places],
            checks=None if self.checks is None else self.checks[places],
            boxes=None if self.boxes is None else self.boxes[places],
        )

    def beyond(self) -> NDArray[np.float64]:
        """Return how far each column is beyond its limits, [N, K]: above 0 is unknown.

        In widths of the limits; of a column that has one limit, a logarithm, in its own unit.
        """
        if self.checks is None or not self.limits:
            return np.empty((len(self.scores), 0))
        low = np.array([-np.inf if each.low is None else each.low for each in self.limits])
        high = np.array([np.inf if each.high is None else each.high for each in self.limits])
        width = np.where(np.isfinite(high - low), np.maximum(high - low, SLIM), 1.0)
        values = self.checks.astype(np.float64)
        found = np.maximum(values - high, low - values) / width
        return np.asarray(np.where(np.isfinite(values), found, np.inf))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The differences between model A and model B over some frames."""

    max_abs_diff: float
    """Of the anomaly maps, at any pixel of any frame; NaN and infinity count as 1."""
    mean_abs_diff: float
    score_diff: float
    """The largest of any frame."""
    mask_iou: float
    """Intersection over union of the anomalous pixels of all frames; 1 where there are none."""
    anomalous_pixels: int
    """The union: pixels that are anomalous for A or B."""
    mask_errors: int
    """Pixels that differ although the map of A is farther than 1e-4 from the threshold."""
    check_diff: float
    """The largest of any column of the input checks, in widths of the limits (`beyond`)."""
    flipped_verdicts: int
    """Frames that have another verdict for one than for the other: good, anomalous, unknown."""
    borderline_flips: int
    """Those of them whose two scores, or input checks, are within the margin of their limits."""
    margin: float
    """See BORDERLINE_SHARE."""
    frames: int
    finite: bool
    """Whether no map and no score of either holds NaN or infinity."""
    before: "Scores | None" = None
    """The metrics of A on labeled frames."""
    after: "Scores | None" = None
    """The metrics of B; undefined where an output is not finite."""
    distances: NDArray[np.float64] = field(
        default_factory=lambda: np.empty((0, 2)), compare=False, repr=False
    )
    """[frames, 2]: what decides the verdict for A and B, less its threshold."""
    reaches: NDArray[np.float64] = field(
        default_factory=lambda: np.empty((0, 2)), compare=False, repr=False
    )
    """[frames, 2]: how far A and B are beyond the limits of their oddest column; -inf: no check."""

    @property
    def counted_flips(self) -> int:
        """The flipped verdicts that are not borderline."""
        return self.flipped_verdicts - self.borderline_flips

    @property
    def has_check(self) -> bool:
        """Whether both models check their input."""
        return bool(len(self.reaches) and (self.reaches > -np.inf).all())

    @property
    def drop(self) -> float:
        """The larger drop of the judged metrics; infinite for NaN, and where none is judged."""
        if not self.finite or not self.judged:
            return math.inf
        fields = (METRICS[name] for name in self.judged)
        return float(max(getattr(self.before, f) - getattr(self.after, f) for f in fields))

    @property
    def judged(self) -> tuple[str, ...]:
        """The metrics that the labels of the frames define."""
        scores = {name: getattr(self.before, field, math.nan) for name, field in METRICS.items()}
        return tuple(name for name, value in scores.items() if not math.isnan(value))

    def line(self) -> str:
        """Return the differences in one line."""
        if not self.finite:
            return f"NaN or infinity within {self.frames} frames"
        if self.before is None:
            found = [f"map difference {self.max_abs_diff:.1e}"]
            found.append(f"score difference {self.score_diff:.1e}")
            found += [f"input check difference {self.check_diff:.1e}"] * self.has_check
        else:
            found = [
                f"{name} {getattr(self.before, field):.4f} -> {getattr(self.after, field):.4f}"
                if name in self.judged
                else f"{name} not judged"
                for name, field in METRICS.items()
            ]
        flips = f"{self.flipped_verdicts} of {self.frames} verdicts flipped"
        if self.borderline_flips:
            flips += f" ({self.borderline_flips} borderline)"
        return ", ".join([*found, f"mask IoU {self.mask_iou:.4f}", flips])

    def to_json(self) -> dict[str, Any]:
        """Return the fields; `before` and `after` on labeled frames only."""
        names = [f.name for f in dataclasses.fields(self)[:-4]]
        found = {name: getattr(self, name) for name in names}
        if self.before and self.after:
            found |= {"before": self.before.to_json(), "after": self.after.to_json()}
            found |= {"judged": list(self.judged)}
        return found


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far apart two models may be; None: not judged."""

    max_map_diff: float | None = None
    max_score_diff: float | None = None
    max_check_diff: float | None = None
    min_iou: float | None = None
    max_flips: int | None = None
    """Of verdicts, borderline ones aside."""

    def problems(self, found: Comparison) -> list[str]:
        """Return which limits a comparison exceeds."""
        if not found.finite:
            return ["a map or score is NaN or infinite"]
        problems = []
        if self.max_map_diff is not None and found.max_abs_diff > self.max_map_diff:
            problems.append(f"the maps differ by {found.max_abs_diff:.2g}")
        if self.max_score_diff is not None and found.score_diff > self.max_score_diff:
            problems.append(f"the scores differ by {found.score_diff:.2g}")
        if self.max_check_diff is not None and found.check_diff > self.max_check_diff:
            problems.append(f"the input checks differ by {found.check_diff:.2g} of their limits")
        enough = found.anomalous_pixels >= ENOUGH
        if self.min_iou is not None and enough and found.mask_iou < self.min_iou:
            problems.append(f"the mask IoU is {found.mask_iou:.4f}")
        if self.max_flips is not None and found.counted_flips > self.max_flips:
            problems.append(f"verdicts flipped: {found.counted_flips}")
        return problems


def compare(
    a: Backend,
    b: Backend,
    frames: Sequence[NDArray[np.uint8]],
    *,
    threshold: float | None = None,
) -> Comparison:
    """Run both models over the same frames; each is judged by the thresholds of its own card.

    frames: each uint8 [N, H, W, C], in the format of `a`; of bgr and rgb, `b` may take the other.
    threshold: pixel threshold of both, instead of the cards'.
    """
    return total(list(compare_frames(a, b, frames, threshold=threshold)))


def compare_frames(
    a: Backend,
    b: Backend,
    frames: Sequence[NDArray[np.uint8]],
    *,
    threshold: float | None = None,
) -> Iterator[Comparison]:
    """Like `compare`, but yield one comparison for each batch of frames."""
    assert a.card.frame_shape == b.card.frame_shape, "the graphs take different frames"
    order = slice(None, None, 1 if a.card.frame_format == b.card.frame_format else -1)
    ours = run_frames(a, frames, threshold=threshold)
    theirs = run_frames(b, (frame[..., order] for frame in frames), threshold=threshold)
    return (compare_outputs(*pair) for pair in zip(ours, theirs, strict=True))


def run_frames(
    backend: Backend, frames: Iterable[NDArray[np.uint8]], *, threshold: float | None = None
) -> Iterator[Outputs]:
    """Yield the outputs of each batch of frames; maps and scores are overwritten by the next."""
    slot = backend.new_slot()
    backend.bind(slot)
    if threshold is not None:
        slot.threshold[:] = threshold
    for frame in frames:
        np.copyto(slot.frame, frame)
        backend.run()
        yield Outputs(
            slot.anomaly_map,
            slot.score,
            slot.mask > 0,
            float(slot.threshold[0]),
            backend.card.image_threshold,
            backend.card.content,
            slot.input_check,
            backend.card.input_check,
            backend.card.rule,
            backend.card.rule.scale(backend.card.frame_size, backend.card.frame_size),
            roi=backend.card.whole_roi,
        )


def compare_outputs(a: Outputs, b: Outputs) -> Comparison:
    """Compare what two models return for the same frames."""
    maps, scores = _difference(a.maps, b.maps), _difference(a.scores, b.scores)
    union = int((a.masks | b.masks).sum())
    distances = np.stack([o.distances() for o in (a, b)], axis=1)
    checks = [o.beyond() for o in (a, b)]
    reaches = np.stack([each.max(axis=1, initial=-np.inf) for each in checks], axis=1)
    flipped, borderline, margin = _flips(distances, reaches)
    columns = [[limit.name for limit in o.limits] for o in (a, b)]
    comparable = checks[0].size and columns[0] == columns[1]
    return Comparison(
        max_abs_diff=float(maps.max()),
        mean_abs_diff=float(maps.mean()),
        score_diff=float(scores.max()),
        mask_iou=int((a.masks & b.masks).sum()) / union if union else 1.0,
        anomalous_pixels=union,
        mask_errors=int(((a.masks != b.masks) & ~_near(a)).sum()),
        check_diff=float(_difference(*checks).max()) if comparable else 0.0,
        flipped_verdicts=flipped,
        borderline_flips=borderline,
        margin=margin,
        frames=len(a.scores),
        finite=a.finite and b.finite,
        distances=distances,
        reaches=reaches,
    )


def total(found: Sequence[Comparison]) -> Comparison:
    """Combine the comparisons of several batches of frames."""
    frames = sum(c.frames for c in found)
    union = sum(c.anomalous_pixels for c in found)
    common = sum(round(c.mask_iou * c.anomalous_pixels) for c in found)
    distances = np.concatenate([c.distances for c in found])
    reaches = np.concatenate([c.reaches for c in found])
    flipped, borderline, margin = _flips(distances, reaches)
    return Comparison(
        max_abs_diff=max(c.max_abs_diff for c in found),
        mean_abs_diff=sum(c.mean_abs_diff * c.frames for c in found) / frames,
        score_diff=max(c.score_diff for c in found),
        mask_iou=common / union if union else 1.0,
        anomalous_pixels=union,
        mask_errors=sum(c.mask_errors for c in found),
        check_diff=max(c.check_diff for c in found),
        flipped_verdicts=flipped,
        borderline_flips=borderline,
        margin=margin,
        frames=frames,
        finite=all(c.finite for c in found),
        distances=distances,
        reaches=reaches,
    )


def _flips(distances: NDArray[np.float64], reaches: NDArray[np.float64]) -> tuple[int, int, float]:
    """Return the number of flipped verdicts, how many are borderline, and the margin of scores.

    distances, reaches: [frames, 2], as in `Comparison`. The scores of an unknown frame say nothing:
    one that is unknown for A and B has the same verdict.
    """
    below = -distances[:, 0][distances[:, 0] <= 0]
    margin = max(BORDERLINE_SHARE * float(np.median(below)) if len(below) else 0, BORDERLINE_LEAST)
    unknown, anomalous = reaches > 0, ~(distances <= 0)  # NaN: anomalous
    odd = unknown.any(axis=1)
    apart = np.where(odd, unknown[:, 0] != unknown[:, 1], anomalous[:, 0] != anomalous[:, 1])
    near = np.where(
        odd,
        (np.abs(reaches) <= BORDERLINE_CHECK).all(axis=1),
        (np.abs(distances) <= margin).all(axis=1),
    )
    return int(apart.sum()), int((apart & near).sum()), margin


def _difference(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return |a - b|, and 1 where that is NaN or infinite."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nan_to_num(np.abs(a - b), nan=1.0, posinf=1.0))


def _near(outputs: Outputs) -> NDArray[np.bool_]:
    """Return where the map, resized to the masks, is near to the threshold, bool [N, H, W]."""
    height, width = outputs.masks.shape[1:]
    inside = outputs.content or Box(0, 0, *outputs.maps.shape[1:])
    maps = outputs.maps[:, inside.rows, inside.columns]
    full = [enlarged(each, (height, width), outputs.roi) for each in maps]
    return np.asarray(np.abs(np.stack(full) - outputs.threshold) <= NEAR)
