"""`measure_complexity` and `measure_table`: counts compared with sums computed by hand.

A k x k convolution from a to b channels has a * b * k^2 weights, and as many MACs per output pixel.
"""

import json

import pytest

from edgeseg.errors import EdgesegError
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce import complexity
from edgeseg.reproduce.complexity import measure_complexity, measure_table
from edgeseg.reproduce.table import read_table
from tests.kit.errors import fails

SMALL = {"image_size": 64, "batch": 2, "top": 10, "device": "cpu"}


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name in ("FRAMES", "WARM_FRAMES", "STEPS", "WARM_STEPS"):
        monkeypatch.setattr(complexity, name, 1)


class Count:
    """Weights and MACs of networks for an image of 64 x 64."""

    def __init__(self):
        self.weights = self.macs = 0

    def conv(self, a, b, size, side, *, norm=True):
        self.weights += a * b * size**2 + (2 * b if norm else b)
        self.macs += a * b * size**2 * side**2

    def stage(self, a, b, side, *, strided=False):
        """Two blocks of two convolutions, and a shortcut where shapes differ."""
        self.conv(a, b, 3, side)
        for _ in range(3):
            self.conv(b, b, 3, side)
        if a != b or strided:
            self.conv(a, b, 1, side)

    def resnet18(self, stages):
        self.conv(3, 64, 7, 32)
        for a, b, side in ((64, 64, 16), (64, 128, 8), (128, 256, 4), (256, 512, 2))[:stages]:
            self.stage(a, b, side, strided=a != b)

    def decoder(self):
        for a, b, side in ((512, 512, 2), (512, 256, 4), (256, 128, 8), (128, 64, 16)):
            self.stage(a, b, side)

    def head(self):
        self.stage(448, 256, 16)
        self.conv(256, 256, 1, 1)  # of the mean
        for _ in range(3):
            self.conv(256, 256, 3, 16)
        self.conv(4 * 256, 256, 3, 16)
        self.conv(256, 256, 3, 16)
        self.conv(256, 1, 1, 16, norm=False)


def test_measure_complexity_of_stpm_is_that_of_two_resnets():
    count = Count()
    count.resnet18(3)
    assert count.weights == 2_782_784  # torchvision's 11.69 M less layer4 (8.39) and fc (0.51)
    found = measure_complexity(TrainConfig(model="stpm", **SMALL))
    assert found.parameters_m == pytest.approx(2 * count.weights / 1e6)
    assert found.gmac == pytest.approx(2 * count.macs / 1e9)
    assert found.memory_mb == pytest.approx(8 * count.weights / 1e6)
    assert found.steps == {"student": 1000}
    assert found.training_min == pytest.approx(1000 * found.seconds_per_step["student"] / 60)
    assert found.frames == 1 and found.inference_ms == found.inference_p99_ms > 0


def test_measure_table_reports_beside_the_published_figures(tmp_path):
    table = read_table("destseg-s4")
    rows = table.select("DeSTSeg")
    report = measure_table(table, rows, SMALL, tmp_path / "out")
    report.check()
    count = Count()
    count.resnet18(3)
    count.resnet18(4)
    count.decoder()
    count.head()
    found = report.found["DeSTSeg"]
    assert count.weights == 35_154_177
    assert found.parameters_m == pytest.approx(count.weights / 1e6)
    assert found.gmac == pytest.approx(count.macs / 1e9)
    text = (tmp_path / "out" / "destseg-s4" / "report.txt").read_text()
    assert "measured on a Tesla V100" in text and "EXTRAPOLATED" in text
    rows = {line.split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["parameters, millions"][-2:] == ["35.2", "-"]
    assert rows["training, minutes"][-1] == "51.2"
    assert rows["inference, ms"][-1] == "9.4"
    document = json.loads((tmp_path / "out" / "destseg-s4" / "report.json").read_text())
    row = document["rows"]["DeSTSeg"]
    assert row["ours"]["steps"] == {"student": 1000, "head": 4000}
    assert row["paper"] == {"training_min": 51.2, "inference_ms": 9.4}
    assert row["ours"]["threads"] >= 1
    assert "image_size (256 -> 64)" in document["departures"] and "image_size (256" in text


def test_measure_table_reports_a_failed_row_and_measures_the_others(tmp_path, monkeypatch):
    measure = complexity.measure_complexity

    def fail_for_stpm(config):
        if config.model == "stpm":
            raise MemoryError("no room")
        return measure(config)

    monkeypatch.setattr(complexity, "measure_complexity", fail_for_stpm)
    table = read_table("destseg-s4")
    small = SMALL | {"teacher": "efficientnet_lite0"}
    rows = table.select("STPM,DSKD")
    report = measure_table(table, rows, small, tmp_path)
    assert list(report.found) == ["DSKD"]
    assert "failed    STPM: out of memory: no room" in report.summary()
    with fails(EdgesegError, "reproduce/runs-failed") as caught:
        report.check()
    assert "STPM" in caught.value.problem and "out of memory: no room" in caught.value.problem
