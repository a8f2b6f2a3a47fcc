"""`split_defects`: what trains the head and what judges it, never the same image."""

import shutil

import numpy as np
import pytest

from edgeseg.data.defective.known import (
    SEEN,
    UNSEEN,
    described,
    doubts_of_trained,
    refuse_good_and_bad,
    split_defects,
    unseen_samples,
)
from edgeseg.data.images import write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.errors import DataError
from edgeseg.files import sha256
from tests.kit.errors import fails


def plant(root, *names):
    """Write an image of random pixels for each name."""
    for name in names:
        rng = np.random.default_rng(list(name.encode()))
        write_png(root / name, rng.integers(0, 256, (4, 4, 3), np.uint8))


@pytest.fixture
def mvtec(tmp_path):
    plant(tmp_path, *(f"train/good/{i}.png" for i in range(3)), "test/good/0.png")
    plant(tmp_path, *(f"test/crack/{i}.png" for i in range(5)))
    plant(tmp_path, *(f"test/dent/{i}.png" for i in range(4)), "test/chip/0.png")
    return tmp_path


def count(samples, label):
    return sum(sample.label == label for sample in samples)


def test_half_of_each_type_is_trained_on_and_the_larger_half_judges(mvtec):
    trained, judged = split_defects(open_dataset(mvtec), 0.5, seed=0)
    numbers = {label: (count(trained, label), count(judged, label)) for label in ("crack", "dent")}
    assert numbers == {"crack": (2, 3), "dent": (2, 2)}
    assert (count(trained, "chip"), count(judged, "chip")) == (0, 1)
    assert not {s.path for s in trained} & {s.path for s in judged}
    assert not any(sample.good for sample in (*trained, *judged))


def test_the_split_is_that_of_its_seed(mvtec):
    splits = [split_defects(open_dataset(mvtec), 0.5, seed) for seed in (0, 0, 1, 2, 3)]
    assert splits[0] == splits[1]
    assert any(other != splits[0] for other in splits[2:])


@pytest.mark.parametrize("share", [0.9, 1.0])
def test_one_image_of_a_type_is_left_to_judge(mvtec, share):
    _, judged = split_defects(open_dataset(mvtec), share, seed=0)
    assert {count(judged, label) for label in ("crack", "dent", "chip")} == {1}


def test_a_copy_of_a_trained_image_does_not_judge(mvtec):
    dataset = open_dataset(mvtec)
    trained, _ = split_defects(dataset, 0.5, seed=0)
    for sample in trained:
        shutil.copy(sample.path, sample.path.with_stem("copy" + sample.path.stem))
    again, judged = split_defects(open_dataset(mvtec), 0.5, seed=0)
    known = {sha256(sample.path) for sample in again}
    assert not known & {sha256(sample.path) for sample in judged}
    assert len(known) == len(again)


@pytest.mark.parametrize("folder", ["train/good", "test/good"])
def test_images_among_the_good_and_the_bad_ones_are_refused(mvtec, folder):
    refuse_good_and_bad(open_dataset(mvtec))
    for name in ("crack/3.png", "dent/0.png"):
        shutil.copy(mvtec / "test" / name, mvtec / folder / f"new-{name.replace('/', '-')}")
    with fails(DataError, "data/good-and-bad") as caught:
        refuse_good_and_bad(open_dataset(mvtec))
    assert caught.value.problem.startswith("2 images")
    with fails(DataError, "data/good-and-bad"):
        split_defects(open_dataset(mvtec), 0.5, seed=0)


def test_empty_files_are_damaged_and_not_the_same_image(mvtec):
    for name in ("train/good/empty.png", "test/crack/empty.png"):
        (mvtec / name).touch()
    refuse_good_and_bad(open_dataset(mvtec))


def test_test_images_that_were_trained_on_as_good_are_doubtful(mvtec):
    samples = open_dataset(mvtec).test
    good, bad = (sha256(mvtec / "test" / name) for name in ("good/0.png", "crack/0.png"))
    assert len(doubts_of_trained(samples, {good}, "cap")) == 1
    assert len(doubts_of_trained(samples, {good, bad}, "cap")) == 2
    assert doubts_of_trained(samples, {"0" * 64}, "cap") == doubts_of_trained(samples, (), "") == []


def test_without_defective_images(tmp_path):
    plant(tmp_path, *(f"good/{i}.png" for i in range(3)))
    with fails(DataError, "data/no-defects"):
        split_defects(open_dataset(tmp_path), 0.5, seed=0)
    plant(tmp_path, "bad/a.png")
    with fails(DataError, "data/few-defects"):
        split_defects(open_dataset(tmp_path), 0.5, seed=0)


def test_samples_of_the_training_are_told_by_their_content(mvtec):
    samples = open_dataset(mvtec).test
    trained = {sha256(mvtec / "test/dent/1.png"): "dent"}
    left = unseen_samples(samples, trained)
    assert [s.path for s in samples if s not in left] == [mvtec / "test/dent/1.png"]
    assert unseen_samples(samples, {}) == list(samples)


def test_a_type_is_seen_or_unseen_only_for_a_model_trained_with_defects():
    trained = {"0" * 64: "dent"}
    assert described("dent", trained) == f"dent ({SEEN})"
    assert described("crack", trained) == f"crack ({UNSEEN})"
    assert described("crack", {}) == "crack"
