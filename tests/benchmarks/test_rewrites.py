"""The rewrites' benchmark runs every graph in every kind that there is, and names its ratio."""

import json
import sys

import pytest

from bench_rewrites import main
from edgeseg.config import REWRITES


def test_each_graph_is_timed_beside_the_one_without_rewrites(monkeypatch, capsys):
    pytest.importorskip("openvino")
    # Two kinds of the five: the others are built by the same call.
    kinds = (("onnxruntime", "fp32"), ("openvino", "int8"))
    monkeypatch.setattr("bench_rewrites.KINDS", kinds)
    line = (
        "bench_rewrites.py --side 64 --teacher efficientnet_lite0 --runs 2 --warmup 0 --threads 1"
    )
    monkeypatch.setattr(sys, "argv", [*line.split(), "--cpu-time"])
    main()
    *_, last = capsys.readouterr().out.splitlines()
    document = json.loads(last)
    names = ["none", *REWRITES, "auto"]
    measured = ("onnxruntime FP32", "openvino INT8")
    titles = [f"{kind}, rewrites {name}" for kind in measured for name in names]
    figures = document["figures"]
    assert [f["name"] for f in figures if f["unit"] == "ms"] == titles
    assert [f["of"] for f in figures if f["unit"] == "x"] == titles
    assert all(f["p50"] == 1.0 for f in figures if f["of"] and f["of"].endswith("none"))
    assert document["clock"] == "processor time"
    gmac = document["gmac"]
    assert gmac["auto"] < min(gmac["pooled"], gmac["taps"]) < gmac["none"]


def test_a_runtime_that_is_missing_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr("bench_rewrites.installed", lambda package: None)
    monkeypatch.setattr("bench_rewrites.export_all", lambda config, folder: {})
    monkeypatch.setattr(sys, "argv", ["bench_rewrites.py", "--side", "64"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    words = capsys.readouterr().err
    assert "openvino is not installed: openvino INT8 is not measured" in words
    assert "neither onnxruntime nor openvino" in words
