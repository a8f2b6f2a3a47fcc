"""What viewers of the page cost the loop of a station: none, one and many in turn.

    python benchmarks/bench_page.py MODEL [--size 640x480] [--viewers 20] [--rounds 10]

A station with one software camera, its journal and its page runs in its own processes. Viewers,
in one process of the lowest priority, read the live picture and the events as fast as they come;
one more never reads. The time of a frame is that of its record: arrival to mask. The first second
of each turn is not counted. On one machine the viewers need cores too; in a factory they have
their own.

The last line of standard output is one JSON document.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from documents import RATIO, emit, figure
from edgeseg.station.journal import FILE, JournalReader
from edgeseg.text import table
from station_faults import HOST, free_port

STATION = """
[station]
folder = "state"
[page]
address = "{host}:{port}"
[evidence]
quota_gb = 0
[[recipe]]
name = "model"
model = {model}
threads = 1
[[camera]]
name = "top"
source = "test://{size}@{fps:g}"
"""
VIEWERS = """
import socket, sys, threading, time
host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
total = 0
def view(path, reads=True):
    global total
    with socket.create_connection((host, port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\n\\r\\n".encode())
        while reads:
            got = len(connection.recv(1 << 16))
            if not got:
                sys.exit(f"{path} has ended")
            total += got
        time.sleep(3600)
for path in ("/live/top", "/api/events") * count:
    threading.Thread(target=view, args=(path,), daemon=True).start()
threading.Thread(target=view, args=("/live/top", False), daemon=True).start()
sys.stdin.readline()
print(total)
"""
SKIPPED = 1.0  # seconds at the start of each turn
WARM_UP = 3.0  # seconds


def main() -> None:
    """Run the turns and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, help="an engine, an ONNX file or a run")
    parser.add_argument("--size", default="640x480", help="of the frames, in pixels")
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second")
    parser.add_argument("--viewers", type=int, default=20, help="how many are many")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=10, help="turns with each number of viewers")
    options = parser.parse_args()
    counts = (0, 1, options.viewers)
    turns, sent = [], defaultdict(int)
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        file, model = folder / "station.toml", repr(str(options.model.resolve()))
        settings = {"size": options.size, "fps": options.fps, "model": model}
        file.write_text(STATION.format(host=HOST, port=port, **settings))
        station = subprocess.Popen([sys.executable, "-m", "edgeseg", "station", str(file)])
        try:
            with JournalReader(_began(folder / "state" / FILE)) as journal:
                time.sleep(WARM_UP)
                for count in counts * options.rounds:
                    viewers = _view(port, count) if count else None
                    time.sleep(SKIPPED)
                    began = time.time()
                    time.sleep(options.seconds)
                    turns.append((count, began, time.time()))
                    if viewers is not None:
                        sent[count] += int(viewers.communicate("\n")[0])
                records = journal.after(0, 10**9)
        finally:
            station.terminate()
            station.wait(40)
    times = {
        count: [
            each.ms
            for turn, began, ended in turns
            for each in records
            if turn == count and each.ms is not None and began <= each.decided <= ended
        ]
        for count in counts
    }
    figures = [figure(f"{count} viewers", times[count], unit="ms") for count in counts]
    rows = [("page", "frames", "p50 ms", "p99 ms")]
    rows += [(each.name, str(each.n), f"{each.p50:.2f}", f"{each.p99:.2f}") for each in figures]
    print("\n".join(table(rows, "<>>>")))
    none = figures[0]
    for count, each in list(zip(counts, figures, strict=True))[1:]:
        ratio = (each.p99 or each.p50) / (none.p99 or none.p50)
        figures.append(figure(f"{count} viewers, p99, ratio", [ratio], unit=RATIO, of=none.name))
        rate = sent[count] / options.rounds / (options.seconds + SKIPPED) / 1e6
        print(f"{count} viewers: {ratio:.3f} of the p99 of none; they got {rate:.2f} MB/s")
    emit("page", figures, size=options.size, fps=options.fps)


def _view(port: int, count: int) -> "subprocess.Popen[str]":
    command = ["nice", "-n", "19", sys.executable, "-c", VIEWERS, HOST, str(port), str(count)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _began(journal: Path) -> Path:
    """Return the journal once there is one."""
    end = time.monotonic() + 60
    while not journal.exists():
        if time.monotonic() > end:
            raise RuntimeError("the station did not begin")
        time.sleep(0.1)
    return journal


if __name__ == "__main__":
    main()
