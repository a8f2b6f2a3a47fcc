"""What is checked before the first step: counts, images and their hashes."""

import cv2
import numpy as np
import pytest

from edgeseg.data.images import letterbox, write_png
from edgeseg.data.layouts import Dataset, Sample, open_dataset
from edgeseg.errors import DataError
from edgeseg.frame.tiles import Tiles
from edgeseg.recipes import TrainConfig
from edgeseg.training.prepare import (
    check_same_images,
    choose_network,
    grid_of,
    read_images,
    seen_lines,
    split_hashes,
    split_samples,
    split_words,
)
from tests.kit.errors import fails


def dataset(folder, count):
    return Dataset(folder, "plain", tuple(Sample(folder / f"{n}.png") for n in range(count)), ())


def test_five_images_are_refused_with_the_number_that_works(tmp_path):
    with fails(DataError, "data/too-few-images") as caught:
        split_samples(dataset(tmp_path, 5), TrainConfig())
    assert caught.value.remedy.startswith("6 good images")
    training, held = split_samples(dataset(tmp_path, 6), TrainConfig())
    assert (len(training), len(held)) == (5, 1)


def test_the_split_in_words_adds_up(tmp_path):
    root = tmp_path / "cap"
    for path in (*(root / f"good/{n}.png" for n in range(20)), root / "bad/a.png"):
        write_png(path, np.zeros((4, 4, 3), np.uint8))
    found = open_dataset(root)
    training, held = split_samples(found, TrainConfig())
    numbers = [
        int(word) for word in split_words(found, training * 2, held).split() if word.isdecimal()
    ]
    assert numbers == [20, 14, 2, 4]


def test_no_image_is_held_out_if_none_is_wanted(tmp_path):
    training, held = split_samples(dataset(tmp_path, 5), TrainConfig(holdout=0.0))
    assert (len(training), len(held)) == (5, 0)


def test_a_split_without_training_images_is_refused(tmp_path):
    with fails(DataError, "data/no-training-images") as caught:
        split_samples(dataset(tmp_path, 1), TrainConfig(holdout=0.9))
    assert "--holdout 0" in caught.value.remedy


def test_read_images_returns_the_training_images_and_their_common_size(tmp_path):
    for name, shape in (("a", (40, 60, 3)), ("b", (40, 60, 3)), ("c", (50, 50, 3))):
        write_png(tmp_path / f"{name}.png", np.full(shape, ord(name), np.uint8))
    a, b, c = (tmp_path / f"{name}.png" for name in "abc")
    images = read_images([b, a], [c], (32, 32), "stretch")
    assert [(image.shape, image[0, 0, 0]) for image in images.pixels] == [
        ((32, 32, 3), ord("b")),
        ((32, 32, 3), ord("a")),
    ]
    assert images.frame_size == (40, 60)
    assert read_images([a, c], [], (32, 32), "stretch").frame_size is None


def test_images_of_12_bits_in_16_are_scaled_by_their_depth(tmp_path):
    for name, value in (("dark", 1000), ("bright", 4095)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((8, 8), value, np.uint16))
    images = read_images([tmp_path / "dark.png"], [tmp_path / "bright.png"], (8, 8), "stretch")
    assert images.bit_depth == 12
    assert images.pixels[0][0, 0, 0] == round(1000 / 4095 * 255)


def test_every_damaged_image_is_listed_also_one_held_out(tmp_path):
    write_png(tmp_path / "good.png", np.zeros((8, 8, 3), np.uint8))
    names = [f"bad{n}.png" for n in range(12)]
    for name in names:
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n torn")
    bad = [tmp_path / name for name in names]
    with fails(DataError, "data/damaged-images") as caught:
        read_images([tmp_path / "good.png", *bad[:3]], bad[3:], (32, 32), "stretch")
    assert caught.value.problem.startswith("12 images")
    assert all(name in caught.value.problem for name in names[:10])
    assert "bad10" not in caught.value.problem and "and 2 more" in caught.value.problem
    with fails(DataError, "data/damaged-image"):
        read_images([tmp_path / "good.png"], bad[:1], (32, 32), "stretch")


def test_split_hashes_names_files_that_are_no_text(tmp_path):
    name = b"Pr\xfcf.png"
    path = tmp_path / name.decode("utf-8", "surrogateescape")
    try:
        path.write_bytes(b"pixels")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    data = Dataset(tmp_path, "plain", (Sample(path),), ())
    (found,) = split_hashes(data, TrainConfig(holdout=0.0))["train"]
    assert found.encode("utf-8", "surrogateescape") == name


BEFORE = {"train": {"a.png": "1", "b.png": "2"}, "holdout": {"c.png": "3"}}


def test_the_same_images_are_accepted(tmp_path):
    check_same_images(tmp_path, BEFORE, {kind: dict(names) for kind, names in BEFORE.items()})


@pytest.mark.parametrize(
    ("now", "faults"),
    [
        ({"train": {"a.png": "1"}, "holdout": {"c.png": "3"}}, ["1 missing: b.png"]),
        ({"train": {"a.png": "1", "b.png": "9"}, "holdout": {"c.png": "3"}}, ["1 changed: b.png"]),
        (
            {"train": {"a.png": "1", "c.png": "3"}, "holdout": {"b.png": "2"}},
            ["2 split otherwise: b.png, c.png"],
        ),
        (
            {"train": {"c.png": "3", "b.png": "2", "d.png": "4"}, "holdout": {"a.png": "0"}},
            ["1 new: d.png", "1 changed: a.png"],
        ),
    ],
)
def test_images_that_differ_from_those_of_the_stopped_training_are_named(tmp_path, now, faults):
    with fails(DataError, "train/images-changed") as caught:
        check_same_images(tmp_path / "screws", BEFORE, now)
    assert caught.value.problem.endswith("; ".join(faults))


def test_at_most_ten_names_are_listed(tmp_path):
    more = {f"{n}.png": "0" for n in range(12)}
    now = {**BEFORE, "train": BEFORE["train"] | more}
    with fails(DataError, "train/images-changed") as caught:
        check_same_images(tmp_path, BEFORE, now)
    assert "12 new: " in caught.value.problem and " and 2 more" in caught.value.problem


def test_images_keep_their_shape_in_a_network_that_suits_most(tmp_path):
    for name, shape in (("a", (60, 80, 3)), ("b", (60, 80, 3)), ("c", (50, 90, 3))):
        write_png(tmp_path / f"{name}.png", np.full(shape, 9, np.uint8))
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    keep = TrainConfig(image_size=128, aspect="keep")
    network, tiles = choose_network(paths, keep)
    assert network == (96, 160) and tiles is None
    images = read_images(paths, [], network, keep.aspect)
    assert [image.shape for image in images.pixels] == [(96, 128, 3), (96, 128, 3), (89, 160, 3)]
    assert choose_network(paths, TrainConfig(image_size=128)) == ((128, 128), None)
    (tmp_path / "c.png").write_bytes(b"no png")
    assert choose_network(paths, keep)[0] == (96, 128), "a damaged image is named when all are read"


def test_tiles_are_slices_of_one_picture_of_each_image(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (90, 240, 3), np.uint8) for _ in range(3)]
    for name, picture in zip("abc", pictures, strict=True):
        write_png(tmp_path / f"{name}.png", picture)
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    config = TrainConfig(image_size=64, aspect="keep", tiles="1x3", overlap=0.25)
    network, tiles = choose_network(paths, config)
    assert network == (64, 64) and tiles == Tiles(rows=1, columns=3, overlap=(0, 16))
    images = read_images(paths[:2], paths[2:], network, config.aspect, tiles)
    assert (len(images.pixels), len(images.held)) == (6, 3)
    for place, picture in enumerate(pictures[:2]):
        whole = letterbox(picture, (64, 160), "keep")
        np.testing.assert_array_equal(grid_of(images.pixels, place, network, tiles), whole)
        np.testing.assert_array_equal(images.pixels[3 * place + 1], whole[:, 48:112])
    text, pixel = seen_lines(images, network, config.aspect, tiles)
    assert "1 x 3 tiles of 64 x 64" in text and "together 160 x 64" in text
    assert pixel == "one network pixel is 1.5 px of the frame"


def test_a_tile_size_follows_the_most_common_size(tmp_path):
    for name, shape in (("a", (200, 300, 3)), ("b", (200, 300, 3)), ("c", (400, 400, 3))):
        write_png(tmp_path / f"{name}.png", np.zeros(shape, np.uint8))
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for aspect in ("keep", "stretch"):
        config = TrainConfig(image_size=64, aspect=aspect, tile_size=110)
        _, tiles = choose_network(paths, config)
        assert (tiles.rows, tiles.columns) == (2, 3)
