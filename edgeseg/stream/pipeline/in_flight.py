"""Lanes: a slot and the backend that is bound to it, once.

A `Pipelined` backend gets a lane for each frame on its way: one that is being filled, one that
waits unread, and those in flight. The camera writes straight into a lane's slot, and what computes
it has had its addresses since the start.

Other backends have one lane, and a frame is copied into its slot. Binding again for each frame
instead would save nothing: ONNX Runtime's bind took 28 us and the copy of a 640x480 frame 25 us on
the same processor, and a runtime may build more upon an address than that one does.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeseg.config import StreamConfig
from edgeseg.data.images import Image, fill_frame
from edgeseg.errors import ConfigError
from edgeseg.runtime.base import Backend, Closing, Pipelined, Slot
from edgeseg.stream.pipeline.ring import Frame

BETWEEN = 2  # lanes besides those in flight: one is being filled, one waits; capture never does
LIVE_DEPTH = 3  # frames before a lone lane: one filling, one unread, one in inference
QUEUE_DEPTH = 4  # decoding a file stays ahead of inference without filling the memory


class Lane:
    """One slot, its backend, and whether a frame lies in it without a copy."""

    def __init__(self, backend: Backend, threshold: float | None) -> None:
        self.pipelined = backend if isinstance(backend, Pipelined) else None
        self.slot: Slot = backend.new_slot()
        if threshold is not None:
            self.slot.threshold[0] = threshold
        self.frame: Image = self.slot.frame[0]
        self._format = backend.card.frame_format
        self._run: Callable[[], None] = backend.run
        backend.bind(self.slot)
        backend.run()  # a runtime's first run is not like the others

    @property
    def home(self) -> Image | None:
        """Where a source may write its pictures, BGR uint8 [H, W, 3]; None: nowhere."""
        return self.frame if self.pipelined and self._format == "bgr" else None

    def fill(self, image: Image) -> None:
        """Bring a BGR picture into the slot; nothing is to do for one that lies there."""
        if image is not self.frame and not _same(image, self.frame):
            fill_frame(self.frame, image, source="bgr", target=self._format)

    def start(self) -> None:
        """Begin with the frame in the slot, where the backend can."""
        if self.pipelined:
            self.pipelined.start()

    def finish(self) -> None:
        """Return when the slot has the mask, the score and the map of its frame."""
        if self.pipelined:
            self.pipelined.finish()
        else:
            self._run()

    @property
    def device_seconds(self) -> float | None:
        """What the device took for the last frame by its own clock, where it has one."""
        return self.pipelined.compute_seconds if self.pipelined else None


@dataclass(frozen=True)
class Lanes(Closing):
    """The lanes of one stream; what was opened for them closes with them."""

    lanes: tuple[Lane, ...]
    spare: Lane | None
    """For runs on nobody's frame, where they are wanted."""
    twins: tuple[Pipelined, ...] = ()

    def close(self) -> None:
        """Close the twins; the backend itself is its opener's."""
        for twin in self.twins:
            twin.close()

    def leave(self) -> None:
        """Leave the slots that a source can write into to the end of the process."""
        for lane in self.lanes:
            lane.slot.keep_until_exit()

    def frames(self, *, live: bool) -> list[Frame]:
        """Return the frames that go round between capture and these lanes."""
        if self.lanes[0].pipelined is None:
            return [Frame() for _ in range(LIVE_DEPTH if live else QUEUE_DEPTH)]
        frames = [Frame(place=place, home=lane.home) for place, lane in enumerate(self.lanes)]
        for frame in frames:
            frame.image = frame.image if frame.home is None else frame.home
        return frames


def open_lanes(backend: Backend, config: StreamConfig) -> Lanes:
    """Return lanes that have run once.

    ConfigError: more than one in flight for a backend that computes one frame at a time.
    """
    if isinstance(backend, Pipelined):
        count = config.in_flight + BETWEEN - 1 + config.keep_warm
        twins = tuple(backend.second() for _ in range(count))
        lanes = tuple(Lane(one, config.threshold) for one in (backend, *twins))
        spare = lanes[-1] if config.keep_warm else None
        return Lanes(lanes[: config.in_flight + BETWEEN], spare, twins)
    if config.in_flight > 1:
        raise ConfigError(
            f"in_flight is {config.in_flight}, and {backend.name} computes one frame at a time.",
            remedy="--in-flight 1, or a runtime that can: --runtime openvino, a TensorRT engine",
        )
    lane = Lane(backend, config.threshold)
    return Lanes((lane,), lane if config.keep_warm else None)


def _same(one: Image, other: Image) -> bool:
    """Whether two arrays are the same bytes; a source may hand back another view of its buffer."""
    return (
        one.shape == other.shape
        and one.strides == other.strides
        and np.may_share_memory(one, other)
    )
