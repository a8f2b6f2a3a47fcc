"""A step of training beside the plain loop's, and where its time goes.

    python benchmarks/bench_train.py [--model destseg] [--teacher efficientnet_lite0]
        [--image-size 128] [--batch 8] [--data FOLDER] [--textures FOLDER] [--clock cpu --threads 1]

The plain loop (`plain_loop.py`) decodes every photo and reads every texture at each step, in FP32.
In each round a few steps of either are made in turn, and the ratio is that of the round. Networks
have random weights; without FOLDERs, photos are drawn parts of 256 x 192 and textures JPEG files of
512 x 512.

`--clock cpu` counts the processor's seconds of all threads, for a machine where other programs run;
with one thread alone, since threads that wait for one another count too. It does not show that the
next batch is made while a step computes.

speedup      of all steps of the recipe, 1000 + 4000 for DeSTSeg, with what is done before them
forward      the loss, with the frozen networks
backward     the gradients
the rest     the wait for the batch, the optimizer, copies
before       what is done once before the first step: photos decoded, the teacher's features kept

The last line of standard output is one JSON document.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch

from documents import RATIO, Figure, emit, figure
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.data.textures import ProceduralTextures
from edgeseg.machine.facts import this_machine
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches, load_images
from edgeseg.training.checkpoint import Checkpoint
from edgeseg.training.feature_cache import fill_cache
from edgeseg.training.phases import Phase, phases
from edgeseg.training.step import Stepper
from edgeseg.training.train import json_config
from plain_loop import Plain

Clock = Callable[[], float]

RATE = 1e-4  # random weights stay finite with it
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
TEXTURES, TEXTURE_SIDE = 24, 512


def main() -> None:
    """Time both in turn and print the table."""
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch:
        folder = Path(scratch)
        data = options.data or write_parts(folder / "parts", train=16, good=0, bad=0)
        photos = [sample.path for sample in open_dataset(data).train]
        config = TrainConfig(
            model=options.model,
            teacher=options.teacher,
            image_size=options.image_size,
            batch=options.batch,
            rotation=options.rotation,
            lighting=options.lighting,
            textures=options.textures or _write_textures(folder / "textures"),
            student_rate=RATE,
            **({"blocks_rate": RATE, "aspp_rate": RATE} if options.model == "destseg" else {}),
            device="cpu",
        )
        clock = CLOCKS[options.clock]
        times = measure(config, photos, clock, rounds=options.rounds, steps=options.steps)
    figures = [each for phase in times for each in phase.figures()]
    figures.append(whole(times))
    for each in times:
        print(each.line())
    print(f"speedup {figures[-1].p50:.2f} over {' + '.join(str(t.steps) for t in times)} steps")
    threads = torch.get_num_threads()
    print(
        f"{this_machine().line()}, {threads} threads, n {options.rounds} of {options.steps} steps"
    )
    facts = ("model", "teacher", "image_size", "batch", "rotation", "lighting")
    steps = {each.name: each.steps for each in times}
    settings = {name: getattr(config, name) for name in facts}
    emit("train", figures, clock=options.clock, threads=threads, steps=steps, **settings)


@dataclass
class Times:
    """Of one phase: seconds of a step in each round, and of its parts."""

    name: str
    steps: int
    """Of the recipe."""
    before: float
    plain: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    forward: list[float] = field(default_factory=list)
    backward: list[float] = field(default_factory=list)

    def shares(self) -> dict[str, list[float]]:
        """Return each part's share of our step, by round."""
        parts = list(zip(self.own, self.forward, self.backward, strict=True))
        return {
            "forward": [forward / own for own, forward, _ in parts],
            "backward": [backward / own for own, _, backward in parts],
            "the rest": [1 - (forward + backward) / own for own, forward, backward in parts],
        }

    def figures(self) -> list[Figure]:
        """Return the times, their ratio and the shares."""
        name = f"{self.name} step"
        ratios = [plain / own for plain, own in zip(self.plain, self.own, strict=True)]
        return [
            figure(name, self.own, unit="s"),
            figure(f"{name}, plain", self.plain, unit="s"),
            figure(f"{name}, speedup", ratios, unit=RATIO, better="higher", of=name),
            Figure(name=f"{self.name}, before the first step", unit="s", p50=self.before),
            *(
                figure(f"{name}, share of {part}", shares, unit=RATIO, of=name)
                for part, shares in self.shares().items()
            ),
        ]

    def line(self) -> str:
        """Return a row for people."""
        own, plain, ratio, *_ = self.figures()
        shares = [f"{part} {statistics.median(s):.0%}" for part, s in self.shares().items()]
        return (
            f"{self.name:<8} {own.p50 * 1e3:8.1f} ms   plain {plain.p50 * 1e3:8.1f} ms   speedup "
            f"{ratio.p50:.2f} ({ratio.p5 or 0:.2f} to {ratio.p95 or 0:.2f})   {', '.join(shares)}"
            f"   before {self.before:.2f} s"
        )


def whole(times: list[Times]) -> Figure:
    """Return the ratio of all steps of a training, by round; what is done before them counts."""
    ratios = []
    for turn in range(len(times[0].own)):
        ours = sum(each.own[turn] * each.steps + each.before for each in times)
        plain = sum(each.plain[turn] * each.steps for each in times)
        ratios.append(plain / ours)
    return figure("speedup", ratios, unit=RATIO, better="higher")


def measure(
    config: TrainConfig, photos: list[Path], clock: Clock, *, rounds: int, steps: int
) -> list[Times]:
    """Return the times of each phase; a round before those that count warms up."""
    torch.manual_seed(config.seed)
    settings = json_config(config)
    theirs = build_detector(config.model, Teacher(config.teacher), settings, config.image_size)
    ours = copy.deepcopy(theirs).to(memory_format=torch.channels_last)
    began = clock()
    batches = Batches(load_images(photos, config.image_size)[0], config)
    decoding = clock() - began
    plain, found = Plain(config, photos, theirs), []
    own_phases, their_phases = (list(phases(d, config, len(photos))) for d in (ours, theirs))
    for phase, other in zip(own_phases, their_phases, strict=True):
        before, decoding = decoding + keep(phase, ours, batches, clock), 0.0
        times = Times(phase.name, phase.steps, before)
        stepper = Stepper(phase, ours, config, Checkpoint())
        optimizer = plain.begin(other)
        for turn in range(rounds + 1):
            began = clock()
            for step in range(turn * steps, (turn + 1) * steps):
                plain.step(other, optimizer, step)
            taken = (clock() - began, *walk(stepper, batches, clock, turn * steps, steps))
            if turn:
                kinds = (times.plain, times.own, times.forward, times.backward)
                for kind, seconds in zip(kinds, taken, strict=True):
                    kind.append(seconds / steps)
        found.append(times)
    return found


def keep(phase: Phase, detector: Detector, batches: Batches, clock: Clock) -> float:
    """Keep the teacher's features as a training does; return the seconds."""
    began = clock()
    detector.eval()
    fill_cache(phase, detector, batches)
    return clock() - began


def walk(
    stepper: Stepper, batches: Batches, clock: Clock, start: int, count: int
) -> tuple[float, float, float]:
    """Make some steps as a training does; return the seconds of all, of forward and of backward.

    The first batch is waited for: in a training only the first of thousands is.
    """
    began = clock()
    forward = backward = 0.0
    stream = batches.stream(stepper.phase.index, start, start + count)
    for step, batch in enumerate(stream, start):
        ready = clock()
        loss = stepper.forward(batch)
        float(loss.detach())  # as a training does, which looks whether it is finite
        there = clock()
        stepper.backward(loss)
        back = clock()
        stepper.update(step)
        forward, backward = forward + there - ready, backward + back - there
    return clock() - began, forward, backward


def _write_textures(folder: Path) -> Path:
    """Draw textures into JPEG files, about the size of DTD's."""
    folder.mkdir()
    rng, drawn = np.random.default_rng(0), ProceduralTextures()
    for number in range(TEXTURES):
        texture = drawn.draw(rng, TEXTURE_SIDE)
        cv2.imwrite(str(folder / f"{number:02}.jpg"), texture)
    return folder


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=["destseg", "stpm", "dskd"], default="destseg")
    parser.add_argument("--teacher", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rotation", choices=["none", "slight", "full"], default="none")
    parser.add_argument("--lighting", type=float, default=0.0)
    parser.add_argument("--data", type=Path, help="a data set; default: drawn parts")
    parser.add_argument("--textures", type=Path, help="a folder of them; default: drawn ones")
    parser.add_argument("--rounds", type=int, default=10, help="that are timed, after one")
    parser.add_argument("--steps", type=int, default=4, help="of either loop in a round")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, help="of PyTorch; default: its own choice")
    return parser.parse_args()


if __name__ == "__main__":
    main()
