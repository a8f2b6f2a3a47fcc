"""build_engine in BF16: the exported graph, computed in BF16 by OpenVINO."""

import dataclasses

import numpy as np
import onnx
import pytest

from edgeseg.config import BuildConfig
from edgeseg.data.layouts import open_dataset
from edgeseg.engine import build_engine as engine
from edgeseg.engine.build_engine import build_engine
from edgeseg.errors import ConfigError
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.loading import open_model
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.base import Slot
from tests.kit.errors import fails
from tests.kit.red_graph import red_graph, write_plates

NATIVE = {"avx512_bf16", "amx_bf16"}


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    """A graph that marks red, and plates with a red mark."""
    folder = tmp_path_factory.mktemp("red")
    onnx.save(red_graph(), folder / "red.onnx")
    return folder / "red.onnx", write_plates(folder / "plates")


def build(graph, folder, **settings):
    config = BuildConfig(precision="bf16", **settings)
    return build_engine(graph, config, out=folder / "engines")


def test_build_engine_in_bf16_is_the_graph_and_opens_in_bf16(red, tmp_path):
    graph, data = red
    built = build(graph, tmp_path, data=data)
    assert built.path.name == "plates-bf16-openvino-cpu.onnx"
    assert (built.card.precision, built.card.runtime) == ("bf16", "openvino")
    account = built.card.accuracy
    assert account["after"]["pixel_ap"] == pytest.approx(1.0) and not account["kept"]
    with open_model(built.path) as opened:
        assert ", bfloat16, " in opened.name
        assert opened.card.inference_precision == "bf16"
        assert evaluate(opened, open_dataset(data)).overall.scores.image_auroc == pytest.approx(1.0)


def test_build_engine_in_fp32_does_not_compute_in_bf16(red, tmp_path):
    """Where the processor has bfloat16 the two maps differ in the third digit; elsewhere not."""
    graph, _ = red
    exact = build_engine(
        graph, BuildConfig(precision="fp32", runtime="openvino"), out=tmp_path / "engines"
    )
    maps = []
    for path in (exact.path, build(graph, tmp_path).path):
        with open_model(path) as opened:
            slot = Slot.on_host(opened.card)
            slot.frame[:] = np.random.default_rng(0).integers(0, 256, slot.frame.shape)
            opened.bind(slot)
            opened.run()
            maps.append(slot.anomaly_map.copy())
    apart = np.abs(maps[0] - maps[1]).max()
    assert apart < 0.05
    assert (apart > 0) == bool(NATIVE & set(this_machine().instructions))


def test_build_engine_in_bf16_refuses_another_runtime(red, tmp_path):
    with fails(ConfigError, "config/bf16-runtime") as caught:
        build(red[0], tmp_path, runtime="onnxruntime")
    assert "--runtime openvino --precision bf16" in caught.value.remedy
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize(("instructions", "warned"), [(("avx2",), True), (("amx_bf16",), False)])
def test_build_engine_in_bf16_warns_of_a_cpu_without_it(
    red, tmp_path, monkeypatch, instructions, warned, said
):
    here = dataclasses.replace(this_machine(), instructions=instructions)
    monkeypatch.setattr(engine, "this_machine", lambda device=0: here)
    build(red[0], tmp_path)
    assert any(line.startswith("this CPU has no BF16") for line in said) is warned
