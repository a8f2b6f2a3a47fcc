"""The real thing: processes that are killed, read their file again, and end."""

import json
import os
import signal
import sys

import pytest

from tests.kit.stations import child, running, until, write_photos, write_station

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a station needs Linux")
OUTPUT = '[[output]]\nkind = "jsonl"\npath = "verdicts.jsonl"\n'


def lines(file):
    path = file.with_name("verdicts.jsonl")
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def test_all_photos_are_judged_and_told_in_order(tmp_path):
    write_photos(tmp_path / "photos", [0, 100, 255, 50, 250])
    cameras = {"top": {"source": str(tmp_path / "photos"), "mode": "file"}}
    file = write_station(tmp_path, cameras=cameras, rest=OUTPUT)
    with running(file) as process:
        found = until(lambda: lines(file) if len(lines(file)) == 5 else None)
    assert process.returncode == 0
    verdicts = [each["verdict"] for each in found]
    assert verdicts == ["good", "good", "anomalous", "good", "anomalous"]
    assert [each["ok"] for each in found] == [True, True, False, True, False]


@pytest.mark.parametrize("victim", ["inspector", "gateway"])
def test_a_killed_process_comes_back_and_no_record_is_lost(tmp_path, victim):
    cameras = {"top": {"source": "test://64x48@20"}, "side": {"source": "test://32x32@10"}}
    file = write_station(tmp_path, cameras=cameras, rest=OUTPUT)
    with running(file) as process:
        assert until(lambda: len(lines(file)) > 20)
        first = child(process, victim)
        os.kill(first, signal.SIGKILL)
        assert until(lambda: child(process, victim) not in (None, first))
        before = len(lines(file))
        assert until(lambda: len(lines(file)) > before + 20)
    found = lines(file)
    once = list(dict.fromkeys(each["id"] for each in found))
    assert once == list(range(1, len(once) + 1))
    boots = list(dict.fromkeys(each["boot"] for each in found))
    assert len(boots) == (2 if victim == "inspector" else 1)
    for boot in boots:
        numbers = {each["sequence"] for each in found if each["boot"] == boot}
        assert numbers == set(range(1, len(numbers) + 1))


def test_a_new_file_is_read_without_an_end(tmp_path):
    cameras = {"top": {"source": "test://64x48@20"}}
    file = write_station(tmp_path, cameras=cameras, rest=OUTPUT)
    with running(file) as process:
        assert until(lambda: len(lines(file)) > 5)
        inspector = child(process, "inspector")
        file.write_text(file.read_text().replace('"plates"', '"second"'))
        process.send_signal(signal.SIGHUP)
        assert until(lambda: lines(file)[-1]["recipe"] == "second")
        assert child(process, "inspector") == inspector
    found = lines(file)
    assert [each["sequence"] for each in found] == list(range(1, len(found) + 1))


def test_a_file_is_read_again_also_where_the_inspector_was_killed_just_before(tmp_path):
    file = write_station(tmp_path, cameras={"top": {"source": "test://64x48@20"}}, rest=OUTPUT)
    with running(file) as process:
        assert until(lambda: lines(file))
        os.kill(child(process, "inspector"), signal.SIGKILL)
        assert until(lambda: child(process, "inspector") is None)
        second = OUTPUT.replace("verdicts.jsonl", 'second.jsonl"\nname = "second')
        file.write_text(file.read_text() + second)
        process.send_signal(signal.SIGHUP)
        assert until(tmp_path.joinpath("second.jsonl").exists)


WRONG = {
    "nonsense": "nonsense",
    "a line that the machine lacks": '[[gpio]]\nchip = "/dev/none"\nok = 1\n',
    "another folder": None,
    "an output without its path": '[[output]]\nkind = "jsonl"\nname = "second"\n',
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_changes_nothing(tmp_path, wrong):
    cameras = {"top": {"source": "test://64x48@20"}}
    file = write_station(tmp_path, cameras=cameras, rest=OUTPUT)
    with running(file) as process:
        assert until(lambda: len(lines(file)) > 5)
        before = child(process, "inspector"), child(process, "gateway")
        text = file.read_text()
        file.write_text(
            text + WRONG[wrong]
            if WRONG[wrong]
            else text.replace('name = "test"', 'name = "test"\nfolder = "other"')
        )
        process.send_signal(signal.SIGHUP)
        said = iter(process.stderr.readline, "")
        assert any("not taken" in line or "stay as they were" in line for line in said)
        count = len(lines(file))
        assert until(lambda: len(lines(file)) > count + 10)
        assert (child(process, "inspector"), child(process, "gateway")) == before
    found = lines(file)
    assert [each["sequence"] for each in found] == list(range(1, len(found) + 1))
    assert {each["recipe"] for each in found} == {"plates"}


def test_what_cannot_begin_says_why_and_ends(tmp_path):
    file = write_station(tmp_path, cameras={"top": {"source": "test://64x48@20"}})
    (tmp_path / "plates.onnx").unlink()
    with running(file) as process:
        _, said = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "recipe plates: not found" in said
    assert "Traceback" not in said
