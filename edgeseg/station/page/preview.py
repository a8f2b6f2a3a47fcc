"""The inspector's side of live pictures: a `Viewer` that costs the loop a copy, if anybody looks.

inference thread    view(): reads one number; copies the frame if it is wanted and due
thread "preview"    draws the overlay, small, and writes it where the gateway finds it
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.closing import Closing
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.data.images import Image
from edgeseg.log import log
from edgeseg.runtime.base import Slot
from edgeseg.station.page.picture_memory import SIDE, PictureMemory
from edgeseg.stream.sink.base import Record, Result, ResultBuffers

NICE = 10  # of the thread that draws: it takes no time that inference needs
Outlined = Sequence[tuple[str, NDArray[np.float64]]]


class Preview(Closing):
    """Draws at most `fps` pictures per second of one camera, while somebody looks."""

    def __init__(self, folder: Path, camera: str, fps: float) -> None:
        """OSError: there is no memory for the pictures."""
        self._memory = PictureMemory(folder, camera)
        self._camera, self._period = camera, round(1e9 / fps)
        self._due = 0
        self._busy = False
        self._buffers: Mapping[str, ResultBuffers] = {}
        """By recipe; the thread makes them, so that the loop allocates nothing."""
        self._jobs: SimpleQueue[tuple[Record, GraphCard, float | None] | None] = SimpleQueue()
        self._failed = False
        name = f"preview {camera}"
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def view(self, record: Record, slot: Slot, card: GraphCard, threshold: float) -> None:
        """Copy what the slot holds, if somebody looks and a picture is due; never waits."""
        now = time.monotonic_ns()
        if now < self._due or self._busy or not self._memory.wanted(now):
            return
        self._busy = True
        buffers = self._buffers.get(record.recipe)
        if buffers is None:
            self._jobs.put((record, card, None))
            return
        self._due = now + self._period
        inside = card.content
        np.copyto(buffers.frame, slot.frame[0])
        np.copyto(buffers.mask, slot.mask[0])
        np.copyto(buffers.anomaly_map, slot.anomaly_map[0, inside.rows, inside.columns])
        self._jobs.put((record, card, threshold))

    def close(self) -> None:
        """End the thread; nobody gets pictures any more."""
        self._jobs.put(None)
        self._thread.join()
        self._memory.remove()
        self._memory.close()

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # not on Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while (job := self._jobs.get()) is not None:
            record, card, threshold = job
            try:
                if threshold is None:
                    buffers = ResultBuffers.of(card)
                    buffers.clear()  # so that every page is there
                    self._buffers = {**self._buffers, record.recipe: buffers}
                else:
                    outlines = () if card.roi is None else card.roi.outlines(card.picture_place)
                    buffers = self._buffers[record.recipe]
                    self._memory.write(drawn(record, buffers, card, threshold, outlines))
            except Exception as error:  # of any kind: a picture must not end the inspection
                if not self._failed:
                    log.warning(f"camera {self._camera}: no live picture: {error!r}")
                self._failed = True
            self._busy = False


def drawn(
    record: Record,
    buffers: ResultBuffers,
    card: GraphCard,
    threshold: float,
    outlines: Outlined = (),
) -> Image:
    """Return the overlay, BGR uint8 [h, w, 3], of at most SIDE pixels each way."""
    image, mask = to_bgr(buffers.frame, card.frame_format), buffers.mask
    height, width = mask.shape
    share = min(SIDE / max(height, width), 1.0)
    if share < 1:
        size = (max(round(width * share), 1), max(round(height * share), 1))
        image = _smaller(image, size)
        # One anomalous pixel stays visible.
        mask = np.where(_smaller(mask, size) > 0, 255, 0).astype(np.uint8)
        regions = tuple(
            each._replace(box=tuple(round(side * share) for side in each.box))
            for each in record.regions
        )
        record = replace(record, regions=regions)
        outlines = [(name, ring * share) for name, ring in outlines]
    small = ResultBuffers(frame=image, mask=mask, anomaly_map=buffers.anomaly_map)
    found = Result(
        record=record, buffers=small, frame_format="bgr", threshold=threshold, outlines=outlines
    ).overlay
    longest = max(found.shape[:2])
    if longest > SIDE:  # it was enlarged, so that the text can be read
        height, width = (max(round(side * SIDE / longest), 1) for side in found.shape[:2])
        found = _smaller(found, (width, height))
    return found


def _smaller(image: Image, size: tuple[int, int]) -> Image:
    """Resize; size: width, height."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
