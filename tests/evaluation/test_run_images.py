"""`run_images` yields an outcome per file, with any batch size."""

import cv2
import numpy as np
import pytest

from edgeseg.data.damaged import DamagedImages
from edgeseg.data.images import write_png
from edgeseg.errors import DataError, ModelError
from edgeseg.evaluation.run_images import run_images
from tests.kit.errors import fails
from tests.kit.red_backend import PlateBackend, write_image

REDS = (10, 60, 110, 160, 210)


@pytest.mark.parametrize("batch, runs", [(1, 5), (2, 3), (5, 1), (8, 1)])
def test_run_images_yields_an_outcome_per_image_in_order(tmp_path, batch, runs):
    paths = [write_image(tmp_path / f"{red}.png", red) for red in REDS]
    backend = PlateBackend(batch)
    outcomes = run_images(backend, paths, title="test", damaged=DamagedImages())
    seen = [(o.path, o.score, o.anomaly_map.max(), o.mask.any()) for o in outcomes]
    for path, red, (where, score, peak, marked) in zip(paths, REDS, seen, strict=True):
        assert (where, marked) == (path, red > 127)
        assert score == pytest.approx(red / 255)
        assert peak == pytest.approx(red / 255)
    assert backend.runs == runs


def test_run_images_resizes(tmp_path):
    path = tmp_path / "wide.png"
    write_png(path, np.full((20, 40, 3), 51, np.uint8))
    (outcome,) = run_images(PlateBackend(), [path], title="test", damaged=DamagedImages())
    np.testing.assert_allclose(outcome.anomaly_map, 51 / 255, atol=1e-6)


def test_run_images_names_the_image_with_a_nan(tmp_path):
    class Broken(PlateBackend):
        def run(self):
            super().run()
            self._slot.anomaly_map[0, 3, 3] = np.nan

    path = write_image(tmp_path / "part.png", 9)
    with fails(ModelError, "model/not-finite") as caught:
        list(run_images(Broken(), [path], title="test", damaged=DamagedImages()))
    assert "part.png" in caught.value.problem


@pytest.mark.parametrize("batch", [1, 2, 3, 8])
@pytest.mark.parametrize("torn", [(0,), (4,), (1, 2), (0, 1, 2, 3)])
def test_a_damaged_image_is_listed_and_the_others_are_run(tmp_path, batch, torn, said):
    paths = [write_image(tmp_path / f"{red}.png", red) for red in REDS]
    for place in torn:
        paths[place].write_bytes(b"no png")
    damaged = DamagedImages()
    outcomes = run_images(PlateBackend(batch), paths, title="test", damaged=damaged)
    found = [(o.place, o.path, o.score) for o in outcomes]
    sound = [place for place in range(5) if place not in torn]
    assert found == [(n, paths[n], pytest.approx(REDS[n] / 255)) for n in sound]
    assert [each.file for each in damaged.found] == [str(paths[place]) for place in torn]
    assert len(said) == len(torn)


def test_damaged_images_alone_are_an_error(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"no png")
    with fails(DataError, "data/damaged-image"):
        paths = [tmp_path / "torn.png"]
        list(run_images(PlateBackend(), paths, title="test", damaged=DamagedImages()))


def test_run_images_scales_16_bit_files_by_the_depth_in_the_card(tmp_path):
    path = tmp_path / "raw.png"
    assert cv2.imwrite(str(path), np.full((16, 16), 4095, np.uint16))
    backend, damaged = PlateBackend(bit_depth=12), DamagedImages()
    (outcome,) = run_images(backend, [path], title="test", damaged=damaged)
    np.testing.assert_allclose(outcome.anomaly_map, 1.0)
    with fails(DataError, "data/bit-depth"):
        list(run_images(PlateBackend(bit_depth=10), [path], title="test", damaged=damaged))


def test_the_outcome_of_a_letterboxed_image_is_that_of_the_image_alone(tmp_path):
    path = tmp_path / "wide.png"
    write_png(path, np.full((20, 40, 3), 204, np.uint8))
    backend = PlateBackend(aspect="keep")
    (outcome,) = run_images(backend, [path], title="test", damaged=DamagedImages())
    assert outcome.box == (4, 0, 8, 16)
    assert outcome.anomaly_map.shape == outcome.mask.shape == (8, 16)
    assert outcome.mask.all()
