"""The Python API of a model: one call from a frame to a prediction.

    with edgeseg.load("engines/bottle-fp16-rtx-sm86.engine") as model:
        prediction = model(frame)  # uint8 [H, W, 3] of any size, in OpenCV's channel order

A frame in the memory of a GPU goes to an engine on that GPU without passing through the CPU.
`Model` owns a backend and one slot. The streaming loop uses the backend itself.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.config import ANY_GPU, GpuConfig
from edgeseg.cuda.array import DeviceArray
from edgeseg.cuda.foreign import on_gpu
from edgeseg.data.images import Image, fill_frame
from edgeseg.errors import ConfigError, ModelError
from edgeseg.frame.geometry import Box, Size
from edgeseg.frame.locate import STILL, Shift, placed
from edgeseg.frame.raster import Labels
from edgeseg.frame.roi import Roi
from edgeseg.given_frame import fetched, lent_outputs, picture_of, run_on, three_channels
from edgeseg.runtime.base import Backend
from edgeseg.verdict.names import VerdictName
from edgeseg.verdict.region_config import RegionConfig
from edgeseg.verdict.regions import Region, Regions, enlarged, find_regions
from edgeseg.verdict.rule import Rule
from edgeseg.verdict.verdict import BY_SCORE, check_thresholds, checked_threshold, judge, roi_fault

Channels = Literal["bgr", "rgb"]


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
    _frame: Image | Callable[[], Image] = field(repr=False)
    _device_outputs: Callable[[], Mapping[str, DeviceArray]] = field(default=dict, repr=False)
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
    def on_device(self) -> Mapping[str, DeviceArray]:
        """The engine's outputs in the memory of its GPU: `mask`, `score`, `anomaly_map`, ...

        At the size of the graph, for DLPack and `__cuda_array_interface__`, until the model's next
        frame. Empty where a model does not run on a GPU.
        """
        return self._device_outputs()

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
            self._frame() if callable(self._frame) else self._frame,
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
        self._frames = 0
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

    def __call__(self, frame: Any, *, channels: Channels = "bgr") -> Prediction:
        """Inspect one frame.

        frame: uint8 [H, W], [H, W, 1] or [H, W, 3] of any size, of NumPy or in host memory through
        DLPack; another size than the graph's is resized with the filter of training. A graph of
        another format also takes its raw bytes, as `picture_of` says. In GPU memory,
        through DLPack or `__cuda_array_interface__`, it has the size and the frame format of the
        graph, whose engine runs on that GPU. channels: order of the three channels.
        Errors: DataError (`frame/dtype`, `frame/shape`), ConfigError (`frame/channels`), ModelError
        (`model/closed`, `model/busy`).
        """
        if channels not in get_args(Channels):
            raise ConfigError(
                f"invalid channels: {channels!r} (expected 'bgr' or 'rgb')",
                remedy='channels="bgr" for frames of OpenCV',
                code="frame/channels",
            )
        if not on_gpu(frame):
            raw = picture_of(frame, self.card)
            frame = three_channels(frame, self.card.bit_depth) if raw is None else raw
            channels = channels if raw is None else "bgr"
        if not self._running.acquire(blocking=False):
            raise ModelError(
                f"{self.card.name} is busy with a frame of another thread.",
                remedy="edgeseg.load a model for each thread, or hold a lock around the call",
                code="model/busy",
            )
        try:
            return self._predict(frame, channels)
        finally:
            self._running.release()

    def _predict(self, given: Any, channels: Channels) -> Prediction:
        """Run one frame: uint8 [H, W, 3], or in GPU memory."""
        if self._closed:
            raise ModelError(
                f"{self.card.name} is closed.",
                remedy="call edgeseg.load again",
                code="model/closed",
            )
        slot, card, backend = self._slot, self.card, self._backend
        begin = time.perf_counter_ns()
        slot.threshold[0] = self.threshold
        self._frames += 1
        check = partial(self._check_latest, self._frames)
        if isinstance(given, np.ndarray):
            kind, aspect = card.frame_format, card.aspect
            image, shift = placed(given, card.roi)
            fill_frame(slot.frame[0], image, source=channels, target=kind, aspect=aspect)
            backend.run()
            size = given.shape[0], given.shape[1]
            frame: Image | Callable[[], Image] = given if channels == "bgr" else given[:, :, ::-1]
        else:
            run_on(backend, given, channels)
            shift = STILL
            size, frame = card.frame_size, partial(fetched, backend, slot, check)
        milliseconds = (time.perf_counter_ns() - begin) / 1e6
        score = float(slot.score[0])
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
            _frame=frame,
            _device_outputs=partial(lent_outputs, backend, check),
            _rule=self.rule,
            _roi=card.roi,
            _shift=back,
        )

    def _check_latest(self, frame: int) -> None:
        """ModelError where the memory that a prediction refers to has the next frame's contents."""
        if frame != self._frames or self._closed:
            raise ModelError(
                f"a later frame of {self.card.name} has overwritten this one in GPU memory, or the "
                "model is closed.",
                remedy="read on_device, and draw a frame of GPU memory, before the next call",
                code="model/overwritten",
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
    backend = open_model(
        find_engine(path, device=gpu.device), runtime=runtime, threads=threads, gpu=gpu
    )
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
