"""The head raises the image score above the discrepancy, and never lowers it."""

from dataclasses import asdict

import pytest
import torch

from edgeseg.model.detectors import build_detector
from edgeseg.model.dskd import FEWEST, HEAD_ABOVE, HEAD_WEIGHT
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig


@pytest.fixture(scope="module")
def detector():
    config = TrainConfig(
        model="dskd", head=True, use_defects=True, student_width=8, head_width=8, image_size=64
    )
    torch.manual_seed(0)
    return build_detector("dskd", Teacher("resnet18"), asdict(config), (64, 64)).eval()


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (FEWEST, 3, 64, 64), dtype=torch.uint8, generator=generator)


def scores(detector, images):
    with torch.no_grad():
        found = detector(detector.normalize(images))
    return found[1].flatten(1).amax(1)


def test_the_score_is_the_discrepancy_and_what_the_logit_is_above_usual(detector, images):
    assert detector.fit_head_score([images[:4], images[4:]])
    with torch.no_grad():
        apart, logits = (each.double() for each in detector.peaks(detector.normalize(images)))
        torch.testing.assert_close(scores(detector, images).double(), apart, rtol=1e-4, atol=1e-5)
        detector.head.aspp[-1].bias += (HEAD_ABOVE + 1) * float(logits.std())
        raised = scores(detector, images).double()
        detector.head.aspp[-1].bias -= (HEAD_ABOVE + 1) * float(logits.std())
    above = ((logits - logits.mean()) / logits.std() + 1).clamp_min(0)
    expected = apart + HEAD_WEIGHT * apart.std() * above
    torch.testing.assert_close(raised, expected, rtol=1e-3, atol=1e-4)


def test_with_few_images_the_head_does_not_count(detector, images):
    assert not detector.fit_head_score([images[: FEWEST - 1]])
    with torch.no_grad():
        apart, _ = detector.peaks(detector.normalize(images))
    torch.testing.assert_close(scores(detector, images), apart)


def test_without_defects_the_head_has_no_part_in_the_score():
    config = TrainConfig(model="dskd", head=True, student_width=8, head_width=8, image_size=64)
    plain = build_detector("dskd", Teacher("resnet18"), asdict(config), (64, 64))
    assert not any(name.startswith("score_") for name in plain.state_dict())
