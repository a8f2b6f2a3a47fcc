"""Mirrors edgeseg/model/contrast.py."""

import torch

from edgeseg.model.contrast import FLOOR, LocalContrast


def texture(side=64):
    return 20 * torch.rand(1, 1, side, side, generator=torch.Generator().manual_seed(0))


def test_light_that_changes_slowly_is_gone():
    side = 64
    slope = torch.linspace(20, 140, side).view(1, 1, 1, side)
    bumps = texture(side)
    contrast = LocalContrast((side, side), 6.0)
    flat = contrast((100 + bumps).expand(-1, 3, -1, -1))
    tilted = contrast((slope + bumps).expand(-1, 3, -1, -1))
    inside = (..., slice(16, -16), slice(16, -16))
    torch.testing.assert_close(flat[inside], tilted[inside], atol=0.2, rtol=0)


def test_a_gain_of_the_light_is_gone_where_there_is_texture():
    bumps = 100 + 5 * texture()
    contrast = LocalContrast((64, 64), 8.0)
    dark, bright = (contrast((gain * bumps).expand(-1, 3, -1, -1)) for gain in (0.5, 1.0))
    torch.testing.assert_close(dark, bright, atol=0.02, rtol=0)
    assert abs(bright.mean()) < 0.1 and 0.9 < bright.std() < 1.1


def test_the_known_answer_of_a_checkerboard():
    """Mean 100, deviation 10: each pixel is 10 / sqrt(10^2 + FLOOR^2) away."""
    odd = (torch.arange(32).view(-1, 1) + torch.arange(32)) % 2
    board = (90 + 20 * odd).float().expand(1, 3, 32, 32)
    found = LocalContrast((32, 32), 4.0)(board)
    expected = (2 * odd - 1) * 10 / (10**2 + FLOOR**2) ** 0.5
    inside = (slice(8, -8), slice(8, -8))
    for channel in found[0]:
        torch.testing.assert_close(channel[inside], expected[inside], atol=0.02, rtol=0)


def test_a_black_a_white_and_a_smooth_frame_are_zero():
    contrast = LocalContrast((32, 32), 4.0)
    for level in (0.0, 255.0, 117.5):
        found = contrast(torch.full((1, 3, 32, 32), level))
        torch.testing.assert_close(found, torch.zeros_like(found), atol=1e-4, rtol=0)


def test_colors_keep_their_differences():
    picture = torch.full((1, 3, 32, 32), 100.0)
    picture[:, 0] += 30
    picture[:, 2] -= 30
    found = LocalContrast((32, 32), 4.0)(picture)
    torch.testing.assert_close(found[:, 0], torch.full((1, 32, 32), 30 / FLOOR), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[:, 1], torch.zeros(1, 32, 32), atol=1e-3, rtol=0)
