"""A station whose model reports red: its file, its graph and its photos, in a folder."""

import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from onnx import save

from edgeseg.data.images import write_png
from edgeseg.station.inspection import Code, Inspection
from tests.kit.red_graph import SIDE, red_graph

RED_LIMIT = 0.7  # of the graph


def write_photos(folder, reds):
    """Write a photo for each brightness of red, in order."""
    folder.mkdir(parents=True)
    for place, red in enumerate(reds):
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        image[..., 0] = red
        image[0, 0, 1] = place  # no two are equal, or the camera would seem frozen
        write_png(folder / f"{place:03}.png", image)
    return folder


def write_station(folder, *, cameras, recipes=("plates",), rest="", **station):
    """Write a station's file; cameras: name -> the other fields of its table."""
    save(red_graph(), folder / "plates.onnx")
    lines = ["[station]", 'name = "test"', *(f"{k} = {v!r}" for k, v in station.items())]
    for name in recipes:
        lines += ["[[recipe]]", f'name = "{name}"', 'model = "plates.onnx"', "threads = 1"]
    for name, fields in cameras.items():
        lines += ["[[camera]]", f'name = "{name}"', *(f"{k} = {v!r}" for k, v in fields.items())]
    if "[page]" not in rest:
        rest += '\n[page]\naddress = ""'
    file = folder / "station.toml"
    file.write_text("\n".join([*lines, rest]) + "\n")
    return file


def inspection(sequence=1, **changes):
    """Return an inspection of a good part."""
    code = changes.pop("code", Code.OK)
    verdict = {Code.OK: "good", Code.ANOMALOUS: "anomalous"}.get(code, "unknown")
    fields = {
        "device": "bench",
        "boot": "b1",
        "sequence": sequence,
        "camera": "top",
        "recipe": "plates",
        "arrived": 1000.0,
        "decided": 1000.5,
        "verdict": verdict,
        "code": int(code),
    }
    return Inspection(**(fields | changes))


def until(condition, seconds=120.0):
    """Wait for a condition; what it returned last. A machine with other work takes its time."""
    end = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


@contextmanager
def running(file, *words):
    """Run `edgeseg station`; its process and the lines of its verdicts so far."""
    command = [sys.executable, "-m", "edgeseg", "station", str(file), *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(120)


def child(process, name):
    """Return the process id of one of its processes; None while there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_text()
        except OSError:
            continue
        if parent == process.pid and f".{name}" in words:
            return int(folder.name)
    return None
