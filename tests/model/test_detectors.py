"""From a card's model and settings to a detector; cards of older versions included."""

import dataclasses

import pytest
import torch

from edgeseg.errors import ModelError
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.detectors import DETECTORS, build_detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.similarity import CosineDistances, FeatureConcatenation, SimilarityProduct
from edgeseg.model.student import EncoderStudent, Student
from edgeseg.model.teacher import Teacher
from edgeseg.presets import RECIPES
from edgeseg.recipes import TrainConfig
from tests.kit.errors import fails


@pytest.fixture(scope="module")
def teacher():
    return Teacher("resnet18")


def build(teacher, **settings):
    config = dataclasses.asdict(TrainConfig(image_size=64, **settings))
    return build_detector(config["model"], teacher, config, (64, 64))


def test_every_model_that_can_be_trained_can_be_built():
    assert set(DETECTORS) == set(RECIPES)


def test_a_card_without_the_newer_settings_is_destseg_whole(teacher):
    old = build_detector("destseg", teacher, {"teacher": "resnet18", "top": 100}, (64, 64))
    new = build(teacher)
    assert isinstance(old, DeSTSeg) and old.head is not None
    assert old.state_dict().keys() == new.state_dict().keys()


def test_a_setting_that_a_card_leaves_open_has_its_default(teacher):
    names = ("head", "head_stride", "head_width", "student_width", "decoder", "local_contrast")
    detector = build_detector("destseg", teacher, dict.fromkeys(names), (64, 64))
    assert detector.map_stride == 4


def test_a_stride_of_the_head_that_no_head_has_is_refused(teacher):
    with fails(ModelError, "model/settings"):
        build_detector("destseg", teacher, {"head_stride": -1}, (64, 64))


def test_stpm_is_two_encoders_and_no_head(teacher):
    found = build(teacher, model="stpm")
    assert type(found.student) is EncoderStudent and found.head is None


def test_dskd_takes_its_settings(teacher):
    found = build(teacher, model="dskd", structure="t-d", maps="m2", distance_weight=0.3)
    assert isinstance(found, DSKD)
    assert (found.structure, found.levels, found.weight) == ("t-d", (1,), 0.3)


@pytest.mark.parametrize("model", ["destseg", "dskd"])
def test_local_contrast_takes_the_place_of_mean_and_deviation(teacher, model):
    plain, even = build(teacher, model=model), build(teacher, model=model, local_contrast=0.125)
    assert plain.contrast is None
    grey = torch.full((1, 3, 64, 64), 117.0)
    torch.testing.assert_close(even.normalize(grey), torch.zeros_like(grey), atol=1e-4, rtol=0)
    expected = (117 / 255 - torch.tensor(teacher.mean)) / torch.tensor(teacher.std)
    torch.testing.assert_close(plain.normalize(grey)[0, :, 0, 0], expected)
    assert even.state_dict().keys() == plain.state_dict().keys()  # its matrices follow from sizes


@pytest.mark.parametrize("decoder", [True, False])
@pytest.mark.parametrize(
    ("head_input", "kind", "channels"),
    [
        ("product", SimilarityProduct, 448),
        ("concatenation", FeatureConcatenation, 896),
        ("cosine", CosineDistances, 3),
    ],
)
def test_what_the_head_reads(teacher, decoder, head_input, kind, channels):
    found = build(teacher, decoder=decoder, head_input=head_input).eval()
    assert type(found.similarity) is kind
    assert type(found.student) is (Student if decoder else EncoderStudent)
    assert found.head.blocks[0].conv1.in_channels == channels
    with torch.no_grad():
        assert found(torch.rand(1, 3, 64, 64)).shape == (1, 1, 16, 16)


def test_a_model_from_the_future_is_refused(teacher):
    with fails(ModelError, "model/unknown-kind"):
        build_detector("newseg", teacher, {}, (64, 64))
