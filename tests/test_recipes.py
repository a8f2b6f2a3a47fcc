"""The models' own defaults, settings that a model does not have, steps and epochs."""

from dataclasses import replace

import pytest

from edgeseg.api import with_default
from edgeseg.errors import ConfigError
from edgeseg.presets import PROFILES
from edgeseg.recipes import TrainConfig
from edgeseg.settings import make
from tests.kit.errors import fails


def test_destseg_and_stpm_differ_in_three_switches():
    """DeSTSeg, Table 4: experiment 1 has the training settings of experiment 8."""
    ours, plain = TrainConfig(), TrainConfig(model="stpm")
    assert (ours.denoising, ours.decoder, ours.head) == (True, True, True)
    assert replace(ours, model="stpm", denoising=False, decoder=False, head=False) == plain
    assert (plain.student_rate, plain.momentum, plain.weight_decay) == (0.4, 0.9, 1e-4)
    assert (plain.optimizer, plain.student_steps, plain.top) == ("sgd", 1000, 100)


def test_dskd_is_trained_as_its_paper_says():
    config = TrainConfig(model="dskd")
    assert (config.optimizer, config.student_rate, config.momentum) == ("adam", 1e-3, 0.5)
    assert (config.epochs, config.student_steps, config.top) == (200, None, 1)
    assert (config.distance_weight, config.structure) == (0.1, "ds")
    assert (config.embedding, config.maps) == (True, "all")


def test_the_edge_profile_is_light_and_leaves_the_rest_to_the_model():
    edge, paper = TrainConfig(profile="edge"), TrainConfig()
    assert (edge.teacher, edge.student_width, edge.head_width) == ("efficientnet_lite0", 32, 64)
    assert (paper.teacher, paper.student_width, paper.head_width) == ("resnet18", 64, 256)
    assert (edge.optimizer, edge.student_rate, edge.blocks_rate) == ("adam", 1e-3, 1e-3)
    assert (edge.focal_gamma, edge.top, edge.head_input) == (
        paper.focal_gamma,
        paper.top,
        paper.head_input,
    )
    assert TrainConfig(profile="edge", model="stpm", teacher="resnet34").teacher == "resnet34"


def test_the_line_profile_is_its_entry_in_the_table():
    line = TrainConfig(profile="line")
    assert {name: getattr(line, name) for name in PROFILES["line"]} == PROFILES["line"]
    assert (line.model, line.epochs, line.momentum) == ("dskd", None, 0.5)
    assert TrainConfig(profile="line", epochs=3).student_steps is None


def test_a_profile_leaves_out_what_another_model_does_not_have():
    other = TrainConfig(profile="line", model="destseg")
    assert (other.model, other.teacher, other.score_maps) == ("destseg", "efficientnet_lite0", None)


@pytest.mark.parametrize(
    ("given", "profile", "model"),
    [
        ({}, "line", "dskd"),
        ({"model": "dskd"}, "paper", "dskd"),
        ({"profile": "paper"}, "paper", "destseg"),
        ({"profile": "edge"}, "edge", "destseg"),
    ],
)
def test_a_new_training_takes_line_unless_a_profile_or_a_method_is_chosen(given, profile, model):
    config = TrainConfig(**with_default(given))
    assert (config.profile, config.model) == (profile, model)


def test_given_values_override_the_recipe():
    config = TrainConfig(model="stpm", head=True, student_rate=0.1)
    assert (config.head, config.decoder, config.student_rate) == (True, False, 0.1)


@pytest.mark.parametrize(
    ("values", "images", "steps"),
    [
        ({}, 240, 1000),
        ({"model": "dskd"}, 240, 1500),  # 200 * 240 / 32
        ({"model": "dskd", "batch": 7, "epochs": 1}, 15, 3),  # the last one is filled up
        ({"model": "dskd", "student_steps": 9}, 240, 9),
        ({"epochs": 2, "batch": 8}, 16, 4),
        ({"epochs": 0}, 16, 0),
    ],
)
def test_epochs_are_steps_over_the_images(values, images, steps):
    assert TrainConfig(**values).first_steps(images) == steps


RANGE, CHOICE, OTHER = "config/out-of-range", "config/not-a-choice", "config/other-model"
INVALID = [
    ({"structure": "t-e"}, OTHER, "--model dskd, or omit structure"),
    ({"model": "dskd", "l1": False, "head_input": "cosine"}, OTHER, "--model destseg, or omit "),
    ({"model": "dskd", "denoising": True, "structure": "t-d"}, "config/conflict", "--structure ds"),
    ({"model": "dskd", "structure": "T-E"}, CHOICE, "--structure "),
    ({"model": "deSTSeg"}, CHOICE, "--model destseg"),
    ({"profile": "tiny"}, CHOICE, "--profile line"),
    ({"student_width": 2}, RANGE, "--student-width 4"),
    ({"head_width": 2000}, RANGE, "--head-width 1024"),
    ({"head_stride": 16}, CHOICE, "--head-stride 4"),
    ({"epochs": 3, "student_steps": 9}, "config/conflict", "--epochs 3"),
    ({"epochs": -1}, RANGE, "--epochs 0"),
    ({"model": "dskd", "distance_weight": -1.0}, RANGE, "--distance-weight 0.0"),
    ({"optimizer": "adam", "momentum": 1.0}, RANGE, "--momentum 0.9999"),
    ({"shading": 0.5, "marks": 0.5, "patches": 0.1}, "config/shares", "--shading 0.2 "),
]


@pytest.mark.parametrize(("values", "code", "remedy"), INVALID)
def test_invalid_training_settings(values, code, remedy):
    with fails(ConfigError, code) as caught:
        TrainConfig(**values)
    assert caught.value.remedy.startswith(remedy)


def test_another_model_with_the_first_ones_settings_is_invalid():
    with fails(ConfigError, OTHER):
        replace(TrainConfig(), model="dskd")


def test_a_file_sets_what_a_recipe_would(tmp_path):
    file = tmp_path / "t.toml"
    file.write_text('model = "dskd"\nepochs = 3\nembedding = false\nstudent_rate = 1\n')
    config = make(TrainConfig, {"maps": "m2"}, file)
    assert (config.epochs, config.embedding, config.maps) == (3, False, "m2")
    assert type(config.student_rate) is float
    file.write_text("head = 1\n")
    with fails(ConfigError, "config/wrong-type") as caught:
        make(TrainConfig, {}, file)
    assert caught.value.remedy.endswith("head = true")


def test_the_kinds_of_anomalies_share_one_whole():
    assert TrainConfig(shading=0.2, marks=0.3, patches=0.5).patches == 0.5


def test_the_papers_use_none_of_our_options():
    for model in ("destseg", "stpm", "dskd"):
        config = TrainConfig(model=model)
        assert (config.local_contrast, config.ema_decay) == (0.0, 0.0)
        assert (config.shading, config.marks, config.patches) == (0.0, 0.0, 0.0)
