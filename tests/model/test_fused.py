"""The fused graph: the resize of training inside, every frame format, mask and score."""

import numpy as np
import PIL.Image
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn
from torch.nn.functional import interpolate
from torch.utils._python_dispatch import TorchDispatchMode

from edgeseg.model.fused import CHANNELS, Fused

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
    assert "aten::where.self" in seen.names
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


@pytest.mark.parametrize("frame_format", CHANNELS)
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
