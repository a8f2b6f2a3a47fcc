"""Published file counts: complete data sets give no warning, missing files are named."""

import shutil

import pytest

from edgeseg.data.layouts import open_dataset
from edgeseg.data.listing import walk_images
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
from tests.kit.errors import fails
from tests.kit.logs import logged


def opened(root):
    """Return (data set, log lines)."""
    with logged() as said:
        return open_dataset(root), said


def test_published_counts_add_up_to_the_published_totals():
    ad, three = MVTEC_CATEGORIES.values(), MVTEC_3D_CATEGORIES.values()
    assert (len(ad), sum(c.train for c in ad)) == (15, 3629)
    assert (sum(c.good for c in ad), sum(c.bad for c in ad)) == (467, 1258)
    assert sum(len(c.defects) for c in ad) == 73
    assert [sum(column) for column in zip(*three, strict=True)] == [2656, 294, 249, 948]
    assert len(three) == 10
    assert (sum(TILES.values()), len(TEXTURES) * PER_TEXTURE) == (1344, 5640)
    assert set(ORIGINS) == {"MVTec AD", "MVTec 3D-AD", "magnetic tile", "DTD"}


@pytest.mark.parametrize("name", MVTEC_CATEGORIES)
def test_a_complete_category_of_mvtec_ad_gives_no_warning(tmp_path, name):
    data, said = opened(mvtec(tmp_path, name))
    category = MVTEC_CATEGORIES[name]
    assert said == []
    assert (data.layout, len(data.train)) == ("MVTec AD", category.train)
    assert sum(not sample.good for sample in data.test) == category.bad


def test_missing_files_of_mvtec_ad_are_named(tmp_path):
    root = mvtec(tmp_path, "bottle")
    (root / "train/good/007.png").unlink()
    (root / "test/broken_small/003.png").unlink()  # its mask is left without an image
    shutil.rmtree(root / "test/contamination")
    data, said = opened(root)
    assert len(data.train) == 208
    counts, folder = said
    assert ": train/good 208 of 209, defective 41 of 63, masks 41 of 63. " in counts
    assert "https://www.mvtec.com/company/research/datasets/mvtec-ad" in counts
    assert folder.endswith(f"{root / 'test'}: contamination")


def test_mvtec_category_without_test_images_is_known_by_masks_or_licence(tmp_path):
    root = mvtec(tmp_path, "screw")
    shutil.rmtree(root / "test")
    assert "test/good 0 of 41, defective 0 of 119, masks 0 of 119" in opened(root)[1][0]
    shutil.rmtree(root / "ground_truth")
    assert opened(root)[1] == []
    (root / "license.txt").touch()
    assert "test/good 0 of 41, defective 0 of 119, masks 0 of 119" in opened(root)[1][0]


def test_mvtec_category_does_not_recognize_other_data_of_the_same_name(tmp_path):
    plant(tmp_path / "bottle/train/good", 3, ".png")
    plant(tmp_path / "bottle/test/dented", 2, ".png")
    assert opened(tmp_path / "bottle")[1] == []


@pytest.mark.parametrize("name", MVTEC_3D_CATEGORIES)
def test_a_complete_category_of_mvtec_3d_ad_gives_no_warning(tmp_path, name):
    root = mvtec_3d(tmp_path, name)
    data, said = opened(root)
    train, _, good, bad = MVTEC_3D_CATEGORIES[name]
    assert (data.layout, said) == ("MVTec 3D-AD", [])
    assert (len(data.train), len(data.test)) == (train, good + bad)
    assert {s.path.parent.name for s in (*data.train, *data.test)} == {"rgb"}


def test_open_dataset_pairs_defects_of_mvtec_3d_ad_with_masks(tmp_path):
    root = mvtec_3d(tmp_path, "rope")
    first, *_, last = sorted(opened(root)[0].test, key=lambda sample: sample.label)
    assert (first.label, first.path) == ("cut", root / "test/cut/rgb/000.png")
    assert first.mask == root / "test/cut/gt/000.png"
    assert (last.label, last.path.parent) == ("hole", root / "test/hole/rgb")
    assert all(sample.mask is None for sample in opened(root)[0].test if sample.good)


def test_missing_files_of_mvtec_3d_ad_are_named(tmp_path):
    root = mvtec_3d(tmp_path, "tire")
    shutil.rmtree(root / "validation")
    (root / "test/hole/gt/000.png").unlink()
    (said,) = opened(root)[1]
    assert "MVTec 3D-AD" in said and ": validation 0 of 29, masks 86 of 87." in said


def test_open_dataset_of_the_magnetic_tiles(tmp_path):
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


def test_missing_files_of_the_magnetic_tiles_are_named(tmp_path):
    root = tiles(tmp_path)
    shutil.rmtree(root / "MT_Fray")
    (root / "MT_Crack/Imgs/000.png").unlink()
    (said,) = opened(root)[1]
    assert ": MT_Fray 0 of 32, masks 359 of 392." in said


def test_good_tiles_without_defective_ones_are_all_for_training(tmp_path):
    plant(tmp_path / "MT_Free/Imgs", 5, ".jpg")
    data, said = opened(tmp_path)
    assert (len(data.train), data.test) == (5, ())
    assert "MT_Free 5 of 952" in said[0]


def test_tiles_without_images_are_refused(tmp_path):
    plant(tmp_path / "MT_Free/Imgs", 5, ".png")
    with fails(DataError, "data/no-images"):
        opened(tmp_path)


def test_open_dataset_of_a_folder_of_categories_names_them(tmp_path):
    for name in ("cable", "bottle"):
        plant(tmp_path / name / "train/good", 1, ".png")
    with fails(DataError, "data/several-categories") as caught:
        opened(tmp_path)
    assert "2 of the 15 categories of MVTec AD (missing: capsule, " in caught.value.problem
    assert str(tmp_path / "bottle") in caught.value.remedy


def test_all_categories_lack_none(tmp_path):
    for name in MVTEC_3D_CATEGORIES:
        plant(tmp_path / name / "train/good/rgb", 1, ".png")
    with fails(DataError, "data/several-categories") as caught:
        opened(tmp_path)
    assert "10 of the 10 categories of MVTec 3D-AD;" in caught.value.problem


@pytest.fixture
def dtd(tmp_path, monkeypatch):
    """DTD, with two images per texture instead of 120."""
    monkeypatch.setattr("edgeseg.data.published.PER_TEXTURE", 2)
    for name in TEXTURES:
        plant(tmp_path / "dtd/images" / name, 2, ".jpg")
    return tmp_path / "dtd"


def test_open_dataset_refuses_textures(dtd):
    with fails(DataError, "data/textures") as caught:
        opened(dtd)
    assert caught.value.remedy.endswith(f"--textures {dtd}")


def test_textures_shortfall_counts_the_folders_of_dtd(dtd):
    assert textures_shortfall(dtd) is None
    assert textures_shortfall(dtd / "images") is None
    shutil.rmtree(dtd / "images/zigzagged")
    (dtd / "images/banded/000.jpg").unlink()
    said = textures_shortfall(dtd)
    assert str(dtd / "images") in said and ": banded 1 of 2, zigzagged 0 of 2" in said


def test_textures_shortfall_ignores_other_folders(tmp_path):
    plant(tmp_path / "striped", 2, ".jpg")
    assert textures_shortfall(tmp_path) is None
    assert textures_shortfall(tmp_path / "none") is None


def test_textures_shortfall_of_many_folders_is_shortened(dtd):
    for name in TEXTURES:
        (dtd / "images" / name / "000.jpg").unlink()
    assert "bubbly 1 of 2" in textures_shortfall(dtd)
    assert "and 41 more." in textures_shortfall(dtd)


def test_walk_images_leaves_out_masks_and_depth(tmp_path):
    rope, magnets = mvtec_3d(tmp_path, "rope"), tiles(tmp_path / "tiles")
    assert {path.parent.name for path in walk_images(rope / "test")} == {"rgb"}
    assert len(walk_images(rope / "test/cut/gt")) == 35  # masks are listed if their folder is given
    assert {path.suffix for path in walk_images(magnets)} == {".jpg"}
    assert len(walk_images(magnets / "MT_Fray/Imgs")) == 32
    plant(tmp_path / "own/gt", 1, ".png")
    assert len(walk_images(tmp_path / "own")) == 1
