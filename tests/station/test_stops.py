"""Who has stopped the line, kept on the disk."""

import pytest

from edgeseg.log import log
from edgeseg.station.stops import FILE, PAGE, KeptStops


def test_what_was_kept_is_read_and_forgotten(tmp_path):
    stops = KeptStops(tmp_path)
    assert stops.read() == {}
    stops.keep({"page": "door open", "modbus": ""})
    assert KeptStops(tmp_path).read() == {"page": "door open", "modbus": ""}
    stops.keep({})
    assert not (tmp_path / FILE).exists()
    stops.keep({"page": "door open"})
    stops.forget()
    stops.forget()
    assert stops.read() == {}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"page": 1}', b"\xff"])
def test_a_damaged_file_stops_the_line(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    assert set(KeptStops(tmp_path).read()) == {PAGE}


def test_a_disk_that_takes_nothing_is_no_error(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(log, "warning", said.append)
    (tmp_path / "file").touch()
    KeptStops(tmp_path / "file").keep({"page": "door open"})
    assert "cannot be kept" in said[0]
