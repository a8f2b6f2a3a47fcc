"""Trainings of a few seconds: eight generated parts, 64 x 64 pixels, batches of two images.

At 32 pixels the deepest features of the student are one pixel: batch normalization over two values
multiplies gradients by a million, and rounding errors decide whether a test passes. So does the
paper's learning rate after three steps, when the running statistics are not yet established.
"""

import pytest

from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.recipes import TrainConfig


@pytest.fixture(scope="session")
def plates(tmp_path_factory):
    return open_dataset(
        write_parts(tmp_path_factory.mktemp("set") / "plates", train=8, good=1, bad=1)
    )


@pytest.fixture(scope="session")
def quick():
    return TrainConfig(
        teacher="efficientnet_lite0",
        student_width=8,
        head_width=8,
        image_size=64,
        batch=2,
        student_steps=3,
        student_rate=1e-3,
        head_steps=3,
        holdout=0.25,
        device="cpu",
    )


@pytest.fixture(scope="session")
def quick_dskd():
    return TrainConfig(
        model="dskd",
        teacher="efficientnet_lite0",
        student_width=8,
        head_width=8,
        image_size=64,
        batch=2,
        epochs=1,  # six images: three steps
        student_rate=1e-4,
        holdout=0.25,
        device="cpu",
    )
