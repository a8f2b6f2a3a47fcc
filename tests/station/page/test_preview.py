import time

import numpy as np
import pytest

from edgeseg.runtime.base import Slot
from edgeseg.station.page import preview as module
from edgeseg.station.page.picture_memory import SIDE, PictureMemory
from edgeseg.station.page.preview import Preview, drawn
from edgeseg.stream.sink.base import Record, ResultBuffers
from edgeseg.verdict.regions import Region
from tests.kit.cards import make_card
from tests.kit.logs import logged
from tests.kit.stations import until

ORANGE = (0, 94, 213)  # BGR of an outline


def result(card, recipe="plates", **changes):
    slot = Slot.on_host(card)
    slot.frame[...] = 100
    return Record(
        index=0,
        label=None,
        arrival=1.0,
        milliseconds=2.0,
        score=0.1,
        verdict="good",
        recipe=recipe,
        **changes,
    ), slot


@pytest.fixture
def shown(tmp_path):
    """A preview and what the gateway has of it."""
    with Preview(tmp_path, "top", 20) as preview, PictureMemory(tmp_path, "top") as memory:
        yield preview, memory


def test_without_a_viewer_nothing_is_copied(shown):
    preview, memory = shown
    card = make_card(48, 64)
    record, slot = result(card)
    for _ in range(3):
        preview.view(record, slot, card, 0.5)
    assert preview._buffers == {}
    assert memory.newest() is None


def looked_at(preview, memory, record, slot, card):
    """Show one frame after the other until a picture comes."""

    def look():
        memory.want(time.monotonic_ns())
        preview.view(record, slot, card, 0.5)
        return memory.newest()

    return until(look)


def test_a_viewer_gets_the_overlay(shown):
    preview, memory = shown
    card = make_card(48, 64)
    record, slot = result(card)
    found = looked_at(preview, memory, record, slot, card)
    assert found.image.shape == (240, 320, 3)  # enlarged, so that the verdict can be read
    assert tuple(found.image[200, 200]) == (100, 100, 100)


def test_frames_come_as_often_as_is_wanted_and_none_waits_for_the_drawing(shown):
    preview, memory = shown
    card = make_card(48, 64)
    record, slot = result(card)
    looked_at(preview, memory, record, slot, card)
    preview._due = time.monotonic_ns() + 10**12
    number = memory.number
    for _ in range(20):
        memory.want(time.monotonic_ns())
        preview.view(record, slot, card, 0.5)
    assert memory.number == number
    preview._due, preview._busy = 0, True  # the thread still draws
    preview.view(record, slot, card, 0.5)
    assert memory.number == number
    preview._busy = False


def test_each_recipe_has_frames_of_its_own_size(shown):
    preview, memory = shown
    for recipe, (height, width) in {"small": (240, 320), "large": (480, 640)}.items():
        card = make_card(height, width)
        record, slot = result(card, recipe)
        assert until(
            lambda card=card, record=record, slot=slot: (
                looked_at(preview, memory, record, slot, card).image.shape[:2] == card.frame_size
            )
        )


def test_a_large_frame_is_drawn_small_and_its_smallest_defect_stays():
    card = make_card(1200, 1600)
    buffers = ResultBuffers.of(card)
    buffers.frame[...] = 50
    buffers.mask[600, 800] = 255
    region = Region((780, 580, 40, 40), 1, 1, 1, 0, (800, 600), 1.0, 1.0, (800, 600))
    record, _ = result(card, regions=(region,))
    image = drawn(record, buffers, card, 0.5)
    assert image.shape == (600, SIDE, 3)
    assert np.array_equal(image[300, 400], ORANGE)


def test_a_frame_of_an_odd_shape_fits_too():
    card = make_card(16, 4096)
    record, _ = result(card)
    image = drawn(record, ResultBuffers.of(card), card, 0.5)
    assert max(image.shape) <= SIDE


def test_what_cannot_be_drawn_does_not_end_the_inspection(shown, monkeypatch):
    preview, memory = shown

    def broken(*given):
        raise RuntimeError("no")

    monkeypatch.setattr(module, "drawn", broken)
    card = make_card(48, 64)
    record, slot = result(card)
    with logged() as lines:
        for _ in range(20):
            memory.want(time.monotonic_ns())
            preview.view(record, slot, card, 0.5)
            preview._due = 0
            time.sleep(0.005)
    assert len([line for line in lines if "no live picture" in line]) == 1
