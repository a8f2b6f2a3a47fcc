"""Mirrors edgeseg/model/: agreement, student, head and the detector that joins them."""

import pytest
import torch

from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.head import SegmentationHead
from edgeseg.model.similarity import CosineDistances, FeatureConcatenation, SimilarityProduct, unit
from edgeseg.model.student import EncoderStudent, Student
from edgeseg.model.teacher import Teacher


def levels(value):
    """Three constant feature maps of a 16 x 16 image."""
    return [torch.full((1, c, s, s), value) for c, s in ((4, 4), (8, 2), (16, 1))]


def test_equal_features_agree_fully_and_opposite_ones_not_at_all():
    same = SimilarityProduct()(levels(2.0), levels(3.0))
    assert same.shape == (1, 28, 4, 4)
    # Each of C channels holds -1/C, so a level sums to the negated cosine.
    torch.testing.assert_close(same[:, :4].sum(1), torch.full((1, 4, 4), -1.0))
    torch.testing.assert_close(same[:, 12:], torch.full((1, 16, 4, 4), -1 / 16))
    opposite = SimilarityProduct()(levels(2.0), levels(-3.0))
    torch.testing.assert_close(opposite, -same)


def test_the_concatenation_holds_both_features_level_by_level():
    found = FeatureConcatenation()(levels(2.0), levels(3.0))
    expected = [2.0] * 4 + [3.0] * 4 + [2.0] * 8 + [3.0] * 8 + [2.0] * 16 + [3.0] * 16
    torch.testing.assert_close(found[0, :, 0, 0], torch.tensor(expected))
    assert found.shape == (1, 56, 4, 4)


def test_the_cosine_distances_are_one_number_for_each_level():
    found = CosineDistances()(levels(2.0), levels(-3.0))
    torch.testing.assert_close(found, torch.full((1, 3, 4, 4), 2.0))
    torch.testing.assert_close(CosineDistances()(levels(2.0), levels(5.0)), torch.zeros(1, 3, 4, 4))


def test_without_a_head_the_map_is_the_geometric_mean_of_the_distances(monkeypatch):
    detector = DeSTSeg(Teacher("resnet18"), decoder=False, head=False).eval()
    sides = {64: 16, 128: 8, 256: 4}
    teacher = [torch.ones(1, c, s, s) for c, s in sides.items()]
    student = [torch.ones(1, c, s, s) for c, s in sides.items()]
    student[0][:, :32] = -1  # at a right angle: distance 1
    student[1] *= -1  # opposite: distance 2
    student[2][:, :64] = 0  # cosine of 192 / sqrt(256 * 192)
    monkeypatch.setattr(detector.teacher, "forward", lambda x: teacher)
    monkeypatch.setattr(detector.student, "forward", lambda x: student)
    found = detector(torch.zeros(1, 3, 64, 64))
    expected = (1 * 2 * (1 - 0.75**0.5)) ** (1 / 3)
    torch.testing.assert_close(found, torch.full((1, 1, 64, 64), expected))


def test_without_a_head_full_agreement_is_zero_and_no_nan(monkeypatch):
    detector = DeSTSeg(Teacher("resnet18"), decoder=False, head=False).eval()
    same = [torch.rand(1, c, s, s) for c, s in {64: 16, 128: 8, 256: 4}.items()]
    for part in (detector.teacher, detector.student):
        monkeypatch.setattr(part, "forward", lambda x: same)
    found = detector(torch.zeros(1, 3, 64, 64))
    torch.testing.assert_close(found, torch.zeros(1, 1, 64, 64), rtol=0, atol=1e-5)


def test_a_zero_vector_stays_zero_with_a_finite_gradient():
    x = torch.zeros(1, 8, 2, 2, requires_grad=True)
    unit(x).sum().backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
    assert not unit(x).any()


@pytest.mark.parametrize("channels", [[64, 128, 256], [24, 40, 112]])
def test_the_student_ends_in_the_teachers_channels(channels):
    for kind in (Student, EncoderStudent):
        features = kind(channels).eval()(torch.zeros(1, 3, 64, 64))
        assert [tuple(f.shape) for f in features] == [
            (1, c, 64 // s, 64 // s) for c, s in zip(channels, (4, 8, 16), strict=True)
        ]


def test_only_a_student_of_unlike_widths_can_be_negative():
    x = torch.rand(1, 3, 64, 64)
    assert min(f.min() for f in Student([64, 128, 256]).eval()(x)) >= 0
    assert min(f.min() for f in Student([24, 40, 112]).eval()(x)) < 0


def test_the_head_keeps_the_grid():
    assert SegmentationHead(28).eval()(torch.zeros(2, 28, 16, 16)).shape == (2, 1, 16, 16)


def test_resnet18_has_as_many_parameters_as_the_authors_checkpoint():
    detector = DeSTSeg(Teacher("resnet18"))
    assert sum(p.numel() for p in detector.parameters()) == 35_154_177


def test_the_map_is_a_probability_at_stride_four():
    detector = DeSTSeg(Teacher("resnet18")).eval()
    with torch.no_grad():
        small = detector(detector.normalize(torch.full((2, 3, 64, 64), 127.0)))
    assert small.shape == (2, 1, 16, 16)
    assert 0 < small.min() and small.max() < 1
