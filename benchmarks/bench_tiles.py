"""Which scratches of a large sheet are found, with and without tiles.

    python benchmarks/bench_tiles.py [--tiles 1x1,3x4] [--side 256] [--steps 300,150] [--count 10]

Draws sheets of brushed steel with holes, 4000 x 3000 pixels, and scratches of 2, 4, 6 and 20 pixels
width, 60 to 120 pixels long, in all directions, 20 gray levels darker than the steel, whose grain
has a deviation of 6. Trains one model for each number of tiles on the same good sheets, with a
network of the same size and the same steps; thresholds come from the same held-out sheets.

pixel    pixels of the frame in one pixel of the network
AUROC    image AUROC of the scratches of a width, against the good test sheets
missed   scratches of a width with the verdict good
located  scratches that the mask touches
rejected good test sheets that are not good by their verdict
train s  seconds of the two phases of the training
tensors  memory of the graph's tensors at one time, beside the weights (edgeseg inspect)
memory   peak of a process that opens the graph and runs it twice, ONNX Runtime and OpenVINO, FP32
frame    median time of an inference in ONNX Runtime and OpenVINO, FP32

The last line of standard output is one JSON document.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from documents import Figure, emit
from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.config import ExportConfig
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.formats.decode import Pixels
from edgeseg.data.images import Mask, read_pixels
from edgeseg.data.layouts import open_dataset
from edgeseg.evaluation.operating_points import auroc
from edgeseg.evaluation.run_images import run_images
from edgeseg.evaluation.threshold import threshold_run
from edgeseg.exporter.export import Exported, export_run
from edgeseg.frame.geometry import frame_pixels
from edgeseg.loading import open_model, open_run
from edgeseg.recipes import TrainConfig
from edgeseg.text import table
from edgeseg.training.train import train
from edgeseg.verdict.names import GOOD
from edgeseg.verdict.verdict import judge
from rounds import inference, time_rounds

WIDTHS = (2, 4, 6, 20)  # px
HOLES = 5  # along the upper edge, where tiles are not like the others
DARKER = 20  # gray levels
LONG = (0.015, 0.03)  # of the width of a sheet
RUNTIMES = ("onnxruntime", "openvino")


def sheet(rng: Generator, height: int, width: int) -> Pixels:
    """Draw a good sheet, gray uint8 [height, width]."""
    grain = rng.standard_normal((height, width), np.float32)
    brushed = cv2.blur(grain, (61, 1)) * 40 + grain * 3
    line = np.linspace(-1, 1, width, dtype=np.float32)
    light = 150 + rng.uniform(-6, 6) + rng.uniform(-12, 12) * line
    sheet = brushed + light[None, :]
    for number in range(HOLES):
        place = np.array([(number + 0.5) * width / HOLES, height / 12]) + rng.uniform(-6, 6, 2)
        cv2.circle(sheet, place.round().astype(int).tolist(), width // 60, (40,), -1, cv2.LINE_AA)
    drawn: Pixels = np.clip(sheet, 0, 255).astype(np.uint8)
    return drawn


def scratch(rng: Generator, sheet: Pixels, wide: int) -> Mask:
    """Draw a scratch on a sheet, in place; return its pixels."""
    height, width = sheet.shape
    long, angle = rng.uniform(*LONG) * width, rng.uniform(0, np.pi)
    middle = rng.uniform(0.3, 0.8, 2) * (width, height)
    half = long / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [(middle + sign * half).round().astype(int).tolist() for sign in (-1, 1)]
    cover = np.zeros((height, width), np.uint8)
    cv2.line(cover, *ends, (255,), wide, cv2.LINE_AA)
    places = cover > 0
    sheet[places] = np.clip(sheet[places] - DARKER * (cover[places] / 255), 0, 255)
    return np.asarray(cover > 127)


def write_sheets(root: Path, options: argparse.Namespace) -> Path:
    """Write a data set in the MVTec AD layout, unless there is one."""
    if root.is_dir():
        return root
    rng = np.random.default_rng(options.seed)
    size = (options.width * 3 // 4, options.width)
    kinds = {"train/good": options.train, "test/good": options.count}
    kinds |= {f"test/scratch-{wide:02}": options.count for wide in WIDTHS}
    for kind, count in kinds.items():
        folder, label = root / kind, kind.partition("/")[2]
        folder.mkdir(parents=True)
        for number in range(count):
            drawn = sheet(rng, *size)
            if label != "good":
                mask = scratch(rng, drawn, int(label.partition("-")[2]))
                truth = root / "ground_truth" / label / f"{number:03}_mask.png"
                truth.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(truth), mask.astype(np.uint8) * 255)
            quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
            cv2.imwrite(str(folder / f"{number:03}.jpg"), drawn, quality)
    return root


@dataclass
class Found:
    """What one model found."""

    card: ModelCard
    scores: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    passed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    located: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def pixel(self) -> float:
        """Pixels of the frame in one of the network."""
        frame = self.card.frame_size
        return frame_pixels(frame, self.card.map_size) if frame else float("nan")


def judged(run: Path, data: Path) -> Found:
    """Run the test sheets through a run."""
    card, dataset = read_card(run / CARD, ModelCard), open_dataset(data)
    found = Found(card)
    paths = [sample.path for sample in dataset.test]
    with closing(open_run(run, frame_size=card.frame_size)) as backend:
        limit = backend.card.image_threshold
        for each in run_images(backend, paths, title="judge", damaged=DamagedImages()):
            sample = dataset.test[each.place]
            verdict = judge(each.score, limit, each.input_check, backend.card.input_check).name
            found.scores[sample.label].append(each.score)
            found.passed[sample.label] += verdict == GOOD
            if sample.mask is not None:
                found.located[sample.label] += bool(each.mask[read_pixels(sample.mask) > 0].any())
    return found


def measure(exported: Exported) -> dict[str, float]:
    """Return what a graph needs in each runtime: MB, in a process of its own."""
    found = {}
    for runtime in RUNTIMES:
        done = subprocess.run(
            [sys.executable, __file__, "--measure", str(exported.graph), runtime],
            check=True,
            capture_output=True,
            text=True,
        )
        found[runtime] = json.loads(done.stdout.splitlines()[-1])
    return found


def taken(graph: Path, runtime: str) -> float:
    """Return the peak memory of this process in MB, after two inferences."""
    backend = open_model(graph, runtime=runtime, threads=1)
    slot = backend.new_slot()
    backend.bind(slot)
    for _ in range(2):
        backend.run()
    lines = Path("/proc/self/status").read_text().splitlines()  # of Linux
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


def main() -> None:
    """Draw, train, judge and print the table."""
    options = _options()
    if options.measure:
        print(json.dumps(taken(Path(options.measure[0]), options.measure[1])))
        return
    student, head = map(int, options.steps.split(","))
    rows = [["tiles", "pixel", "kind", "AUROC", "missed", "located", "rejected", "train s"]]
    costs = [["tiles", "tensors MB", *(f"{name} MB" for name in RUNTIMES), *RUNTIMES]]
    figures, graphs = [], {}
    with ExitStack() as stack:
        folder = options.out or stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeseg-"))
        data = write_sheets(Path(folder) / "sheets", options)
        for tiles in options.tiles.split(","):
            config = TrainConfig(
                profile=options.profile,
                image_size=options.side,
                tiles=tiles,
                student_steps=student,
                head_steps=head,
                holdout=0.25,
                seed=options.seed,
            )
            run = Path(folder) / f"sheets-{tiles}"
            if not (run / CARD).is_file():
                train(open_dataset(data), config, run, preview=False)
            threshold_run(run, data, options.false_reject_rate)
            found = judged(run, data)
            rows += lines(tiles, found)
            figures += measured(tiles, found)
            graphs[tiles] = export_run(run, ExportConfig(format="gray"), data=data)
        print("\n".join(table(rows, "<><>>>>>")))
        if options.rounds:
            times = timed(graphs, options.rounds)
            for tiles, exported in graphs.items():
                memory, tensors = measure(exported), exported.tensor_bytes / 1e6
                costs.append(
                    [tiles, f"{tensors:.0f}", *(f"{memory[name]:.0f}" for name in RUNTIMES)]
                    + [f"{1e3 * np.median(times[tiles, name]):.0f} ms" for name in RUNTIMES]
                )
                for name in RUNTIMES:
                    middle = float(np.median(times[tiles, name]))
                    figures.append(Figure(name=f"{tiles}, frame in {name}", unit="s", p50=middle))
                    taken_mb = Figure(name=f"{tiles}, {name}", unit="MB", p50=memory[name])
                    figures.append(taken_mb)
            print("\n".join(["", *table(costs, "<>>>>>")]))
    emit("tiles", figures)


def timed(graphs: dict[str, Exported], count: int) -> dict[tuple[str, str], list[float]]:
    """Return the seconds of inferences by tiles and runtime, measured in turn."""
    with ExitStack() as stack:
        opened = {
            (tiles, runtime): stack.enter_context(
                open_model(exported.graph, runtime=runtime, threads=1)
            )
            for tiles, exported in graphs.items()
            for runtime in RUNTIMES
        }
        candidates = [inference(backend, None) for backend in opened.values()]
        seconds = time_rounds(candidates, count, 1)
    return dict(zip(opened, seconds.tolist(), strict=True))


def lines(tiles: str, found: Found) -> list[list[str]]:
    """Return the rows of the table for one model."""
    good = np.array(found.scores["good"])
    rejected = f"{len(good) - found.passed['good']}/{len(good)}"
    rows = []
    for label in sorted(set(found.scores) - {"good"}):
        scores = np.array(found.scores[label])
        rows.append(
            [
                "" if rows else tiles,
                "" if rows else f"{found.pixel:.1f}",
                label,
                f"{auroc(scores, good):.3f}",
                f"{found.passed[label]}/{len(scores)}",
                f"{found.located[label]}/{len(scores)}",
                "" if rows else rejected,
                "" if rows else f"{sum(found.card.seconds.values()):.0f}",
            ]
        )
    return rows


def measured(tiles: str, found: Found) -> list[Figure]:
    """Return the figures of one model."""
    good = np.array(found.scores["good"])
    rejected = 1 - found.passed["good"] / len(good)
    figures = [
        Figure(name=f"{tiles}, pixels of the frame in one", unit="px", p50=found.pixel),
        Figure(name=f"{tiles}, false-reject rate", unit="1", n=len(good), p50=rejected),
    ]
    for label in sorted(set(found.scores) - {"good"}):
        scores, name = np.array(found.scores[label]), f"{tiles}, {label}"
        figures.append(
            Figure(name=f"{name}, AUROC", unit="1", better="higher", p50=auroc(scores, good))
        )
        for what, count in (("missed", found.passed), ("not located", found.located)):
            share = count[label] / len(scores)
            share = share if what == "missed" else 1 - share
            figures.append(Figure(name=f"{name}, {what}", unit="1", n=len(scores), p50=share))
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tiles", default="1x1,3x4", help="ROWSxCOLUMNS, comma-separated")
    parser.add_argument("--width", type=int, default=4000, help="of the sheets, px")
    parser.add_argument("--train", type=int, default=32, help="good sheets; a quarter is held out")
    parser.add_argument("--count", type=int, default=10, help="test sheets of each kind")
    parser.add_argument("--profile", default="line")
    parser.add_argument("--side", type=int, default=256, help="of the network, px")
    parser.add_argument("--steps", default="300,150", help="of student and head")
    parser.add_argument("--false-reject-rate", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=10, help="timed inferences; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="sheets and runs, used again where they exist")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
