"""A small video file."""

import cv2
import pytest

from tests.kit.fakes import solid_image

REDS = (0, 40, 80, 120, 160, 200, 240)


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """An AVI of 7 frames, 64x48 at 25 frames a second, with increasing red."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV has no MJPG encoder")
    for red in REDS:
        writer.write(solid_image(red))
    writer.release()
    return path
