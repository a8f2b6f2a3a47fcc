"""In-flight requests: a slot and the execution context that is bound to it, once.

A `Pipelined` backend has a request for each frame in flight, plus one that is being filled and one
that waits unread. The camera writes directly into a request's slot, and its addresses never change.

Any other backend has one request, into whose slot each frame is copied. Rebinding for each frame
would not be faster: ONNX Runtime's bind took 28 us and the copy of a 640x480 frame 25 us on the
same processor, and other runtimes may do more work when an address changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeseg.closing import Closing
from edgeseg.config import StreamConfig
from edgeseg.data.images import Image, fill_frame
from edgeseg.errors import ConfigError
from edgeseg.geometry import Box, fit
from edgeseg.runtime.base import Backend, Pipelined, Slot
from edgeseg.stream.source.base import Frame

EXTRA = 2  # requests besides those in flight, so that capture never waits
LIVE_DEPTH = 3  # frames for a single request: one being filled, one unread, one in inference
QUEUE_DEPTH = 4  # decoding a file stays ahead of inference without filling the memory


class InFlightRequest:
    """One slot and the context that computes it; run once on creation, as a warm-up."""

    def __init__(self, backend: Backend, threshold: float | None) -> None:
        self.pipelined = backend if isinstance(backend, Pipelined) else None
        self.slot: Slot = backend.new_slot()
        if threshold is not None:
            self.slot.threshold[0] = threshold
        self.frame: Image = self.slot.frame[0]
        self._format = backend.card.frame_format
        self._aspect = backend.card.aspect
        self._shown: Box | None = None
        """Where the image lies in the frame; None: everywhere."""
        self._run: Callable[[], None] = backend.run
        backend.bind(self.slot)
        backend.run()

    @property
    def slot_image(self) -> Image | None:
        """The slot's frame, uint8 [H, W, 3], if a source may write its BGR images there."""
        return self.frame if self.pipelined and self._format == "bgr" else None

    def fill(self, image: Image) -> None:
        """Convert a BGR image into the slot, unless it is there already."""
        self._shown = None
        if image is not self.frame and not _same(image, self.frame):
            height, width = self.frame.shape[:2]
            shown = fit((image.shape[0], image.shape[1]), (height, width), self._aspect)
            self._shown = None if shown.size == (height, width) else shown
            fill_frame(self.frame, image, source="bgr", target=self._format, aspect=self._aspect)

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
    contexts: tuple[Pipelined, ...] = ()
    """Additional execution contexts; the backend itself is closed by its owner."""

    def close(self) -> None:
        """Close the additional contexts."""
        for context in self.contexts:
            context.close()

    def keep_until_exit(self) -> None:
        """Keep the slots that a source may still write to until the process exits."""
        for request in self.requests:
            request.slot.keep_until_exit()

    def frames(self, *, live: bool) -> list[Frame]:
        """Return the frames that circulate between capture and these requests."""
        if self.requests[0].pipelined is None:
            return [Frame() for _ in range(LIVE_DEPTH if live else QUEUE_DEPTH)]
        frames = [Frame(request=i, slot_image=r.slot_image) for i, r in enumerate(self.requests)]
        for frame in frames:
            frame.image = frame.image if frame.slot_image is None else frame.slot_image
        return frames


def open_requests(backend: Backend, config: StreamConfig) -> InFlightRequests:
    """Open the requests of a stream; ConfigError if the backend supports only one in flight."""
    if isinstance(backend, Pipelined):
        count = config.in_flight + EXTRA - 1 + config.keep_warm
        contexts = tuple(backend.second() for _ in range(count))
        requests = tuple(InFlightRequest(each, config.threshold) for each in (backend, *contexts))
        spare = requests[-1] if config.keep_warm else None
        return InFlightRequests(requests[: config.in_flight + EXTRA], spare, contexts)
    if config.in_flight > 1:
        raise ConfigError(
            f"invalid in_flight: {config.in_flight} ({backend.name} supports 1).",
            remedy="--in-flight 1, or --runtime openvino, or a TensorRT engine",
            code="config/in-flight",
        )
    request = InFlightRequest(backend, config.threshold)
    return InFlightRequests((request,), request if config.keep_warm else None)


def _same(one: Image, other: Image) -> bool:
    """Whether two arrays share the same bytes; a source may return another view of its buffer."""
    return (
        one.shape == other.shape
        and one.strides == other.strides
        and np.may_share_memory(one, other)
    )
