"""Rules: which regions count, what makes a frame anomalous, and how both are typed."""

import pytest

from edgeseg.errors import ConfigError
from edgeseg.verdict.region_config import RegionConfig, RuleConfig
from edgeseg.verdict.rule import Rule, parse_area, parse_rule
from tests.kit.errors import fails


@pytest.mark.parametrize(
    ("rule", "count", "area", "broken"),
    [
        (Rule(by="region"), 0, 0.0, False),
        (Rule(by="region"), 1, 1.0, True),
        (Rule(by="area", limit=200), 5, 200.0, False),
        (Rule(by="area", limit=200), 1, 200.5, True),
        (Rule(by="count", limit=3), 3, 1e6, False),
        (Rule(by="count", limit=3), 4, 4.0, True),
    ],
)
def test_a_rule_is_broken_above_its_limit(rule, count, area, broken):
    assert rule.is_broken(count, area) is broken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("score", ("score", 0)),
        ("Region", ("region", 0)),
        ("area:200", ("area", 200)),
        ("area:200px", ("area", 200)),
        ("area:0.5mm2", ("area", 50)),
        ("area:0.5 mm²", ("area", 50)),
        ("count:3", ("count", 3)),
    ],
)
def test_a_rule_is_typed_in_one_word(text, expected):
    name, limit = parse_rule(text, 0.1)
    assert (name, limit) == (expected[0], pytest.approx(expected[1]))


@pytest.mark.parametrize(
    "text", ["", "regions", "area", "area:", "area:-1", "area:1e3", "count:", "count:1.5", "area:x"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        parse_rule(text, None)
    assert caught.value.remedy.startswith("--rule ")


@pytest.mark.parametrize("text", ["", "ten", "-1", "5cm2", "9999999999"])
def test_what_is_no_area_is_refused(text):
    with fails(ConfigError, "config/area"):
        parse_area(text, 0.1, "--min-area 50")


def test_square_millimeters_need_the_size_of_a_pixel():
    with fails(ConfigError, "config/no-scale"):
        parse_area("0.5mm2", None, "--min-area 50")
    given = RegionConfig(min_area="0.5mm2")
    with fails(ConfigError, "config/no-scale"):
        given.applied(Rule())
    assert given.applied(Rule(mm_per_px=0.5)).min_area == 2
    assert RegionConfig(min_area="0.5mm2", mm_per_px=0.5).applied(Rule()).min_area == 2


def test_settings_replace_what_they_name_and_nothing_else():
    rule = Rule(by="area", limit=9, min_area=5, min_peak=0.5, mm_per_px=0.1, picture=(48, 64))
    assert RegionConfig().applied(rule) == rule
    assert RegionConfig(min_area="7").applied(rule).min_area == 7
    changed = RegionConfig(rule="region", mm_per_px=0.2).applied(rule, (96, 128))
    expected = Rule(by="region", min_area=5, min_peak=0.5, mm_per_px=0.2, picture=(96, 128))
    assert changed == expected


@pytest.mark.parametrize(
    "values",
    [
        {"checkerboard": "board.png"},
        {"square_mm": 5.0},
        {"checkerboard": "board.png", "square_mm": 5.0, "mm_per_px": 0.1},
    ],
)
def test_a_checkerboard_needs_its_squares_and_no_other_size(values):
    with fails(ConfigError, "config/conflict"):
        RuleConfig(**values)


def test_a_rule_in_words():
    assert Rule().words() == "a frame is anomalous if the image score is above the image threshold"
    rule = Rule(by="area", limit=200, min_area=50, min_peak=0.6, mm_per_px=0.1)
    assert rule.words() == (
        "a frame is anomalous if the regions have more than 200 px (2 mm2) in total; a region "
        "counts from 50 px (0.5 mm2) on and with a peak from 0.6 on; 1 px is 0.1 mm"
    )


def test_the_scale_is_that_of_the_picture_that_was_calibrated():
    assert Rule().scale((960, 1280), (480, 640)) == (2, 2)
    assert Rule(picture=(960, 1280)).scale((480, 640), (480, 640)) == (2, 2)
    assert Rule().scale((480, 640), (256, 256)) == (2.5, 1.875)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (Rule(), "--rule score"),
        (Rule(by="region", min_area=50), "--rule region --min-area 50"),
        (Rule(by="count", limit=3), "--rule count:3"),
        (
            Rule(by="area", limit=12.5, min_area=1e9, min_peak=0.6, mm_per_px=0.05),
            "--rule area:12.5 --min-area 1000000000 --min-peak 0.6 --mm-per-px 0.05",
        ),
    ],
)
def test_the_options_of_a_rule_make_it_again(rule, options):
    assert rule.options(Rule()) == options
    words = options.replace("--", "").replace("-", "_").split()
    given = dict(zip(words[::2], words[1::2], strict=True))
    numbers = {name: float(given[name]) for name in ("min_peak", "mm_per_px") if name in given}
    assert RegionConfig(**(given | numbers)).applied(Rule()) == rule
    assert rule.options(rule) == options.split(" --min")[0]
