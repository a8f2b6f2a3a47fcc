"""A training that takes seconds: eight drawn parts, 64 pixels, two images a step.

At 32 pixels the student's deepest features are one pixel: batch normalization over two values
multiplies gradients a millionfold, and rounding decides whether a test passes. At the paper's rate
so does a student of three steps, whose running statistics know nothing yet.
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
        image_size=64,
        batch=2,
        epochs=1,  # six images: three steps
        student_rate=1e-4,
        holdout=0.25,
        device="cpu",
    )
