"""Following a tag in processes of their own, which are killed."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from edgeseg.station.config import read_station
from edgeseg.station.following.current import folder_of, read_current
from tests.kit.followed import follow, keep_frames, release
from tests.kit.registry import Peer
from tests.kit.stations import child, running, until
from tests.station.test_supervisor import OUTPUT, lines

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a station needs Linux")


def test_an_attempt_ends_with_its_follower(tmp_path):
    asked, over = threading.Event(), threading.Event()
    with Peer(lambda handler: asked.set() or over.wait(300)) as peer:
        file = follow(tmp_path / "station", f"{peer.host}/line/bottle:stable")
        digest = f"sha256:{'0' * 64}"
        command = [sys.executable, "-m", "edgeseg.fleet.attempt", file, "plates", digest]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            assert asked.wait(120)
            process.stdin.close()
            assert process.wait(120) == 1
        over.set()


NOISY = """
import atexit, os
from edgeseg.fleet import attempt as module
def attempt(*words):
    os.write(1, b"noise\\n" * 99_999)
    return module.Attempted(outcome="waits")
atexit.register(os.write, 1, b"bye\\n")
module.attempt = attempt
module.main(["station.toml", "plates", "sha256:0"])
"""


def test_what_a_library_prints_is_no_outcome(tmp_path):
    """Nor does it fill the pipe, which the follower reads at the end."""
    pipe = subprocess.PIPE
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, "-c", NOISY]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log) as process:
            try:
                assert process.wait(120) == 0
            finally:
                process.kill()
            assert json.loads(process.stdout.read())["outcome"] == "waits"
    assert (tmp_path / "log").read_bytes().count(b"noise") == 99_999


STEPS = (
    "first blob begun",
    "first blob there",
    "all blobs there",
    "manifest written",
    "engine half built",
    "engine without card",
    "judged",
    "trial noted",
    "trial opened",
    "kept",
)


def test_killed_at_every_step_the_model_of_before_runs_and_the_next_look_ends_it(tmp_path, place):
    file = follow(tmp_path / "station", place)
    keep_frames(file)
    digest = release(tmp_path / "new", place, limit=0.72)
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.kill_steps", str(file)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == list(STEPS)
    for step, each in found.items():
        assert each["signal"] == signal.SIGKILL, step
        assert each["limit"] == (0.72 if step == "kept" else 0.7), step
        assert (each["next_problem"], each["next_limit"]) == ("", 0.72), step
        assert each["running"] == digest


def test_a_station_takes_a_new_model_and_survives_what_is_killed(tmp_path, place, monkeypatch):
    """The real processes, once; without `nice`, by which other tests would let them starve."""
    monkeypatch.setenv("PATH", str(tmp_path))
    first = release(tmp_path / "first", place, limit=0.72)
    file = follow(tmp_path / "s", place, fleet="poll_s = 1\n", rest=OUTPUT)
    file.write_text(file.read_text().replace("trial_s = 0", "trial_s = 4"))
    keep_frames(file)
    folder = folder_of(read_station(file).folder, "plates")

    def on_trial(digest):
        current = read_current(folder)
        return current.now and current.now.digest == digest and current.trial

    def kept(digest):
        current = read_current(folder)
        return current.now and current.now.digest == digest and not current.trial

    with running(file) as process:
        assert until(lambda: kept(first))
        inspector = child(process, "inspector")
        second = release(tmp_path / "second", place, number=2)
        assert until(lambda: on_trial(second))
        os.kill(child(process, "follower"), signal.SIGKILL)
        assert until(lambda: kept(second))
        assert child(process, "inspector") == inspector
        third = release(tmp_path / "third", place, number=3)
        assert until(lambda: on_trial(third))
        os.kill(inspector, signal.SIGKILL)
        assert until(lambda: read_current(folder).ended == {third: 1})
        assert until(lambda: kept(third))
        assert read_current(folder).before.digest == second
        count = len(lines(file))
        assert until(lambda: len(lines(file)) > count + 5)
    boots = list(dict.fromkeys(each["boot"] for each in lines(file)))
    for boot in boots:
        numbers = [each["sequence"] for each in lines(file) if each["boot"] == boot]
        assert numbers == list(range(1, len(numbers) + 1))
