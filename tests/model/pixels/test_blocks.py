"""Blocks give the product of the whole matrix, and multiply little else than its band."""

import numpy as np
import pytest

from edgeseg.data.images import placed_matrices, resize_matrix, sampling_matrix
from edgeseg.frame.geometry import Box
from edgeseg.model.pixels.blocks import reduced, windowed

SIDES = [(1080, 256), (3000, 224), (1087, 256), (100, 256), (64, 64), (5, 3), (1, 4), (7, 1)]


def of_blocks(cut, x):
    blocks, _, length = cut.weights.shape
    padded = np.pad(x, ((0, cut.padding), (0, 0))).reshape(blocks, length, -1)
    slots = (cut.weights @ padded).reshape(-1, x.shape[1])
    return slots[cut.first] + (0 if cut.second is None else slots[cut.second])


def of_windows(cut, x, out):
    read = x[cut.places].reshape(len(cut.weights), -1, x.shape[1])
    return (cut.weights @ read).reshape(-1, x.shape[1])[:out]


@pytest.mark.parametrize(("source", "out"), SIDES)
def test_both_cuts_compute_the_product(source, out):
    x = np.random.default_rng(0).random((source, 3))
    for matrix in (resize_matrix(source, out), sampling_matrix(source, out)):
        np.testing.assert_allclose(of_blocks(reduced(matrix), x), matrix @ x, atol=1e-6)
        cut = windowed(matrix)
        assert cut.trimmed < cut.weights.shape[1]
        np.testing.assert_allclose(of_windows(cut, x, out), matrix @ x, atol=1e-6)


@pytest.mark.parametrize("source", [1080, 1920, 3000, 4096])
def test_a_reduction_multiplies_few_zeros(source):
    cut = reduced(resize_matrix(source, 256))
    assert cut.padding == 0
    assert cut.weights.size <= 16 * source  # the whole matrix has 256 for each pixel
    assert cut.weights.shape[2] % 8 == 0  # FP16 matrices of other lengths are copied by TensorRT


@pytest.mark.parametrize("out", [1080, 1920, 3000, 4096])
def test_an_enlargement_multiplies_few_zeros(out):
    cut = windowed(sampling_matrix(256, out))
    assert cut.trimmed == 0
    assert cut.weights.size <= 16 * out


def test_what_a_letterbox_repeats_costs_no_multiplication():
    plain = reduced(resize_matrix(480, 192))
    placed = reduced(placed_matrices((480, 640), (256, 256), Box(32, 0, 192, 256))[0])
    assert placed.weights.shape == plain.weights.shape
    assert (placed.first[:32] == placed.first[32]).all()


def test_rows_of_zeros_do_not_crowd_a_block():
    matrix = np.eye(64, dtype=np.float32)
    matrix[1::2] = 0
    assert reduced(matrix).weights.size <= 8 * 64


def test_a_prime_size_is_padded_or_trimmed():
    assert reduced(resize_matrix(1087, 256)).padding > 0
    assert windowed(sampling_matrix(256, 1087)).trimmed > 0
