"""Mirrors edgeseg/model/teacher.py."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from edgeseg.errors import ConfigError, MissingWeights
from edgeseg.model.teacher import Teacher, pretrained_teacher
from tests.kit.errors import fails


@pytest.mark.parametrize(
    "name, channels", [("resnet18", [64, 128, 256]), ("efficientnet_lite0", [24, 40, 112])]
)
def test_features_come_at_stride_4_8_16(name, channels):
    teacher = Teacher(name)
    features = teacher(torch.zeros(1, 3, 64, 64))
    assert teacher.channels == channels
    assert [tuple(f.shape[1:]) for f in features] == [
        (width, 64 // stride, 64 // stride)
        for width, stride in zip(channels, (4, 8, 16), strict=True)
    ]


def test_a_teacher_never_trains():
    teacher = Teacher("resnet18").train()
    assert not any(module.training for module in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())


def test_the_wheels_weights_are_pretrained_and_the_same_each_time():
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    first, again = (pretrained_teacher("efficientnet_lite0")(x)[2] for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    stem = pretrained_teacher("efficientnet_lite0").encoder.conv_stem.weight
    # ImageNet stems hold color-opponent and edge filters; a fresh one has no such spread.
    assert stem.abs().max() > 1.0


def test_weights_from_a_file_replace_the_download(tmp_path):
    state = timm.create_model("resnet18").state_dict()
    for path in (tmp_path / "r18.safetensors", tmp_path / "r18.pth"):
        save = save_file if path.suffix == ".safetensors" else torch.save
        save(state, path)
        teacher = pretrained_teacher("resnet18", path)
        torch.testing.assert_close(teacher.encoder.conv1.weight, state["conv1.weight"])


def test_a_file_of_another_network_is_refused_by_name(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"conv1.weight": torch.zeros(3)}, path)
    with fails(MissingWeights, "weights/mismatch"):
        pretrained_teacher("resnet18", path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "damaged.pth"
    path.write_bytes(b"no weights")
    with fails(MissingWeights, "weights/unreadable"):
        pretrained_teacher("resnet18", path)


@pytest.mark.parametrize("name", ["resnet81", "vit_tiny_patch16_224"])
def test_an_unfit_backbone_is_refused(name):
    with pytest.raises(ConfigError) as caught:
        Teacher(name)
    assert "--teacher resnet18" in caught.value.remedy


def test_standard_features_have_mean_0_and_deviation_1_over_the_good_images():
    teacher = pretrained_teacher("efficientnet_lite0", standard=True)
    images = [torch.rand(4, 3, 64, 64) for _ in range(3)]
    teacher.standardize(images)
    assert not any(module.training for module in teacher.modules())
    for level in zip(*(teacher(x) for x in images), strict=True):
        values = torch.cat(level).transpose(0, 1).flatten(1)
        torch.testing.assert_close(values.mean(1), torch.zeros(len(values)), atol=1e-4, rtol=0)
        torch.testing.assert_close(values.std(1), torch.ones(len(values)), atol=0.05, rtol=0)


def test_raw_features_are_the_backbones():
    teacher = Teacher("resnet18")
    x = torch.rand(1, 3, 64, 64)
    for ours, theirs in zip(teacher(x), teacher.encoder(x), strict=True):
        assert torch.equal(ours, theirs)
