"""Which weights the phases of each model train, and which images their losses use."""

import dataclasses

import pytest
import torch

from edgeseg.model.detectors import build_detector
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batch
from edgeseg.training.phases import phases


@pytest.fixture(scope="module")
def teacher():
    return Teacher("resnet18")


def phases_of(teacher, **settings):
    config = TrainConfig(image_size=64, **settings)
    torch.manual_seed(0)
    detector = build_detector(config.model, teacher, dataclasses.asdict(config), (64, 64))
    return detector, list(phases(detector, config, images=48))


@pytest.fixture(scope="module")
def batch():
    rng = torch.Generator().manual_seed(0)
    clean, corrupted = (
        torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=rng) for _ in range(2)
    )
    return Batch(clean, corrupted, torch.zeros(2, 1, 64, 64, dtype=torch.bool))


SETTINGS = [
    ({}, [("student", 1000), ("head", 4000)]),
    ({"model": "stpm"}, [("student", 1000)]),
    ({"model": "stpm", "head": True, "head_steps": 7}, [("student", 1000), ("head", 7)]),
    ({"decoder": False}, [("student", 1000), ("head", 4000)]),
    ({"head_input": "cosine"}, [("student", 1000), ("head", 4000)]),
    ({"head_input": "concatenation", "l1": False}, [("student", 1000), ("head", 4000)]),
    ({"model": "dskd"}, [("student", 300)]),
    ({"model": "dskd", "denoising": True}, [("student", 300)]),
    ({"model": "dskd", "structure": "t-e"}, [("student", 300)]),
    ({"model": "dskd", "structure": "t-d", "embedding": False}, [("student", 300)]),
    ({"model": "dskd", "structure": "e-d", "maps": "m1"}, [("student", 300)]),
]


@pytest.mark.parametrize(("settings", "expected"), SETTINGS)
def test_each_phase_trains_all_of_its_weights_and_no_others(teacher, batch, settings, expected):
    detector, found = phases_of(teacher, **settings)
    assert [(phase.name, phase.steps) for phase in found] == expected
    for phase in found:
        detector.zero_grad()
        detector.eval()
        phase.trained.train()
        phase.loss(batch).backward()
        moved = {name for name, p in detector.named_parameters() if p.grad is not None}
        own = {name for name, _ in detector.named_parameters() if name.startswith(f"{phase.name}.")}
        assert moved == own
        rated = [p for part, _ in phase.learning_rates for p in part.parameters()]
        assert {id(p) for p in rated} == {id(p) for p in phase.trained.parameters()}


def test_the_decoder_of_dskd_repairs_half_of_its_images(teacher, batch):
    detector, (phase,) = phases_of(teacher, model="dskd", denoising=True)
    detector.eval()
    with torch.no_grad():
        loss = phase.loss(batch)
        first, second = (batch.corrupted.clone() for _ in range(2))
        first[0], second[1] = 255 - first[0], 255 - second[1]
        assert torch.equal(phase.loss(dataclasses.replace(batch, corrupted=first)), loss)
        assert not torch.equal(phase.loss(dataclasses.replace(batch, corrupted=second)), loss)
        target = [level + 0 for level in detector.teacher(detector.normalize(batch.clean))]
        cached = phase.loss(dataclasses.replace(batch, target=target))
        torch.testing.assert_close(cached, loss)
        # The encoder learns from clean images alone.
        pairs = detector.repairing_pairs(
            detector.normalize(batch.clean), detector.normalize(second)
        )
        plain = detector.pairs(detector.normalize(batch.clean[:1]))
    torch.testing.assert_close(pairs[0][1], plain[0][1])
    assert [len(level) for level in pairs[1][1]] == [2, 2, 2]


def test_the_dskd_loss_uses_good_images_only(teacher, batch):
    detector, (phase,) = phases_of(teacher, model="dskd")
    detector.eval()
    corrupted = dataclasses.replace(batch, corrupted=255 - batch.corrupted)
    clean = dataclasses.replace(batch, clean=255 - batch.clean)
    with torch.no_grad():
        loss = phase.loss(batch)
        assert torch.equal(phase.loss(corrupted), loss)
        assert not torch.equal(phase.loss(clean), loss)
