"""`edgeseg replay --export`: labeled frames as a data set."""

import numpy as np
import pytest

from edgeseg.data.images import read_image, read_pixels
from edgeseg.data.layouts import open_dataset
from edgeseg.errors import ConfigError, DataError, WriteError
from edgeseg.station.evidence.export import export_labeled
from edgeseg.station.evidence.kept import RECORD, kept_folders, read_record
from tests.cli.conftest import run  # noqa: F401
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.evidence import done, keep, label, make_judge, make_keeper, red

LABELED = ("good", "defect", "defect", "unclear", "")


@pytest.fixture
def station(tmp_path):
    """Kept frames, in a folder with labels: red where a part has a defect."""
    folder = tmp_path / "station"
    judge = make_judge(make_card(frame_format="yuyv", side=(48, 64)))
    keeper = make_keeper(folder, judge, good_share=1.0)
    for number in range(len(LABELED)):
        image = red(20 * number)
        if number == 1:
            image[10:20, 10:30] = 255
        keep(keeper, judge, image, number)
    done(keeper)
    keys = [read_record(path).inspection.key for path in kept_folders(folder)]
    label(folder, {key: each for key, each in zip(keys, LABELED, strict=True) if each})
    return folder


def test_frames_are_a_data_set_with_masks(station, tmp_path):
    report = export_labeled(station, tmp_path / "out")
    assert report.to_json() == {
        "out": str(tmp_path / "out"),
        "good": 1,
        "defect": 2,
        "unclear": 1,
        "unlabeled": 1,
        "empty_masks": 1,
        "damaged": [],
        "warnings": 0,
    }
    found = open_dataset(tmp_path / "out")
    good, bad = found.train, [sample for sample in found.test if not sample.good]
    assert (found.layout, len(good), len(bad)) == ("plain", 1, 2)
    first = next(sample for sample in bad if "00000001" in sample.path.name)
    mask = read_pixels(first.mask)
    assert mask[10:20, 10:30].all()
    assert np.count_nonzero(mask) == 200
    assert read_image(first.path).shape == (48, 64, 3)
    assert read_image(first.path)[15, 20].min() > 250
    assert "--use-defects" in report.summary()


def test_a_folder_that_exists_is_not_touched(station, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mask.png").write_text("drawn by hand")
    with fails(WriteError, "write/exists"):
        export_labeled(station, tmp_path / "out")
    with fails(ConfigError, "output/is-input"):
        export_labeled(station, station)
    assert (tmp_path / "out/mask.png").read_text() == "drawn by hand"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "station"]


def test_without_labels_nothing_is_written(station, tmp_path):
    keys = [read_record(path).inspection.key for path in kept_folders(station)]
    label(station, dict.fromkeys(keys, "unclear"))
    with fails(DataError, "data/no-labels"):
        export_labeled(station, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_frame_is_left_out(station, tmp_path):
    folders = kept_folders(station)
    (folders[1] / "frame.png").write_bytes(b"")
    report = export_labeled(station, tmp_path / "out", strict=True)
    assert (report.counts["defect"], len(report.damaged)) == (1, 1)
    with fails(DataError, "data/damaged-images"):
        report.check()
    for folder in folders:
        (folder / RECORD).write_text("{}")
    with fails(DataError, "data/evidence"):
        export_labeled(station, tmp_path / "again")


def test_the_command(run, station, tmp_path):  # noqa: F811
    code, out, _ = run("replay", "station", "--export", "out")
    assert (code, "1 in good/, 2 in bad/ and masks/" in out) == (0, True)
    code, _, err = run("replay", "station", "plates.onnx", "--export", "other")
    assert (code, "config/export-model" in err) == (2, True)
