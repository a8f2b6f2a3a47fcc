"""Trainings with ROIs: no anomaly outside of them, and the areas are in the card."""

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.data.defective.read import KnownDefect, read_defects
from edgeseg.data.images import write_png
from edgeseg.data.layouts import Sample, open_dataset
from edgeseg.errors import ConfigError, DataError, Interrupted
from edgeseg.frame.tiles import Tiles
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches
from edgeseg.training.prepare import where_anomalies_may_be
from edgeseg.training.train import train
from tests.frame.test_locate import scene
from tests.kit.errors import fails
from tests.kit.rois import make_roi
from tests.training.test_train import interrupt_at

pytestmark = pytest.mark.usefixtures("usual_signals")

SIDE = 64


def textured(count=4, side=SIDE):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (side, side, 3), np.uint8) for _ in range(count)]


def left_half():
    inside = np.zeros((SIDE, SIDE), bool)
    inside[:, : SIDE // 2] = True
    return inside


LINE = TrainConfig(
    profile="line", image_size=SIDE, batch=4, intact=0.0, textures=None, lighting=0.0
)


def batches_of(config, inside, defects=()):
    return Batches(textured(), config, defects, network=(SIDE, SIDE), inside=inside)


def test_no_anomaly_is_drawn_outside_and_nearly_every_image_has_one():
    batches, some = batches_of(LINE, [left_half()]), 0
    for step in range(5):
        batch = batches.make(1, step)
        changed = (batch.clean != batch.corrupted).any(dim=1).numpy()
        assert not changed[:, :, SIDE // 2 :].any() and not batch.mask[..., SIDE // 2 :].any()
        some += int(batch.mask.flatten(1).any(dim=1).sum())
    assert some >= 18, "of 20; without trying again a third would have none"


def test_each_tile_of_an_image_has_its_own_inside():
    inside = [left_half(), ~left_half()]
    batch = batches_of(replace(LINE, batch=4), inside).make(1, 0)
    order = batches_of(LINE, inside)._indices(1, 0)
    for mask, index in zip(batch.mask[:, 0].numpy(), order, strict=True):
        assert not mask[~inside[index % 2]].any()


def test_a_defect_is_not_pasted_outside():
    image, region = textured(1)[0], np.zeros((SIDE, SIDE), bool)
    region[20:44, 20:44] = True
    defects = [KnownDefect(255 - image, region, exact=True)]
    config = replace(LINE, use_defects=True, textures=None)
    batches = batches_of(config, [left_half()], defects)
    pasted = [
        batches.make(1, step).mask[..., SIDE // 2 :].flatten(1).any(dim=1) for step in range(5)
    ]
    as_it_is = 20 * 0.15
    assert sum(int(each.sum()) for each in pasted) <= 3 * as_it_is


def test_masks_for_the_network_and_its_tiles():
    roi = make_roi((100, 200), cap=(0, 0, 100, 100))
    (whole,) = where_anomalies_may_be(roi, (64, 128), "keep", None)
    assert whole.shape == (64, 128) and whole[:, :64].all() and not whole[:, 64:].any()
    first, second = where_anomalies_may_be(
        roi, (64, 64), "stretch", Tiles(rows=1, columns=2, overlap=(0, 0))
    )
    assert first.all() and not second.any()
    assert where_anomalies_may_be(None, (64, 64), "keep", None) == []
    with fails(DataError, "data/roi-empty"):
        where_anomalies_may_be(make_roi((1000, 1000), dot=(10, 10, 14, 14)), (64, 64), "keep", None)


def test_defects_outside_are_left_out_and_others_are_cut(tmp_path):
    mask = np.zeros((16, 16), np.uint8)
    mask[:8, :8] = 255
    write_png(tmp_path / "mask.png", mask)
    write_png(tmp_path / "a.png", np.full((16, 16, 3), 90, np.uint8))
    known = Sample(tmp_path / "a.png", "dent", tmp_path / "mask.png")
    boxed = Sample(tmp_path / "a.png", "dent")

    def read(sample, roi, boxes=()):
        return read_defects([sample], {sample.path: boxes}, (16, 16), "stretch", 16, roi=roi)

    upper = make_roi((16, 16), upper=(0, 0, 16, 4))
    (cut,) = read(known, upper)
    assert cut.exact and cut.region.sum() == 32
    assert read(known, make_roi((16, 16), lower=(0, 9, 16, 16))) == []
    assert read(boxed, upper, [(0, 8, 4, 4)]) == []
    assert read(boxed, upper)[0].region.all(), "it may be anywhere"


@pytest.fixture
def mask(tmp_path):
    """The upper half of the plates, whose photos have 256 x 192 pixels."""
    inside = np.zeros((192, 256), np.uint8)
    inside[:96] = 255
    write_png(tmp_path / "upper.png", inside)
    return tmp_path / "upper.png"


def test_a_training_stores_its_rois_and_a_resumed_one_keeps_them(
    plates, quick, mask, tmp_path, monkeypatch
):
    run = tmp_path / "runs" / "upper"
    config = replace(quick, roi=mask)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1, 1, 2)
        with pytest.raises(Interrupted):
            train(plates, config, run)
    mask.unlink()
    train(plates, config, run, resume=True)
    roi = read_card(run / CARD, ModelCard).roi
    assert roi.names == ("upper",) and roi.picture == (192, 256)
    inside = roi.inside((192, 256))
    assert inside[:96].all() and not inside[96:].any()


def test_rois_that_move_with_the_part_are_learned_with_their_picture(quick, tmp_path):
    for place in range(8):
        photo = scene(6 * place - 20, 4 * place - 10, seed=place)
        write_png(tmp_path / "caps" / "good" / f"{place}.png", photo[:, :, ::-1])
    caps = open_dataset(tmp_path / "caps")
    inside = np.zeros((240, 320), np.uint8)
    inside[80:160, 110:210] = 255
    write_png(tmp_path / "cap.png", inside)
    write_png(tmp_path / "photo.png", scene()[:, :, ::-1])
    config = replace(quick, roi=tmp_path / "cap.png", locate=tmp_path / "photo.png")
    card = train(caps, config, tmp_path / "runs" / "caps", preview=False)
    assert card.roi.names == ("cap",) and card.roi.locate.least > 0.7
    write_png(tmp_path / "caps" / "good" / "9.png", scene(part=False)[:, :, ::-1])
    with fails(DataError, "data/part-not-found"):
        train(open_dataset(tmp_path / "caps"), config, tmp_path / "runs" / "b", preview=False)
    write_png(tmp_path / "photo.png", np.zeros((10, 10, 3), np.uint8))
    with fails(DataError, "data/roi-size"):
        train(caps, config, tmp_path / "runs" / "c", preview=False)


def test_a_part_is_located_for_rois_only(quick, tmp_path):
    with fails(ConfigError, "config/conflict"):
        replace(quick, locate=tmp_path / "photo.png")


def test_a_wrong_roi_is_told_before_the_training(plates, quick, tmp_path):
    write_png(tmp_path / "small.png", np.full((96, 128), 255, np.uint8))
    with fails(DataError, "data/roi-size"):
        train(plates, replace(quick, roi=tmp_path / "small.png"), tmp_path / "runs" / "a")
    write_png(tmp_path / "black.png", np.zeros((192, 256), np.uint8))
    with fails(DataError, "data/roi-empty"):
        train(plates, replace(quick, roi=tmp_path / "black.png"), tmp_path / "runs" / "a")
    assert not (tmp_path / "runs" / "a").exists()
