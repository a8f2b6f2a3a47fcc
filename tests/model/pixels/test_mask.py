"""The mask is the enlarged map, compared with the threshold."""

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from edgeseg.model.pixels.mask import FrameMask

SIZES = [(64, 96), (270, 482), (31, 47), (16, 24)]  # 16 x 24: as the map; 31, 47: prime


def masked(anomaly_map, size, threshold):
    values = torch.from_numpy(anomaly_map)[:, None]
    mask = FrameMask(anomaly_map.shape[1:], size)(values, torch.tensor([threshold]))
    assert mask.dtype == torch.uint8
    return mask.numpy()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_it_is_the_bilinear_map_above_the_threshold(size, threshold):
    maps = np.random.default_rng(0).random((2, 16, 24), np.float32)
    mask = masked(maps, size, threshold)
    assert set(np.unique(mask)) == {0, 255}
    for one, found in zip(maps, mask, strict=True):
        full = cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR)
        clear = np.abs(full - threshold) > 1e-5  # nearer, it is a matter of rounding
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(found[clear], np.where(full > threshold, 255, 0)[clear])
        theirs = interpolate(torch.from_numpy(one)[None, None], size, mode="bilinear")[0, 0]
        np.testing.assert_allclose(full, theirs, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 24), (64, 96)])
def test_a_value_that_equals_the_threshold_is_good(size):
    level = np.float32(0.3)
    assert not masked(np.full((1, 16, 24), level, np.float32), size, float(level)).any()
    above = np.nextafter(level, np.float32(1))
    assert (masked(np.full((1, 16, 24), above, np.float32), size, float(level)) == 255).all()


def test_large_and_negative_values_are_compared_too():
    maps = np.array([[[1e6, -1e6], [-1e-6, 1e-6]]], np.float32)
    assert masked(maps, (2, 2), 0.0)[0].tolist() == [[255, 0], [0, 255]]
