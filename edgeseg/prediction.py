"""The Python API of a model: one call from a frame to a prediction.

    with edgeseg.load("engines/bottle-fp16-rtx-sm86.engine") as model:
        prediction = model(frame)  # uint8 [H, W, 3] of any size, in OpenCV's channel order

`Model` owns a backend and one slot. The streaming loop uses the backend itself.
"""

import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.config import ANY_GPU, GpuConfig
from edgeseg.data.images import Image, fill_frame
from edgeseg.errors import ConfigError, DataError, ModelError
from edgeseg.geometry import Box, Size
from edgeseg.locate import STILL, Shift, placed
from edgeseg.raster import Labels
from edgeseg.region_config import RegionConfig
from edgeseg.regions import Region, Regions, enlarged, find_regions
from edgeseg.roi import Roi
from edgeseg.rule import Rule
from edgeseg.runtime.base import Backend
from edgeseg.verdict import (
    BY_SCORE,
    VerdictName,
    check_thresholds,
    checked_threshold,
    judge,
    roi_fault,
)

Channels = Literal["bgr", "rgb"]
_TO_UINT8 = {
    "f": "scale 0..1 to 0..255: (frame * 255).round().astype(numpy.uint8)",
    "b": "scale to 0 and 255: frame.astype(numpy.uint8) * 255",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What a model found in one frame."""

    verdict: VerdictName
    """`good`, `anomalous` (the image score is above the image threshold), or `unknown` (the frame
    cannot be judged)."""
    reason: str = ""
    """Why the frame is unknown, for instance `too dark`; empty for another verdict."""
    score: float
    """Image score; NaN where the model returned none."""
    mask: NDArray[np.uint8]
    """uint8 [H, W] at the size of the frame: 0 good, 255 anomalous."""
    anomaly_map: NDArray[np.float32]
    """float32 [h, w], higher is more anomalous: of the whole frame and nothing else, at the
    resolution of the network. Of a letterboxed frame it is the part that shows the frame."""
    milliseconds: float
    """From the frame to the mask: conversion, resize and inference."""
    threshold: float
    """Pixel threshold that the mask was made with."""
    _frame: Image = field(repr=False)
    _rule: Rule = field(default=BY_SCORE, repr=False)
    _roi: Roi | None = field(default=None, repr=False)
    _shift: Shift = field(default=STILL, repr=False)

    @property
    def regions(self) -> tuple[Region, ...]:
        """Connected regions of the mask that count by the model's rule, the largest first.

        At most 200; `region_count` is the number of all.
        """
        return self._found.largest

    @property
    def region_count(self) -> int:
        """The number of the regions that count."""
        return self._found.count

    @cached_property
    def _found(self) -> Regions:
        labels = self._roi.labeled(self._size) if self._roi else None
        if labels is not None and self._shift != STILL:
            pixels = self._shift.back(labels.pixels, self._size, smooth=False)
            labels = labels._replace(pixels=pixels)
        return regions_of(self.mask, self.anomaly_map, self._rule, labels)

    @property
    def _size(self) -> Size:
        return self.mask.shape[0], self.mask.shape[1]

    def draw(self) -> Image:
        """Return the frame with map, outline of the mask and numbers of the regions.

        BGR uint8 [H, W, 3]. The frame is read at the time of this call: draw before its buffer is
        overwritten.
        """
        from edgeseg.stream.sink.overlay import draw

        place = Box(self._shift.y, self._shift.x, *self._size)
        outlines = self._roi.outlines(place) if self._roi else ()
        return draw(
            self._frame,
            self.mask,
            self.anomaly_map,
            self.threshold,
            self.regions,
            outlines=outlines,
        )


class Model:
    """An opened model: call it with a frame, close it or use it in a `with` block.

    One call at a time: a second thread gets an error (`model/busy`); open a model per thread.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        threshold: float | None = None,
        image_threshold: float | None = None,
        rule: Rule | None = None,
    ) -> None:
        """Take over an opened backend; thresholds and rule override those of its card."""
        single_frame(backend)
        self._backend = backend
        self._closed = False
        self._running = threading.Lock()
        card = backend.card
        self.threshold = card.threshold if threshold is None else threshold
        self.image_threshold = card.image_threshold if image_threshold is None else image_threshold
        self.rule = card.rule if rule is None else rule
        """Which regions count, and whether they decide."""
        self._slot = backend.new_slot()
        backend.bind(self._slot)
        backend.run()  # warm-up: the first run of a runtime takes longer

    @property
    def name(self) -> str:
        """The runtime, its version and its device."""
        return self._backend.name

    @property
    def card(self) -> GraphCard:
        """What the model is: its frames, thresholds and training."""
        return self._backend.card

    @property
    def threshold(self) -> float:
        """Pixel threshold, on the anomaly map; ConfigError for a value that is not finite."""
        return self._threshold

    @threshold.setter
    def threshold(self, value: float) -> None:
        self._threshold = checked_threshold("threshold", value)

    @property
    def image_threshold(self) -> float:
        """Image threshold, on the score; ConfigError for a value that is not finite."""
        return self._image_threshold

    @image_threshold.setter
    def image_threshold(self, value: float) -> None:
        self._image_threshold = checked_threshold("image_threshold", value)

    def __call__(self, frame: NDArray[np.uint8], *, channels: Channels = "bgr") -> Prediction:
        """Inspect one frame.

        frame: uint8 [H, W], [H, W, 1] or [H, W, 3] of any size; another size than the graph's is
        resized with the filter of training. channels: order of the three channels.
        Errors: DataError (`frame/dtype`, `frame/shape`), ConfigError (`frame/channels`), ModelError
        (`model/closed`, `model/busy`).
        """
        if channels not in get_args(Channels):
            raise ConfigError(
                f"invalid channels: {channels!r} (expected 'bgr' or 'rgb')",
                remedy='channels="bgr" for frames of OpenCV',
                code="frame/channels",
            )
        image = _three_channels(frame, self.card.bit_depth)
        if not self._running.acquire(blocking=False):
            raise ModelError(
                f"{self.card.name} is busy with a frame of another thread.",
                remedy="edgeseg.load a model for each thread, or hold a lock around the call",
                code="model/busy",
            )
        try:
            return self._predict(image, channels)
        finally:
            self._running.release()

    def _predict(self, image: Image, channels: Channels) -> Prediction:
        """Run one frame, uint8 [H, W, 3]."""
        if self._closed:
            raise ModelError(
                f"{self.card.name} is closed.",
                remedy="call edgeseg.load again",
                code="model/closed",
            )
        slot, card = self._slot, self.card
        begin = time.perf_counter_ns()
        given, (image, shift) = image, placed(image, card.roi)
        slot.threshold[0] = self.threshold
        kind, aspect = card.frame_format, card.aspect
        fill_frame(slot.frame[0], image, source=channels, target=kind, aspect=aspect)
        self._backend.run()
        milliseconds = (time.perf_counter_ns() - begin) / 1e6
        score = float(slot.score[0])
        size = image.shape[0], image.shape[1]
        content = card.content_of(size)
        anomaly_map = slot.anomaly_map[0, content.rows, content.columns].copy()
        same_size = slot.mask.shape[1:] == size
        mask = slot.mask[0].copy()  # from here to the verdict the part is in its place
        if not same_size:
            mask = mask_of(anomaly_map, self.threshold, size, card.roi)
        by_regions = self.rule.by_regions
        labels = card.roi.labeled(size) if card.roi and by_regions else None
        found = regions_of(mask, anomaly_map, self.rule, labels) if by_regions else None
        verdict = judge(
            score,
            self.image_threshold,
            slot.input_check[0],
            card.input_check,
            rule=self.rule,
            regions=found,
            fault=roi_fault(card.roi, size, lost=shift is None),
        )
        back = shift or STILL
        return Prediction(
            verdict=verdict.name,
            reason=verdict.reason,
            score=score,
            mask=back.back(mask, size, smooth=False),
            anomaly_map=back.back(anomaly_map, size, smooth=True),
            milliseconds=milliseconds,
            threshold=self.threshold,
            _frame=given if channels == "bgr" else given[:, :, ::-1],
            _rule=self.rule,
            _roi=card.roi,
            _shift=back,
        )

    def close(self) -> None:
        """Release the runtime, its memory and its device, after the frame of another thread.

        May be called twice.
        """
        with self._running:
            if not self._closed:
                self._closed = True
                self._backend.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def load(
    path: str | Path | None = None,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    threshold: float | None = None,
    image_threshold: float | None = None,
    rule: str | None = None,
    min_area: str | float | None = None,
    min_peak: float | None = None,
    mm_per_px: float | None = None,
    gpu: GpuConfig = ANY_GPU,
) -> Model:
    """Open a model.

    path: a run directory (`runs/bottle`), the name of a run, an ONNX file of edgeseg or an engine;
    default: the newest engine in engines/. runtime: `onnxruntime` or `openvino`, for an ONNX file.
    threads: CPU threads; default: all cores. threshold, image_threshold: override the model's own,
    as do rule (`score`, `region`, `area:200`, `count:3`), min_area (pixels, or text such as
    `0.5mm2`), min_peak and mm_per_px of the regions.
    Errors: ModelError for a path that is none of these, EngineMismatch for an engine of another
    machine, MissingExtra where the runtime is not installed.
    """
    from edgeseg.loading import find_engine, open_model, warn_unchecked

    check_thresholds(threshold, image_threshold)
    if threads is not None and not (isinstance(threads, int) and threads > 0):
        raise ConfigError(
            f"invalid threads: {threads!r} (expected a whole number from 1)", remedy="threads=2"
        )
    area = None if min_area is None else str(min_area)
    regions = RegionConfig(rule=rule, min_area=area, min_peak=min_peak, mm_per_px=mm_per_px)
    backend = open_model(find_engine(path), runtime=runtime, threads=threads, gpu=gpu)
    warn_unchecked(backend.card)
    try:
        return Model(
            backend,
            threshold=threshold,
            image_threshold=image_threshold,
            rule=regions.applied(backend.card.rule),
        )
    except BaseException:
        backend.close()
        raise


def single_frame(backend: Backend) -> tuple[int, int, int, int]:
    """Return the frame's shape [1, H, W, C]; ModelError for a graph of several frames a run."""
    shape = backend.card.frame_shape
    if shape[0] != 1:
        raise ModelError(
            f"{backend.card.name} takes {shape[0]} frames in one run (expected 1): waiting for the "
            "others would delay the first.",
            remedy="edgeseg export --batch 1",
            code="model/batch",
        )
    return shape


def regions_of(
    mask: Image, anomaly_map: NDArray[np.float32], rule: Rule, labels: Labels | None
) -> Regions:
    """Return the regions that count of a mask that has the size of its image."""
    size = mask.shape[0], mask.shape[1]
    return find_regions(mask, anomaly_map, rule, rule.scale(size, size), labels)


def mask_of(
    anomaly_map: NDArray[np.float32], threshold: float, size: Size, roi: Roi | None = None
) -> Image:
    """Return the mask of an anomaly map as the graph makes it: uint8 0/255, size (height, width).

    The map is enlarged bilinearly and compared with the threshold. roi: of the picture; 0 outside.
    """
    marked = enlarged(anomaly_map, size, roi) > threshold
    if roi is not None:
        marked &= roi.labeled(size).inside
    return np.where(marked, np.uint8(255), np.uint8(0))


def _to_uint8(kind: str, bit_depth: int) -> str:
    if kind == "u":
        shift = bit_depth - 8
        return f"scale {bit_depth} bits to 8: (frame >> {shift}).astype(numpy.uint8)"
    return _TO_UINT8.get(kind, "convert it to numpy.uint8, 0 to 255")


def _three_channels(frame: Any, bit_depth: int) -> Image:
    """Return a frame as uint8 [H, W, 3]; gray is repeated. bit_depth: of the training images."""
    if not isinstance(frame, np.ndarray):
        raise DataError(
            f"invalid frame: {type(frame).__name__} (expected a NumPy array of uint8)",
            remedy="pass an array; cv2.imread returns None for a file that it cannot read",
            code="frame/dtype",
        )
    if frame.dtype != np.uint8:
        raise DataError(
            f"invalid frame: array of {frame.dtype} (expected uint8)",
            remedy=_to_uint8(frame.dtype.kind, bit_depth),
            code="frame/dtype",
        )
    if frame.ndim not in (2, 3) or frame.shape[2:] not in ((), (1,), (3,)) or not frame.size:
        raise DataError(
            f"invalid frame: shape {list(frame.shape)} (expected [H, W], [H, W, 1] or [H, W, 3], "
            "not empty)",
            remedy="pass one image; of a batch frame[0], without an alpha channel frame[:, :, :3]",
            code="frame/shape",
        )
    if frame.shape[2:] == (3,):
        return frame
    return np.repeat(frame.reshape(*frame.shape[:2], 1), 3, axis=2)
