"""`edgeseg station check`: what works, what does not, and what is in use by a station that runs."""

import socket

import pytest

from edgeseg.errors import GateFailed, RegistryError
from edgeseg.station.check import check_station
from edgeseg.station.config import read_station
from edgeseg.station.journal import FILE, Journal
from tests.kit.errors import fails
from tests.kit.stations import write_station

OUTPUT = '[[output]]\nkind = "jsonl"\npath = "verdicts.jsonl"\n'
REFUSED = '[[output]]\nkind = "webhook"\nurl = "http://127.0.0.1:9/verdicts"\n'


def asked(_, recipe):
    """Answer as the registry of a recipe that follows a tag."""
    if "unreachable" in recipe.follow:
        raise RegistryError("no answer", remedy="start it", code="registry/unreachable")
    return f"sha256:{'1' * 64}"


def station(folder, rest):
    return write_station(folder, cameras={"top": {"source": "test://64x48@20"}}, rest=rest)


def test_everything_that_works_is_told_with_what_was_found(tmp_path):
    report = check_station(station(tmp_path, OUTPUT), asked)
    report.check()
    assert [each.what for each in report.tried] == [
        "folder",
        "recipe plates",
        "camera top",
        "output jsonl",
    ]
    assert "64x48" in report.summary() and "runs" not in report.summary()


def test_what_does_not_work_has_its_code_and_its_remedy(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        file = station(tmp_path, f'[page]\naddress = "127.0.0.1:{port}"\n')
        report = check_station(file, asked)
    lines = [line.strip() for line in report.summary().splitlines()]
    place = next(place for place, line in enumerate(lines) if f"127.0.0.1:{port}" in line)
    assert lines[place].endswith("[station/listen]") and lines[place + 1].startswith("fix: ")
    assert report.to_json()["tried"][-1]["code"] == "station/listen"


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "station").touch()
    folder = check_station(station(tmp_path, ""), asked).tried[0]
    assert folder.code == "write/failed" and "is a file" in folder.remedy


def test_each_recipe_and_each_camera_is_tried_though_others_do_not_work(tmp_path):
    cameras = {
        "top": {"source": "test://64x48@20"},
        "side": {"source": "rtps://host/1", "recipe": "second"},
        "back": {"source": "test://64x48@20", "recipe": "third"},
    }
    file = write_station(tmp_path, cameras=cameras, recipes=("plates", "second", "third"))
    text = file.read_text()
    first = text.replace("plates.onnx", "none.onnx", 1)
    place = first.rindex("plates.onnx")
    file.write_text(f"{first[:place]}damaged.onnx{first[place + len('plates.onnx') :]}")
    (tmp_path / "damaged.onnx").write_bytes(b"no graph")
    problems = {each.what: each.problem for each in check_station(file, asked).tried}
    assert problems["recipe plates"] == f"not found: {tmp_path / 'none.onnx'}"
    assert "damaged.onnx" in problems["recipe third"] and not problems["recipe second"]
    assert problems["camera top"] == "not tried, for its recipe plates does not work"
    assert problems["camera back"] == "not tried, for its recipe third does not work"
    assert "rtps://host/1" in problems["camera side"]


@pytest.mark.parametrize("host", ["registry.example", "unreachable.example"])
def test_the_registry_of_a_recipe_that_follows_a_tag_is_asked(tmp_path, host):
    file = station(tmp_path, "")
    model = 'model = "plates.onnx"\n'
    text = file.read_text().replace(model, f'{model}follow = "{host}/line/plates:stable"\n')
    file.write_text(text)
    (row,) = [each for each in check_station(file, asked).tried if each.what.startswith("tag")]
    unreachable = host == "unreachable.example"
    assert row.what == "tag of recipe plates"
    assert row.code == ("registry/unreachable" if unreachable else "")
    assert row.found == ("" if unreachable else f"sha256:{'1' * 64}")


def test_the_remedy_of_a_camera_is_a_line_of_the_file(tmp_path):
    file = write_station(tmp_path, cameras={"top": {"source": "rtps://host/1"}})
    assert check_station(file, asked).tried[-1].remedy == 'source = "0"'


def test_a_station_that_runs_is_named_as_the_reason(tmp_path):
    file = station(tmp_path, REFUSED)
    with Journal(read_station(file).folder / FILE):
        report = check_station(file, asked)
    assert "a station runs in this folder" in report.summary()
    with fails(GateFailed, "gate/station") as caught:
        report.check()
    assert "output webhook" in caught.value.problem
    refused = report.tried[-1]
    assert refused.code == "station/output"
    assert refused.problem.endswith(": Connection refused")
    assert "end the station that runs" in caught.value.remedy
