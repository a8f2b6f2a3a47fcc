"""The published numbers add up, whole data sets pass in silence, and what is missing is named."""

import shutil

import pytest

from edgeseg.data.images import walk_images
from edgeseg.data.layouts import open_dataset
from edgeseg.data.published import (
    MVTEC_3D_CATEGORIES,
    MVTEC_CATEGORIES,
    ORIGINS,
    PER_TEXTURE,
    TEXTURES,
    TILES,
    textures_shortfall,
)
from edgeseg.errors import DataError
from tests.data.planted import mvtec, mvtec_3d, plant, tiles
from tests.kit.logs import logged


def opened(root):
    """Open a data set: (it, what was said)."""
    with logged() as said:
        return open_dataset(root), said


def test_the_numbers_add_up_to_the_published_totals():
    ad, three = MVTEC_CATEGORIES.values(), MVTEC_3D_CATEGORIES.values()
    assert (len(ad), sum(c.train for c in ad)) == (15, 3629)
    assert (sum(c.good for c in ad), sum(c.bad for c in ad)) == (467, 1258)
    assert sum(len(c.defects) for c in ad) == 73
    assert [sum(column) for column in zip(*three, strict=True)] == [2656, 294, 249, 948]
    assert len(three) == 10
    assert (sum(TILES.values()), len(TEXTURES) * PER_TEXTURE) == (1344, 5640)
    assert set(ORIGINS) == {"MVTec AD", "MVTec 3D-AD", "magnetic tile", "DTD"}


@pytest.mark.parametrize("name", MVTEC_CATEGORIES)
def test_a_whole_category_of_mvtec_ad_passes_in_silence(tmp_path, name):
    data, said = opened(mvtec(tmp_path, name))
    category = MVTEC_CATEGORIES[name]
    assert said == []
    assert (data.layout, len(data.train)) == ("MVTec AD", category.train)
    assert sum(not sample.good for sample in data.test) == category.bad


def test_what_is_missing_from_mvtec_ad_is_named_and_the_rest_used(tmp_path):
    root = mvtec(tmp_path, "bottle")
    (root / "train/good/007.png").unlink()
    (root / "test/broken_small/003.png").unlink()  # its mask is left without an image
    shutil.rmtree(root / "test/contamination")
    data, said = opened(root)
    assert len(data.train) == 208
    assert said == [
        f"warning: {root} is not MVTec AD as published: train/good 208 of 209, defective 41 of 63, "
        "masks 41 of 63. What there is will be used; the whole is at "
        "https://www.mvtec.com/company/research/datasets/mvtec-ad (CC BY-NC-SA 4.0).",
        f"warning: {root / 'test'} lacks the folder contamination",
    ]


def test_without_its_test_a_category_is_known_by_its_masks_or_its_licence(tmp_path):
    root = mvtec(tmp_path, "screw")
    shutil.rmtree(root / "test")
    assert "test/good 0 of 41, defective 0 of 119, masks 0 of 119" in opened(root)[1][0]
    shutil.rmtree(root / "ground_truth")
    assert opened(root)[1] == []
    (root / "license.txt").touch()
    assert "test/good 0 of 41, defective 0 of 119, masks 0 of 119" in opened(root)[1][0]


def test_a_bottle_of_ones_own_is_not_counted(tmp_path):
    plant(tmp_path / "bottle/train/good", 3, ".png")
    plant(tmp_path / "bottle/test/dented", 2, ".png")
    assert opened(tmp_path / "bottle")[1] == []


@pytest.mark.parametrize("name", MVTEC_3D_CATEGORIES)
def test_a_whole_category_of_mvtec_3d_ad_passes_in_silence(tmp_path, name):
    root = mvtec_3d(tmp_path, name)
    data, said = opened(root)
    train, _, good, bad = MVTEC_3D_CATEGORIES[name]
    assert (data.layout, said) == ("MVTec 3D-AD", [])
    assert (len(data.train), len(data.test)) == (train, good + bad)
    assert {s.path.parent.name for s in (*data.train, *data.test)} == {"rgb"}


def test_a_defect_of_mvtec_3d_ad_has_its_mask_and_a_good_part_none(tmp_path):
    root = mvtec_3d(tmp_path, "rope")
    first, *_, last = sorted(opened(root)[0].test, key=lambda sample: sample.label)
    assert (first.label, first.path) == ("cut", root / "test/cut/rgb/000.png")
    assert first.mask == root / "test/cut/gt/000.png"
    assert (last.label, last.path.parent) == ("hole", root / "test/hole/rgb")
    assert all(sample.mask is None for sample in opened(root)[0].test if sample.good)


def test_what_is_missing_from_mvtec_3d_ad_is_named(tmp_path):
    root = mvtec_3d(tmp_path, "tire")
    shutil.rmtree(root / "validation")
    (root / "test/hole/gt/000.png").unlink()
    (said,) = opened(root)[1]
    assert "not MVTec 3D-AD as published: validation 0 of 29, masks 86 of 87." in said


def test_the_magnetic_tiles(tmp_path):
    root = tiles(tmp_path / "tiles")
    data, said = opened(root)
    good = [sample for sample in data.test if sample.good]
    bad = [sample for sample in data.test if not sample.good]
    assert (data.layout, said) == ("magnetic tile", [])
    assert (len(data.train), len(good), len(bad)) == (762, 190, 392)
    assert not {s.path for s in data.train} & {s.path for s in good}
    assert {s.path.suffix for s in (*data.train, *data.test)} == {".jpg"}
    assert {s.label for s in bad} == {"blowhole", "break", "crack", "fray", "uneven"}
    assert all(s.mask == s.path.with_suffix(".png") for s in bad)
    assert all(s.mask is None for s in (*data.train, *good))
    assert open_dataset(root) == data


def test_what_is_missing_from_the_magnetic_tiles_is_named(tmp_path):
    root = tiles(tmp_path)
    shutil.rmtree(root / "MT_Fray")
    (root / "MT_Crack/Imgs/000.png").unlink()
    (said,) = opened(root)[1]
    assert "not magnetic tile as published: MT_Fray 0 of 32, masks 359 of 392." in said


def test_good_tiles_alone_are_all_for_training(tmp_path):
    plant(tmp_path / "MT_Free/Imgs", 5, ".jpg")
    data, said = opened(tmp_path)
    assert (len(data.train), data.test) == (5, ())
    assert "MT_Free 5 of 952" in said[0]


def test_tiles_without_images_are_refused(tmp_path):
    plant(tmp_path / "MT_Free/Imgs", 5, ".png")
    with pytest.raises(DataError, match="holds masks and no JPEG image"):
        opened(tmp_path)


def test_a_folder_of_categories_names_them(tmp_path):
    for name in ("cable", "bottle"):
        plant(tmp_path / name / "train/good", 1, ".png")
    with pytest.raises(DataError) as caught:
        opened(tmp_path)
    assert "holds 2 of the 15 categories of MVTec AD (not there: capsule, " in caught.value.problem
    assert caught.value.remedy == f"name one of them: {tmp_path / 'bottle'}"


def test_all_categories_lack_none(tmp_path):
    for name in MVTEC_3D_CATEGORIES:
        plant(tmp_path / name / "train/good/rgb", 1, ".png")
    with pytest.raises(DataError, match="10 of the 10 categories of MVTec 3D-AD; a model is"):
        opened(tmp_path)


@pytest.fixture
def dtd(tmp_path, monkeypatch):
    """DTD, as if it had two images of each texture and not 120."""
    monkeypatch.setattr("edgeseg.data.published.PER_TEXTURE", 2)
    for name in TEXTURES:
        plant(tmp_path / "dtd/images" / name, 2, ".jpg")
    return tmp_path / "dtd"


def test_textures_are_no_parts(dtd):
    with pytest.raises(DataError, match="is DTD: textures") as caught:
        opened(dtd)
    assert caught.value.remedy.endswith(f"--textures {dtd}")


def test_dtd_is_counted_by_its_folders(dtd):
    assert textures_shortfall(dtd) is None
    assert textures_shortfall(dtd / "images") is None
    shutil.rmtree(dtd / "images/zigzagged")
    (dtd / "images/banded/000.jpg").unlink()
    said = textures_shortfall(dtd)
    assert f"{dtd / 'images'} is not DTD as published: banded 1 of 2, zigzagged 0 of 2" in said


def test_any_other_folder_of_textures_is_not_counted(tmp_path):
    plant(tmp_path / "striped", 2, ".jpg")
    assert textures_shortfall(tmp_path) is None
    assert textures_shortfall(tmp_path / "none") is None


def test_many_shortages_are_counted(dtd):
    for name in TEXTURES:
        (dtd / "images" / name / "000.jpg").unlink()
    assert "bubbly 1 of 2" in textures_shortfall(dtd)
    assert "and 41 more." in textures_shortfall(dtd)


def test_a_walk_leaves_out_masks_and_depth(tmp_path):
    rope, magnets = mvtec_3d(tmp_path, "rope"), tiles(tmp_path / "tiles")
    assert {path.parent.name for path in walk_images(rope / "test")} == {"rgb"}
    assert len(walk_images(rope / "test/cut/gt")) == 35  # whoever names the masks gets them
    assert {path.suffix for path in walk_images(magnets)} == {".jpg"}
    assert len(walk_images(magnets / "MT_Fray/Imgs")) == 32
    plant(tmp_path / "own/gt", 1, ".png")
    assert len(walk_images(tmp_path / "own")) == 1
