"""In-flight requests: a slot and the execution context that is bound to it, once.

There is a request for each frame in flight, plus one that is being filled, one that waits unread,
and those that the source keeps. The source writes into a request's slot, whose addresses never
change. A backend that is not `Pipelined` computes them one after the other.
"""

from dataclasses import dataclass

import numpy as np

from edgeseg.closing import Closing
from edgeseg.config import StreamConfig
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.data.images import Image, fill_frame, letterbox
from edgeseg.errors import ConfigError
from edgeseg.frame.geometry import Box, Size, fit
from edgeseg.frame.locate import STILL, Shift, placed
from edgeseg.frame.pixel_formats import FrameFormat, picture_size
from edgeseg.runtime.base import Backend, CopiesMap, Pipelined, Slot
from edgeseg.stream.source.base import Frame

PLAIN = ("bgr", "rgb", "gray")  # a picture of these can be moved as it is
EXTRA = 2  # requests besides those in flight, so that capture never waits


class InFlightRequest:
    """One slot and the context that computes it; run once on creation, as a warm-up."""

    def __init__(self, backend: Backend, threshold: float | None) -> None:
        self.pipelined = backend if isinstance(backend, Pipelined) else None
        self._map_copier = backend if isinstance(backend, CopiesMap) else None
        self.slot: Slot = backend.new_slot()
        if threshold is not None:
            self.slot.threshold[0] = threshold
        self.image: Image = self.slot.frame[0]
        self.format: FrameFormat = backend.card.frame_format
        self._aspect = backend.card.aspect
        self._shown: Box | None = None
        """Where the image lies in the frame; None: everywhere."""
        self.sizes: tuple[Size, Size] = self.size, self.size
        """Of the picture that came from the source, and of the part of the frame that shows it."""
        self._roi = backend.card.roi
        self.shift: Shift | None = STILL
        """How far the part was moved to its place; None: it was not found."""
        self._run = backend.run
        backend.bind(self.slot)
        backend.run()

    def leave_out_map(self) -> None:
        """Do not bring the anomaly map into the slot, where that saves a copy."""
        if self._map_copier is not None:
            self._map_copier.copies_map = False

    def fetch_map(self) -> None:
        """Bring the anomaly map of the finished frame into the slot after all."""
        if self._map_copier is not None:
            self._map_copier.fetch_map()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture in a frame."""
        return picture_size(self.format, self.image.shape)

    @property
    def slot_image(self) -> Image | None:
        """The slot's frame, which sources may fill in its format."""
        return self.image

    def frame(self, number: int) -> Frame:
        """Return a frame that this request computes; `number`: of the request."""
        frame = Frame(request=number, slot_image=self.slot_image, slot_format=self.format)
        if self.format == "bgr" and frame.slot_image is not None:
            frame.image = frame.slot_image
        return frame

    def fill(self, image: Image, kind: FrameFormat) -> None:
        """Bring an image in a pixel format into the slot, unless it is there already."""
        self._shown = None
        self.sizes = self.size, self.size
        if self._locates:
            self._put(image, kind)
        elif image is not self.image and not _same(image, self.image):
            self.bring(image, kind)

    def count_writes(self, image: Image, kind: FrameFormat) -> int:
        """Return how often `fill` writes an image; a resize counts as one."""
        if self._locates:
            return 2 if kind in PLAIN else 3
        if image is self.image or _same(image, self.image):
            return 0
        direct = kind in ("bgr", "rgb") or kind == self.format
        return 1 if direct else 2

    @property
    def _locates(self) -> bool:
        return self._roi is not None and self._roi.locate is not None

    def _put(self, image: Image, kind: FrameFormat) -> None:
        """Bring an image into the slot with the part in its place."""
        picture, kind = (image, kind) if kind in PLAIN else (to_bgr(image, kind), "bgr")
        picture, self.shift = placed(picture, self._roi)
        self.bring(picture, kind)

    @property
    def moved(self) -> tuple[int, int]:
        """Pixels of the frame by which what is found has to be moved to be in the picture."""
        if self.shift is None:
            return 0, 0
        (height, width), (rows, columns) = self.sizes
        return round(self.shift.x * columns / width), round(self.shift.y * rows / height)

    def bring(self, image: Image, kind: FrameFormat) -> None:
        """Copy, convert and scale an image into the slot."""
        if kind == self.format and image.shape == self.image.shape:
            np.copyto(self.image, image)
            return
        size = picture_size(kind, image.shape)
        shown = fit(size, self.size, self._aspect)
        self.sizes = size, shown.size
        self._shown = None if shown.size == self.size else shown
        if kind == self.format == "gray":
            np.copyto(self.image, letterbox(image, self.size, self._aspect))
            return
        source, picture = ("rgb", image) if kind == "rgb" else ("bgr", to_bgr(image, kind))
        fill_frame(self.image, picture, source=source, target=self.format, aspect=self._aspect)

    def refill(self, image: Image, picture: Size, *, lost: bool) -> None:
        """Take a frame as a request with the same graph had it in its slot, to judge it again.

        picture: size of what came from the source; lost: whether the part was not found in it.
        """
        np.copyto(self.image, image)
        shown = fit(picture, self.size, self._aspect)
        self.sizes = picture, shown.size
        self._shown = None if shown.size == self.size else shown
        self.shift = None if lost else STILL

    def start(self) -> None:
        """Submit the slot's frame, if the backend can run asynchronously."""
        if self.pipelined:
            self.pipelined.start()

    def finish(self) -> None:
        """Wait until the slot has the frame's mask, score and anomaly map."""
        if self.pipelined:
            self.pipelined.finish()
        else:
            self._run()
        if self._shown is not None:
            shown, mask = self._shown, self.slot.mask[0]
            mask[: shown.top] = mask[shown.rows.stop :] = 0
            mask[:, : shown.left] = mask[:, shown.columns.stop :] = 0

    @property
    def device_seconds(self) -> float | None:
        """Time of the last frame on the device's own clock; None if unavailable."""
        return self.pipelined.compute_seconds if self.pipelined else None


@dataclass(frozen=True)
class InFlightRequests(Closing):
    """The requests of one stream and the contexts that were opened for them."""

    requests: tuple[InFlightRequest, ...]
    keep_warm: InFlightRequest | None
    """For keep-warm iterations; None if they are disabled."""
    contexts: tuple[Backend, ...] = ()
    """Additional execution contexts; the backend itself is closed by its owner."""

    def close(self) -> None:
        """Close the additional contexts."""
        for context in self.contexts:
            context.close()

    def keep_until_exit(self) -> None:
        """Keep the slots that a source may still write to until the process exits."""
        for request in self.requests:
            request.slot.keep_until_exit()

    def frames(self) -> list[Frame]:
        """Return a frame for each request."""
        return [request.frame(i) for i, request in enumerate(self.requests)]


def open_requests(backend: Backend, config: StreamConfig, *, kept: int = 0) -> InFlightRequests:
    """Open the requests of a stream; kept: by the source, beside the frame that is being filled.

    ConfigError if the backend supports only one in flight.
    """
    if config.in_flight > 1 and not isinstance(backend, Pipelined):
        raise ConfigError(
            f"invalid in_flight: {config.in_flight} ({backend.name} supports 1).",
            remedy="--in-flight 1, or --runtime openvino, or a TensorRT engine",
            code="config/in-flight",
        )
    count = config.in_flight + EXTRA + kept
    contexts = tuple(backend.second() for _ in range(count - 1 + config.keep_warm))
    requests = tuple(InFlightRequest(each, config.threshold) for each in (backend, *contexts))
    return InFlightRequests(requests[:count], requests[-1] if config.keep_warm else None, contexts)


def _same(one: Image, other: Image) -> bool:
    """Whether two arrays share the same bytes; a source may return another view of its buffer."""
    return (
        one.shape == other.shape
        and one.strides == other.strides
        and np.may_share_memory(one, other)
    )
