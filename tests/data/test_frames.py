"""Sample frames of parity checks and benchmarks."""

import dataclasses

import cv2
import numpy as np

from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.data.frames import CYCLED, KEPT, load_frames, parity_frames, pick_images, pick_paths
from edgeseg.data.images import write_png
from edgeseg.errors import DataError
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.red_graph import write_plates


def test_pictures_then_black_white_and_noise(graph_card):
    frames = parity_frames(graph_card)
    assert all((f.shape, f.dtype) == (graph_card.frame_shape, np.uint8) for f in frames)
    *pictures, black, white, noise = frames
    assert len(pictures) == KEPT // 2
    assert all(picture.std() > 1 for picture in pictures)
    assert not black.any() and (white == 255).all()
    assert noise.std() > 70


def test_black_and_white_are_so_in_yuv():
    *_, black, white, _ = parity_frames(make_card(frame_format="nv12"))
    assert not to_bgr(black[0], "nv12").any() and (to_bgr(white[0], "nv12") == 255).all()


def test_the_same_frames_every_time(graph_card):
    for a, b in zip(parity_frames(graph_card), parity_frames(graph_card), strict=True):
        np.testing.assert_array_equal(a, b)


def test_images_are_fitted_to_size_and_format(graph_card):
    red = np.zeros((10, 20, 3), np.uint8)
    red[..., 0] = 255
    frames = parity_frames(graph_card, [red])
    assert len(frames) == 4
    assert (frames[0] == [0, 0, 255]).all()  # bgr


def test_a_batch_is_filled(graph_card):
    card = dataclasses.replace(graph_card, frame_shape=(2, *graph_card.frame_shape[1:]))
    images = [np.full((4, 4, 3), level, np.uint8) for level in (10, 20, 30)]
    first, second, *_ = parity_frames(card, images)
    assert [frame.max() for frame in (*first, *second)] == [10, 20, 30, 10]


def test_at_most_eight_pictures(graph_card):
    image = np.zeros((4, 4, 3), np.uint8)
    assert len(parity_frames(graph_card, [image] * 20)) == KEPT + 3
    assert len(parity_frames(graph_card, [image] * 20, most=20)) == 20 + 3


def test_of_a_data_set_the_test_images_are_taken_evenly(tmp_path):
    root = write_plates(tmp_path / "plates", good=4, bad=4)
    names = [path.relative_to(root).as_posix() for path in pick_paths(root, 3)]
    assert names == ["test/dent/04.png", "test/good/00.png", "test/good/03.png"]
    assert len(pick_paths(root, 100)) == 8
    assert [image.max() for image in pick_images(root, 2, 16)] == [250, 37]


def test_any_folder_of_images_will_do(tmp_path):
    for k in range(5):
        write_png(tmp_path / f"sub/{k}.png", np.zeros((4, 4, 3), np.uint8))
    assert [path.name for path in pick_paths(tmp_path, 3)] == ["0.png", "2.png", "4.png"]


def test_a_folder_without_images_is_refused(tmp_path):
    with fails(DataError, "data/folder-missing"):
        pick_paths(tmp_path / "none", 3)
    (tmp_path / "notes.txt").write_text("no image")
    with fails(DataError, "data/no-images"):
        pick_paths(tmp_path, 3)


def test_load_frames_takes_a_folder_s_images_in_the_graph_s_format(tmp_path, said):
    for red in range(40):
        write_png(tmp_path / "good" / f"{red:02}.png", np.full((48, 64, 3), (red, 0, 0), np.uint8))
    write_png(tmp_path / "masks" / "0.png", np.zeros((48, 64), np.uint8))
    frames = load_frames(make_card(frame_format="bgr"), tmp_path)
    assert frames.pixels.shape == (CYCLED, 48, 64, 3)
    reds = frames.pixels[:, 0, 0, 2].tolist()
    assert reds == sorted(set(reds)) and (reds[0], reds[-1]) == (0, 39), "evenly, red comes last"
    assert frames.origin == f"16 images of {tmp_path}"
    assert said == []


def test_load_frames_scales_16_bit_files_by_the_depth_in_the_card(tmp_path):
    assert cv2.imwrite(str(tmp_path / "raw.png"), np.full((48, 64), 4095, np.uint16))
    assert (load_frames(make_card(bit_depth=12), tmp_path).pixels == 255).all()


def test_load_frames_without_data_makes_synthetic_frames(said):
    frames = load_frames(make_card(), None)
    assert said == ["no --data given: using synthetic frames"]
    assert frames.origin == "8 synthetic frames"
    assert frames.pixels.shape == (8, 48, 64, 3)
    assert 40 < frames.pixels.mean() < 210 and frames.pixels.std() > 10
    assert len({frame.tobytes() for frame in frames.pixels}) == 8
