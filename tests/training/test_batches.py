"""`Batches`: a pure function of seed, phase and step."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from edgeseg.data.defective import mix
from edgeseg.data.defective.read import KnownDefect
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches


def numbered(count, side=32):
    """Images with distinct values."""
    return [np.full((side, side, 3), value, np.uint8) for value in range(count)]


def test_a_batch_is_a_pure_function_of_seed_phase_and_step(quick):
    first, again = (Batches(numbered(5), quick).make(0, 7) for _ in range(2))
    torch.testing.assert_close(first.corrupted, again.corrupted)
    torch.testing.assert_close(first.mask, again.mask)
    for other in (
        Batches(numbered(5), quick).make(1, 7),
        Batches(numbered(5), quick).make(0, 8),
        Batches(numbered(5), replace(quick, seed=1)).make(0, 7),
    ):
        assert not torch.equal(first.corrupted, other.corrupted)


def test_every_image_comes_once_an_epoch(quick):
    batches = Batches(numbered(6), quick)
    clean = [batches.make(0, step).clean[:, 0, 0, 0].tolist() for step in range(6)]
    epochs = [sorted(a + b + c) for a, b, c in (clean[:3], clean[3:])]
    assert epochs == [[0, 1, 2, 3, 4, 5]] * 2
    assert clean[:3] != clean[3:]


def test_a_batch_larger_than_the_data_set_repeats_images(quick):
    assert Batches(numbered(1), quick).make(0, 0).clean.shape == (2, 3, 32, 32)


def test_outside_the_mask_clean_and_corrupted_are_equal(quick):
    batch = Batches(numbered(4), quick).make(0, 0)
    outside = ~batch.mask.expand(-1, 3, -1, -1)
    torch.testing.assert_close(batch.clean[outside], batch.corrupted[outside])
    assert batch.clean.is_contiguous(memory_format=torch.channels_last)


def test_batches_are_corrupted_only_where_the_loss_uses_anomalies(quick):
    textured = [np.random.default_rng(k).integers(0, 256, (32, 32, 3), np.uint8) for k in range(4)]

    def drawn(config):
        batches = Batches(textured, config)
        return [bool(batches.make(phase, 0).mask.any()) for phase in (0, 1)]

    assert drawn(quick) == [True, True]
    assert drawn(replace(quick, denoising=False)) == [False, True]
    assert drawn(TrainConfig(model="stpm", batch=2)) == [False, False]
    batch = Batches(textured, TrainConfig(model="dskd", batch=2)).make(0, 0)
    assert not batch.mask.any()
    repairing = TrainConfig(model="dskd", batch=4, denoising=True)
    assert Batches(textured, repairing).make(0, 0).mask.any()
    torch.testing.assert_close(batch.clean, batch.corrupted)


def test_augmentation_is_one_switch(quick):
    textured = [np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)]
    lively = replace(quick, rotation="full", lighting=0.5)
    assert not np.array_equal(
        Batches(textured, lively).make(0, 0).clean[0].permute(1, 2, 0), textured[0]
    )
    plain = Batches(textured, replace(lively, augmentation=False)).make(0, 0)
    np.testing.assert_array_equal(plain.clean[0].permute(1, 2, 0), textured[0])


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_stream_yields_the_requested_steps_in_order(quick, threads):
    batches = Batches(numbered(4), quick)
    streamed = list(batches.stream(0, 2, 6, threads=threads))
    assert len(streamed) == 4
    for step, batch in enumerate(streamed, 2):
        torch.testing.assert_close(batch.corrupted, batches.make(0, step).corrupted)
    assert list(batches.stream(0, 5, 5, threads=threads)) == []


def known(value, exact):
    """A defective image of one value; its defect is the left half, or among it."""
    region = np.zeros((32, 32), np.bool_)
    region[:, :16] = True
    return KnownDefect(np.full((32, 32, 3), value, np.uint8), region, exact)


def test_known_defects_are_in_the_batches_of_the_head_alone(quick):
    defects = [known(200, True), known(220, False)]
    with_defects, without = Batches(numbered(4), quick, defects), Batches(numbered(4), quick)
    torch.testing.assert_close(with_defects.make(0, 3).corrupted, without.make(0, 3).corrupted)
    exact, among = 0, 0
    for step in range(40):
        batch, again = with_defects.make(1, step), with_defects.make(1, step)
        torch.testing.assert_close(batch.corrupted, again.corrupted)
        for place, image in enumerate(batch.corrupted):
            if (image == 200).all():
                exact += 1
                assert batch.mask[place, 0, :, :16].all() and not batch.mask[place, 0, :, 16:].any()
            if (image == 220).all():
                among += 1
                assert not batch.mask[place].any()
                assert batch.among is not None and batch.among[place].sum() == 32 * 16
    assert exact > 0 and among > 0


def test_a_turned_defect_keeps_its_region(quick, monkeypatch):
    monkeypatch.setattr(mix, "AS_IS", 1.0)
    image = np.zeros((32, 32, 3), np.uint8)
    image[4:12, 4:12] = 200
    defect = KnownDefect(image, image[:, :, 0] > 0, True)
    batches = Batches(numbered(4), replace(quick, rotation="full"), [defect])
    for step in range(8):
        batch = batches.make(1, step)
        found, mask = batch.corrupted[:, 0, 3:-3, 3:-3] > 120, batch.mask[:, 0, 3:-3, 3:-3]
        assert (found != mask).sum() < 32 < mask.sum()  # at its edges; corners are filled with 114


def test_images_of_any_shape_are_corrupted_and_then_filled_to_the_networks(quick):
    rng = np.random.default_rng(0)
    shapes = [(32, 64, 3), (20, 64, 3), (32, 30, 3), (32, 64, 3)]
    images = [rng.integers(0, 256, shape, np.uint8) for shape in shapes]
    batches = Batches(images, quick, network=(32, 64))
    assert batches.make(0, 0).clean.shape == (2, 3, 32, 64)
    (good,) = (torch.cat(list(batches.good())),)
    assert good.shape == (4, 3, 32, 64)
    flat, narrow = good[1].permute(1, 2, 0).numpy(), good[2].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(flat[6:26], images[1])
    assert (flat[:6] == flat[6]).all() and (flat[26:] == flat[25]).all()
    np.testing.assert_array_equal(narrow[:, 17:47], images[2])
    for seed in range(20):
        clean, corrupted, mask = batches.triple(1, np.random.default_rng(seed))
        np.testing.assert_array_equal(clean[~mask], corrupted[~mask])
        for layer in (clean, corrupted, mask):
            assert layer.shape[:2] == (32, 64)
            assert (layer[:6] == layer[6]).all() and (layer[26:] == layer[25]).all()
