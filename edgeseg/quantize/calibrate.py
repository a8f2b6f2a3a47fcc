"""The command `calibrate`: measures the INT8 calibration ranges of a graph.

One pass of ONNX Runtime over the exported FP32 graph fills one histogram per tensor to quantize.
The tails of an anomaly map are its signal, so by default only teacher and student are clipped; from
the similarity on, every value keeps its place in the range.
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
from edgeseg.data.frames import batches
from edgeseg.data.images import Image, read_image, resize
from edgeseg.data.layouts import Dataset, Sample, open_dataset
from edgeseg.data.synth import trained_corruptor
from edgeseg.data.textures import ProceduralTextures
from edgeseg.errors import DataError, ModelError
from edgeseg.files import check_outputs, check_writable, sha256
from edgeseg.frame.locate import placed
from edgeseg.graph.files import graph_digest, read_graph
from edgeseg.graph.graph import Graph, name_of
from edgeseg.log import log
from edgeseg.packages.extras import installed
from edgeseg.progress import task
from edgeseg.quantize.calibration_file import HASH, Range, Ranges, ranges_path, write_ranges
from edgeseg.quantize.calibration_images import SeenImages
from edgeseg.quantize.histogram import Histogram
from edgeseg.quantize.placement import measured
from edgeseg.quantize.ranges import watch


@dataclass(frozen=True)
class CalibrationImage:
    """A file; with a number, the file with that synthetic anomaly."""

    sample: Sample
    anomaly: int | None = None


@dataclass(frozen=True)
class Calibrated:
    """A calibration file that was written."""

    path: Path
    ranges: Ranges
    seconds: float

    def summary(self) -> str:
        """Return the file, its basis, and the tensor that is clipped most."""
        tensors = self.ranges.tensors
        methods = Counter(found.method for found in tensors.values())
        counts = ", ".join(f"{count} by {name}" for name, count in sorted(methods.items()))
        tightest = min(tensors.values(), key=_share)
        return (
            f"{self.path}: {len(tensors)} tensors ({counts}), {len(self.ranges.frames)} images, "
            f"{self.seconds:.1f} s\n"
            f"clipped most: input of {tightest.reader}, to {100 * _share(tightest):.0f} % of its "
            f"peak {tightest.peak:.4g}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the file, its hash and its basis."""
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

    data: a data set in a known layout. Errors: DataError where it lacks images that the settings
    ask for, ModelError for another file or a graph that computes NaN, GateFailed for images that
    are all alike, black or saturated, and for a tensor without a range.
    """
    started = time.perf_counter()
    model, card = read_graph(graph)
    dataset = open_dataset(data)
    path = ranges_path(card.name, out)
    check_outputs({"--out": path}, [graph])
    check_writable(out)
    images = choose(dataset, config)
    view = Graph(model)
    modules, tensors = measured(view), view.tensors()
    histograms = {name: Histogram() for name in modules}
    hashes: dict[str, str] = {}
    seen = SeenImages()
    with task("calibrate", len(images)) as bar:
        frames = _frames(images, dataset, card, config, hashes, seen)
        batch = card.frame_shape[0]
        for index, values in enumerate(watch(model, card, list(modules), frames)):
            for (name, histogram), value in zip(histograms.items(), values, strict=True):
                _check_finite(name, value, graph)
                histogram.add(value)
            for _ in range(min(batch, len(images) - index * batch)):
                bar.advance()
    seen.check(data)
    found = {}
    for name, module in modules.items():
        method = config.clipping(module)
        limit = histograms[name].limit(method)
        reader = name_of(tensors[name].consumers()[0])
        found[name] = Range(limit, method, histograms[name].peak, reader)
    ranges = Ranges(
        graph=graph.name,
        graph_sha256=graph_digest(graph),
        settings=dataclasses.asdict(config),
        versions={"onnxruntime": installed("onnxruntime") or "?"},
        tensors=found,
        frames=hashes,
        data=str(dataset.root),
    )
    ranges.check("name a folder with photos that show the part, taken as in production")
    write_ranges(path, ranges)
    return Calibrated(path, ranges, time.perf_counter() - started)


def choose(dataset: Dataset, config: CalibrateConfig) -> list[CalibrationImage]:
    """Choose the images, by seed; DataError where there is none of a kind that is asked for."""
    defective = [sample for sample in dataset.test if not sample.good]
    wanted = (
        ("good", config.good_count, dataset.train, "name a folder with good images"),
        ("defective", config.defective_count, defective, "--defective-count 0"),
        ("good", config.synthetic_count, dataset.train, "name a folder with good images"),
    )
    images: list[CalibrationImage] = []
    for stream, (kind, count, samples, remedy) in enumerate(wanted):
        if count and not samples:
            raise DataError(
                f"no {kind} images in {dataset.root} ({dataset.layout} layout)",
                remedy=remedy,
                code=f"data/no-{kind}-images",
            )
        order = np.random.default_rng([config.seed, stream]).permutation(len(samples))
        if stream == 2:  # an image may be used several times, with one anomaly each
            picked = [samples[order[k % len(order)]] for k in range(count)]
            images += [CalibrationImage(sample, k) for k, sample in enumerate(picked)]
            continue
        if count > len(samples):
            log.info(f"{dataset.root} has {len(samples)} {kind} images ({count} requested)")
        images += [CalibrationImage(samples[index]) for index in sorted(order[:count].tolist())]
    return images


def _frames(
    images: list[CalibrationImage],
    dataset: Dataset,
    card: GraphCard,
    config: CalibrateConfig,
    hashes: dict[str, str],
    seen: SeenImages,
) -> Iterator[NDArray[np.uint8]]:
    """Yield the graph's frames, uint8 [N, H, W, C]; store each image's hash."""
    textures = ProceduralTextures()

    def pixels(place: int) -> Image:
        path, anomaly = images[place].sample.path, images[place].anomaly
        name = path.relative_to(dataset.root).as_posix()
        image, _ = placed(read_image(path, card.bit_depth), card.roi)
        if anomaly is None:
            hashes[name] = sha256(path)[:HASH]
            seen.add(place, image)
            return image
        rng = np.random.default_rng([config.seed, 3, anomaly])
        box = card.content_of((image.shape[0], image.shape[1]))
        inside = card.roi.labeled(box.size).inside if card.roi else None
        corruptor = trained_corruptor(card.training, textures, inside=inside)
        image, _ = corruptor.corrupt(resize(image, *box.size), rng)
        digest = hashlib.sha256(image.tobytes()).hexdigest()
        hashes[f"{name} with anomaly {anomaly}"] = digest[:HASH]
        seen.add(place, image)
        return image

    return batches(card, len(images), pixels)


def _check_finite(name: str, value: NDArray[np.float32], graph: Path) -> None:
    # The sum is finite only if all values are, and reads each value once.
    if not np.isfinite(value.sum(dtype=np.float64)):
        raise ModelError(
            f"{graph} computes NaN or infinity in tensor {name}",
            remedy="export the run again; if that is refused too, train again",
            code="model/not-finite",
        )


def _share(found: Range) -> float:
    return found.limit / found.peak if found.peak else 1.0
