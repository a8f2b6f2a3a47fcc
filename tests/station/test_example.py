"""`edgeseg station init`: the cameras that were found, and a file that can be read."""

from pathlib import Path

import pytest

from edgeseg.errors import MissingExtra, WriteError
from edgeseg.station import example
from edgeseg.station.config import read_station
from edgeseg.station.example import write_example
from edgeseg.stream.source.genicam import device
from tests.kit.cards import write_engine
from tests.kit.errors import fails
from tests.kit.gige import gige
from tests.kit.red_graph import CARD, red_graph

__all__ = ["gige"]


@pytest.fixture
def no_usb_cameras(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(example, "_cameras", list)


def without_aravis():
    raise MissingExtra("Aravis 0.8 is unavailable.", remedy="apt-get install -y python3-gi")


@pytest.mark.parametrize("folder", ["", "elsewhere"])
def test_an_engine_beside_the_file_is_named_from_there(tmp_path, no_usb_cameras, folder):
    (tmp_path / "engines").mkdir()
    engine = tmp_path / "engines/plates.onnx"
    write_engine(engine, red_graph().SerializeToString(), CARD, runtime="onnxruntime")
    (tmp_path / folder).mkdir(exist_ok=True)
    file = write_example(tmp_path / folder / "station.toml").file
    (recipe,) = read_station(file).recipe
    assert Path(recipe.model).is_absolute() == bool(folder)
    assert (file.parent / recipe.model).is_file()


def test_names_with_special_characters_are_quoted(tmp_path, no_usb_cameras, monkeypatch):
    monkeypatch.setattr(device, "load_aravis", without_aravis)
    (tmp_path / "engines").mkdir()
    name = 'Deckel 5" groß.onnx'
    write_engine(
        tmp_path / "engines" / name, red_graph().SerializeToString(), CARD, runtime="onnxruntime"
    )
    (recipe,) = read_station(write_example(tmp_path / "line\n3.toml").file).recipe
    assert recipe.model == f"engines/{name}"


def test_without_a_camera_the_file_has_a_software_camera(tmp_path, monkeypatch, no_usb_cameras):
    monkeypatch.setattr(device, "load_aravis", without_aravis)
    written = write_example(tmp_path / "station.toml")
    assert written.cameras == ("test://640x480@30",)
    (camera,) = read_station(written.file).camera
    assert camera.source == "test://640x480@30"
    assert "no engine was found" in written.summary()
    with fails(WriteError, "write/exists"):
        write_example(written.file)


def test_an_industrial_camera_is_named_by_its_serial_number(tmp_path, no_usb_cameras, gige):
    gige.plug_in()
    written = write_example(tmp_path / "station.toml")
    assert [each.source for each in read_station(written.file).camera] == ["genicam://EDGE1"]
