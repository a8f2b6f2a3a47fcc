"""What keeping every frame as evidence costs the loop of a station, and the disk.

    python benchmarks/bench_evidence.py [--size 640x480] [--fixed-ms 5] [--rounds 15]

A synthetic camera, a simulated device that takes the same time for each frame, the journal and the
evidence of a station, in one process. Evidence is switched on (every frame is kept) and off in
turn, on the same stream; the first second of each turn is not counted. The camera's metal plate has
noise, which compresses badly. Not measured: a GPU, a model, a camera's driver, outputs.

The last line of standard output is one JSON document.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from documents import RATIO, emit, figure
from edgeseg.cards import GraphCard
from edgeseg.runtime.base import Slot
from edgeseg.runtime.fake import FakeBackend
from edgeseg.settings import parse_size
from edgeseg.station.config import CameraConfig, EvidenceConfig
from edgeseg.station.evidence.keeper import EvidenceKeeper
from edgeseg.station.evidence.kept import kept_folders
from edgeseg.station.journal import FILE, Journal
from edgeseg.station.lines.line import CameraLine, stream_config
from edgeseg.station.lines.recorder import Desk, Recorder
from edgeseg.stream.pipeline.in_flight import open_requests
from edgeseg.stream.pipeline.judge import Judge
from edgeseg.stream.sink.base import Record

SKIPPED = 1.0  # seconds at the start of each turn
NETWORK = 256


class SleepingDevice(FakeBackend):
    """Takes the same time for each frame, and no core."""

    seconds = 0.0

    def run(self) -> None:
        """Wait; the outputs stay 0."""
        time.sleep(self.seconds)


class TimedRecorder(Recorder):
    """Notes how long each frame took: to its mask, and from there to the journal."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.times: list[tuple[float, float]] = []

    def offer(self, record: Record, slot: Slot | None = None, done: int | None = None) -> None:
        """Take a result of inference."""
        began = time.perf_counter()
        super().offer(record, slot, done)
        if slot is not None:
            self.times.append((record.milliseconds, (time.perf_counter() - began) * 1e3))


def main() -> None:
    """Run the turns and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="640x480", help="of the frames, in pixels")
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second")
    parser.add_argument("--fixed-ms", type=float, default=5.0, help="of the device, for a frame")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=15, help="turns with evidence, and without")
    parser.add_argument("--folder", type=Path, help="where to write [default: a temporary folder]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        times, status, sizes = measure(Path(folder), options)
    figures = []
    for place, what in enumerate(("arrival to mask", "mask to journal")):
        for kind in ("off", "on"):
            samples = [each[place] for each in times[kind]]
            figures.append(figure(f"{what}, evidence {kind}", samples, unit="ms"))
            print(f"{figures[-1].p50:8.3f} ms p50 {figures[-1].p99:8.3f} p99  {figures[-1].name}")
        off, on = figures[-2:]
        ratio = (on.p99 or on.p50) / (off.p99 or off.p50)
        figures.append(figure(f"{what}, p99, on / off", [ratio], unit=RATIO, of=off.name))
        print(f"{ratio:8.3f} times the p99")
    figures.append(figure("bytes of a kept frame", sizes, unit="bytes"))
    print(f"{figures[-1].p50:8.0f} bytes of a kept frame; {status}")
    emit("evidence", figures, size=options.size, fps=options.fps, status=status)


def measure(
    folder: Path, options: argparse.Namespace
) -> tuple[dict[str, list[tuple[float, float]]], dict[str, Any], list[int]]:
    """Return the times of the frames with evidence on and off, the keeper's status and sizes."""
    height, width = parse_size(options.size, "--size")
    camera = CameraConfig(name="top", source=f"test://{options.size}@{options.fps:g}")
    card = GraphCard(
        name="red",
        model="destseg",
        frame_format="bgr",
        frame_shape=(1, height, width, 3),
        network_size=(NETWORK, NETWORK),
        aspect="stretch",
        threshold=0.9,
        image_threshold=2.0,
        weights_sha256="0" * 64,
        training={"top": 1},
        versions={},
    )
    settings = stream_config(camera)
    SleepingDevice.seconds = options.fixed_ms / 1e3
    judge = Judge(open_requests(SleepingDevice(card), settings), card, settings, recipe="red")
    settings_of = {"off": EvidenceConfig(quota_gb=0), "on": EvidenceConfig(good_share=1.0)}
    times: dict[str, list[tuple[float, float]]] = {"off": [], "on": []}
    with Journal(folder / FILE) as journal, EvidenceKeeper(folder) as keeper:
        keeper.use(settings_of["on"], 0.0, [card])
        recorder = TimedRecorder("top", Desk(journal, "bench", "b1", keeper=keeper))
        with CameraLine(camera, "red", {"red": judge}, recorder):
            for turn in range(2 * options.rounds):
                kind = ("off", "on")[turn % 2]
                keeper.use(settings_of[kind], 0.0, [card])
                time.sleep(SKIPPED)
                start = len(recorder.times)
                time.sleep(options.seconds)
                times[kind] += recorder.times[start:]
    folders = kept_folders(folder)[:200]
    sizes = [sum(file.stat().st_size for file in each.iterdir()) for each in folders]
    return times, keeper.status(), sizes


if __name__ == "__main__":
    main()
