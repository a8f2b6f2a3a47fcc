"""What the proof of the station breaks."""

import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from station_peers import HOUR, Clock, Network, fill, mounted, without_steps

CLOCKS = """
import time
for _ in range(2):
    print(time.time(), time.monotonic(), flush=True)
    time.sleep(0.001)  # must not fail where the clock has stepped
    input()
"""


def test_the_clock_of_one_process_steps(tmp_path):
    clock = Clock(tmp_path)
    if clock.why:
        pytest.skip(clock.why)
    clock.step(1)
    process = subprocess.Popen(
        [sys.executable, "-c", CLOCKS],
        env=clock.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        ahead, monotonic = map(float, process.stdout.readline().split())
        assert ahead - time.time() == pytest.approx(HOUR, abs=60)
        assert monotonic == pytest.approx(time.monotonic(), abs=60)
        clock.step(-1)
        print(file=process.stdin, flush=True)
        back, later = map(float, process.stdout.readline().split())
        process.stdin.close()
    assert back - time.time() == pytest.approx(-HOUR, abs=60)
    assert later > monotonic


def test_a_time_of_a_stepped_clock_is_taken_back():
    assert without_steps(5000.0 + HOUR, 5003.0) == 5000.0
    assert without_steps(5000.0 - HOUR, 5003.0) == 5000.0
    assert without_steps(5000.0, 5003.0) == 5000.0


def test_a_cable_is_pulled_and_plugged_in():
    with ExitStack() as stack:
        network = Network(stack)
        if network.why:
            pytest.skip(network.why)
        assert _answers(network)
        network.cut()
        assert not _answers(network)
        network.mend()
        assert any(_answers(network) for _ in range(30))  # a neighbor is asked for once a second


def test_a_small_disk_is_filled(tmp_path):
    place = tmp_path / "state"
    with ExitStack() as stack:
        why = mounted(place, "1m", stack)
        if why:
            pytest.skip(why)
        fill(place / "big")
        with pytest.raises(OSError, match="No space"):
            (place / "other").write_bytes(bytes(1 << 14))
        (place / "big").unlink()
        (place / "other").write_bytes(bytes(1 << 14))
    assert not (place / "other").exists()


def _answers(network: Network) -> bool:
    """Whether the other end is there: a closed port answers, a pulled cable does not."""
    code = (
        "import socket, sys\n"
        "try: socket.create_connection((sys.argv[1], 9), 0.3)\n"
        "except ConnectionRefusedError: pass"
    )
    words = [sys.executable, "-c", code, network.host]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
