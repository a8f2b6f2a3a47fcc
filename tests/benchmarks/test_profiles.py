"""The variants' benchmark runs, and names for each time its work and its ratio."""

import json
import sys

import pytest

from bench_profiles import VARIANTS, main
from edgeseg.recipes import TrainConfig


def test_every_variant_is_a_configuration():
    assert all(TrainConfig(**settings) for settings in VARIANTS.values())


def test_a_small_variant_is_timed_beside_the_papers_architecture(monkeypatch, capsys):
    pytest.importorskip("openvino")
    line = "bench_profiles.py --side 64 --runs 2 --warmup 0 --threads 1 --only edge-stride8"
    monkeypatch.setattr(sys, "argv", line.split())
    main()
    *_, last = capsys.readouterr().out.splitlines()
    document = json.loads(last)
    names = [f["name"] for f in document["figures"] if f["unit"] == "ms"]
    assert names == [
        "paper, PyTorch FP32",
        "paper, ONNX Runtime FP32",
        "paper, OpenVINO BF16",
        "paper, OpenVINO FP32",
        "paper, OpenVINO INT8",
        "edge-stride8, OpenVINO FP32",
        "edge-stride8, OpenVINO INT8",
    ]
    assert document["gmac"]["paper"] > 10 * document["gmac"]["edge-stride8"] > 0
