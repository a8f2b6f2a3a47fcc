"""What a frame's mask became: a record of a few numbers, and the picture for those who look."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.data.images import Image
from edgeseg.stream.sink.overlay import draw, enlarge, write_verdict, zoom


@dataclass(frozen=True, kw_only=True)
class Record:
    """One frame's result without its arrays: small, kept until it is written."""

    index: int
    label: str | None
    arrival: float
    """Seconds since 1970."""
    milliseconds: float
    """From arrival to mask."""
    score: float
    anomalous: bool
    verdict: str


@dataclass(frozen=True)
class Picture:
    """One frame and its mask, copied out of a slot: the slot goes on to the next frame."""

    frame: Image
    """uint8 [H, W, C], in the graph's frame format."""
    mask: NDArray[np.uint8]
    """uint8 [H, W]."""
    anomaly_map: NDArray[np.float32]
    """float32 [S, S]."""

    @classmethod
    def of(cls, card: GraphCard) -> "Picture":
        """Allocate one for a graph's frames."""
        _, height, width, _ = card.frame_shape
        return cls(
            frame=np.zeros(card.frame_shape[1:], np.uint8),
            mask=np.zeros((height, width), np.uint8),
            anomaly_map=np.zeros((card.image_size, card.image_size), np.float32),
        )


@dataclass(frozen=True, kw_only=True)
class Result:
    """A record and its picture; the picture's arrays change after the sinks have had it."""

    record: Record
    picture: Picture
    frame_format: str
    threshold: float

    @cached_property
    def overlay(self) -> Image:
        """BGR uint8, [H, W, 3] times `zoom(H, W)`: drawn once, for all sinks that show it."""
        picture, record = self.picture, self.record
        factor = zoom(*picture.mask.shape)
        canvas, mask = enlarge(self._bgr(), factor), enlarge(picture.mask, factor)
        canvas = draw(canvas, mask, picture.anomaly_map, self.threshold)
        text = f"{record.verdict}  {record.score:.3f}  {record.milliseconds:.1f} ms"
        write_verdict(canvas, text, anomalous=record.anomalous)
        return canvas

    def _bgr(self) -> Image:
        frame = self.picture.frame
        if self.frame_format == "gray":
            return np.repeat(frame, 3, axis=2)
        return frame if self.frame_format == "bgr" else frame[:, :, ::-1].copy()
