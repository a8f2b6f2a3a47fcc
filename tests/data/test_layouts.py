"""`open_dataset` recognizes layouts; the error for others says what was expected."""

import unicodedata

import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.data.layouts import Sample, open_dataset, open_datasets, split_good
from edgeseg.errors import DataError
from tests.kit.errors import fails
from tests.kit.logs import logged


def plant(root, *names):
    """Write a small image for each name."""
    for name in names:
        write_png(root / name, np.zeros((4, 4, 3), np.uint8))


def names(samples, root):
    return [sample.path.relative_to(root).as_posix() for sample in samples]


@pytest.fixture
def mvtec(tmp_path):
    plant(tmp_path, *(f"train/good/00{i}.png" for i in range(3)))
    plant(tmp_path, "test/good/000.png", "test/crack/000.png", "test/dent/000.png")
    plant(tmp_path, "ground_truth/crack/000_mask.png")
    return tmp_path


@pytest.fixture
def plain(tmp_path):
    plant(tmp_path, *(f"good/{i:03}.jpg" for i in range(10)))
    return tmp_path


def test_open_dataset_mvtec(mvtec):
    data = open_dataset(mvtec)
    assert (data.layout, data.name) == ("MVTec AD", mvtec.name)
    assert names(data.train, mvtec) == [f"train/good/00{i}.png" for i in range(3)]
    assert names(data.test, mvtec) == [
        "test/crack/000.png",
        "test/dent/000.png",
        "test/good/000.png",
    ]
    crack, dent, good = data.test
    assert (crack.label, crack.good) == ("crack", False)
    assert crack.mask == mvtec / "ground_truth/crack/000_mask.png"
    assert (dent.label, dent.mask) == ("dent", None)
    assert (good.label, good.good, good.mask) == ("good", True, None)


def test_mvtec_without_a_test_folder(tmp_path):
    plant(tmp_path, "train/good/000.png")
    assert open_dataset(tmp_path).test == ()


def test_plain_without_bad_parts(plain):
    data = open_dataset(plain)
    assert (data.layout, len(data.train), data.test) == ("plain", 10, ())


def test_plain_with_bad_parts_sets_good_ones_aside(plain):
    plant(plain, "bad/x.png", "bad/y.bmp", "masks/x.png")
    data = open_dataset(plain)
    good = [sample for sample in data.test if sample.good]
    bad = [sample for sample in data.test if not sample.good]
    assert (len(data.train), len(good)) == (8, 2)
    assert not {s.path for s in data.train} & {s.path for s in good}
    assert names(bad, plain) == ["bad/x.png", "bad/y.bmp"]
    assert [sample.mask for sample in bad] == [plain / "masks/x.png", None]
    assert open_dataset(plain) == data


def test_a_plain_mask_may_end_in_mask(plain):
    plant(plain, "bad/x.png", "masks/x_mask.png")
    assert open_dataset(plain).test[-1].mask == plain / "masks/x_mask.png"


def test_open_dataset_of_a_missing_folder(tmp_path):
    with fails(DataError, "data/folder-missing") as caught:
        open_dataset(tmp_path / "none")
    assert "train/good and test/ (MVTec AD)" in caught.value.remedy


def test_open_dataset_names_what_an_unknown_layout_contains(tmp_path):
    plant(tmp_path, "photos/a.png", "notes/b.png")
    with fails(DataError, "data/unknown-layout") as caught:
        open_dataset(tmp_path)
    assert "notes, photos" in caught.value.problem
    assert str(tmp_path / "good") in caught.value.remedy


def test_open_dataset_refuses_an_empty_folder(tmp_path):
    with fails(DataError, "data/unknown-layout"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("folder", ["train/good", "good"])
def test_open_dataset_refuses_a_layout_without_good_images(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "readme.txt").touch()
    with fails(DataError, "data/no-images") as caught:
        open_dataset(tmp_path)
    assert str(tmp_path / folder) in caught.value.problem


@pytest.mark.parametrize("folder", ["test/scratch", "test/good"])
def test_open_dataset_refuses_an_empty_test_folder(tmp_path, folder):
    plant(tmp_path, "train/good/000.png")
    (tmp_path / folder).mkdir(parents=True)
    with fails(DataError, "data/no-images") as caught:
        open_dataset(tmp_path)
    assert str(tmp_path / folder) in caught.value.problem


def test_open_dataset_refuses_an_empty_bad_folder(plain):
    (plain / "bad").mkdir()
    with fails(DataError, "data/no-images"):
        open_dataset(plain)


ORPHANS = [
    ("mvtec", "ground_truth/crack/007_mask.png", "test/crack"),
    ("mvtec", "ground_truth/rust/000_mask.png", "test/rust"),
    ("plain", "masks/z.png", "bad"),
]


@pytest.mark.parametrize(("layout", "mask", "folder"), ORPHANS)
def test_open_dataset_refuses_a_mask_without_image(request, layout, mask, folder):
    root = request.getfixturevalue(layout)
    plant(root, mask)
    with fails(DataError, "data/mask-without-image") as caught:
        open_dataset(root)
    assert f"add the image {root / folder}/" in caught.value.remedy
    assert "rm " not in caught.value.remedy


@pytest.mark.parametrize("root", ["mvtec", "plain"])
def test_masks_of_good_images_are_listed_and_not_used(request, root):
    folder = request.getfixturevalue(root)
    mask = {"mvtec": "ground_truth/good/000_mask.png", "plain": "masks/003.png"}[root]
    plant(folder, mask)
    data = open_dataset(folder)
    assert data.good_masks == (folder / mask,)
    assert all(sample.mask is None for sample in data.test if sample.good)


def test_two_masks_for_one_image_are_refused(mvtec):
    plant(mvtec, "ground_truth/crack/000.png")
    with fails(DataError, "data/two-masks"):
        open_dataset(mvtec)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_mask_matches_its_image_however_its_letters_are_composed(plain, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    plant(plain, "bad/" + unicodedata.normalize(form, "Prüfling é.png"))
    plant(plain, "masks/" + unicodedata.normalize(other, "Prüfling é.png"))
    assert open_dataset(plain).test[-1].mask is not None


def test_hidden_folders_and_files_are_no_data(mvtec):
    plant(mvtec, "test/.ipynb_checkpoints/000.png", "train/good/._000.png", "test/good/.a.png")
    plant(mvtec, "train/good/.thumbnails/b.png")
    data = open_dataset(mvtec)
    assert {sample.label for sample in data.test} == {"crack", "dent", "good"}
    assert (len(data.train), len(data.test)) == (3, 3)


def test_an_empty_hidden_folder_is_no_data(mvtec):
    (mvtec / "test/.ipynb_checkpoints").mkdir()
    assert len(open_dataset(mvtec).test) == 3


def test_what_is_left_out_is_said_in_one_line(mvtec):
    plant(mvtec, "test/good/.a.png", "test/good/.b.png")
    (mvtec / "test/good/c.webp").touch()
    with logged() as lines:
        open_dataset(mvtec)
    (line,) = [line for line in lines if "left out" in line]
    assert "2 hidden" in line and "1 .webp" in line


def test_frames_are_in_natural_order(tmp_path):
    plant(tmp_path, *(f"good/{number}.png" for number in (10, 9, 2, 1)))
    assert [s.path.stem for s in open_dataset(tmp_path).train] == ["1", "2", "9", "10"]


def parts(tmp_path, count):
    return [Sample(tmp_path / f"{number}.png") for number in range(count)]


def test_split_good_is_disjoint_complete_and_in_order(tmp_path):
    samples = parts(tmp_path, 50)
    kept, held = split_good(samples, 0.1, seed=3)
    assert (len(kept), len(held)) == (45, 5)
    assert sorted(kept + held, key=samples.index) == samples
    assert kept == sorted(kept, key=samples.index)
    assert held == sorted(held, key=samples.index)


def test_split_good_depends_on_the_seed_only(tmp_path):
    samples = parts(tmp_path, 50)
    assert split_good(samples, 0.2, seed=3) == split_good(samples, 0.2, seed=3)
    assert split_good(samples, 0.2, seed=3) != split_good(samples, 0.2, seed=4)


def test_split_good_with_share_0_holds_out_nothing(tmp_path):
    samples = parts(tmp_path, 7)
    assert split_good(samples, 0.0, seed=0) == (samples, [])


def test_a_folder_of_photos_alone_is_one_of_good_parts(tmp_path):
    for name in ("b.png", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.test) == ("bare", ())
    assert [sample.path.name for sample in dataset.train] == ["a.jpg", "b.png"]
    assert open_datasets(tmp_path) == [dataset]
    (tmp_path / "sorted").mkdir()
    (tmp_path / "sorted" / "c.png").write_bytes(b"x")
    with fails(DataError, "data/unknown-layout"):  # good or bad? nobody said
        open_dataset(tmp_path)
