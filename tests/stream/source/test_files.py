"""Videos, folders of images and single images."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.errors import DataError, SourceError
from edgeseg.packages.opencv import has_gstreamer, version
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.files import open_path
from edgeseg.stream.source.open import open_source
from edgeseg.stream.source.synthetic import Stamp, draw_stamp, read_stamp
from edgeseg.verdict.verdict import BROKEN_FRAME, DAMAGED, PARTIAL_FRAME
from tests.kit.errors import fails
from tests.kit.fakes import solid_image
from tests.kit.names import HOSTILE, any_name
from tests.stream.conftest import REDS


def read_all(source):
    frames = []
    while source.read_into(frame := Frame()):
        frames.append(frame)
    return frames


def test_a_video_gives_every_frame_in_order(clip, said):
    with open_path(clip) as source:
        assert (source.live, source.fps, source.name) == (False, 25.0, str(clip))
        frames = read_all(source)
    reds = [f.image[:, :, 2].mean() for f in frames]
    np.testing.assert_allclose(reds, REDS, atol=4)
    assert said == []


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG")])
def test_stamps_survive_a_video_file(tmp_path, name, codec):
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 25.0, (320, 240))
    drawn = [Stamp(count, 10_000_000_000 + 40_000 * count) for count in range(12)]
    for stamp in drawn:
        image = np.full((240, 320, 3), 140, np.uint8)
        draw_stamp(image, stamp)
        writer.write(image)
    writer.release()
    with open_path(path) as source:
        assert [read_stamp(frame.image) for frame in read_all(source)] == drawn


def test_a_video_reuses_a_frame_that_fits(clip):
    frame = Frame()
    with open_path(clip) as source:
        source.read_into(frame)
        buffer = frame.image
        source.read_into(frame)
        assert frame.image is buffer


def test_close_does_not_release_a_video_during_a_blocked_read(clip, monkeypatch):
    monkeypatch.setattr("edgeseg.stream.source.files.CLOSE_SECONDS", 0.01)
    with open_path(clip) as source:
        with source._reading:
            source.close()
        assert source.read_into(Frame())
    assert not source.read_into(Frame())


def test_a_truncated_video_is_logged(clip, tmp_path, said):
    data = clip.read_bytes()
    frames = [i for i in range(len(data)) if data.startswith(b"00dc", i)]
    damaged = bytearray(data)
    damaged[frames[3] :] = bytes(len(data) - frames[3])  # like an aborted copy
    path = tmp_path / "cut.avi"
    path.write_bytes(damaged)
    with open_path(path) as source:
        count = len(read_all(source))
    assert 0 < count < len(REDS)
    assert said == [f"{path}: only {count} of 7 frames could be decoded"]


def frames_of(avi):
    """Return where the chunks of the frames begin and end."""
    movie = avi.index(b"movi")
    starts = [i for i in range(movie, len(avi)) if avi.startswith(b"00dc", i)][: len(REDS)]
    return [(at + 8, at + 8 + int.from_bytes(avi[at + 4 : at + 8], "little")) for at in starts]


@pytest.mark.parametrize("filling", [b"\0", b"\xff", b"\xa5"])
def test_damaged_frames_of_a_video_are_broken_and_the_others_are_read(
    clip, tmp_path, said, filling
):
    data = bytearray(clip.read_bytes())
    for k in (2, 5):
        _, end = frames_of(data)[k]
        data[end - 40 : end] = filling * 40
    path = tmp_path / "damaged.avi"
    path.write_bytes(data)
    with open_path(path) as source:
        frames = read_all(source)
    assert [k for k, frame in enumerate(frames) if frame.fault] == [2, 5]
    assert {frames[2].fault, frames[5].fault} <= {BROKEN_FRAME, PARTIAL_FRAME}
    reds = [frame.image[:, :, 2].mean() for frame in frames if not frame.fault]
    whole = [red for k, red in enumerate(REDS) if k not in (2, 5)]
    np.testing.assert_allclose(reds, whole, atol=4)
    assert source.broken == 2
    (line,) = said
    assert line.startswith(f"{path}: broken frame (")


def test_a_video_without_a_whole_frame_is_refused(clip, tmp_path):
    data = bytearray(clip.read_bytes())
    for start, end in frames_of(data):
        data[start + 4 : end] = bytes(end - start - 4)
    path = tmp_path / "damaged.avi"
    path.write_bytes(data)
    with open_path(path) as source:
        for _ in REDS:
            frame = Frame()
            assert source.read_into(frame) and frame.fault
        with fails(SourceError, "source/unreadable-video"):
            source.read_into(Frame())


def test_a_field_of_an_interlaced_video_is_no_frame(clip, tmp_path):
    half = cv2.imencode(".jpg", np.zeros((24, 64, 3), np.uint8))[1].tobytes()
    data = bytearray(clip.read_bytes())
    start, end = frames_of(data)[1]
    data[start:end] = half[: end - start].ljust(end - start, b"\0")
    path = tmp_path / "fields.avi"
    path.write_bytes(data)
    with open_path(path) as source:
        frames = read_all(source)
    assert [k for k, frame in enumerate(frames) if frame.fault] == [1] and len(frames) == len(REDS)
    assert source.broken == 1


def test_a_file_that_is_not_a_video_is_refused_without_opencv_warnings(tmp_path):
    path = tmp_path / "notes.mp4"
    path.write_bytes(b"no video at all " * 100)
    with fails(SourceError, "source/unreadable-video"):
        open_path(path)
    # FFmpeg reads its log level once per process.
    program = f"""
from pathlib import Path
from edgeseg.errors import SourceError
from edgeseg.stream.source.files import open_path

try:
    open_path(Path({str(path)!r}))
except SourceError as error:
    print(error.code)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "source/unreadable-video\n"
    if version(cv2) >= (4, 6) and not has_gstreamer(cv2):  # whose messages have a level
        assert done.stderr == ""


def test_a_folder_gives_its_images_in_rgb_with_their_names(tmp_path):
    write_png(tmp_path / "test" / "good" / "1.png", solid_image(200, 10, 20)[:, :, ::-1])
    write_png(tmp_path / "test" / "bad" / "0.png", solid_image(100, 30, 40)[:, :, ::-1])
    write_png(tmp_path / "ground_truth" / "bad" / "0.png", np.zeros((30, 40), np.uint8))
    with open_path(tmp_path) as source:
        frames = read_all(source)
    assert [f.label for f in frames] == [
        str(tmp_path / "test" / "bad" / "0.png"),
        str(tmp_path / "test" / "good" / "1.png"),
    ]
    assert {f.format for f in frames} == {"rgb"}
    np.testing.assert_array_equal(frames[0].image, solid_image(100, 30, 40)[:, :, ::-1])
    np.testing.assert_array_equal(frames[1].image, solid_image(200, 10, 20)[:, :, ::-1])
    assert not source.live


def test_16_bit_images_are_scaled_by_the_depth_of_the_model(tmp_path):
    assert cv2.imwrite(str(tmp_path / "raw.png"), np.full((4, 4), 4095, np.uint16))
    with open_source(str(tmp_path), size=(4, 4), attempts=0, bit_depth=12) as source:
        (frame,) = read_all(source)
    assert (frame.image == 255).all()


def test_one_image_is_a_source(tmp_path):
    write_png(tmp_path / "part.png", solid_image(9)[:, :, ::-1])
    with open_path(tmp_path / "part.png") as source:
        assert len(read_all(source)) == 1


def test_a_damaged_image_in_a_folder_is_listed_and_the_others_are_read(tmp_path, said):
    for name in ("1.png", "2.png", "10.png"):
        write_png(tmp_path / name, solid_image())
    whole = (tmp_path / "2.png").read_bytes()
    (tmp_path / "2.png").write_bytes(whole[: len(whole) // 2])
    with open_path(tmp_path) as source:
        found = [(frame.label, frame.fault) for frame in read_all(source)]
    names = {"1.png": "", "2.png": DAMAGED, "10.png": ""}
    assert found == [(str(tmp_path / name), fault) for name, fault in names.items()]
    assert source.broken == 1
    (line,) = said
    assert line.startswith(f"not judged: cannot read {tmp_path / '2.png'}: damaged")
    assert [each.file for each in source.damaged.found] == [str(tmp_path / "2.png")]


def test_a_folder_without_any_sound_image_is_an_error(tmp_path):
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"\x89PNG nothing more")
    with open_path(tmp_path) as source:
        for _ in range(2):
            frame = Frame()
            assert source.read_into(frame) and frame.fault == DAMAGED
        with pytest.raises(DataError) as caught:
            source.read_into(Frame())
    assert "1.png" in caught.value.problem
    found = [each.file for each in source.damaged.found]
    assert found == [str(tmp_path / "1.png"), str(tmp_path / "2.png")]


@pytest.mark.parametrize("name", **any_name)
def test_a_video_and_its_folder_may_have_any_name(clip, tmp_path, name):
    path = tmp_path / name / f"{name}.avi"
    path.parent.mkdir()
    path.write_bytes(clip.read_bytes())
    with open_path(path) as source:
        assert len(read_all(source)) == len(REDS)
    assert source.name.isprintable()


def test_images_may_have_any_name(tmp_path):
    paths = [tmp_path / f"{name}.png" for name in HOSTILE.values()]
    for path in paths:
        write_png(path, solid_image())
    with open_path(tmp_path) as source:
        assert {frame.label for frame in read_all(source)} == set(map(str, paths))


def test_an_empty_folder_is_refused(tmp_path):
    with fails(DataError, "data/no-images"):
        open_path(tmp_path)
