"""A training step compared with a plain training loop, and the time of its parts.

    python benchmarks/bench_train.py [--model destseg] [--teacher efficientnet_lite0]
        [--image-size 128] [--batch 8] [--data FOLDER] [--textures FOLDER] [--clock cpu --threads 1]

The plain loop is a first implementation from the paper and a tutorial: FP32 in PyTorch's default
memory format; every image decoded and every texture read at each step, between the steps; gradients
for all weights, so that the frozen networks build a graph that is never used. The networks, losses
and synthetic anomalies are edgeseg's own.

In each round a few steps of either loop are made in turn, and the ratio is that of the round.
Networks have random weights; without FOLDERs, images are drawn parts of 256 x 192 and textures JPEG
files of 512 x 512.

`--clock cpu` counts the processor time of all threads, for a machine with other load; use it with
one thread, because waiting threads count too. It does not show that the next batch is prepared
while a step computes.

speedup      of all steps of the recipe, 1000 + 4000 for DeSTSeg, including the work before them
forward      the loss, including the frozen networks
backward     the gradients
the rest     the wait for the batch, the optimizer, copies
before       work before the first step: decoding the images, caching the teacher's features

The last line of standard output is one JSON document.
"""

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from documents import RATIO, Figure, emit, figure
from edgeseg.data.augment import relight, rotate
from edgeseg.data.images import Image, Mask, read_image, resize
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.data.synth import trained_corruptor
from edgeseg.data.textures import FolderTextures, ProceduralTextures
from edgeseg.frame.geometry import Size
from edgeseg.model.detector import Detector
from edgeseg.model.detectors import build_detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.head import Aspp
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches
from edgeseg.training.checkpoint import Checkpoint
from edgeseg.training.feature_cache import fill_cache
from edgeseg.training.losses import cosine_loss, dskd_loss, head_loss
from edgeseg.training.phases import Phase, phases
from edgeseg.training.prepare import read_images
from edgeseg.training.step import Stepper

Clock = Callable[[], float]

RATE = 1e-4  # low enough for random weights to stay finite
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
TEXTURES, TEXTURE_SIDE = 24, 512


def main() -> None:
    """Time both loops in turn and print the table."""
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch:
        folder = Path(scratch)
        data = options.data or write_parts(folder / "parts", train=16, good=0, bad=0)
        images = [sample.path for sample in open_dataset(data).train]
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
        times = measure(config, images, clock, rounds=options.rounds, steps=options.steps)
    figures = [each for phase in times for each in phase.figures()]
    figures.append(whole(times))
    for each in times:
        print(each.line())
    print(f"speedup {figures[-1].p50:.2f} over {' + '.join(str(t.steps) for t in times)} steps")
    threads = torch.get_num_threads()
    print(f"{threads} threads, n {options.rounds} of {options.steps} steps")
    facts = ("model", "teacher", "image_size", "batch", "rotation", "lighting")
    steps = {each.name: each.steps for each in times}
    settings = {name: getattr(config, name) for name in facts}
    emit("train", figures, clock=options.clock, threads=threads, steps=steps, **settings)


@dataclass
class Times:
    """One phase: seconds of a step in each round, and of its parts."""

    name: str
    steps: int
    """Steps of the recipe."""
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
        own, plain, ratio, *_ = self.figures()
        shares = [f"{part} {statistics.median(s):.0%}" for part, s in self.shares().items()]
        return (
            f"{self.name:<8} {own.p50 * 1e3:8.1f} ms   plain {plain.p50 * 1e3:8.1f} ms   speedup "
            f"{ratio.p50:.2f} ({ratio.p5 or 0:.2f} to {ratio.p95 or 0:.2f})   {', '.join(shares)}"
            f"   before {self.before:.2f} s"
        )


def whole(times: list[Times]) -> Figure:
    """Return the ratio of a whole training by round, including the work before the first step."""
    ratios = []
    for turn in range(len(times[0].own)):
        ours = sum(each.own[turn] * each.steps + each.before for each in times)
        plain = sum(each.plain[turn] * each.steps for each in times)
        ratios.append(plain / ours)
    return figure("speedup", ratios, unit=RATIO, better="higher")


def measure(
    config: TrainConfig, images: list[Path], clock: Clock, *, rounds: int, steps: int
) -> list[Times]:
    """Return the times of each phase; the first round is a warm-up."""
    torch.manual_seed(config.seed)
    settings = config.to_json()
    theirs = build_detector(
        config.model, Teacher(config.teacher), settings, (config.image_size,) * 2
    )
    ours = copy.deepcopy(theirs).to(memory_format=torch.channels_last)
    began = clock()
    batches = Batches(read_images(images, [], (config.image_size,) * 2, "stretch").pixels, config)
    decoding = clock() - began
    plain, found = PlainLoop(config, images, theirs), []
    own_phases, their_phases = (list(phases(d, config, len(images))) for d in (ours, theirs))
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
    """Cache the teacher's features as a training does; return the seconds."""
    began = clock()
    detector.eval()
    fill_cache(phase, detector, batches)
    return clock() - began


def walk(
    stepper: Stepper, batches: Batches, clock: Clock, start: int, count: int
) -> tuple[float, float, float]:
    """Make some steps as a training does; return the seconds of all, of forward and of backward.

    Includes the wait for the first batch, which in a training is one of thousands.
    """
    began = clock()
    forward = backward = 0.0
    stream = batches.stream(stepper.phase.index, start, start + count)
    for step, batch in enumerate(stream, start):
        ready = clock()
        loss = stepper.forward(batch)
        float(loss.detach())  # as a training does, to check that it is finite
        there = clock()
        stepper.backward(loss)
        back = clock()
        stepper.update(step)
        forward, backward = forward + there - ready, backward + back - there
    return clock() - began, forward, backward


Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(clean, corrupted, both normalized; mask float32 [B, 1, S, S]) -> the loss."""


class PlainLoop:
    """The plain loop: trains a detector on images that it reads again at each step."""

    def __init__(self, config: TrainConfig, images: list[Path], detector: Detector) -> None:
        self.config, self.images = config, images
        self.detector = detector.requires_grad_(True)
        assert config.textures is not None
        self.corruptor = trained_corruptor(asdict(config), ReadEachTime(config.textures))
        self.losses: dict[str, Loss] = {
            "student": self._students if isinstance(detector, DSKD) else self._student,
            "head": self._head,
        }

    def begin(self, phase: Phase) -> torch.optim.Optimizer:
        """Return the optimizer of a phase."""
        self.detector.eval()
        phase.trained.train()
        for module in phase.trained.modules():
            if isinstance(module, Aspp):
                # The module itself, not its parts: it fuses all views by one product.
                module.training = False
        parameters = [
            {"params": list(part.parameters()), "lr": rate} for part, rate in phase.learning_rates
        ]
        if self.config.optimizer == "adam":
            return torch.optim.Adam(parameters, betas=(self.config.momentum, 0.999))
        decay = self.config.weight_decay
        return torch.optim.SGD(parameters, momentum=self.config.momentum, weight_decay=decay)

    def step(self, phase: Phase, optimizer: torch.optim.Optimizer, step: int) -> None:
        rng = np.random.default_rng([self.config.seed, phase.index, step])
        places = rng.integers(len(self.images), size=self.config.batch)
        triples = [self._triple(self.images[k], rng, phase.index) for k in places]
        clean, corrupted, mask = (torch.from_numpy(np.stack(p)) for p in zip(*triples, strict=True))
        inputs = (
            self.detector.normalize(t.permute(0, 3, 1, 2).float()) for t in (clean, corrupted)
        )
        loss = self.losses[phase.name](*inputs, mask[:, None].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        float(loss.detach())

    def _triple(self, path: Path, rng: Generator, phase: int) -> tuple[Image, Image, Mask]:
        side = self.config.image_size
        clean = resize(read_image(path), side, side)
        clean = relight(rotate(clean, self.config.rotation, rng), self.config.lighting, rng)
        if self.config.corrupts[phase]:
            return (clean, *self.corruptor.corrupt(clean, rng))
        return clean, clean, np.zeros((side, side), np.bool_)

    def _student(self, clean: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        target = [level.detach() for level in self.detector.teacher(clean)]
        return cosine_loss(target, self.detector.student(corrupted))

    def _students(self, clean: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        teacher = [level.detach() for level in self.detector.teacher(clean)]
        return dskd_loss(self.detector.pairs(clean, teacher), self.config.distance_weight)

    def _head(self, clean: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        logits = self.detector.head(self.detector.head_input(corrupted).detach())
        return head_loss(logits, mask, self.config.focal_gamma, l1=self.config.l1)


class ReadEachTime(FolderTextures):
    """A folder of textures, each read and resized at every use."""

    def draw(self, rng: Generator, size: Size) -> Image:
        return resize(read_image(self.paths[rng.integers(len(self.paths))]), *size)


def _write_textures(folder: Path) -> Path:
    """Write textures as JPEG files, about the size of DTD's."""
    folder.mkdir()
    rng, drawn = np.random.default_rng(0), ProceduralTextures()
    for number in range(TEXTURES):
        texture = drawn.draw(rng, (TEXTURE_SIDE, TEXTURE_SIDE))
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
    parser.add_argument("--data", type=Path, help="a data set (default: drawn parts)")
    parser.add_argument("--textures", type=Path, help="a folder of textures (default: drawn ones)")
    parser.add_argument(
        "--rounds", type=int, default=10, help="timed rounds, after a warm-up round"
    )
    parser.add_argument("--steps", type=int, default=4, help="steps of either loop in a round")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--threads", type=int, help="of PyTorch (default: its own choice)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
