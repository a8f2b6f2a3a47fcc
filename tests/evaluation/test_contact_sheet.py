"""The contact sheet of the worst errors."""

from dataclasses import replace

import cv2
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
    gray, colors = tile(sheet, 1)[-1, -1], tile(sheet, 1)
    assert (colors[:90, :90] != gray).any(axis=2).all() and (colors[100:] == gray).all()
    colors = tile(sheet, 2)
    warm = colors[..., 0] > colors[..., 2] + 20
    assert warm[110:, 110:].all() and not warm[:80].any()


def test_the_map_is_warm_above_the_threshold_only(tmp_path):
    above, below = (
        tile(draw_sheet([sheet_image(tmp_path, peak, None)], [], threshold=0.5), 2)[-1, -1]
        for peak in (0.51, 0.5)
    )
    assert above[0] > above[2] + 20 and below[0] <= below[2]


def test_titles_that_differ_by_a_letter_beyond_ascii_do_not_look_alike(tmp_path):
    case = sheet_image(tmp_path, 0.1, None)
    one, other = (
        draw_sheet([replace(case, title=title)], [], threshold=0.5) for title in ("Größe", "Grüße")
    )
    assert (one[:TOP] != other[:TOP]).any()


def test_a_wide_image_keeps_its_shape(tmp_path):
    image = np.full((40, 160, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "wide.png"), image)
    case = replace(sheet_image(tmp_path, 0.9, None), path=tmp_path / "wide.png")
    found = tile(draw_sheet([case], [], threshold=0.5), 0)
    assert (found[: TILE // 4] == 90).all() and not found[TILE // 4 :].any()


def test_draw_sheet_pads_the_shorter_side(tmp_path):
    one = sheet_image(tmp_path, 0.9, None)
    sheet = draw_sheet([one], [one, one, one], threshold=0.5)
    assert sheet.shape == (GAP + 2 * STRIP + 3 * (STRIP + TILE + GAP), 2 * BLOCK, 3)
    assert not sheet[TOP + TILE + GAP :, :BLOCK].any()
    assert sheet[TOP + TILE + GAP :, BLOCK:].any()
