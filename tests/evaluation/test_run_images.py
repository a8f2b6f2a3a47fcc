"""`run_images` yields an outcome per file, with any batch size."""

import cv2
import numpy as np
import pytest

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
    outcomes = run_images(backend, paths, title="test")
    seen = [(o.path, o.size, o.score, o.anomaly_map.max(), o.mask.any()) for o in outcomes]
    for path, red, (where, size, score, peak, marked) in zip(paths, REDS, seen, strict=True):
        assert (where, size, marked) == (path, (16, 16), red > 127)
        assert score == pytest.approx(red / 255)
        assert peak == pytest.approx(red / 255)
    assert backend.runs == runs


def test_run_images_resizes_and_reports_the_size_of_the_file(tmp_path):
    path = tmp_path / "wide.png"
    write_png(path, np.full((20, 40, 3), 51, np.uint8))
    (outcome,) = run_images(PlateBackend(), [path], title="test")
    assert outcome.size == (20, 40)
    np.testing.assert_allclose(outcome.anomaly_map, 51 / 255, atol=1e-6)


def test_run_images_names_the_image_with_a_nan(tmp_path):
    class Broken(PlateBackend):
        def run(self):
            super().run()
            self._slot.anomaly_map[0, 3, 3] = np.nan

    path = write_image(tmp_path / "part.png", 9)
    with fails(ModelError, "model/not-finite") as caught:
        list(run_images(Broken(), [path], title="test"))
    assert "part.png" in caught.value.problem


def test_run_images_names_a_damaged_image(tmp_path):
    (tmp_path / "torn.png").write_bytes(b"no png")
    with fails(DataError, "data/damaged-image"):
        list(run_images(PlateBackend(), [tmp_path / "torn.png"], title="test"))


def test_run_images_scales_16_bit_files_by_the_depth_in_the_card(tmp_path):
    path = tmp_path / "raw.png"
    assert cv2.imwrite(str(path), np.full((16, 16), 4095, np.uint16))
    (outcome,) = run_images(PlateBackend(bit_depth=12), [path], title="test")
    np.testing.assert_allclose(outcome.anomaly_map, 1.0)
    with fails(DataError, "data/bit-depth"):
        list(run_images(PlateBackend(bit_depth=10), [path], title="test"))
