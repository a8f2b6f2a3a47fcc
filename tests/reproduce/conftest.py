"""Drawn parts as two categories of a data set, and settings that train in a second."""

import pytest

from edgeseg.data.parts import write_parts


@pytest.fixture(scope="session")
def categories(tmp_path_factory):
    """A folder of two categories: eight good images to train on, five to test."""
    root = tmp_path_factory.mktemp("categories")
    for seed, name in enumerate(("discs", "plates")):
        write_parts(root / name, train=8, good=1, bad=1, seed=seed)
    return root


@pytest.fixture(scope="session")
def tiny():
    return {
        "teacher": "efficientnet_lite0",
        "image_size": 64,
        "batch": 2,
        "student_steps": 3,
        "student_rate": 1e-3,
        "device": "cpu",
    }
