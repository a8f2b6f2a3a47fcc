"""The frames of a parity check."""

import dataclasses

import numpy as np

from edgeseg.deploy.frames import KEPT, parity_frames


def test_pictures_then_black_white_and_noise(graph_card):
    frames = parity_frames(graph_card)
    assert all((f.shape, f.dtype) == (graph_card.frame_shape, np.uint8) for f in frames)
    *pictures, black, white, noise = frames
    assert len(pictures) == KEPT // 2
    assert all(picture.std() > 1 for picture in pictures)
    assert not black.any() and (white == 255).all()
    assert noise.std() > 70


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
