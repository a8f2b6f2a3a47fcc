"""A model with the thresholds and the rule that its frames are judged by, and its requests.

A frame that a source wrote into the slot of a request is computed by that request. One that lies in
memory of its own gets the next free request of whichever judge is on duty when inference takes it,
so a line can change between models from one frame to the next.
"""

import math
from dataclasses import fields
from typing import Any

from edgeseg.cards import GraphCard
from edgeseg.config import StreamConfig
from edgeseg.stream.pipeline.in_flight import InFlightRequest, InFlightRequests
from edgeseg.stream.sink.base import Record
from edgeseg.stream.source.base import ANY_REQUEST, Frame
from edgeseg.verdict.names import FROZEN_CAMERA, UNKNOWN
from edgeseg.verdict.region_config import RegionConfig
from edgeseg.verdict.regions import NONE, Regions, find_regions, is_empty
from edgeseg.verdict.verdict import Verdict, judge, roi_fault

THRESHOLDS = ("threshold", "image_threshold")
SETTINGS = (*THRESHOLDS, *(field.name for field in fields(RegionConfig)))
"""Of a configuration: how frames are judged."""


class Judge:
    """Starts frames, and judges them when their masks are there."""

    def __init__(
        self,
        requests: InFlightRequests,
        card: GraphCard,
        config: StreamConfig,
        *,
        measures: bool = True,
        maps: bool = True,
        recipe: str = "",
    ) -> None:
        """measures: find the regions even if the rule does not need them; maps: bring each anomaly
        map into its slot, and not only where regions are measured; recipe: its name.
        """
        self.card, self.recipe = card, recipe
        self.requests, self.keep_warm = requests.requests, requests.keep_warm
        self.image_threshold = card.image_threshold
        if config.image_threshold is not None:
            self.image_threshold = config.image_threshold
        self.rule = config.applied(card.rule)
        given = {name: getattr(config, name) for name in SETTINGS}
        self.settings = {name: value for name, value in given.items() if value is not None}
        """Those that override the model's."""
        self._measures = self.rule.by_regions or measures
        self._maps = self.rule.by_regions or maps
        if not self._maps:
            for request in self.requests:
                request.leave_out_map()
        self._rois = None
        if card.roi is not None:
            self._rois = card.roi.labeled(card.frame_size, card.picture_place)
        self._next = 0

    @property
    def threshold(self) -> float:
        """Of the anomaly map."""
        return float(self.requests[0].slot.threshold[0])

    def request(self, frame: Frame) -> InFlightRequest:
        """Return the request that computes a frame."""
        if frame.request == ANY_REQUEST:
            self._next = (self._next + 1) % len(self.requests)
            return self.requests[self._next]
        return self.requests[frame.request]

    def judged(self, frame: Frame, request: InFlightRequest, milliseconds: float) -> Record:
        """Return the result of a frame whose request has finished."""
        slot, card = request.slot, self.card
        score = float(slot.score[0])
        regions = self._regions(request) if self._measures else NONE
        verdict = judge(
            score,
            self.image_threshold,
            slot.input_check[0],
            card.input_check,
            rule=self.rule,
            regions=regions,
            fault=roi_fault(card.roi, request.sizes[0], lost=request.shift is None),
        )
        if frame.frozen:
            verdict = Verdict(UNKNOWN, FROZEN_CAMERA)
        return self._record(
            frame,
            milliseconds=milliseconds,
            score=score,
            verdict=verdict.name,
            reason=verdict.reason,
            regions=regions.largest,
            region_count=regions.count,
            moved=request.moved,
            picture=request.sizes[0],
            lost=request.shift is None,
        )

    def not_judged(self, frame: Frame) -> Record:
        """Return the result of a broken frame."""
        return self._record(
            frame, milliseconds=math.nan, score=math.nan, verdict=UNKNOWN, reason=frame.fault
        )

    def _record(self, frame: Frame, **result: Any) -> Record:
        return Record(
            index=frame.index,
            label=frame.label,
            arrival=frame.clock,
            sequence=frame.sequence,
            captured=frame.captured_clock,
            camera_ns=frame.camera_ns,
            recipe=self.recipe,
            trigger=frame.trigger,
            **result,
        )

    def _regions(self, request: InFlightRequest) -> Regions:
        inside, slot = self.card.content, request.slot
        if not self._maps:
            if is_empty(slot.mask[0]):
                return NONE
            request.fetch_map()
        anomaly_map = slot.anomaly_map[0, inside.rows, inside.columns]
        scale = self.rule.scale(*request.sizes)
        return find_regions(slot.mask[0], anomaly_map, self.rule, scale, self._rois)
