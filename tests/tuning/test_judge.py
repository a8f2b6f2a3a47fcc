"""Who judges: parts that no trial trains on, and defects drawn on them once."""

import errno

import numpy as np
import pytest

from edgeseg.data.defective.families import FAMILIES
from edgeseg.data.defective.known import digest_of
from edgeseg.data.images import read_image
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.errors import DataError, WriteError
from edgeseg.files import cannot_write
from edgeseg.recipes import TrainConfig
from edgeseg.training.prepare import split_samples
from edgeseg.tuning import judge
from edgeseg.tuning.judge import judging_images, split_parts
from tests.kit.errors import fails

CONFIG = TrainConfig(profile="line")


def test_no_part_judges_and_trains_and_none_of_both_sets_thresholds(parts):
    dataset = open_dataset(parts)
    found = split_parts(dataset, CONFIG, 0.0)
    _, held = split_samples(dataset, CONFIG)
    sets = [{s.path for s in group} for group in (found.training, found.judging, held)]
    assert [len(each) for each in sets] == [20, 9, 3]
    assert len(set.union(*sets)) == 32
    assert found.defects == () and found.left == dataset.test


def test_real_defects_judge_or_are_left_for_the_evaluation(tmp_path):
    dataset = open_dataset(write_parts(tmp_path / "p", train=32, good=2, bad=4))
    found = split_parts(dataset, CONFIG, 0.5)
    judges, left = ({digest_of(s.path) for s in group} for group in (found.defects, found.left))
    assert len(judges) == 8 and len(left) == 8 + 2 and not judges & left
    images = judging_images(found, tmp_path / "judge", 0)
    real = [each for each in images if each.group.startswith("real ")]
    assert {each.path for each in real} == {s.path for s in found.defects}
    assert all(each.mask_of() is not None for each in real)


def test_too_few_parts_are_refused_with_the_number_that_suffices(tmp_path):
    with fails(DataError, "tune/few-images") as raised:
        split_parts(open_dataset(write_parts(tmp_path / "a", train=20, good=1, bad=1)), CONFIG, 0)
    enough = int(raised.value.remedy.split()[0])
    root = write_parts(tmp_path / "b", train=enough, good=1, bad=1)
    assert split_parts(open_dataset(root), CONFIG, 0).judging


@pytest.fixture(scope="module")
def drawn(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "judge"
    found = split_parts(open_dataset(parts), CONFIG, 0.0)
    return found, folder, judging_images(found, folder, 0)


def test_each_family_is_drawn_on_held_out_parts(drawn):
    found, _, images = drawn
    groups = [each.group for each in images]
    assert {g: groups.count(g) for g in FAMILIES} == dict.fromkeys(FAMILIES, 2)
    judging = [read_image(sample.path) for sample in found.judging]
    for each in images[len(judging) :]:
        image, mask = read_image(each.path), each.mask_of()
        same = [(image == part).all(axis=2)[~mask].mean() for part in judging]
        assert max(same) > 0.5, "drawn on none of them"


def test_what_is_drawn_is_kept_and_drawn_again_alike(drawn, tmp_path):
    found, folder, images = drawn
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert judging_images(found, folder, 0) == images
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before
    again = judging_images(found, tmp_path / "judge", 0)
    for one, two in zip(images, again, strict=True):
        assert np.array_equal(read_image(one.path), read_image(two.path))
    assert [p.name for p in tmp_path.iterdir()] == ["judge"], "nothing unfinished is left"


def test_a_full_disk_is_reported_by_a_folder_that_exists(parts, tmp_path, monkeypatch):
    def full(path, _):
        raise cannot_write(path, full_disk) from full_disk

    full_disk = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(judge, "write_png", full)
    found = split_parts(open_dataset(parts), CONFIG, 0.0)
    with fails(WriteError, "write/failed") as raised:
        judging_images(found, tmp_path / "judge", 0)
    assert str(raised.value.remedy).endswith(f"df -h {tmp_path}")
    assert "No space left" in raised.value.problem and not [*tmp_path.iterdir()]
