"""Keeps frames as evidence: inference copies them, a thread of its own writes them.

    kept        anomalous and unknown frames, good ones that are nearly anomalous, and a share of
                all good ones; of a frozen camera one
    missed      wanted, but no buffer was free, the disk or the quota is full: the record says so by
                an empty `evidence`
    failed      promised, and not written: the record names a folder that does not exist

A folder that a record names and that does not exist was deleted for the quota, or is one of
`failed`, or the process died within the second before it was written. One that exists is whole.
"""

import hashlib
import json
import os
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard, metadata_from
from edgeseg.closing import Closing
from edgeseg.files import shown
from edgeseg.frame.geometry import fit
from edgeseg.log import log
from edgeseg.runtime.base import Slot, tensor_types
from edgeseg.station.config import EvidenceConfig
from edgeseg.station.evidence.kept import KeptRecord, digests, encoded, write_kept
from edgeseg.station.evidence.quota import BLOCK, KeptFrames, place_of
from edgeseg.station.inspection import Inspection
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.sink.base import Record
from edgeseg.verdict.names import FROZEN_CAMERA, GOOD

BUFFERS = 8
FILES = 5  # of a kept frame, with its folder
COPIED = ("frame", "mask", "anomaly_map")
NICE = 5  # more than the process, for the thread that writes: inference goes first
LOOK = 1.0  # seconds between two looks at a disk that is full
RETRY = 5.0  # seconds without evidence after a frame that could not be written
PATIENCE = 5.0  # seconds that the end waits for what is not written yet


@dataclass(frozen=True)
class KeptCopy:
    """A frame that waits for its thread."""

    place: str
    kind: str
    inspection: Inspection
    record: Record
    judge: Judge
    threshold: float
    arrays: Mapping[str, NDArray[Any]]
    memory: NDArray[np.uint8]
    home: "deque[NDArray[np.uint8]]"
    """Where the memory goes then."""


class EvidenceKeeper(Closing):
    """The `FrameKeeper` of a station; `keep` may be called by several threads."""

    def __init__(self, station: Path) -> None:
        """station: the folder of its state."""
        self._station = station
        self._config, self._reserve = EvidenceConfig(quota_gb=0), 0
        self._buffers: deque[NDArray[np.uint8]] = deque()
        self._bytes = 0
        self._frames: KeptFrames | None = None
        self._copies: deque[KeptCopy] = deque()
        self._wake, self._ended = threading.Event(), False
        self._hashes: dict[int, tuple[GraphCard, str]] = {}
        self._frozen: dict[str, bool] = {}
        self._random = random.Random()
        self._count = threading.Lock()
        self.kept = self.missed = self.failed = 0
        self.trouble = ""
        """Why nothing is kept; empty while frames can be."""
        self._again = 0.0
        self._thread = threading.Thread(target=self._work, name="evidence", daemon=True)
        self._thread.start()

    def use(self, config: EvidenceConfig, reserve_gb: float, cards: Iterable[GraphCard]) -> None:
        """Take settings, and allocate buffers for the frames of these graphs."""
        self._config, self._reserve = config, round(reserve_gb * 1e9)
        needed = max((_bytes(card) for card in cards), default=0)
        if config.quota_gb and needed > self._bytes:
            self._bytes = needed
            memory = [np.empty(needed, np.uint8) for _ in range(BUFFERS)]
            for each in memory:
                each.fill(0)  # else the first frames would wait for their pages
            self._buffers = deque(memory)
        self._wake.set()

    def keep(self, inspection: Inspection, record: Record, slot: Slot, judge: Judge) -> str:
        """Copy what the slot holds, if it is to be kept; return its place, else nothing."""
        kind = self._kind(inspection.camera, record, slot, judge)
        if not kind:
            return ""
        home = self._buffers
        if self.trouble or not self._has_room(kind) or not home:
            return self._miss()
        try:
            memory = home.popleft()
        except IndexError:  # another camera was faster
            return self._miss()
        place = place_of(inspection, kind)
        arrays = _copied(slot, memory)
        threshold = float(slot.threshold[0])
        self._copies.append(
            KeptCopy(place, kind, inspection, record, judge, threshold, arrays, memory, home)
        )
        return place

    def write(self) -> None:
        """Let the thread begin: not before, or the journal would wait for a core."""
        self._wake.set()

    def status(self) -> dict[str, Any]:
        """Return how it does; `gb`: on the disk, None until the folder was read."""
        frames = self._frames
        return {
            "kept": self.kept,
            "missed": self.missed,
            "failed": self.failed,
            "gb": None if frames is None else round(sum(frames.sizes.values()) / 1e9, 3),
            "trouble": self.trouble,
        }

    def close(self) -> None:
        """Write what waits, as far as the disk takes it in time."""
        self._ended = True
        self._wake.set()
        self._thread.join(PATIENCE)

    def _miss(self) -> str:
        with self._count:
            self.missed += 1
        return ""

    def _kind(self, camera: str, record: Record, slot: Slot, judge: Judge) -> str:
        """Return as what a frame is kept; empty: not at all."""
        if not self._config.quota_gb:
            return ""
        frozen = record.reason == FROZEN_CAMERA
        again, self._frozen[camera] = frozen and self._frozen.get(camera, False), frozen
        if record.verdict != GOOD:
            return "" if again else record.verdict
        if _is_near(record, slot, judge, self._config.near):
            return "near"
        return "good" if self._random.random() < self._config.good_share else ""

    def _has_room(self, kind: str) -> bool:
        """Whether frames of a kind are within the quota, once others were deleted for them."""
        frames = self._frames
        if frames is None:
            return True
        fixed = sum(frames.sizes.values()) - frames.size_up_to(kind)
        return fixed + self._bytes + FILES * BLOCK <= self._config.quota_gb * 1e9

    def _work(self) -> None:
        with suppress(OSError, AttributeError):  # not on Linux
            nice = os.getpriority(os.PRIO_PROCESS, 0) + NICE
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        while True:
            self._look()
            copy = self._next()
            if copy is None:
                if self._ended:
                    return
                continue
            try:
                self._write(copy)
                self.kept += 1
            except Exception as error:  # of the disk, or of a picture that cannot be encoded
                self.failed += 1
                self._again = time.monotonic() + RETRY
                self._fail(str(error))
            copy.home.append(copy.memory)  # the next look deletes what is beyond the quota

    def _next(self) -> KeptCopy | None:
        if not self._copies and not self._ended:
            self._wake.wait(LOOK)
            self._wake.clear()
        return self._copies.popleft() if self._copies else None

    def _look(self) -> None:
        """See whether the disk has room for frames."""
        if not self._config.quota_gb:
            return
        try:
            if self._frames is None:
                self._frames = KeptFrames(self._station)
            self._frames.shrink(round(self._config.quota_gb * 1e9))
            free = self._frames.free
        except OSError as error:
            self._fail(str(error))
            return
        if free < self._reserve:
            rest = f"{free / 1e9:.1f} GB are free, fewer than disk_reserve_gb"
            self._fail(f"{rest} ({self._reserve / 1e9:g})")
        elif self.trouble and time.monotonic() >= self._again:
            log.info("evidence is kept again")
            self.trouble = ""

    def _write(self, copy: KeptCopy) -> None:
        card, record, frames = copy.judge.card, copy.record, self._frames
        if frames is None:
            raise OSError(self.trouble or "the folder cannot be read")
        picture = record.picture or card.frame_size
        box = fit(picture, card.frame_size, card.aspect)
        inside = card.content_of(picture)
        arrays = copy.arrays
        files = encoded(arrays["frame"], card.frame_format, arrays["mask"], arrays["anomaly_map"])
        kept = KeptRecord(
            inspection=replace(copy.inspection, evidence=copy.place),
            verdict=record.verdict,
            reason=record.reason,
            score=record.score if isfinite(record.score) else None,
            threshold=copy.threshold,
            recipe=copy.judge.settings,
            model=card.name,
            weights_sha256=card.weights_sha256,
            card_sha256=self._hash(card),
            frame_format=card.frame_format,
            frame_shape=card.frame_shape[1:],
            map_shape=card.map_size,
            picture=picture,
            shown=(box.top, box.left, box.height, box.width),
            content=(inside.top, inside.left, inside.height, inside.width),
            lost=record.lost,
            files=digests(files),
        )
        frames.put(copy.place, copy.kind, lambda folder: write_kept(folder, files, kept))

    def _hash(self, card: GraphCard) -> str:
        known = self._hashes.get(id(card))
        if known is None:
            known = self._hashes[id(card)] = card, hash_of(card)
        return known[1]

    def _fail(self, problem: str) -> None:
        if not self.trouble:
            log.warning(f"no evidence is kept in {shown(self._station)}: {problem}")
        self.trouble = problem


def hash_of(card: GraphCard) -> str:
    """Return the SHA-256 of a card's contents."""
    text = json.dumps(metadata_from(card), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_near(record: Record, slot: Slot, judge: Judge, near: float) -> bool:
    """Whether a good frame is nearly anomalous, by the measure that decides."""
    rule, card = judge.rule, judge.card
    if rule.by == "score":
        value, limit = record.score, judge.image_threshold
    elif rule.by == "region":
        inside = card.content
        value = float(slot.anomaly_map[0, inside.rows, inside.columns].max())
        limit = float(slot.threshold[0]) if rule.min_peak is None else rule.min_peak
        if rule.min_area:  # regions that are too small are no news
            return False
    else:
        value, limit = float(record.region_count), rule.limit
        if rule.by == "area":
            picture = record.picture or card.frame_size
            x, y = rule.scale(picture, fit(picture, card.frame_size, card.aspect).size)
            value = sum(each.area for each in record.regions) * x * y
        if not value:
            return False
    return value >= limit - near * abs(limit)


def _bytes(card: GraphCard) -> int:
    types = tensor_types(card)
    return sum(int(np.prod(types[name][0])) * types[name][1].itemsize for name in COPIED)


def _copied(slot: Slot, memory: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Copy the arrays of a slot into one piece of memory; the widest type first."""
    found, start = {}, 0
    for name in reversed(COPIED):
        source = getattr(slot, name)[0]
        end = start + source.nbytes
        found[name] = memory[start:end].view(source.dtype).reshape(source.shape)
        np.copyto(found[name], source)
        start = end
    return found
