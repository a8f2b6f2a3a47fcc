import pytest

from edgeseg.errors import ConfigError
from edgeseg.files import quoted
from edgeseg.station.config import read_station
from edgeseg.verdict.rule import Rule
from tests.kit.errors import fails
from tests.kit.stations import write_station

GOOD = """
[[recipe]]
name = "a"
model = "a.onnx"
rule = "area:20"
[[camera]]
name = "top"
source = "0"
[[output]]
kind = "mqtt"
host = "broker"
[[output]]
kind = "mqtt"
name = "second"
require = true
"""


def read(tmp_path, text):
    file = tmp_path / "station.toml"
    file.write_text(text)
    return read_station(file)


def test_what_is_not_given_has_a_default(tmp_path):
    found = read(tmp_path, GOOD)
    assert found.first_recipe(found.camera[0]) == "a"
    assert found.folder == tmp_path / "station"
    assert [(each.name, each.require, each.settings) for each in found.output] == [
        ("mqtt", False, {"host": "broker"}),
        ("second", True, {}),
    ]
    assert found.recipe[0].judging()["rule"] == "area:20"


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ('name = "top"', 'name = "Top camera"', "Top camera"),
        ('name = "top"', 'name = "top"\nfps = 0', "fps"),
        ('name = "top"', 'name = "top"\nwidth = 640', "height"),
        ('name = "top"', 'name = "top"\nrecipe = "c"', "recipe 'c'"),
        ('name = "top"', 'name = "top"\nmode = "fast"', "mode"),
        ('name = "second"', 'name = "mqtt"', "mqtt"),
        ('model = "a.onnx"', 'modell = "a.onnx"', "model"),
        ('model = "a.onnx"', 'model = "a.onnx"\nfollow = "a:b"', "recipe a follows an invalid"),
        ('[[camera]]\nname = "top"\nsource = "0"', "", "camera"),
        ("[[output]]", "[output]", "TOML"),
        ("[[recipe]]", "[page]\nport = 80\n[[recipe]]", "page.port"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, before, after, word):
    assert before in GOOD
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD.replace(before, after))
    assert word in str(caught.value)
    assert "station.toml" in str(caught.value)


def test_an_unusable_rule_is_refused_before_the_station_starts(tmp_path):
    with fails(ConfigError, "config/rule"):
        read(tmp_path, GOOD.replace("area:20", "most"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[camera]]", ["camera is one table", "[[camera]]"]),
        ("[[recipe]]", ["recipe is one table", "[[recipe]]"]),
    ],
)
def test_a_table_that_is_no_list_is_named_as_it_is_written(tmp_path, text, words):
    with fails(ConfigError, "station/config") as caught:
        read(tmp_path, GOOD.replace(text, text[1:-1]))
    assert all(word in caught.value.problem for word in words)
    with fails(ConfigError, "station/config") as caught:
        read(tmp_path, f"{GOOD}[[page]]\nfps = 1\n")
    assert "page is no table (expected [page])" in caught.value.problem


def test_all_that_is_wrong_is_named_at_once(tmp_path):
    wrong = GOOD.replace("model =", "modell =").replace("source =", "sorce =")
    with fails(ConfigError, "station/config") as caught:
        read(tmp_path, wrong)
    for word in ("recipe[0].modell (expected model)", "camera[0].sorce (expected source)"):
        assert word in caught.value.problem
    unfit = GOOD.replace('"second"', '"mqtt"').replace('"top"', '"Top"\nrecipe = "b"\nwidth = 64')
    with fails(ConfigError, "station/config") as caught:
        read(tmp_path, unfit)
    for word in ("2 of output", "name 'Top'", "recipe 'b' (expected one of a)", "width and height"):
        assert word in caught.value.problem


def test_rules_of_several_recipes_are_named_at_once(tmp_path):
    rules = GOOD.replace("area:20", "aera:20")
    with fails(ConfigError, "station/config") as caught:
        read(tmp_path, f'{rules}[[recipe]]\nname = "b"\nmodel = "b.onnx"\nrule = "most"\n')
    assert "'aera:20'" in caught.value.problem and "'most'" in caught.value.problem


def test_the_folder_of_the_file_is_no_setting(tmp_path):
    with fails(ConfigError, "station/config") as caught:
        read(tmp_path, f'base = "/etc"\n{GOOD}')
    assert "unknown base" in caught.value.problem


def test_a_missing_file_can_be_written(tmp_path):
    with fails(ConfigError, "station/no-file") as caught:
        read_station(tmp_path / "a b.toml")
    assert caught.value.remedy == f"edgeseg station init {quoted(tmp_path / 'a b.toml')}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("photos", "{}/photos"),
        ("/data/line.mp4", "/data/line.mp4"),
        ("0", "0"),
        ("rtsp://camera/1", "rtsp://camera/1"),
        ("watch://in%20box?move=judged", "watch://{}/in%20box?move=judged"),
        ("watch:///data/in", "watch:///data/in"),
    ],
)
def test_a_folder_of_a_source_is_relative_to_the_file(tmp_path, source, found):
    file = write_station(tmp_path, cameras={"top": {"source": source}})
    (camera,) = read_station(file).camera
    assert camera.source == found.format(tmp_path)


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('rule = "areas"', 'rule = "region"'),
        ('rule = "area:x"', 'rule = "area:200"'),
        ('min_area = "x"', 'min_area = "50"'),
    ],
)
def test_the_remedy_of_a_rule_names_the_key_of_the_file(tmp_path, line, remedy):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, GOOD.replace('rule = "area:20"', line))
    assert caught.value.remedy == remedy
    assert caught.value.problem.startswith("recipe a: ")


def test_an_area_in_millimeters_needs_a_size_of_a_pixel_in_the_file(tmp_path):
    recipe = read(tmp_path, GOOD.replace("area:20", "area:0.5mm2")).recipe[0]
    with pytest.raises(ConfigError) as caught:
        recipe.regions(of=Rule())
    assert caught.value.remedy == "mm_per_px = 0.05, or an area in pixels"
