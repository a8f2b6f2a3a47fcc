"""The networks of the edge profile: narrower students and heads, and a coarser grid."""

import pytest
import torch

from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.head import SegmentationHead
from edgeseg.model.resnet import LightEncoder
from edgeseg.model.similarity import CosineDistances, HeadInput, SimilarityProduct
from edgeseg.model.student import EncoderStudent, Student
from edgeseg.model.teacher import Teacher


def weights(module):
    return sum(p.numel() for p in module.parameters())


def test_at_resnet18s_own_width_the_encoder_has_resnet18s_weights():
    """11,689,512 parameters, the last layer's 513,000 among them."""
    assert weights(LightEncoder(64, stages=4)) == 11_689_512 - 513_000


@pytest.mark.parametrize("width", [16, 32])
def test_the_encoder_answers_at_each_stride(width):
    levels = LightEncoder(width, stages=4).eval()(torch.zeros(1, 3, 96, 96))
    assert [tuple(x.shape[1:]) for x in levels] == [
        (width, 24, 24),
        (2 * width, 12, 12),
        (4 * width, 6, 6),
        (8 * width, 3, 3),
    ]


@pytest.mark.parametrize("kind", [Student, EncoderStudent])
def test_a_light_student_ends_in_the_teachers_channels(kind):
    features = kind([24, 40, 112], 16).eval()(torch.zeros(1, 3, 64, 64))
    assert [tuple(f.shape[1:]) for f in features] == [(24, 16, 16), (40, 8, 8), (112, 4, 4)]


def test_half_the_width_is_about_a_quarter_of_the_weights():
    student = weights(Student([24, 40, 112], 32)) / weights(Student([24, 40, 112]))
    head = weights(SegmentationHead(176, 64)) / weights(SegmentationHead(176, 128))
    assert 0.24 < student < 0.27
    assert 0.25 < head < 0.35  # what it reads stays as wide


def test_on_the_coarser_grid_the_finest_level_is_averaged():
    class Teacher(HeadInput):
        def level(self, teacher, student):
            return teacher

    finest = torch.arange(16.0).view(1, 1, 4, 4)
    ones = [finest, torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1)]
    joined = Teacher(halved=True)(ones, ones)
    expected = torch.tensor([[2.5, 4.5], [10.5, 12.5]])
    torch.testing.assert_close(joined[0, 0], expected)
    assert joined.shape == (1, 3, 2, 2) and not SimilarityProduct(halved=True).state_dict()
    same = [torch.ones(1, 4, s, s) for s in (8, 4, 2)]
    torch.testing.assert_close(CosineDistances(halved=True)(same, same), torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize(("stride", "side"), [(4, 16), (8, 8)])
def test_the_map_has_the_heads_grid(stride, side):
    teacher = Teacher("efficientnet_lite0")
    detector = DeSTSeg(teacher, student_width=16, head_width=16, head_stride=stride).eval()
    with torch.no_grad():
        found = detector(torch.zeros(2, 3, 64, 64))
    assert found.shape == (2, 1, side, side)
