"""predict: masks, overlays, maps and JSON lines for images of every size and name."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.data.images import read_image, write_png
from edgeseg.errors import DataError, ModelError, WriteError
from edgeseg.stream.predict import image_files
from edgeseg.stream.results_folder import LINES
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import RedBackend
from tests.kit.predictions import lines_of, run, write_photo


def mask_at(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_an_image_of_the_frame_s_size(tmp_path):
    photo = write_photo(tmp_path / "part.png", red_from=32)
    out = tmp_path / "out"
    result = run([photo], out).images[0]
    assert sorted(p.name for p in out.iterdir()) == [
        *("part_map.npy", "part_mask.png", "part_overlay.png"),
        *("predictions.index", "predictions.jsonl", "regions.coco.json", "regions.csv"),
    ]
    mask = mask_at(out / "part_mask.png")
    assert (mask.dtype, mask.shape) == (np.uint8, (48, 64))
    assert (mask[:, :32] == 0).all() and (mask[:, 32:] == 255).all()
    anomaly_map = np.load(out / "part_map.npy")
    assert (anomaly_map.dtype, anomaly_map.shape) == (np.float32, (16, 16))
    np.testing.assert_allclose(anomaly_map[:, 8:], 1.0)
    overlay = read_image(out / "part_overlay.png")
    assert overlay.shape == (48, 64, 3)
    assert (overlay[:, :20] == 0).all(), "low values leave the image unchanged"
    assert (result.score, result.verdict) == (pytest.approx(1.0), "anomalous")
    assert lines_of(out) == [
        {
            "file": str(photo),
            "score": result.score,
            "verdict": "anomalous",
            "reason": "",
            "milliseconds": result.milliseconds,
            "outputs": {
                "mask": "part_mask.png",
                "overlay": "part_overlay.png",
                "map": "part_map.npy",
            },
            "regions": [
                {
                    "box": [32, 0, 32, 48],
                    "area": 32 * 48,
                    "length": 48.0,
                    "width": 32.0,
                    "angle": 90.0,
                    "centroid": [47.5, 23.5],
                    "peak": pytest.approx(1.0),
                    "mean": pytest.approx(1.0),
                }
            ],
            "region_count": 1,
        }
    ]
    assert result.milliseconds > 0


@pytest.mark.parametrize(("height", "width"), [(96, 128), (200, 100), (24, 32)])
def test_masks_have_their_image_s_size(tmp_path, height, width):
    photo = write_photo(tmp_path / "part.png", height=height, width=width, red_from=width // 2)
    run([photo], tmp_path / "out")
    mask = mask_at(tmp_path / "out" / "part_mask.png")
    assert mask.shape == (height, width)
    assert set(np.unique(mask)) == {0, 255}
    expected = np.zeros((height, width), np.uint8)
    expected[:, width // 2 :] = 255
    assert (mask != expected).mean() < 0.03, "only the columns at the border may differ"
    assert read_image(tmp_path / "out" / "part_overlay.png").shape == (height, width, 3)


def test_16_bit_photos_are_scaled_by_the_depth_in_the_card(tmp_path):
    photo, above = tmp_path / "raw.png", tmp_path / "above.png"
    assert cv2.imwrite(str(photo), np.full((48, 64), 1023, np.uint16))
    assert cv2.imwrite(str(above), np.full((48, 64), 1024, np.uint16))
    report = run([photo, above], tmp_path / "out", backend=RedBackend(make_card(bit_depth=10)))
    assert [image.score for image in report.images] == [pytest.approx(1.0)]
    assert [Path(image.file).name for image in report.damaged] == ["above.png"]


def test_thresholds_of_the_call_beat_the_card_s(tmp_path):
    photo = tmp_path / "part.png"
    write_png(photo, np.full((48, 64, 3), 60, np.uint8))
    usual = run([photo], tmp_path / "a").images[0]
    strict = run([photo], tmp_path / "b", threshold=0.1, image_threshold=0.2).images[0]
    assert (usual.verdict, strict.verdict) == ("good", "anomalous")
    assert mask_at(tmp_path / "a" / "part_mask.png").max() == 0
    assert mask_at(tmp_path / "b" / "part_mask.png").min() == 255


def test_folders_are_walked_and_equal_names_do_not_meet(tmp_path, said):
    for name in ("good/000.png", "bad/000.png", "bad/001.png"):
        write_photo(tmp_path / "test" / name)
    result = run([tmp_path / "test"], tmp_path / "out")
    masks = [p.outputs["mask"] for p in result.images]
    assert masks == ["bad_000_mask.png", "001_mask.png", "good_000_mask.png"]
    assert all((tmp_path / "out" / mask).exists() for mask in masks)
    assert said == ["some outputs have other names than their images: see predictions.jsonl"]


@pytest.fixture
def with_damage(tmp_path):
    """Three photos, the second of them damaged."""
    good = write_photo(tmp_path / "photos" / "0.png", red_from=0)
    bad = tmp_path / "photos" / "1.png"
    bad.write_bytes(b"\x89PNG and no more")
    return good, bad, write_photo(tmp_path / "photos" / "2.png")


def test_a_damaged_image_is_listed_and_the_others_are_judged(with_damage, tmp_path):
    good, bad, last = with_damage
    out = tmp_path / "out"
    report = run([good.parent], out)
    assert [(line["file"], line["verdict"]) for line in lines_of(out)] == [
        (str(good), "anomalous"),
        (str(bad), "unknown"),
        (str(last), "good"),
    ]
    assert lines_of(out)[1]["reason"] == "damaged image"
    assert report.to_json()["unknown"] == 1
    assert mask_at(out / "0_mask.png").min() == 255
    assert not list(out.glob("1_*")) and not list(out.glob(".*"))
    document = json.loads(json.dumps(report.to_json()))
    assert [damaged["file"] for damaged in document["damaged"]] == [str(bad)]
    assert document["warnings"] == 1
    assert "warning: 1 image could not be read" in report.summary()
    assert str(bad) in report.summary()
    report.check()


def test_a_damaged_image_is_an_error_where_that_is_asked_for(with_damage, tmp_path):
    report = run(with_damage, tmp_path / "out", strict=True)
    assert len(report.images) == 2, "the others are judged all the same"
    with fails(DataError, "data/damaged-images") as caught:
        report.check()
    assert str(with_damage[1]) in caught.value.problem


def test_without_any_sound_image_the_earlier_lines_stay(with_damage, tmp_path):
    out = tmp_path / "out"
    run(with_damage, out)
    before = (out / LINES).read_bytes()
    with pytest.raises(DataError, match=r"1\.png"):
        run([with_damage[1]], out)
    assert (out / LINES).read_bytes() == before


def test_a_missing_image_an_empty_folder_and_no_image_are_errors(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        run([tmp_path / "nowhere.png"], tmp_path / "out")
    assert "nowhere.png" in caught.value.problem
    with fails(DataError, "data/no-images"):
        run([tmp_path / "empty"], tmp_path / "out")
    with fails(DataError, "data/no-images"):
        run([], tmp_path / "out")


def test_a_file_that_is_named_twice_is_taken_once(tmp_path):
    photo = write_photo(tmp_path / "photos" / "0.png")
    assert len(run([photo, photo.parent], tmp_path / "out").images) == 1


def test_an_output_folder_that_is_a_file_is_refused(tmp_path):
    photo = write_photo(tmp_path / "0.png")
    (tmp_path / "out").touch()
    with fails(WriteError, "write/failed") as caught:
        run([photo], tmp_path / "out")
    assert str(tmp_path / "out") in caught.value.problem


def test_a_score_that_is_no_number_is_unknown_and_null_in_json(tmp_path):
    class Broken(RedBackend):
        def run(self):
            super().run()
            self._slot.score[0] = np.nan

    photo = write_photo(tmp_path / "0.png")
    report = run([photo], tmp_path / "out", backend=Broken())
    (line,) = lines_of(tmp_path / "out")
    assert line["score"] is None
    assert (line["verdict"], line["reason"]) == ("unknown", "the result is not a number")
    assert report.to_json()["unknown"] == 1
    report.check()
    with fails(DataError, "data/unknown"):
        run([photo], tmp_path / "strict", backend=Broken(), strict=True).check()


def test_a_graph_of_several_frames_a_run_is_refused(tmp_path):
    photo = write_photo(tmp_path / "0.png")
    with fails(ModelError, "model/batch"):
        run([photo], tmp_path / "out", backend=RedBackend(make_card(batch=2)))


def test_a_gray_graph_takes_color_images(tmp_path):
    photo = tmp_path / "0.png"
    write_png(photo, np.full((48, 64, 3), 255, np.uint8))
    backend = RedBackend(make_card(frame_format="gray"))
    assert run([photo], tmp_path / "out", backend=backend).images[0].score == pytest.approx(1.0)


def test_the_report_in_text_and_json(tmp_path):
    write_photo(tmp_path / "photos" / "0.png", red_from=0)
    write_photo(tmp_path / "photos" / "1.png")
    report = run([tmp_path / "photos"], tmp_path / "out")
    document = json.loads(json.dumps(report.to_json()))
    assert [image["verdict"] for image in document["images"]] == ["anomalous", "good"]
    assert (document["threshold"], document["image_threshold"]) == (0.5, 0.75)
    assert document["out"] == str(tmp_path / "out")
    assert "1 good, 1 anomalous, 0 unknown  (fake, CPU, 1 thread)" in report.summary()


def test_a_path_that_does_not_exist_is_refused_before_the_model_is_loaded(tmp_path):
    with fails(DataError, "data/not-found") as caught:
        image_files([tmp_path / "nofolder"], tmp_path / "out")
    assert "nofolder" in caught.value.problem and not (tmp_path / "out").exists()
