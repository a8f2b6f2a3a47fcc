"""`resolve_rotation` uses the paper's rotation if requested, and else logs it."""

import pytest

from edgeseg.data.augment import rotate
from edgeseg.data.layouts import open_dataset
from edgeseg.data.published import MVTEC_CATEGORIES
from edgeseg.data.rotation_policy import resolve_rotation
from edgeseg.errors import ConfigError
from edgeseg.recipes import TrainConfig
from tests.data.planted import mvtec, mvtec_3d, plant
from tests.kit.errors import fails
from tests.kit.logs import logged

FULL = "bottle carpet grid hazelnut leather screw tile".split()
SLIGHT = "cable wood zipper".split()


def resolved(root, **settings):
    """Return (configuration, log lines)."""
    with logged() as said:
        return resolve_rotation(TrainConfig(**settings), open_dataset(root)), said


@pytest.mark.parametrize("name", MVTEC_CATEGORIES)
def test_resolve_rotation_of_each_category(tmp_path, name):
    plant(tmp_path / name / "train/good", 1, ".png")
    wanted = "full" if name in FULL else "slight" if name in SLIGHT else "none"
    config, said = resolved(tmp_path / name, rotation="paper", seed=5)
    assert (config.rotation, config.seed) == (wanted, 5)
    assert len(said) == 1


def test_resolve_rotation_keeps_the_default_and_logs_the_papers(tmp_path):
    config, said = resolved(mvtec(tmp_path, "bottle"))
    assert config == TrainConfig()
    assert "full: --rotation paper" in said[0]


@pytest.mark.parametrize(("name", "rotation"), [("pill", "none"), ("bottle", "slight")])
def test_resolve_rotation_logs_nothing_if_the_rotation_is_set(tmp_path, name, rotation):
    config, said = resolved(mvtec(tmp_path, name), rotation=rotation)
    assert (config.rotation, said) == (rotation, [])


def test_resolve_rotation_logs_nothing_for_other_data_of_the_same_name(tmp_path):
    plant(tmp_path / "bottle/train/good", 1, ".png")
    assert resolved(tmp_path / "bottle")[1] == []


@pytest.mark.parametrize("name", ["parts", "rope"])
def test_the_paper_has_no_rotation_for_other_data(tmp_path, name):
    if name == "rope":
        root = mvtec_3d(tmp_path, name)
    else:
        root = tmp_path / name
        plant(root / "train/good", 1, ".png")
    with fails(ConfigError, "config/no-paper-rotation") as caught:
        resolved(root, rotation="paper")
    assert caught.value.remedy == "--rotation none, slight or full"


def test_rotate_refuses_an_unresolved_rotation():
    with fails(ConfigError, "config/unresolved-rotation"):
        rotate(None, "paper", None)
