"""The layout of a slot's block: aligned tensors, and what is copied together is contiguous."""

import dataclasses

import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.cuda.resources import Device
from edgeseg.runtime.base import INPUTS, OUTPUTS, Slot
from edgeseg.runtime.device_slot import ALIGNMENT, Layout, choose_io, spins


@pytest.mark.parametrize("shape", [(1, 48, 64, 3), (2, 33, 20, 1), (1, 16, 16, 1)])
def test_every_tensor_has_its_place(graph_card, shape):
    check = (InputLimit(name="brightness"),) * 3
    card = dataclasses.replace(graph_card, frame_shape=shape, input_check=check)
    layout, slot = Layout.of(card), Slot.on_host(card)
    block = np.zeros(layout.total, np.uint8)
    views = layout.views(block)
    for number, name in enumerate(INPUTS + OUTPUTS):
        expected = slot.tensors()[name]
        assert (views[name].shape, views[name].dtype) == (expected.shape, expected.dtype)
        assert layout.tensors[name].offset % ALIGNMENT == 0
        views[name].view(np.uint8)[...] = number + 1
    for number, name in enumerate(INPUTS + OUTPUTS):  # none was written by another
        assert (views[name].view(np.uint8) == number + 1).all()
    assert (block[: layout.inputs] <= 2).all() and (block[layout.inputs :] != 2).all()
    assert layout.addresses(4096)["mask"] == 4096 + layout.inputs


def test_how_frames_get_there():
    jetson, card = Device("Orin", "8.7", True), Device("RTX A2000", "8.6", False)
    assert [choose_io("auto", device) for device in (jetson, card)] == ["mapped", "copy"]
    assert [choose_io(io, card) for io in ("mapped", "copy")] == ["mapped", "copy"]


def test_auto_spins_where_a_core_is_to_spare():
    jetson, card = Device("Orin", "8.7", True), Device("RTX A2000", "8.6", False)
    assert [spins("auto", card, cores) for cores in (4, 8)] == [False, True]
    assert not spins("auto", jetson, 12)
    assert [spins(wait, jetson, 1) for wait in ("spin", "block")] == [True, False]
