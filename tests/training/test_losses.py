"""The losses, compared with values computed by hand."""

import math

import pytest
import torch

from edgeseg.training.losses import cosine_loss, dskd_loss, head_loss, shrink


def features(value, batch=2):
    return [torch.full((batch, 4, s, s), value) for s in (4, 2, 1)]


def test_the_cosine_loss_sums_over_levels_and_images_and_averages_positions():
    assert float(cosine_loss(features(1.0), features(5.0))) == pytest.approx(0, abs=1e-5)
    # Opposite vectors are at distance 2; three levels, two images.
    assert float(cosine_loss(features(1.0), features(-1.0))) == pytest.approx(2 * 3 * 2)
    assert float(cosine_loss(features(1.0, 4), features(-1.0, 4))) == pytest.approx(2 * 3 * 4)


def test_the_head_loss_is_focal_plus_l1():
    logits = torch.zeros(1, 1, 2, 2)  # probability one half everywhere
    mask = torch.ones(1, 1, 8, 8)
    expected = 0.5**4 * math.log(2) + 0.5
    assert float(head_loss(logits, mask, 4.0)) == pytest.approx(expected)
    assert float(head_loss(logits, 1 - mask, 4.0)) == pytest.approx(expected)
    assert float(head_loss(logits, mask, 4.0, l1=False)) == pytest.approx(expected - 0.5)


def test_without_a_mask_the_highest_values_count_and_the_others_do_not():
    logits = torch.zeros(1, 1, 10, 10)
    logits[..., 3, 4] = 1.0
    among = torch.ones(1, 1, 10, 10)  # two of a hundred positions count
    logits.requires_grad_()
    loss = head_loss(logits, torch.zeros(1, 1, 10, 10), 4.0, among=among)
    loss.backward()
    counted = logits.grad != 0
    assert counted.sum() == 2 and counted[..., 3, 4].all()
    assert (logits.grad[counted] < 0).all(), "they are raised"
    half = among.clone()
    half[..., 5:, :] = 0  # good there
    logits.grad = None
    head_loss(logits, torch.zeros(1, 1, 10, 10), 4.0, among=half).backward()
    assert (logits.grad[..., 5:, :] > 0).all(), "good positions are lowered"
    assert (logits.grad[..., :5, :] != 0).sum() == 1


def test_the_dskd_loss_is_a_mean_of_levels_and_images_and_a_sum_of_students():
    same, opposite = (features(1.0), features(5.0)), (features(1.0), features(-1.0))
    # Opposite unit vectors: cosine distance 2, half of the squared distance 2.
    assert float(dskd_loss([same], 0.1)) == pytest.approx(0, abs=1e-6)
    assert float(dskd_loss([opposite], 0.1)) == pytest.approx(2.2)
    assert float(dskd_loss([same, opposite], 0.1)) == pytest.approx(2.2)
    assert float(dskd_loss([opposite, opposite], 0.0)) == pytest.approx(4)
    one_level = (features(1.0), [features(-1.0)[0], *features(1.0)[1:]])
    assert float(dskd_loss([one_level], 0.0)) == pytest.approx(2 / 3)


@pytest.mark.parametrize("logit, mask", [(40.0, 1.0), (-40.0, 0.0)])
def test_head_loss_is_zero_if_correct_and_finite_if_wrong(logit, mask):
    logits, truth = torch.full((1, 1, 2, 2), logit), torch.full((1, 1, 8, 8), mask)
    assert float(head_loss(logits, truth, 4.0)) == pytest.approx(0, abs=1e-6)
    assert float(head_loss(-logits, truth, 4.0)) == pytest.approx(41)


def test_shrink_samples_two_by_two_pixels():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 1:3, 1:3] = 1  # the four pixels around the first cell's centre
    mask[..., 5, 5] = 1  # a quarter of the last cell's sample
    assert shrink(mask, (2, 2))[0, 0].tolist() == [[1, 0], [0, 0]]
