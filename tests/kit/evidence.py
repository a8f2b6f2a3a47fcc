"""Kept frames: a slot with an answer, the judge that it belongs to, and a keeper that is done."""

import sqlite3
from types import SimpleNamespace

import numpy as np

from edgeseg.config import StreamConfig
from edgeseg.runtime.fake import FakeBackend
from edgeseg.station.config import EvidenceConfig
from edgeseg.station.cursors import FILE
from edgeseg.station.evidence.keeper import EvidenceKeeper
from edgeseg.stream.pipeline.in_flight import InFlightRequest, InFlightRequests
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.source.base import Frame
from tests.kit.cards import make_card
from tests.kit.stations import inspection, until


def make_judge(card=None, **settings):
    """A judge with one request, whose backend reports red."""
    card = card or make_card()
    config = StreamConfig(window=False, **settings)
    request = InFlightRequest(FakeBackend(card), config.threshold)
    return Judge(InFlightRequests((request,), None), card, config, recipe="plates")


def judged(judge, image, kind="bgr", *, frozen=False):
    """Judge an image; the record and the slot."""
    request = judge.requests[0]
    request.fill(image, kind)
    request.finish()
    return judge.judged(Frame(frozen=frozen), request, 1.0), request.slot


def red(value, size=(48, 64)):
    """A picture of one red."""
    image = np.zeros((*size, 3), np.uint8)
    image[..., 2] = value
    return image


def make_keeper(folder, *judges, reserve_gb=0.0, **config):
    """A keeper that has read its folder."""
    keeper = EvidenceKeeper(folder)
    config = EvidenceConfig(**({"good_share": 0.0, "near": 0.0} | config))
    keeper.use(config, reserve_gb, [judge.card for judge in judges])
    assert until(lambda: keeper.status()["gb"] is not None)
    return keeper


def keep(keeper, judge, image, number=1, **about):
    """Judge an image and let it be kept; its place, and what is left to say about it."""
    kind = about.pop("kind", "bgr")
    record, slot = judged(judge, image, kind, frozen=about.pop("frozen", False))
    found = inspection(number, **({"boot": "b1", "decided": 1_000_000.0 + number} | about))
    place = keeper.keep(found, record, slot, judge)
    keeper.write()
    return SimpleNamespace(place=place, record=record, slot=slot)


def label(station, labels):
    """Store labels by the keys of inspections, as the page does."""
    with sqlite3.connect(station / FILE) as file:
        file.execute("create table if not exists label (key text primary key, label text)")
        file.executemany("insert or replace into label values (?, ?)", labels.items())
    file.close()


def done(keeper):
    """Wait until everything is written."""
    keeper.close()
    return keeper.status()
