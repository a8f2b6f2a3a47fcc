"""TensorRT's clock, with a made-up module and with the installed TensorRT-RTX's class."""

import json
from types import SimpleNamespace

import pytest

from edgeseg.runtime.layer_times import LayerTime
from edgeseg.runtime.tensorrt_engine import OpenEngine
from edgeseg.runtime.tensorrt_layers import inspected_nodes, layer_clock


class Profiler:
    """TensorRT's: it must be constructed explicitly, or its C++ half does not exist."""

    constructed = False

    def __init__(self):
        self.constructed = True


def test_the_clock_splits_what_tensorrt_reports_into_runs():
    clock = layer_clock(SimpleNamespace(IProfiler=Profiler))
    assert isinstance(clock, Profiler) and clock.constructed
    for scale in (100, 1, 4, 1):
        clock.report_layer_time("conv1 + relu", 2.0 * scale)
        clock.report_layer_time("__myl_Mul", 0.5 * scale)
        clock.end_run()
    first, second = clock.times(warmup=1, nodes={"__myl_Mul": ("node_mul",)})
    assert (first.name, first.seconds, first.nodes) == ("conv1 + relu", pytest.approx(4e-3), ())
    assert (second.seconds, second.nodes) == (pytest.approx(1e-3), ("node_mul",))


def test_the_clock_is_a_profiler_of_the_installed_tensorrt_rtx():
    trt = pytest.importorskip("tensorrt_rtx")
    clock = layer_clock(trt)
    assert isinstance(clock, trt.IProfiler)
    clock.report_layer_time("conv1", 1.5)
    clock.end_run()
    assert clock.times() == (LayerTime("conv1", "", 0.0015),)


def test_the_inspector_says_which_nodes_a_layer_holds():
    detailed = {
        "Layers": [
            {"Name": "conv1_myl0_4", "Metadata": "[ONNX Layer: conv1]\x1e[ONNX Layer: node_relu]"},
            {"Name": "copy"},
        ]
    }
    nodes = {"conv1_myl0_4": ("conv1", "node_relu"), "copy": ()}
    assert inspected_nodes(json.dumps(detailed)) == nodes
    assert inspected_nodes(json.dumps({"Layers": ["conv1", "copy"]})) == {}


def test_the_lean_runtime_has_no_inspector():
    assert OpenEngine.layers(SimpleNamespace(api=SimpleNamespace(trt=SimpleNamespace()))) == {}
