import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.config import read_station
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
