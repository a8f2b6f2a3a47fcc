"""How long a station takes from a new tag to a new model, and what it costs the frames.

    python benchmarks/bench_follow.py [--side 256] [--frames 100] [--rounds 3]

A registry on this machine (docker-registry of Debian), a station with one camera of 10 frames per
second that follows a tag, a network of `--side` pixels with random weights (profile edge, OpenVINO)
and `--frames` kept frames. Each round pushes the model with other thresholds, waits until it is
kept, and reads the journal. The attempt runs at the lowest priority beside the station.

push          the graph, by `edgeseg push`
pull, engine  the model to the disk; the engine built here and compared with its graph
replay        the kept frames, by one thread
whole         from the push to the kept model, with 1 s of polling and 1 s of trial
gap           the longest time between two frames during the round; 100 ms without a switch

The last line of standard output is one JSON document.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import onnx

from bench_profiles import eager
from documents import emit, figure
from edgeseg.cards import metadata_from
from edgeseg.config import ExportConfig
from edgeseg.exporter.export import export_graph
from edgeseg.fleet.config import PushConfig
from edgeseg.fleet.push import push
from edgeseg.recipes import TrainConfig
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.station.following.current import folder_of, read_current
from edgeseg.station.following.state import read_following
from edgeseg.station.journal import FILE, JournalReader
from station_peers import HOST, free_port

REGISTRY = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/registry}}}}
http: {{addr: "{host}"}}
"""
STATION = """[[recipe]]
name = "parts"
model = "light.onnx"
follow = "{host}/line/parts:stable"
[[camera]]
name = "top"
source = "test://{side}x{side}@10"
[evidence]
good_share = 1.0
[fleet]
precision = "fp32"
poll_s = 1
trial_s = 1
max_changed = 1.0
min_frames = 5
newest = {frames}
[page]
address = ""
"""
STEPS = re.compile(r"(pull|engine|replay) ([0-9.]+) s")
PATIENCE = 900.0  # seconds for one round


def main() -> None:
    """Measure, and print a table and the document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=256, help="of the network and the frames, px")
    parser.add_argument("--frames", type=int, default=100, help="kept frames that are judged")
    parser.add_argument("--rounds", type=int, default=3, help="new models")
    options = parser.parse_args()
    program = shutil.which("docker-registry")
    if program is None:
        sys.exit("no registry: apt-get install docker-registry")
    samples: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = TrainConfig(image_size=options.side, profile="edge")
        with eager(config, "light") as network:
            export_graph(network, folder / "light.onnx", ExportConfig(tolerance=1e-3))
        with running(program, folder, options) as host:
            for number in range(options.rounds):
                for step, seconds in one_round(folder, host, number, options).items():
                    samples.setdefault(step, []).append(seconds)
        size = (folder / "light.onnx").stat().st_size
    for step, seconds in samples.items():
        print(f"{step:8} {', '.join(f'{each:.2f}' for each in seconds)} s")
    figures = [figure(step, seconds, unit="s") for step, seconds in samples.items()]
    emit("follow", figures, side=options.side, frames=options.frames, bytes=size)


@contextmanager
def running(program: str, folder: Path, options: argparse.Namespace) -> Iterator[str]:
    """Run a registry and a station with kept frames; yield the registry's host."""
    host = f"{HOST}:{free_port()}"
    (folder / "registry.yml").write_text(REGISTRY.format(folder=folder, host=host))
    file = folder / "station.toml"
    file.write_text(STATION.format(host=host, **vars(options)))
    station = [sys.executable, "-m", "edgeseg", "station", str(file)]
    with (
        (folder / "registry.log").open("w") as registry_log,
        (folder / "station.log").open("w") as log,
        subprocess.Popen([program, "serve", folder / "registry.yml"], stderr=registry_log) as one,
        subprocess.Popen(station, stdout=log, stderr=log) as two,
    ):
        try:
            kept = folder / "station/evidence"
            wait(lambda: len(list(kept.glob("*/*"))) > options.frames)
            yield host
        finally:
            two.terminate()
            two.wait()
            one.kill()


def one_round(
    folder: Path, host: str, number: int, options: argparse.Namespace
) -> dict[str, float]:
    """Push a model and wait until it is kept; return the seconds of each step."""
    graph = folder / "light.onnx"
    model, card = onnx.load(graph), read_onnx_card(graph)
    changed = metadata_from(card) | {"edgeseg.versions": f'{{"release": "{number}"}}'}
    onnx.helper.set_model_props(model, changed)
    path = folder / "pushed/light.onnx"
    path.parent.mkdir(exist_ok=True)
    onnx.save(model, path)
    log, began = folder / "station.log", time.time()
    digest = push(path, f"{host}/line/parts:stable", PushConfig()).digest
    pushed = time.time()
    place = folder_of(folder / "station", "parts")

    def kept() -> bool:
        state, current = read_following(place), read_current(place)
        if digest in state.refused:
            sys.exit(state.problem)
        return current.now is not None and current.now.digest == digest and not current.trial

    wait(kept)
    ended = time.time()
    wait(lambda: f"{digest} runs" in log.read_text())
    (line,) = (line for line in log.read_text().splitlines() if f"{digest} runs" in line)
    with JournalReader(folder / "station" / FILE) as reader:
        records = reader.after(max(reader.last - 20_000, 0), 20_000)
    times = [each.arrived for each in records if began <= each.arrived <= ended]
    gap = max(later - earlier for earlier, later in pairwise(times))
    steps = {step: float(seconds) for step, seconds in STEPS.findall(line)}
    return {"push": pushed - began, **steps, "whole": ended - began, "gap": gap}


def wait(condition: Callable[[], bool]) -> None:
    """Wait for a condition; give up after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit("it took too long")
        time.sleep(0.02)


if __name__ == "__main__":
    main()
