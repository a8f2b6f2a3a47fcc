import csv
import time

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.inspection import Code
from edgeseg.station.outputs.csv import COLUMNS, harmless
from tests.kit.errors import fails
from tests.kit.outputs import make_context, opened
from tests.kit.stations import inspection

MIDNIGHT = 1_767_225_600  # 2026-01-01 0:00 UTC
HOUR = 3600


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def batch(*hours, **changes):
    return [
        inspection(n, id=n, decided=MIDNIGHT + h * HOUR, **changes) for n, h in enumerate(hours, 1)
    ]


def rows(path, delimiter=","):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def written(tmp_path):
    return {path.name: [row["id"] for row in rows(path)] for path in tmp_path.glob("shifts/*")}


def test_a_record_is_in_the_file_of_its_shift(tmp_path):
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        assert output.send(batch(5.99, 6, 13.99, 14, 22, 29, 31)) == 7
    assert written(tmp_path) == {
        "test_2025-12-31_2200.csv": ["1"],
        "test_2026-01-01_0600.csv": ["2", "3"],
        "test_2026-01-01_1400.csv": ["4"],
        "test_2026-01-01_2200.csv": ["5", "6"],
        "test_2026-01-02_0600.csv": ["7"],
    }


def test_a_restart_appends_and_repeats_no_row(tmp_path):
    records = batch(7, 8, 9, 15)
    for _ in range(2):  # it died before the gateway stored how far it was
        with opened(make_context(tmp_path), "csv") as output:
            output.open()
            assert output.send(records[:3]) == 3
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        assert output.send(records) == 4
    assert written(tmp_path) == {
        "test_2026-01-01_0600.csv": ["1", "2", "3"],
        "test_2026-01-01_1400.csv": ["4"],
    }


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_row_that_was_cut_off_is_written_again(tmp_path, cut):
    records = batch(7, 8, part="a,b")
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        output.send(records)
    (path,) = tmp_path.glob("shifts/*")
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        output.send(records[1:])
    assert [row["id"] for row in rows(path)] == ["1", "2"]
    assert path.read_bytes().replace(b"\r", b"") == whole.replace(b"\r", b"")


@pytest.mark.parametrize("kept", [0, 1, 10, 100])
def test_a_header_that_was_cut_off_is_written_again(tmp_path, kept):
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        output.send(batch(7))
        (path,) = tmp_path.glob("shifts/*")
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        output.send(batch(7))
    assert path.read_bytes() == whole


def test_a_file_of_somebody_else_is_left_alone(tmp_path):
    other = tmp_path / "shifts/test_2026-01-01_0600.csv"
    other.parent.mkdir()
    other.write_text("mine\n1\n")
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        output.send(batch(7, 8))
    assert other.read_text() == "mine\n1\n"
    assert [row["id"] for row in rows(other.with_name("test_2026-01-01_0600-2.csv"))] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "' =1"),
        ("  =1", "'  =1"),
        ("＝1", "'＝1"),
        ("a\r\n=1", "a  =1"),
        ('x";=1;"', 'x";=1;"'),
        ("a\ud800b", "a b"),  # half a character, which no file can have
        ("A-12", "A-12"),
        ("", ""),
        ("   ", "   "),
    ],
)
def test_no_text_is_a_formula(text, expected):
    assert harmless(text) == expected


def test_what_comes_from_elsewhere_stays_in_its_cell(tmp_path):
    evil = '=cmd|"/c calc"!A1'
    texts = {"part": 'a";=1+1;"b', "reason": f"x\n{evil}"}
    with opened(make_context(tmp_path), "csv") as output:
        output.open()
        output.send(batch(7, code=Code.UNKNOWN, score=-1.5, **texts))
        output.send(batch(8, part=evil, boot="b2"))
    (path,) = tmp_path.glob("shifts/*")
    first, second = rows(path)
    assert first["part"] == texts["part"]
    assert first["reason"] == f"x {evil}"
    assert first["score"] == "-1.5"
    assert second["part"] == f"'{evil}"
    assert (first["ok"], second["ok"]) == ("0", "1")
    assert first["decided"] == "2026-01-01 07:00:00.000+00:00"
    assert first["key"] == "bench/b1/1"
    assert path.read_bytes().count(b"\n") == 3, "a record is one line"
    assert b',"a"";=1+1;""b",' in path.read_bytes()


def test_numbers_have_a_comma_where_spreadsheets_expect_it(tmp_path):
    with opened(make_context(tmp_path), "csv", delimiter=";", decimal=",") as output:
        output.open()
        output.send(batch(7, score=0.25))
    (path,) = tmp_path.glob("shifts/*")
    assert rows(path, ";")[0]["score"] == "0,25"
    assert list(rows(path, ";")[0]) == list(COLUMNS)


def test_only_what_is_not_ok(tmp_path):
    with opened(make_context(tmp_path), "csv", not_ok_only=True) as output:
        output.open()
        assert output.send([*batch(7), inspection(2, id=2, code=Code.LATE)]) == 2
    assert sum(map(len, written(tmp_path).values())) == 1


@pytest.mark.parametrize(
    "settings",
    [{"shifts": []}, {"shifts": ["6:00"]}, {"shifts": ["24:00"]}, {"decimal": ","}],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings):
    with fails(ConfigError, "station/config"):
        opened(make_context(tmp_path), "csv", **settings)
