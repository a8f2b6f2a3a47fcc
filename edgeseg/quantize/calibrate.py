"""The ranges that INT8 needs: how large each tensor of a graph gets on frames of good parts.

One pass of ONNX Runtime over the exported FP32 graph, one histogram for each tensor that is going
to be quantized. An anomaly map is read by a threshold, so its tails are the signal: by default only
teacher and student are clipped, and from their product on every value seen is kept.
"""

import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import GraphCard
from edgeseg.config import CalibrateConfig
from edgeseg.data.images import fill_frame, read_image, resize
from edgeseg.data.layouts import Dataset, Sample, open_dataset
from edgeseg.data.synth import trained_corruptor
from edgeseg.data.textures import ProceduralTextures
from edgeseg.errors import DataError, ModelError
from edgeseg.extras import installed
from edgeseg.files import sha256
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph, name_of
from edgeseg.graph.modules import Module
from edgeseg.log import log
from edgeseg.progress import task
from edgeseg.quantize.calibration_file import Range, Ranges, ranges_path, write_ranges
from edgeseg.quantize.histogram import Histogram
from edgeseg.quantize.placement import measured
from edgeseg.quantize.ranges import watch

HASH = 16  # digits of a SHA-256 that the file of ranges keeps


@dataclass(frozen=True)
class Shot:
    """One image to calibrate on: a file, or with a number the file under a synthetic anomaly."""

    sample: Sample
    anomaly: int | None = None


@dataclass(frozen=True)
class Calibrated:
    """A file of ranges that was written."""

    path: Path
    ranges: Ranges
    seconds: float

    def summary(self) -> str:
        """Return the file, its basis, and the tensor that is clipped most."""
        tensors = self.ranges.tensors
        methods = Counter(found.method for found in tensors.values())
        counts = ", ".join(f"{count} by {name}" for name, count in sorted(methods.items()))
        tightest = min(tensors.values(), key=_kept)
        lines = [
            f"{self.path}: {len(tensors)} tensors ({counts}), {len(self.ranges.frames)} frames, "
            f"{self.seconds:.1f} s",
            f"clipped most: what {tightest.reader} reads, to {100 * _kept(tightest):.0f} % of its "
            f"peak {tightest.peak:.4g}",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the file, its hash and what it rests on."""
        return {
            "ranges": str(self.path),
            "sha256": sha256(self.path),
            "graph_sha256": self.ranges.graph_sha256,
            "tensors": len(self.ranges.tensors),
            "frames": len(self.ranges.frames),
            "settings": self.ranges.settings,
            "seconds": round(self.seconds, 2),
        }


def calibrate(
    graph: Path, data: Path, config: CalibrateConfig, *, out: Path = Path("calibration")
) -> Calibrated:
    """Measure the ranges of an exported graph; write <out>/<name>.ranges.json.

    data: a folder of images in a known layout. Errors: DataError for a folder that has not what
    the settings ask for, ModelError for another file or a graph that computes NaN.
    """
    started = time.perf_counter()
    model, card = read_graph(graph)
    dataset = open_dataset(data)
    shots = choose(dataset, config)
    view = Graph(model)
    tensors = measured(view)
    histograms = {name: Histogram() for name in tensors}
    hashes: dict[str, str] = {}
    with task("calibrate", len(shots)) as bar:
        frames = _frames(shots, dataset, card, config, hashes)
        batch = card.frame_shape[0]
        for index, values in enumerate(watch(model, card, list(tensors), frames)):
            for name, value in zip(tensors, values, strict=True):
                _check_finite(name, value, graph)
                histograms[name].add(value)
            for _ in range(min(batch, len(shots) - index * batch)):
                bar.advance()
    values_by_name = view.tensors()
    ranges = Ranges(
        graph=graph.name,
        graph_sha256=sha256(graph),
        settings=dataclasses.asdict(config),
        versions={"onnxruntime": installed("onnxruntime") or "?"},
        tensors={
            name: _range(
                histograms[name], config, module, name_of(values_by_name[name].consumers()[0])
            )
            for name, module in tensors.items()
        },
        frames=hashes,
    )
    path = ranges_path(card.name, out)
    write_ranges(path, ranges)
    return Calibrated(path, ranges, time.perf_counter() - started)


def choose(dataset: Dataset, config: CalibrateConfig) -> list[Shot]:
    """Choose the images, by seed; DataError when there are none of a kind that is asked for."""
    defective = [sample for sample in dataset.test if not sample.good]
    wanted = (
        ("good", config.good_count, dataset.train),
        ("defective", config.defective_count, defective),
        ("good", config.synthetic_count, dataset.train),
    )
    shots: list[Shot] = []
    for stream, (kind, count, samples) in enumerate(wanted):
        if count and not samples:
            raise DataError(
                f"{dataset.root} ({dataset.layout} layout) holds no {kind} image.",
                remedy="--defective-count 0"
                if kind == "defective"
                else "name a folder with good images",
            )
        order = np.random.default_rng([config.seed, stream]).permutation(len(samples))
        if stream == 2:  # an image may carry more than one anomaly, one at a time
            shots += [Shot(samples[order[k % len(order)]], k) for k in range(count)]
            continue
        if count > len(samples):
            log.info(f"{count} {kind} images were asked for, and {dataset.root} has {len(samples)}")
        shots += [Shot(samples[index]) for index in sorted(order[:count].tolist())]
    return shots


def _frames(
    shots: list[Shot],
    dataset: Dataset,
    card: GraphCard,
    config: CalibrateConfig,
    hashes: dict[str, str],
) -> Iterator[NDArray[np.uint8]]:
    """Yield the graph's frames, uint8 [N, H, W, C]; note each image's hash on the way.

    A last batch that is short is filled with the batch's first image, which changes no extreme.
    """
    corruptor = trained_corruptor(card.training, ProceduralTextures())
    batch = np.empty(card.frame_shape, np.uint8)
    for start in range(0, len(shots), len(batch)):
        for place, frame in enumerate(batch):
            if start + place >= len(shots):
                frame[:] = batch[0]
                continue
            shot = shots[start + place]
            name = shot.sample.path.relative_to(dataset.root).as_posix()
            image = read_image(shot.sample.path)
            if shot.anomaly is None:
                hashes[name] = sha256(shot.sample.path)[:HASH]
            else:
                rng = np.random.default_rng([config.seed, 3, shot.anomaly])
                image, _ = corruptor.corrupt(resize(image, card.image_size, card.image_size), rng)
                digest = hashlib.sha256(image.tobytes()).hexdigest()
                hashes[f"{name} with anomaly {shot.anomaly}"] = digest[:HASH]
            fill_frame(frame, image, source="rgb", target=card.frame_format)
        yield batch


def _check_finite(name: str, value: NDArray[np.float32], graph: Path) -> None:
    # A sum is finite unless a value is not, and takes one look at each.
    if not np.isfinite(value.sum(dtype=np.float64)):
        raise ModelError(
            f"{graph} computes NaN or infinity in {name}.",
            remedy="edgeseg export, again; if that is refused too, train again",
        )


def _range(histogram: Histogram, config: CalibrateConfig, module: Module, reader: str) -> Range:
    method = config.clipping(module)
    limit = histogram.limit(method, config.percentile)
    words = f"percentile {config.percentile:g}" if method == "percentile" else method
    return Range(limit, words, histogram.peak, reader)


def _kept(found: Range) -> float:
    return found.limit / found.peak if found.peak else 1.0
