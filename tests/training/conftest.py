"""A training that takes seconds: eight drawn parts, 32 pixels, two images a step."""

import pytest

from edgeseg.config import TrainConfig
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts


@pytest.fixture(scope="session")
def plates(tmp_path_factory):
    return open_dataset(
        write_parts(tmp_path_factory.mktemp("set") / "plates", train=8, good=1, bad=1)
    )


@pytest.fixture
def quick():
    return TrainConfig(
        teacher="efficientnet_lite0",
        image_size=32,
        batch=2,
        student_steps=3,
        head_steps=3,
        holdout=0.25,
        device="cpu",
    )
