"""Mirrors edgeseg/demo.py, with a training too short to be good."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.cli import main
from edgeseg.demo import PARTS, TRAIN, demo
from edgeseg.errors import ConfigError
from tests.kit.errors import fails

# After one step at the paper's rates the student's values overflow FP16.
QUICK = replace(
    TRAIN,
    image_size=64,
    batch=2,
    student_steps=1,
    student_rate=1e-4,
    head_steps=1,
    blocks_rate=1e-4,
    device="cpu",
)
METRICS = {"image_auroc", "pixel_auroc", "pixel_ap", "iap", "iap90", "aupro"}


@pytest.mark.filterwarnings("ignore")  # the exporter's libraries warn; test_export is strict
def test_the_demo_goes_the_whole_path_and_leaves_its_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(PARTS, "train", 10)
    monkeypatch.setitem(PARTS, "good", 2)
    monkeypatch.setitem(PARTS, "bad", 1)
    report = demo(tmp_path / "demo", config=QUICK)
    document = report.to_json()
    assert METRICS <= set(document)
    steps = ["generate images", "train", "evaluate", "export", "build", "stream", "benchmark"]
    assert list(report.seconds) == steps
    for path in report.paths.values():
        assert path.stat().st_size > 0
    assert "image_auroc" in report.summary() and str(report.paths["video"]) in report.summary()
    enter, predict = report.next_steps()[0].split(" && ")
    monkeypatch.chdir(enter.removeprefix("cd "))  # where commands find the run and the engine
    monkeypatch.setattr(sys, "argv", predict.split())
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code and Path("results/predictions.jsonl").stat().st_size > 0


def test_the_demo_overwrites_nothing(tmp_path):
    (tmp_path / "demo").mkdir()
    with fails(ConfigError, "config/folder-exists") as caught:
        demo(tmp_path / "demo")
    assert caught.value.remedy == f"edgeseg demo --out {tmp_path / 'demo-2'}"
