"""The output folder of predict: nothing that exists is lost, whatever happens and is named."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import ConfigError, EdgesegError, SinkError, WriteError
from edgeseg.files import locked, walk
from edgeseg.index import INDEX, read_index
from edgeseg.stream.predict import image_files
from edgeseg.stream.results_folder import LINES, PARTIAL, output_names
from tests.kit.errors import fails
from tests.kit.fakes import RedBackend
from tests.kit.names import any_name
from tests.kit.predictions import lines_of, run, write_photo

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a/1.png", "a/2.png"], ["1", "2"]),
        (["a/1.png", "b/1.png"], ["a_1", "b_1"]),
        (["a/1.png", "a/1.jpg"], ["a_1_png", "a_1_jpg"]),
        (["a/1.png", "b/1.png", "b/1.jpg", "b/2.png"], ["a_1", "b_1_png", "b_1_jpg", "2"]),
        (["x/a/1.png", "y/a/1.png"], ["a_1_png", "a_1_png-2"]),
        (["a/P.png", "b/p.png"], ["a_P", "b_p"]),
        (["a/1.png", "b/1.png", "c/a_1.png"], ["a_1_png", "b_1", "c_a_1_png"]),
    ],
)
def test_names_are_unique_even_where_case_is_no_difference(files, names):
    assert output_names([Path(file) for file in files]) == names
    assert len({name.casefold() for name in names}) == len(files)


def failing_backend(after):
    """A backend that fails at a frame; the first run is the warm-up."""

    def fail(runs):
        if runs == after + 1:
            raise OSError(28, "No space left on device", "somewhere")

    return RedBackend(on_run=fail)


def test_an_error_keeps_the_earlier_lines_and_those_of_the_finished_images(tmp_path, said):
    photos = [write_photo(tmp_path / "photos" / f"{n}.png") for n in range(3)]
    out = tmp_path / "out"
    run(photos[:1], out)
    before = (out / LINES).read_bytes()
    with fails(WriteError, "write/failed"):
        run(photos, out, backend=failing_backend(after=3))
    assert (out / LINES).read_bytes() == before
    done = [json.loads(line)["file"] for line in (out / PARTIAL).read_text().splitlines()]
    assert done == [str(photo) for photo in photos[:2]]
    assert str(out / PARTIAL) in said[-1]
    run(photos, out)
    assert [line["file"] for line in lines_of(out)] == [str(photo) for photo in photos]
    assert not (out / PARTIAL).exists()


def test_a_killed_call_keeps_the_earlier_lines_and_the_next_call_works(tmp_path):
    photos = [write_photo(tmp_path / "photos" / f"{n}.png") for n in range(3)]
    out = tmp_path / "out"
    run(photos[:1], out)
    before = (out / LINES).read_bytes()
    script = f"""
import os
from pathlib import Path
from edgeseg.stream.predict import predict
from tests.kit.fakes import RedBackend
kill = lambda runs: runs == 3 and os.kill(os.getpid(), 9)
photos = [Path(p) for p in {[str(photo) for photo in photos]}]
predict(RedBackend(on_run=kill), photos, Path({str(out)!r}), threshold=None, image_threshold=None)
"""
    killed = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY)
    assert killed.returncode == -9
    assert (out / LINES).read_bytes() == before
    assert len((out / PARTIAL).read_text().splitlines()) == 1
    run(photos, out)
    assert len(lines_of(out)) == 3


def test_a_file_that_predict_did_not_write_is_never_touched(tmp_path):
    photos = [write_photo(tmp_path / "photos" / f"{n}.png") for n in range(2)]
    out = tmp_path / "out"
    drawn = write_photo(out / "1_mask.png", red_from=0)
    before = drawn.read_bytes()
    backend = RedBackend()
    with fails(SinkError, "sink/not-ours") as caught:
        run(photos, out, backend=backend)
    assert "1_mask.png" in caught.value.problem
    assert drawn.read_bytes() == before
    assert sorted(path.name for path in out.iterdir()) == ["1_mask.png"], "not even the first image"


def test_an_output_that_was_edited_since_is_never_touched(tmp_path):
    photo = write_photo(tmp_path / "photos" / "0.png")
    out = tmp_path / "out"
    run([photo], out)
    edited = write_photo(out / "0_mask.png", red_from=3).read_bytes()
    with fails(SinkError, "sink/not-ours"):
        run([photo], out)
    assert (out / "0_mask.png").read_bytes() == edited


def test_own_outputs_are_replaced_and_stay_known_after_other_calls(tmp_path):
    photos = [write_photo(tmp_path / "photos" / f"{n}.png") for n in range(2)]
    out = tmp_path / "out"
    for called in (photos, photos[:1], photos):
        run(called, out, threshold=0.1)
        run(called, out)
        assert [line["file"] for line in lines_of(out)] == [str(photo) for photo in called]


@pytest.mark.parametrize("content", ["precious", None])
@pytest.mark.parametrize("name", ["0_mask.png", "0_map.npy", LINES, PARTIAL, INDEX])
def test_a_link_in_the_output_folder_is_not_followed(tmp_path, name, content):
    photo = write_photo(tmp_path / "photos" / "0.png")
    out, victim = tmp_path / "out", tmp_path / "victim"
    run([photo], out)
    if content:
        victim.write_text(content)
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(victim)
    with fails(SinkError, "sink/not-ours"):
        run([photo], out)
    assert (victim.read_text() if victim.exists() else None) == content


@pytest.mark.parametrize("out", ["photos", ".", "photos/../photos"])
def test_an_output_folder_that_is_or_contains_an_input_is_refused(tmp_path, out):
    photo = write_photo(tmp_path / "photos" / "0.png")
    before = photo.read_bytes()
    for images in ([photo], [photo.parent]):
        with fails(ConfigError, "output/is-input"):
            run(images, tmp_path / out)
    assert [path.name for path in photo.parent.iterdir()] == ["0.png"]
    assert photo.read_bytes() == before


def test_an_output_folder_that_contains_the_model_is_refused(tmp_path):
    photo = write_photo(tmp_path / "photos" / "0.png")
    model = tmp_path / "engines" / "red.onnx"
    with fails(ConfigError, "output/is-input"):
        image_files([photo], model.parent, model=model)


def test_outputs_are_never_taken_for_photos(tmp_path):
    photo = write_photo(tmp_path / "photos" / "0.png")
    out = photo.parent / "results"
    run([photo], out)
    assert image_files([photo.parent], out) == [photo]
    assert walk(photo.parent, {".png"}).left_out["written by predict"] == 7
    assert len(run([photo.parent], out).images) == 1


def test_two_processes_do_not_write_to_one_folder(tmp_path):
    photo = write_photo(tmp_path / "photos" / "0.png")
    out = tmp_path / "out"
    out.mkdir()
    with locked(out), fails(EdgesegError, "files/locked"):
        run([photo], out)
    assert not list(out.iterdir())
    run([photo], out)


@pytest.mark.parametrize("stem", **any_name)
def test_any_name_of_a_photo_works_and_comes_back(tmp_path, stem):
    photo = tmp_path / "photos" / f"{stem}.png"
    write_photo(photo, red_from=0)
    out = tmp_path / "out"
    for _ in range(2):
        report = run([photo], out)
    (line,) = lines_of(out)
    assert line["file"] == str(photo)
    assert mask_at_bytes(out / line["outputs"]["mask"]).min() == 255
    assert set(line["outputs"].values()) <= set(read_index(out))
    assert all(letter.isprintable() or letter == "\n" for letter in report.summary())
    assert len(report.summary().splitlines()) == 3


def mask_at_bytes(path):
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
