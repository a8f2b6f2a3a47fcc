"""The training benchmark: two loops that lower the same loss, and figures that belong together."""

import json
import sys

import pytest
import torch

import plain_loop
from bench_train import main
from edgeseg.data.images import write_png
from edgeseg.model.detectors import build_detector
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batch
from edgeseg.training.phases import phases
from edgeseg.training.train import json_config
from plain_loop import Plain


@pytest.fixture
def textures(tmp_path):
    rng = torch.Generator().manual_seed(0)
    for name in "ab":
        noise = torch.randint(0, 256, (80, 90, 3), dtype=torch.uint8, generator=rng)
        write_png(tmp_path / "textures" / f"{name}.png", noise.numpy())
    return tmp_path / "textures"


def detector_of(config):
    torch.manual_seed(0)
    return build_detector(config.model, Teacher(config.teacher), json_config(config), 64)


@pytest.mark.parametrize("model", ["destseg", "stpm", "dskd"])
def test_the_plain_loop_lowers_the_same_loss(model, textures):
    config = TrainConfig(model=model, image_size=64, batch=2, textures=textures)
    detector = detector_of(config)
    rng = torch.Generator().manual_seed(0)
    clean, corrupted = (
        torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8, generator=rng) for _ in range(2)
    )
    mask = torch.rand(2, 1, 64, 64, generator=rng) > 0.5
    own = list(phases(detector, config, 8))
    plain = Plain(config, [], detector)
    detector.eval()
    if model != "destseg":
        corrupted = clean  # no anomaly is drawn for them
    pictures = (detector.normalize(t.float()) for t in (clean, corrupted))
    a, b = pictures
    for phase in own:
        expected = phase.loss(Batch(clean, corrupted, mask))
        found = plain.losses[phase.name](a, b, mask.float())
        torch.testing.assert_close(found, expected)


def test_the_plain_loop_reads_every_photo_and_texture_anew(textures, monkeypatch):
    read = []

    def count(path):
        read.append(path)
        return read_image(path)

    read_image = plain_loop.read_image
    monkeypatch.setattr(plain_loop, "read_image", count)
    config = TrainConfig(image_size=64, batch=2, textures=textures, student_rate=1e-4)
    photos = sorted(textures.iterdir())
    detector = detector_of(config)
    plain = Plain(config, photos, detector)
    student, _ = phases(detector, config, 2)
    before = {name: p.detach().clone() for name, p in detector.named_parameters()}
    optimizer = plain.begin(student)
    for step in range(2):
        plain.step(student, optimizer, step)
    assert len(read) == 2 * (2 + 2)
    moved = {n.split(".")[0] for n, p in detector.named_parameters() if not p.equal(before[n])}
    assert moved == {"student"}


@pytest.mark.parametrize(
    ("model", "steps"), [("destseg", {"student": 1000, "head": 4000}), ("dskd", {"student": 1600})]
)
def test_the_figures_belong_together(model, steps, monkeypatch, capsys):
    line = f"bench_train.py --model {model} --image-size 64 --batch 2 --rounds 2 --steps 1"
    line += " --clock cpu"
    monkeypatch.setattr(sys, "argv", line.split())
    main()
    *_, last = capsys.readouterr().out.splitlines()
    document = json.loads(last)
    found = {figure["name"]: figure for figure in document["figures"]}
    assert document["steps"] == steps
    for name in steps:
        parts = ("forward", "backward", "the rest")
        shares = [found[f"{name} step, share of {part}"] for part in parts]
        assert all(0 < share["min"] < 1 for share in shares)
        # Of two rounds the median is the mean, and the shares of each add up to one.
        assert sum(share["p50"] for share in shares) == pytest.approx(1)
        assert found[f"{name} step, speedup"]["of"] == f"{name} step"
    of_a_step = [found[f"{name} step, speedup"] for name in steps]
    assert found["speedup"]["max"] < max(ratio["max"] for ratio in of_a_step)
    assert found["speedup"]["min"] > 0
