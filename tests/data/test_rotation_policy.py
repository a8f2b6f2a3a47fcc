"""The paper's rotation is taken when it is asked for, and named when it is not."""

import pytest
from edgeseg.data.policy import settle

from edgeseg.data.augment import rotate
from edgeseg.data.layouts import open_dataset
from edgeseg.data.published import MVTEC_CATEGORIES
from edgeseg.errors import ConfigError
from edgeseg.recipes import TrainConfig
from tests.data.planted import mvtec, mvtec_3d, plant
from tests.kit.logs import logged

FULL = "bottle carpet grid hazelnut leather screw tile".split()
SLIGHT = "cable wood zipper".split()


def settled(root, **settings):
    """Settle a configuration: (it, what was said)."""
    with logged() as said:
        return settle(TrainConfig(**settings), open_dataset(root)), said


@pytest.mark.parametrize("name", MVTEC_CATEGORIES)
def test_the_paper_rotates_each_category_in_its_way(tmp_path, name):
    plant(tmp_path / name / "train/good", 1, ".png")
    wanted = "full" if name in FULL else "slight" if name in SLIGHT else "none"
    config, said = settled(tmp_path / name, rotation="paper", seed=5)
    assert (config.rotation, config.seed) == (wanted, 5)
    assert said == [f"rotation: {wanted}, the paper's for {name}"]


def test_the_default_stays_and_the_papers_is_named(tmp_path):
    config, said = settled(mvtec(tmp_path, "bottle"))
    assert config == TrainConfig()
    assert said == ["rotation: none; the paper's for bottle is full: --rotation paper"]


@pytest.mark.parametrize(("name", "rotation"), [("pill", "none"), ("bottle", "slight")])
def test_nothing_is_said_where_there_is_nothing_to_say(tmp_path, name, rotation):
    config, said = settled(mvtec(tmp_path, name), rotation=rotation)
    assert (config.rotation, said) == (rotation, [])


def test_a_bottle_of_ones_own_hears_nothing(tmp_path):
    plant(tmp_path / "bottle/train/good", 1, ".png")
    assert settled(tmp_path / "bottle")[1] == []


@pytest.mark.parametrize("name", ["parts", "rope"])
def test_the_paper_has_no_rotation_for_other_data(tmp_path, name):
    if name == "rope":
        root = mvtec_3d(tmp_path, name)
    else:
        root = tmp_path / name
        plant(root / "train/good", 1, ".png")
    with pytest.raises(ConfigError, match=f"is none: its folder's name is {name}") as caught:
        settled(root, rotation="paper")
    assert caught.value.remedy == "--rotation none, slight or full"


def test_an_incomplete_dtd_is_told(tmp_path):
    plant(tmp_path / "parts/good", 1, ".png")
    for name in ("banded", "dotted", "woven"):
        plant(tmp_path / "dtd/images" / name, 120, ".jpg")
    (said,) = settled(tmp_path / "parts", textures=tmp_path / "dtd")[1]
    assert "is not DTD as published: blotchy 0 of 120, " in said


def test_an_unsettled_rotation_is_refused_and_not_guessed():
    with pytest.raises(ConfigError, match="stands for one of none, slight, full"):
        rotate(None, "paper", None)
