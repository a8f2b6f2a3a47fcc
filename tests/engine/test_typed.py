"""typed_graph: with a gate, without, and the accuracy record of the card."""

import pytest

from edgeseg.config import BuildConfig
from edgeseg.engine.typed import EXACT, NO_GATE, typed_graph
from edgeseg.errors import DataError
from tests.kit.red_graph import CARD, red_graph, write_plates

FRAGILE = "student.layer1.0"


@pytest.fixture
def source():
    return red_graph(fragile=[FRAGILE])


def test_typed_graph_for_tensorrt_is_gated_on_onnx_runtime(source, tmp_path):
    config = BuildConfig(data=write_plates(tmp_path / "plates"), gate_image_count=4)
    typed = typed_graph(source, CARD, "tensorrt-rtx", config)
    assert typed.keep == {f"{FRAGILE}.conv1", f"{FRAGILE}.conv2", "relu_10"}
    account = typed.accuracy
    assert account["on"].startswith("onnxruntime ")
    assert account["stands_in_for"] == "tensorrt-rtx"
    assert (account["kept"], account["kept_in"]) == ([FRAGILE], "fp32")
    root = tmp_path / "plates"
    assert account["cases"].startswith(f"4 of 12 labeled images of {root}: 2 good, 2 defective, ")
    assert account["judged"] == ["pixel AP", "image AUROC"]
    assert account["line"].endswith(
        f"({account['cases']}; on {account['on']}, in place of tensorrt-rtx); "
        f"left in fp32: {FRAGILE}"
    )


def test_typed_graph_for_a_cpu_is_gated_on_its_runtime(source, tmp_path):
    pytest.importorskip("openvino")
    config = BuildConfig(data=write_plates(tmp_path / "plates"), gate_image_count=4)
    account = typed_graph(source, CARD, "openvino", config).accuracy
    assert account["on"].startswith("openvino ")
    assert account["stands_in_for"] is None
    assert account["line"].endswith(f"on {account['on']}); left in fp32: {FRAGILE}")


@pytest.mark.parametrize(("precision", "line"), [("fp16", NO_GATE), ("fp32", EXACT)])
def test_typed_graph_without_data_runs_nothing(source, precision, line):
    typed = typed_graph(source, CARD, "openvino", BuildConfig(precision=precision))
    assert (typed.keep, typed.accuracy) == (frozenset(), {"line": line})


def test_typed_graph_refuses_a_folder_without_a_data_set(source, tmp_path):
    with pytest.raises(DataError):
        typed_graph(source, CARD, "onnxruntime", BuildConfig(data=tmp_path))
