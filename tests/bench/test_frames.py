"""The frames that a benchmark runs on."""

import numpy as np
import pytest

from edgeseg.bench.frames import KEPT, load_frames
from edgeseg.data.images import write_png
from edgeseg.errors import DataError
from tests.kit.cards import make_card


def test_a_folder_s_images_in_the_graph_s_format(tmp_path, said):
    for red in range(40):
        write_png(tmp_path / "good" / f"{red:02}.png", np.full((48, 64, 3), (red, 0, 0), np.uint8))
    write_png(tmp_path / "masks" / "0.png", np.zeros((48, 64), np.uint8))
    frames = load_frames(make_card(frame_format="bgr"), tmp_path)
    assert frames.pixels.shape == (KEPT, 48, 64, 3)
    assert frames.pixels[:, 0, 0, 2].tolist() == list(range(0, 32, 2)), "spread, red comes last"
    assert frames.origin == f"16 of 40 images of {tmp_path}"
    assert said == []


def test_images_of_another_size_are_fitted(tmp_path):
    write_png(tmp_path / "0.png", np.full((30, 30, 3), 77, np.uint8))
    frames = load_frames(make_card(frame_format="gray"), tmp_path)
    assert frames.pixels.shape == (1, 48, 64, 1)
    assert (frames.pixels == 77).all()


def test_without_data_the_frames_are_synthetic_and_said_to_be(said):
    frames = load_frames(make_card(), None)
    assert said == ["no --data given: the frames are synthetic"]
    assert frames.origin == "8 synthetic frames"
    assert frames.pixels.shape == (8, 48, 64, 3)
    assert 60 < frames.pixels.mean() < 190 and frames.pixels.std() > 10
    assert len({frame.tobytes() for frame in frames.pixels}) == 8


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no image"):
        load_frames(make_card(), tmp_path)
    with pytest.raises(DataError, match="There is no folder"):
        load_frames(make_card(), tmp_path / "nowhere")
