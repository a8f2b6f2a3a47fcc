"""`evaluate` on a test set with known results."""

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeseg.cards import CARD, write_card
from edgeseg.data.images import read_image, resize_mask, write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.errors import DataError, EdgesegError, WriteError
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.folder import default_folder
from edgeseg.files import sha256
from tests.kit.cards import make_run_card
from tests.kit.errors import fails
from tests.kit.red_backend import PlateBackend, write_image

METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "iap", "iap90", "aupro")


@pytest.fixture
def root(tmp_path):
    """MVTec AD layout: good at 20, 40 and 180; scratches at 100 and 200; a dent at 250."""
    root = tmp_path / "plates"
    write_image(root / "train/good/0.png", 10)
    for red in (20, 40, 180):
        write_image(root / f"test/good/{red}.png", red)
    for label, red in (("scratch", 100), ("scratch", 200), ("dent", 250)):
        path = write_image(root / f"test/{label}/{red}.png", red)
        mask = np.where(read_image(path)[..., 0] > 0, 255, 0).astype(np.uint8)
        write_png(root / f"ground_truth/{label}/{red}_mask.png", mask)
    return root


@pytest.mark.parametrize("batch", [1, 4])
def test_evaluate_metrics_and_verdicts_overall_and_by_defect(root, batch):
    found = evaluate(PlateBackend(batch), open_dataset(root))
    assert [row.label for row in found.per_defect] == ["dent", "scratch"]
    dent, scratch = found.per_defect
    assert found.overall.scores.image_auroc == pytest.approx(8 / 9)  # only 180 exceeds 100
    assert dent.scores.image_auroc == 1.0
    assert scratch.scores.image_auroc == pytest.approx(5 / 6)
    assert dent.scores.pixel_ap == 1.0
    # Sixteen pixels each at 200, 180 (good) and 100: precision 1, then 2/3 for the second half.
    assert scratch.scores.pixel_ap == pytest.approx((1 + 2 / 3) / 2)
    assert scratch.scores.iap90 == pytest.approx(2 / 3)
    assert (found.overall.images, found.overall.missed) == (3, 1)
    assert (scratch.images, scratch.missed, dent.missed) == (2, 1, 0)
    assert (found.good, found.false_rejects, found.good_marked) == (3, 1, 1)
    assert found.without_mask == 0


def test_evaluate_uses_the_thresholds_of_the_card(root):
    found = evaluate(PlateBackend(threshold=0.1, image_threshold=0.9), open_dataset(root))
    assert (found.false_rejects, found.overall.missed) == (0, 2)
    assert found.good_marked == 2  # 40 and 180; 20 / 255 is below 0.1


def test_read_truth_resizes_as_in_the_paper(root):
    """Antialiased bilinear, then >= 0.5: the corner of this patch is lost (4/9)."""
    shutil.rmtree(root / "test/dent")
    shutil.rmtree(root / "ground_truth/dent")
    (root / "test/good/180.png").unlink()
    write_image(root / "test/good/120.png", 120)
    big = write_image(root / "test/dent/big.png", 250, (slice(0, 8), slice(0, 8)), side=48)
    write_png(root / "ground_truth/dent/big_mask.png", read_image(big)[..., 0])
    dent = evaluate(PlateBackend(), open_dataset(root)).per_defect[0]
    # The map is resized in the same way: the mask is at 167 and above, its lost corner at 111.
    assert dent.scores.pixel_ap == 1.0


def test_a_defect_without_a_mask_counts_for_the_image_auroc_only(root):
    (root / "ground_truth/dent/250_mask.png").unlink()
    found = evaluate(PlateBackend(), open_dataset(root))
    dent = found.per_defect[0]
    assert dent.scores.image_auroc == 1.0
    assert all(math.isnan(getattr(dent.scores, name)) for name in METRICS[1:])
    assert found.overall.scores.image_auroc == pytest.approx(8 / 9)
    assert found.overall.scores.pixel_ap == found.per_defect[1].scores.pixel_ap
    assert found.without_mask == 1
    assert "without a mask: 1 " in found.summary()
    assert "not computed: pixel metrics of dent: no defective image with a mask" in found.summary()
    assert found.to_json()["per_defect"]["dent"]["pixel_ap"] is None


def test_a_defect_that_vanishes_in_the_resize_is_a_defective_image(root):
    write_image(root / "test/dent/fine.png", 255, (0, 0), side=64)
    mask = np.zeros((64, 64), np.uint8)
    mask[0, 0] = 255
    write_png(root / "ground_truth/dent/fine_mask.png", mask)
    assert not resize_mask(mask > 0, (16, 16)).any()
    found = evaluate(PlateBackend(), open_dataset(root))
    assert found.per_defect[0].images == 2
    assert found.per_defect[0].scores.image_auroc == pytest.approx(3 / 6)  # its score is the lowest


def test_without_good_images_the_image_auroc_is_undefined(root):
    shutil.rmtree(root / "test/good")
    found = evaluate(PlateBackend(), open_dataset(root))
    assert math.isnan(found.overall.scores.image_auroc)
    assert found.overall.scores.pixel_auroc == 1.0
    assert "0 of 0 good images" in found.summary()
    assert found.assessment.ranking is None
    assert "not computed: image AUROC of all, dent, scratch: no good image" in found.summary()
    assert found.to_json()["undefined"] == {"image AUROC": "no good image"}


def test_evaluate_a_plain_data_set_without_masks(tmp_path):
    for red in (10, 20, 30, 40, 50):
        write_image(tmp_path / f"good/{red}.png", red)
    write_image(tmp_path / "bad/99.png", 99)
    found = evaluate(PlateBackend(), open_dataset(tmp_path), out=tmp_path / "out")
    found.store()
    assert found.overall.scores.image_auroc == 1.0
    assert found.overall.scores.to_json()["aupro"] is None
    assert "null" in (tmp_path / "out/evaluation.json").read_text()


def test_evaluate_writes_evaluation_json_and_sheet(root, tmp_path):
    found = evaluate(PlateBackend(), open_dataset(root), out=tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == [], "stored when it was shown"
    found.store()
    document = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert document == found.to_json()
    assert set(METRICS) <= set(document)
    assert document["per_defect"]["scratch"]["missed"] == 1
    assert document["counts"] == {
        "good": 3,
        "defective": 3,
        "without_mask": 0,
        "false_rejects": 1,
        "good_marked": 1,
        "misses": 1,
        "trained_on": 0,
    }
    assert document["model"]["name"] == "plates"
    assert str(tmp_path) not in json.dumps(document)
    sheet = read_image(tmp_path / "out/sheet.png")
    assert sheet.shape[0] > 3 * 192 and sheet.any()
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["evaluation.json", "scores.csv", "sheet.png"]


def test_scores_csv_has_every_image_with_its_verdict(root, tmp_path):
    (root / "test/dent/250.png").write_bytes(b"no png")
    evaluate(PlateBackend(), open_dataset(root), out=tmp_path / "out").store()
    rows = list(csv.DictReader((tmp_path / "out/scores.csv").read_text().splitlines()))
    found = {row["file"]: (row["label"], row["verdict"], row["marked_pixels"]) for row in rows}
    assert found == {
        "test/good/20.png": ("good", "good", "0"),
        "test/good/40.png": ("good", "good", "0"),
        "test/good/180.png": ("good", "anomalous", "16"),
        "test/scratch/100.png": ("scratch", "good", "0"),
        "test/scratch/200.png": ("scratch", "anomalous", "16"),
        "test/dent/250.png": ("dent", "unknown", ""),
    }
    scores = [float(row["score"]) for row in rows[:-1]]
    assert scores == sorted(scores) and scores[-1] == pytest.approx(200 / 255)
    assert rows[0]["peak"] == rows[0]["score"]
    assert (rows[-1]["score"], rows[-1]["reason"]) == ("", "cannot be read")


def test_the_report_says_what_the_figures_mean_and_what_to_type(root):
    found = evaluate(PlateBackend(), open_dataset(root), model=Path("runs/my plates"))
    text = found.summary()
    assert "defective parts: 1 of 3 passes as good (33.3 %" in text
    assert "good parts: 1 of 3 is rejected" in text
    assert f"edgeseg threshold 'runs/my plates' {root}" in text
    assert found.to_json()["assessment"]["ranking"] == "unclear"
    assert found.to_json()["rates"]["misses"]["count"] == 1


def test_images_of_the_training_do_not_judge(root):
    trained = {sha256(root / "test/scratch/200.png"): "scratch"}
    found = evaluate(PlateBackend(defects=trained), open_dataset(root))
    assert {row.label: row.images for row in found.per_defect} == {"dent": 1, "scratch": 1}
    assert found.overall.missed == 1, "the scratch at 100, below the threshold"
    text, document = found.summary(), found.to_json()
    assert text.count("left out") == 1 and "3 good test and 2 defective images" in text
    assert "scratch (type trained on)" in text and "dent (type not trained on)" in text
    seen = {label: row["seen"] for label, row in document["per_defect"].items()}
    assert seen == {"scratch": True, "dent": False}
    assert document["counts"]["trained_on"] == 1


def test_test_images_that_the_run_was_trained_on_are_doubtful(root, tmp_path, said):
    split = {"train": {"elsewhere/20.png": sha256(root / "test/good/20.png")}, "holdout": {}}
    write_card(tmp_path / "run" / CARD, make_run_card(split=split))
    found = evaluate(PlateBackend(), open_dataset(root), model=tmp_path / "run")
    assert len(found.doubts) == len(said) == 1 and "1 of the 6 test images" in said[0]


def test_an_image_that_is_good_and_defective_is_refused(root):
    shutil.copy(root / "train/good/0.png", root / "test/dent/0.png")
    with fails(DataError, "data/good-and-bad"):
        evaluate(PlateBackend(), open_dataset(root))


def test_a_damaged_image_is_listed_and_the_others_are_measured(root, tmp_path):
    torn = [root / "test/good/180.png", root / "test/dent/250.png"]
    for path in torn:
        path.write_bytes(f"no png: {path.name}".encode())
    found = evaluate(PlateBackend(), open_dataset(root), out=tmp_path / "out", strict=True)
    assert (found.good, found.overall.images, found.overall.scores.image_auroc) == (2, 2, 1.0)
    assert [row.label for row in found.per_defect] == ["scratch"]
    assert "warning: 2 images could not be read" in found.summary()
    assert all(str(path) in found.summary() for path in torn)
    assert found.to_json()["warnings"] == 2
    found.store()
    assert read_image(tmp_path / "out/sheet.png").any()
    with fails(DataError, "data/damaged-images"):
        found.check()
    evaluate(PlateBackend(), open_dataset(root)).check()


def test_no_two_models_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models = [Path("runs/v1.0"), Path("runs/v1.5"), Path("runs/v1")]
    for run in models[:]:
        run.mkdir(parents=True)
        (run / CARD).touch()
        models.append(run / "plates.onnx")
    models += [Path("engines/plates.onnx"), Path("engines/plates.engine"), Path("plates")]
    folders = [default_folder(model, "data") for model in models]
    assert len(set(folders)) == len(models)
    assert folders[:2] == [Path("evaluations/v1.0/data"), Path("evaluations/v1.5/data")]


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_image(root, tmp_path):
    (tmp_path / "out").touch()
    backend = PlateBackend()
    with fails(WriteError, "write/failed"):
        evaluate(backend, open_dataset(root), out=tmp_path / "out")
    assert backend.runs == 0


def test_two_evaluations_do_not_write_to_one_folder(root, tmp_path):
    first = evaluate(PlateBackend(), open_dataset(root), out=tmp_path / "out")
    with fails(EdgesegError, "files/locked"):
        evaluate(PlateBackend(), open_dataset(root), out=tmp_path / "out")
    first.store()
    evaluate(PlateBackend(), open_dataset(root), out=tmp_path / "out").store()


def test_the_files_of_two_evaluations_are_not_mixed(root, tmp_path):
    evaluate(PlateBackend(), open_dataset(root), out=tmp_path / "out").store()
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    second = evaluate(PlateBackend(threshold=0.1), open_dataset(root), out=tmp_path / "out")
    (root / "test/good/180.png").unlink()  # the sheet cannot be drawn
    with pytest.raises(DataError):
        second.store()
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize(
    ("truth", "reason"), [(0, "no mask marks a pixel"), (255, "the masks leave no good pixel")]
)
def test_masks_that_give_no_pixel_metrics_are_named_as_the_reason(root, truth, reason):
    for path in (root / "ground_truth").rglob("*.png"):
        write_png(path, np.full((16, 16), truth, np.uint8))
    if truth:
        shutil.rmtree(root / "test/good")
    found = evaluate(PlateBackend(), open_dataset(root))
    assert math.isnan(found.overall.scores.pixel_ap)
    assert found.overall.undefined["pixel metrics"].startswith(reason)
    assert f"not computed: pixel metrics of all, dent, scratch: {reason}" in found.summary()


def test_what_looks_wrong_about_the_masks_is_said_once_and_recorded(root, said):
    (root / "ground_truth/dent/250_mask.png").unlink()
    found = evaluate(PlateBackend(), open_dataset(root))
    (line,) = said
    assert "250.png" in line
    assert found.to_json()["doubts"] == [line]


def test_a_wrong_mask_is_found_before_the_first_image_and_frees_the_folder(root, tmp_path):
    write_png(root / "ground_truth/scratch/200_mask.png", np.zeros((8, 16), np.uint8))
    backend = PlateBackend()
    for _ in range(2):
        with fails(DataError, "data/mask-size"):
            evaluate(backend, open_dataset(root), out=tmp_path / "out")
    assert backend.runs == 0


def test_evaluation_table(root):
    lines = evaluate(PlateBackend(), open_dataset(root)).table().splitlines()
    assert lines[0].split() == (
        "images missed image AUROC pixel AUROC pixel AP IAP IAP@90 AUPRO".split()
    )
    assert [line.split()[:4] for line in lines[1:]] == [
        ["all", "3", "1", "0.889"],
        ["dent", "1", "0", "1.000"],
        ["scratch", "2", "1", "0.833"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_read_truth_of_another_size_names_both_files(root):
    write_png(root / "ground_truth/dent/250_mask.png", np.zeros((8, 16), np.uint8))
    with fails(DataError, "data/mask-size") as caught:
        evaluate(PlateBackend(), open_dataset(root))
    assert "250_mask.png: 16 x 8 " in caught.value.problem
    assert "250.png: 16 x 16" in caught.value.problem


@pytest.mark.parametrize("folder, expected", [("good", "bad"), ("train/good", "test/<defect>")])
def test_evaluate_refuses_a_data_set_without_test_images(tmp_path, folder, expected):
    write_image(tmp_path / folder / "0.png", 0)
    with fails(DataError, "data/no-test-images") as caught:
        evaluate(PlateBackend(), open_dataset(tmp_path))
    assert caught.value.remedy.endswith(str(tmp_path / expected))


def test_images_of_many_shapes_are_judged_where_they_are(tmp_path):
    """A wide, a tall and a square image, each half anomalous: every pixel is found, none beside."""
    shapes = {"wide": (16, 48), "tall": (60, 20), "square": (32, 32)}
    for name, (height, width) in shapes.items():
        image, mask = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
        write_png(tmp_path / f"test/good/{name}.png", image)
        image[: height // 2, :, 0] = mask[: height // 2] = 250
        write_png(tmp_path / f"test/half/{name}.png", image)
        write_png(
            tmp_path / f"ground_truth/half/{name}_mask.png", np.where(mask, 255, 0).astype("u1")
        )
    write_png(tmp_path / "train/good/0.png", np.zeros((8, 8, 3), np.uint8))
    found = evaluate(PlateBackend(aspect="keep"), open_dataset(tmp_path), out=tmp_path / "out")
    assert (found.overall.scores.pixel_ap, found.overall.scores.pixel_auroc) == (1.0, 1.0)
    assert (found.overall.missed, found.false_rejects, found.good_marked) == (0, 0, 0)
    found.store()
    sheet = read_image(tmp_path / "out/sheet.png")
    assert sheet.any()


def test_a_map_has_no_good_pixel_if_only_the_filling_is_good(tmp_path):
    image = np.zeros((16, 48, 3), np.uint8)
    image[..., 0] = 250
    write_png(tmp_path / "test/whole/0.png", image)
    write_png(tmp_path / "ground_truth/whole/0_mask.png", np.full((16, 48), 255, np.uint8))
    write_png(tmp_path / "train/good/0.png", np.zeros((8, 8, 3), np.uint8))
    found = evaluate(PlateBackend(aspect="keep"), open_dataset(tmp_path))
    assert math.isnan(found.overall.scores.pixel_ap)
    assert "the masks leave no good pixel" in found.summary()
