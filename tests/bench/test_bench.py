"""The benchmark: which frames, how many runs, what is reported."""

import json

import numpy as np
import pytest

from edgeseg.bench.bench import benchmark
from edgeseg.bench.frames import Frames
from edgeseg.config import BenchConfig
from edgeseg.errors import ConfigError
from edgeseg.runtime.machine import this_machine
from tests.stream.fakes import RedBackend, make_card


def frames(card, count=3):
    pixels = np.zeros((count, *card.frame_shape[1:]), np.uint8)
    pixels[:] = (np.arange(count) * 10).reshape(count, 1, 1, 1)
    return Frames(pixels, f"{count} planned frames")


class Watched(RedBackend):
    """Remembers the first pixel of every frame that it ran on."""

    def __init__(self, card):
        super().__init__(card)
        self.seen = []

    def run(self):
        super().run()
        self.seen.append(self._slot.frame[:, 0, 0, 0].tolist())


def test_frames_are_cycled_through_warm_up_and_runs():
    backend = Watched(make_card())
    report = benchmark(backend, frames(backend.card), BenchConfig(runs=4, warmup=2))
    assert backend.seen == [[0], [10], [20], [0], [10], [20]]
    assert backend.bound == 1
    assert report.latency.n == 4


def test_a_run_of_several_frames_counts_each():
    backend = Watched(make_card(batch=2))
    report = benchmark(backend, frames(backend.card), BenchConfig(runs=3, warmup=0))
    assert backend.seen == [[0, 10], [20, 0], [10, 20]]
    runs_per_second = report.throughput_fps / 2
    assert runs_per_second <= 1e3 / report.latency.mean_ms * 1.001


def test_the_document_has_what_a_regression_gate_reads():
    backend = RedBackend()
    config = BenchConfig(runs=5, warmup=1, threads=1)
    document = benchmark(backend, frames(backend.card), config).to_json()
    document = json.loads(json.dumps(document))
    wanted = {"n", "p50_ms", "p90_ms", "p99_ms", "max_ms", "throughput_fps", "machine", "engine"}
    assert wanted <= set(document)
    assert document["n"] == 5
    assert 0 < document["p50_ms"] <= document["p90_ms"] <= document["p99_ms"] <= document["max_ms"]
    assert document["machine"] == this_machine().line()
    assert document["engine"] == "fake, CPU, 1 thread"
    assert document["threads"] == 1
    assert document["versions"]["numpy"] == np.__version__


def test_the_text_has_the_method_beside_the_figures():
    backend = RedBackend()
    text = benchmark(backend, frames(backend.card), BenchConfig(runs=2, warmup=7)).summary()
    for part in (
        *("p50 ", "p90 ", "p99 ", "max ", "n 2", "frames/s", "after 7 runs of warm-up"),
        *("3 planned frames", "64x48", this_machine().line(), "fake, CPU, 1 thread"),
        *("9.4 ms an image in PyTorch on a Tesla V100", "another machine", "not to be compared"),
    ):
        assert part in text, part


@pytest.mark.parametrize("setting", [{"runs": 0}, {"warmup": -1}, {"seconds": 0.0}, {"threads": 0}])
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(ConfigError):
        BenchConfig(**setting)
