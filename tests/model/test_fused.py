"""The fused graph: the resize of training inside, every frame format, mask and score."""

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn.functional import interpolate
from torch.utils._python_dispatch import TorchDispatchMode

from edgeseg.model.fused import Fused

SIZES = [(1080, 1920), (480, 640), (200, 600), (100, 100)]
BILINEAR = PIL.Image.Resampling.BILINEAR


class Brightness(nn.Module):
    """A detector that answers with the green channel, a quarter of the size."""

    map_stride = 4

    def normalize(self, rgb):
        return rgb / 255

    def forward(self, x):
        return x[:, 1:2, ::4, ::4]


def fuse(frame_size, frame_format="rgb", *, side=256, top=4, context=0.0):
    return Fused(
        Brightness(),
        network_size=(side, side),
        aspect="stretch",
        frame_size=frame_size,
        frame_format=frame_format,
        top=top,
        context=context,
    )


class Operations(TorchDispatchMode):
    """Collects the names of PyTorch's operations."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.name())
        return function(*args, **kwargs or {})


def test_a_frame_copies_no_constant_from_the_host():
    frame, threshold = torch.zeros(1, 64, 64, 3, dtype=torch.uint8), torch.tensor([0.5])
    fused = fuse((64, 64), side=64)
    with Operations() as seen, torch.no_grad():
        fused(frame, threshold)
    assert "aten::clamp" in seen.names
    assert not [name for name in seen.names if "lift_fresh" in name]


def picture(height, width):
    """A picture with fine detail, which plain sampling would alias, and with smooth light."""
    rng = np.random.default_rng(height)
    light = np.linspace(0, 160, width)[None, :, None] + np.linspace(0, 40, height)[:, None, None]
    noise = rng.integers(-48, 48, (height, width, 3))
    return np.clip(light + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("frame_format", ["rgb", "bgr", "gray"])
def test_the_resize_is_pillows_within_one_grey_level(size, frame_format):
    rgb = picture(*size)
    if frame_format == "gray":
        rgb = np.repeat(rgb[:, :, :1], 3, axis=2)
    frame = {"rgb": rgb, "bgr": rgb[:, :, ::-1], "gray": rgb[:, :, :1]}[frame_format]
    ours = fuse(size, frame_format).rgb(torch.from_numpy(frame[None].copy()))
    pillow = np.asarray(PIL.Image.fromarray(rgb).resize((256, 256), BILINEAR))
    assert ours.shape == (1, 3, 256, 256)
    difference = np.abs(ours[0].permute(1, 2, 0).numpy() - pillow)
    assert difference.max() <= 1.0


def test_plain_sampling_would_not_pass():
    rgb = picture(1080, 1920)
    sampled = nn.functional.interpolate(
        torch.from_numpy(rgb).permute(2, 0, 1)[None].float(), (256, 256), mode="bilinear"
    )
    pillow = np.asarray(PIL.Image.fromarray(rgb).resize((256, 256), BILINEAR))
    assert np.abs(sampled[0].permute(1, 2, 0).numpy() - pillow).max() > 10


@pytest.mark.parametrize("frame_format", ["bgr", "rgb", "gray"])
def test_every_format_gives_the_same_answers(frame_format):
    level = picture(48, 40)[:, :, :1]
    rgb = np.repeat(level, 3, axis=2)
    frame = level if frame_format == "gray" else rgb
    threshold = torch.tensor([0.4])
    expected = fuse((48, 40), side=32)(torch.from_numpy(rgb[None]), threshold)
    found = fuse((48, 40), frame_format, side=32)(torch.from_numpy(frame[None]), threshold)
    for a, b in zip(expected, found, strict=True):
        torch.testing.assert_close(a, b)


def test_a_mask_of_bytes_at_frame_size_and_the_mean_of_the_highest():
    fused = fuse((64, 96), side=32, top=16)
    frames = torch.zeros(2, 64, 96, 3, dtype=torch.uint8)
    frames[1, :, :48] = 255  # the left half of the second frame
    mask, score, anomaly_map = fused(frames, torch.tensor([0.5]))
    assert (mask.dtype, mask.shape) == (torch.uint8, (2, 64, 96))
    assert (score.shape, anomaly_map.shape) == ((2,), (2, 32, 32))
    assert not mask[0].any()
    assert (mask[1, :, :40] == 255).all() and not mask[1, :, 56:].any()
    assert score.tolist() == pytest.approx([0.0, 1.0])
    highest = anomaly_map.flatten(1).sort(descending=True).values[:, :16].mean(1)
    torch.testing.assert_close(score, highest)


def test_with_a_top_of_one_the_score_is_the_maximum():
    frame = torch.from_numpy(picture(64, 96)[None])
    _, score, anomaly_map = fuse((64, 96), side=32, top=1)(frame, torch.tensor([0.5]))
    torch.testing.assert_close(score, anomaly_map.flatten(1).max(1).values, rtol=0, atol=0)


class FullSize(Brightness):
    """Answers at the picture's own size."""

    map_stride = 1

    def forward(self, x):
        return x[:, 1:2]


def test_a_map_of_full_size_stays_as_it_is():
    fused = Fused(
        FullSize(),
        network_size=(32, 32),
        frame_size=(32, 32),
        frame_format="rgb",
        aspect="stretch",
        top=1,
    )
    frame = picture(32, 32)
    _, _, anomaly_map = fused(torch.from_numpy(frame[None]), torch.tensor([0.5]))
    np.testing.assert_allclose(anomaly_map[0], frame[:, :, 1] / 255, atol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (64, 32), (48, 80)])
def test_a_map_is_enlarged_bilinearly_and_no_matrix_is_wasted_on_square_frames(size):
    fused = fuse(size, side=32)
    frame = torch.from_numpy(picture(*size)[None])
    _, _, anomaly_map = fused(frame, torch.tensor([0.5]))
    coarse = Brightness()(fused.rgb(frame) / 255)
    expected = interpolate(coarse, (32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(anomaly_map, expected[:, 0])
    if size == (32, 32):
        assert torch.equal(fused.rgb(frame), frame.permute(0, 3, 1, 2).float())


def test_context_averages_the_map_with_its_gaussian():
    frame = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    frame[:, 24:40, 20:44] = 255
    threshold = torch.tensor([0.5])
    _, _, plain = fuse((64, 64), side=64)(frame, threshold)
    _, score, found = fuse((64, 64), side=64, context=3.0)(frame, threshold)
    blurred = gaussian_filter(plain[0].numpy(), 3.0, truncate=8.0)  # far from the border
    torch.testing.assert_close(found[0], (plain[0] + torch.from_numpy(blurred)) / 2)
    assert score.item() < 1.0


def test_context_leaves_a_constant_map_alone_up_to_the_border():
    frame = torch.full((1, 32, 32, 3), 102, dtype=torch.uint8)
    _, _, found = fuse((32, 32), side=32, context=8.0)(frame, torch.tensor([0.5]))
    torch.testing.assert_close(found, torch.full((1, 32, 32), 0.4))


def test_the_threshold_is_an_input():
    fused = fuse((32, 32), side=32)
    frame = torch.full((1, 32, 32, 3), 128, dtype=torch.uint8)  # 0.502
    for threshold, expected in ((0.5, 255), (0.51, 0)):
        mask, _, _ = fused(frame, torch.tensor([threshold]))
        assert mask.unique().tolist() == [expected]


def boxed(frame_size, network_size, *, top=4, context=0.0, aspect="keep", detector=None):
    return Fused(
        detector or FullSize(),
        network_size=network_size,
        frame_size=frame_size,
        frame_format="rgb",
        aspect=aspect,
        top=top,
        context=context,
    )


def run_on(fused, frame, threshold=0.5):
    return fused(torch.from_numpy(frame[None]), torch.tensor([threshold]))


@pytest.mark.parametrize("context", [0.0, 3.0])
@pytest.mark.parametrize("size", [(48, 128), (96, 64), (60, 80)])
def test_a_letterboxed_frame_is_answered_as_its_content_alone(size, context):
    frame = picture(*size)
    whole = boxed(size, (64, 96), context=context)
    alone = boxed(size, whole.content.size, context=context, aspect="stretch")
    assert whole.content.size != (64, 96)
    mask, score, anomaly_map = run_on(whole, frame)
    expected = run_on(alone, frame)
    assert 0 < mask.float().mean() < 255 and torch.equal(mask, expected[0])
    torch.testing.assert_close(score, expected[1])
    assert anomaly_map.shape == (1, 64, 96)
    inside = anomaly_map[:, whole.content.rows, whole.content.columns]
    torch.testing.assert_close(inside, expected[2])


class Beside(FullSize):
    """Finds an anomaly outside of the content: in the outermost rows."""

    def forward(self, x):
        found = torch.zeros_like(x[:, 1:2])
        found[:, :, 0] = found[:, :, -1] = 1.0
        return found


@pytest.mark.parametrize("top", [1, 50])
def test_what_is_found_in_the_filling_counts_neither_for_the_score_nor_for_the_mask(top):
    frame = picture(30, 90)
    mask, score, anomaly_map = run_on(boxed((30, 90), (64, 64), top=top, detector=Beside()), frame)
    assert anomaly_map.max() == 1 and score == 0 and not mask.any()


def test_a_score_of_more_pixels_than_the_content_has_is_the_mean_of_all():
    fused = boxed((10, 100), (64, 64), top=3000)
    assert fused.top == 6 * 64
    _, score, _ = run_on(fused, np.full((10, 100, 3), 51, np.uint8))
    assert score.item() == pytest.approx(0.2)


def test_the_mask_of_a_circle_in_a_wide_frame_is_a_circle():
    frame = np.zeros((120, 400, 3), np.uint8)
    cv2.circle(frame, (290, 60), 40, (255, 255, 255), -1)
    mask = run_on(boxed((120, 400), (96, 160)), frame)[0][0].numpy()
    x, y, width, height = cv2.boundingRect(mask)
    assert abs(width - height) <= 2 and abs(width - 81) <= 4
    assert abs(x + width / 2 - 290) <= 2 and abs(y + height / 2 - 60) <= 2


def test_a_frame_of_nearly_the_shape_of_the_network_fills_it():
    """3 : 4 and 7 : 9: no slice, and the matrices of a stretch."""
    kept, stretched = (boxed((48, 64), (56, 72), aspect=a) for a in ("keep", "stretch"))
    assert kept.content.size == (56, 72)
    ours, theirs = (fused.resize.parts[0].rows.band for fused in (kept, stretched))
    assert torch.equal(ours, theirs)
    with Operations() as seen, torch.no_grad():
        run_on(kept, picture(48, 64))
    assert seen.names.count("aten::slice.Tensor") == 1  # the detector's own


@pytest.mark.parametrize("size", [(480, 640), (200, 600)])
def test_a_letterbox_costs_no_other_operation_than_two_products(size):
    with Operations() as seen, torch.no_grad():
        boxed(size, (256, 256)).rgb(torch.from_numpy(picture(*size)[None]))
    assert sum("mm" in name for name in seen.names) == 2
    assert not [name for name in seen.names if "pad" in name or "cat" in name]
