"""The input check: what it measures, its limits, and that no picture of something else passes."""

import numpy as np
import pytest
import torch

from edgeseg.cards import InputLimit
from edgeseg.data.images import write_png
from edgeseg.data.parts import draw_part
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.fit_check import (
    FEWEST,
    find_limits,
    fit_input_check,
    reference,
    tail_quantile,
)
from edgeseg.model.input_check import COLUMNS, InputCheck
from edgeseg.model.teacher import Teacher
from edgeseg.verdict.verdict import judge

SIDE = 64


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return DeSTSeg(Teacher("resnet18"), student_width=8, head_width=8).eval()


@pytest.fixture(scope="module")
def plates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plates")
    rng = np.random.default_rng(0)
    paths = [folder / f"{k:02}.png" for k in range(30)]
    for path in paths:
        write_png(path, draw_part(rng))
    return paths


def plain(image):
    """The first five columns for an image [H, W, 3]."""
    rgb = torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1)[None]
    check = InputCheck([4], (SIDE, SIDE))
    found, _, _ = check.measure(rgb, [torch.zeros(1, 4, 8, 8)])
    return dict(zip(COLUMNS, found[0].tolist(), strict=False))


def test_the_plain_columns_of_known_pictures():
    gray = np.full((SIDE, SIDE, 3), 51, np.uint8)
    found = plain(gray)
    assert found["brightness"] == pytest.approx(0.2)
    assert [found[name] for name in ("contrast", "sharpness", "red", "blue")] == [
        pytest.approx(0, abs=1e-3)
    ] * 4
    split = gray.copy()
    split[:, SIDE // 2 :] = 153  # mean 102, deviation 51
    assert plain(split)["contrast"] == pytest.approx(51 / 103, rel=1e-3)
    assert plain(split)["sharpness"] > 0
    tinted = gray + np.array([26, 0, 0], np.uint8)
    assert plain(tinted)["red"] == pytest.approx(26 / (51 + 26 / 3 + 1), rel=1e-4)
    assert plain(tinted)["blue"] == pytest.approx(0)


def test_a_vector_like_the_good_ones_is_near_and_another_one_far():
    rng = np.random.default_rng(0)
    good = rng.normal(0, [1.0, 1.0, 0.1], (400, 3))
    good[:, 1] += good[:, 0]
    mean, whitening = reference(good)
    near, along, across = (
        (((np.array(x) - mean) @ whitening) ** 2).mean() for x in ([0, 0, 0], [2, 2, 0], [2, -2, 0])
    )
    assert near < 0.1 and along < 3
    assert across > 4 * along, "the columns are correlated"


def test_the_rate_of_unknown_good_images_is_kept():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (2000, len(COLUMNS)))
    limits, note = find_limits(values[:1000], np.arange(1000), 0.005)
    assert note["method"] == "conformal"
    unknown = [judge(0.0, 1.0, row, limits).name == "unknown" for row in values[1000:]]
    assert np.mean(unknown) <= 0.01
    assert judge(0.0, 1.0, [0, 8, 0, 0, 0, 0, 0], limits).reason == "too much contrast"
    assert judge(0.0, 1.0, [0, 0, 0, 0, 0, -8, -8], limits).name == "good", "a distance of nothing"


def test_few_images_extrapolate_and_never_below_what_was_seen():
    values = np.random.default_rng(2).exponential(1, 60)
    reach, method = tail_quantile(values, 0.005)
    assert method == "extrapolated"
    assert reach >= values.max()
    assert reach == pytest.approx(-np.log(0.005), abs=2)
    assert tail_quantile(np.append(values, 100.0), 0.005)[0] >= 100


def test_views_of_one_image_count_as_one():
    rng = np.random.default_rng(3)
    values = rng.normal(0, 1, (100, len(COLUMNS)))
    once, one = find_limits(values, np.arange(100), 0.005)
    twice, two = find_limits(np.concatenate([values, values]), np.tile(np.arange(100), 2), 0.005)
    assert (one["images"], two["images"]) == (100, 100)
    assert [limit.high for limit in once] == pytest.approx([limit.high for limit in twice], rel=0.1)


def test_foreign_pictures_are_unknown_and_further_plates_are_not(detector, plates):
    fitted = fit_input_check(detector, plates, (SIDE, SIDE), "keep", 8)
    assert fitted.note["images"] == len(plates)
    rng = np.random.default_rng(9)
    part = draw_part(rng)
    half = part.copy()
    half[96:] = 0
    foreign = {
        "black": np.zeros_like(part),
        "white": np.full_like(part, 255),
        "noise": rng.integers(0, 256, part.shape).astype(np.uint8),
        "doubly exposed": np.clip(part.astype(int) * 4, 0, 255).astype(np.uint8),
        "half": half,
        "red": (part * np.array([1.0, 0.6, 0.6])).astype(np.uint8),
    }
    verdicts = {name: verdict(detector, fitted.columns, im) for name, im in foreign.items()}
    assert {name: found.name for name, found in verdicts.items()} == dict.fromkeys(
        foreign, "unknown"
    )
    assert verdicts["black"].reason == "too dark"
    further = [verdict(detector, fitted.columns, draw_part(rng)).name for _ in range(20)]
    assert further.count("unknown") <= 1


def verdict(detector, limits, image):
    from edgeseg.model.fused import Fused

    fused = Fused(
        detector,
        network_size=(SIDE, SIDE),
        frame_size=image.shape[:2],
        frame_format="rgb",
        aspect="keep",
        top=1,
    )
    with torch.no_grad():
        *_, check = fused(torch.from_numpy(image)[None], torch.tensor([0.5]))
    return judge(0.0, 1.0, check[0].numpy(), limits)


def test_too_few_images_leave_the_detector_without_a_check(detector, plates):
    fitted = fit_input_check(detector, plates[: FEWEST - 1], (SIDE, SIDE), "keep", 8)
    assert fitted.columns == ()


def test_limits_are_those_of_the_columns_in_their_order(detector, plates):
    fitted = fit_input_check(detector, plates, (SIDE, SIDE), "keep", 8)
    assert tuple(limit.name for limit in fitted.columns) == COLUMNS
    assert all(isinstance(limit, InputLimit) for limit in fitted.columns)


def test_a_bright_smooth_frame_of_many_pixels_has_no_contrast():
    """The mean of squares minus the square of the mean would leave up to 0.3 gray levels."""
    rng = np.random.default_rng(0)
    level = 254 + rng.integers(0, 2, 4).repeat(256)[:, None].astype(np.float32)
    rgb = torch.from_numpy(np.broadcast_to(level, (3, 1024, 1024)).copy())[None]
    check = InputCheck([4], (1024, 1024))
    found, cells, _ = check.measure(rgb, [torch.zeros(1, 4, 8, 8)])
    deviations = cells[0, 16:32].exp() - 1
    assert deviations.abs().max() < 1e-3
    between = float(level[::256].std())
    assert float(found[0, 1]) == pytest.approx(between / (float(level.mean()) + 1), abs=1e-6)
