"""The contact sheet of the worst errors."""

import numpy as np

from edgeseg.evaluation.contact_sheet import GAP, STRIP, TILE, SheetImage, draw_sheet
from tests.kit.red_backend import write_image

BLOCK = 3 * (TILE + GAP) + 2 * GAP
TOP = GAP + 3 * STRIP  # of the first tiles: below heading, caption and title


def sheet_image(tmp_path, peak, truth):
    anomaly_map = np.zeros((16, 16), np.float32)
    anomaly_map[8:, 8:] = peak
    path = write_image(tmp_path / "teil-ä.png", 0)
    title = "teil-ä.png  0.100 good"
    return SheetImage(path=path, title=title, anomaly_map=anomaly_map, truth=truth)


def tile(sheet, place):
    left = GAP + place * (TILE + GAP)
    return sheet[TOP : TOP + TILE, left : left + TILE].astype(int)


def test_draw_sheet_shows_image_truth_and_map(tmp_path):
    truth = np.zeros((16, 16), bool)
    truth[:8, :8] = True
    sheet = draw_sheet([sheet_image(tmp_path, 0.9, truth)], [], threshold=0.5)
    assert sheet.shape == (TOP + TILE + GAP, 2 * BLOCK, 3)
    assert (tile(sheet, 0) == (0, 0, 200)).all()
    red = tile(sheet, 1)[..., 0] > tile(sheet, 1)[..., 2] + 50
    assert red[:90, :90].all() and not red[100:].any()
    colors = tile(sheet, 2)
    warm = colors[..., 0] > colors[..., 2] + 30
    assert warm[110:, 110:].all() and not warm[:80].any()


def test_draw_sheet_colors_end_at_the_threshold(tmp_path):
    at, above, below = (
        tile(draw_sheet([sheet_image(tmp_path, peak, None)], [], threshold=0.5), 2)[-1, -1]
        for peak in (0.5, 1.0, 0.3)
    )
    assert (at == above).all()
    assert (at != below).any()


def test_draw_sheet_pads_the_shorter_side(tmp_path):
    one = sheet_image(tmp_path, 0.9, None)
    sheet = draw_sheet([one], [one, one, one], threshold=0.5)
    assert sheet.shape == (GAP + 2 * STRIP + 3 * (STRIP + TILE + GAP), 2 * BLOCK, 3)
    assert not sheet[TOP + TILE + GAP :, :BLOCK].any()
    assert sheet[TOP + TILE + GAP :, BLOCK:].any()
