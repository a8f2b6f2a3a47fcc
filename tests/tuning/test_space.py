"""What a recipe may change, and which settings of a training it stands for."""

import pytest

from edgeseg.recipes import TrainConfig
from edgeseg.tuning.space import (
    SPACE,
    combined,
    default_choices,
    first_choices,
    score_maps_of,
    settings_of,
    space_for,
    words,
)


def test_the_default_recipe_is_what_train_does():
    default = default_choices({})
    assert TrainConfig(**settings_of(default, {})) == TrainConfig(profile="line")
    assert next(first_choices({})) == default and words(default, default) == "default recipe"


def test_every_choice_is_a_valid_training():
    for name, values in SPACE.items():
        for value in values:
            TrainConfig(**settings_of(default_choices({}) | {name: value}, {}))


def test_the_first_recipes_differ_in_one_choice_each():
    first = [*first_choices({})]
    assert len(first) == 8 and len({str(each) for each in first}) == 8
    for each in first[1:]:
        assert sum(each[name] != first[0][name] for name in each) == 1


def test_material_anomalies_keep_the_profiles_proportions():
    config = TrainConfig(**settings_of({"profile": "edge", "anomalies": "material"}, {}))
    assert (config.shading, config.marks, config.patches) == pytest.approx([1 / 3] * 3, abs=1e-4)
    none = TrainConfig(**settings_of({"profile": "line", "anomalies": "textures"}, {}))
    assert (none.shading, none.marks, none.patches, none.natural) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("base", "gone"),
    [
        ({"profile": "edge"}, {"profile"}),
        ({"model": "stpm"}, {"profile", "head_width"}),
        ({"lighting": 0.4, "marks": 0.3}, {"lighting", "anomalies"}),
        ({"student_steps": 10}, {"steps"}),
    ],
)
def test_settings_that_are_given_are_kept(base, gone):
    assert set(SPACE) - set(space_for(base)) == gone
    for choices in first_choices(base):
        settings = settings_of(choices, base)
        assert base.items() <= settings.items()
        TrainConfig(**settings)


def test_a_default_outside_of_the_space_is_a_choice_of_it():
    assert space_for({"profile": "paper"})["head_width"] == (256, 32, 64, 128)


def test_levels_of_the_score_are_tried_where_there_are_some():
    line, edge = TrainConfig(profile="line"), TrainConfig(profile="edge")
    assert score_maps_of(line, {}) == ("m23", "all", "m3")
    assert score_maps_of(line, {"score_maps": "m23"}) == ("m23",)
    assert score_maps_of(edge, {}) == (None,)


def test_the_single_changes_that_help_are_combined():
    default = default_choices({})
    tried = [
        (default, 0.5),
        (default | {"steps": 2.0}, 0.6),
        (default | {"steps": 0.5}, 0.7),
        (default | {"lighting": 0.2}, 0.4),
        (default | {"head_width": 32}, 0.51),
        (default | {"head_width": 32, "profile": "edge"}, 0.9),
    ]
    assert combined(tried, default) == default | {"steps": 0.5, "head_width": 32}
    assert combined(tried[:1], default) is None and combined(tried[1:], default) is None
