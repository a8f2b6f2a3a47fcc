"""Results of frames, and the interface of the sinks that take them.

A sink opens what it needs in its constructor, so that an unusable output is reported before the
first frame; `close` leaves complete files, whatever ended the stream.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.closing import Closing
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.data.images import Image
from edgeseg.errors import EdgesegError
from edgeseg.frame.geometry import Size
from edgeseg.frame.pixel_formats import FrameFormat
from edgeseg.stream.sink.overlay import draw, enlarge, write_verdict, zoom
from edgeseg.stream.source.base import TriggerId
from edgeseg.verdict.names import VerdictName
from edgeseg.verdict.regions import Region


@dataclass(frozen=True, kw_only=True)
class Record:
    """The result of one frame without its arrays; small, and kept until it is written."""

    index: int
    label: str | None
    arrival: float
    """Seconds since 1970."""
    milliseconds: float
    """From arrival to mask; NaN for a frame that was not judged, like its score."""
    score: float
    verdict: VerdictName
    reason: str = ""
    """Why the frame is unknown."""
    regions: tuple[Region, ...] = ()
    """Those that count by the rule, the largest first; in pixels of the graph's frames."""
    region_count: int = 0
    moved: tuple[int, int] = (0, 0)
    """How far regions in the frame are from where they are in the picture, with --locate."""
    sequence: int | None = None
    """The camera's number of the frame, if it has one."""
    captured: float | None = None
    """Time stamp of the kernel in seconds since 1970, if it has one."""
    camera_ns: int | None = None
    """Time stamp of the camera, in nanoseconds of its own clock, if it has one."""
    recipe: str = ""
    """The name of what judged it, at a station."""
    trigger: TriggerId | None = None
    """What asked for it."""
    picture: Size | None = None
    """(height, width) of the picture that came from the source; None: it was not judged."""
    lost: bool = False
    """Whether the part was looked for and not found."""

    @property
    def text(self) -> str:
        """What the overlay says: `good  0.123  4.5 ms`, `unknown  broken frame`."""
        judged = isfinite(self.milliseconds)
        figures = f"  {self.score:.3f}  {self.milliseconds:.1f} ms" if judged else ""
        return f"{self.verdict}{figures}  {self.reason}".rstrip()


@dataclass(frozen=True)
class ResultBuffers:
    """Copies of a slot's arrays, so that the slot is free for the next frame."""

    frame: Image
    """uint8, in the graph's frame format."""
    mask: NDArray[np.uint8]
    """uint8 [H, W]."""
    anomaly_map: NDArray[np.float32]
    """float32 [h, w]: what the network's map has of the frame."""

    @classmethod
    def of(cls, card: GraphCard) -> "ResultBuffers":
        """Allocate buffers for the frames of a graph."""
        return cls(
            frame=np.zeros(card.frame_shape[1:], np.uint8),
            mask=np.zeros(card.frame_size, np.uint8),
            anomaly_map=np.zeros(card.content.size, np.float32),
        )

    def clear(self) -> None:
        """Show a black frame, for one that could not be read."""
        for array in (self.frame, self.mask, self.anomaly_map):
            array.fill(0)


@dataclass(frozen=True, kw_only=True)
class Result:
    """A record and its arrays, which are reused after the sinks have returned."""

    record: Record
    buffers: ResultBuffers
    frame_format: FrameFormat
    threshold: float
    outlines: Sequence[tuple[str, NDArray[np.float64]]] = ()
    """Of the ROIs, as `overlay.draw` takes them."""

    @cached_property
    def overlay(self) -> Image:
        """BGR uint8, [H, W, 3] times `zoom(H, W)`; drawn once for all sinks."""
        buffers, record = self.buffers, self.record
        factor = zoom(*buffers.mask.shape)
        image, mask = enlarge(self._bgr(), factor), enlarge(buffers.mask, factor)
        image = draw(
            image,
            mask,
            buffers.anomaly_map,
            self.threshold,
            record.regions,
            factor,
            self.outlines,
        )
        write_verdict(image, record.text, record.verdict)
        return image

    def _bgr(self) -> Image:
        return to_bgr(self.buffers.frame, self.frame_format)


class Sink(Closing, ABC):
    """What every sink tells the report."""

    error: EdgesegError | None = None
    """Why results are missing in an output that was asked for."""
    lost = 0
    """Results that could not be written."""


class FrameSink(Sink):
    """Takes results with their frames, in the main thread."""

    @abstractmethod
    def write(self, result: Result) -> bool:
        """Process one result, whose arrays are valid until the return; False ends the stream."""

    def idle(self) -> bool:
        """Called while no result comes; False ends the stream."""
        return True


class RecordSink(Sink):
    """Takes the record of every frame, including frames that are not shown."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Process one record."""


AnySink = FrameSink | RecordSink
