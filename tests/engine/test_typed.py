"""Lowering a precision: with a gate, without, and what the card is told."""

import pytest

from edgeseg.config import BuildConfig
from edgeseg.engine.typed import EXACT, NO_GATE, typed_graph
from edgeseg.errors import DataError
from tests.kit.red_graph import CARD, red_graph, write_plates

FRAGILE = "student.layer1.0"


@pytest.fixture
def source():
    return red_graph(fragile=[FRAGILE])


def test_tensorrt_is_stood_in_for_and_the_card_says_so(source, tmp_path):
    config = BuildConfig(data=write_plates(tmp_path / "plates"), gate_image_count=4)
    typed = typed_graph(source, CARD, "tensorrt-rtx", config)
    assert typed.keep == {f"{FRAGILE}.conv1", f"{FRAGILE}.conv2", "relu_10"}
    account = typed.accuracy
    assert account["on"].startswith("onnxruntime ")
    assert account["stands_in_for"] == "tensorrt-rtx"
    assert (account["kept"], account["kept_in"]) == ([FRAGILE], "fp32")
    assert account["cases"] == f"4 of 12 labelled images of {tmp_path / 'plates'}"
    assert account["line"].endswith(
        f"({account['cases']}; on {account['on']}, which stands in for tensorrt-rtx); "
        f"kept in fp32: {FRAGILE}"
    )


def test_a_cpus_runtime_runs_its_own_graphs(source, tmp_path):
    pytest.importorskip("openvino")
    config = BuildConfig(data=write_plates(tmp_path / "plates"), gate_image_count=4)
    account = typed_graph(source, CARD, "openvino", config).accuracy
    assert account["on"].startswith("openvino ")
    assert account["stands_in_for"] is None
    assert account["line"].endswith(f"on {account['on']}); kept in fp32: {FRAGILE}")


@pytest.mark.parametrize(("precision", "line"), [("fp16", NO_GATE), ("fp32", EXACT)])
def test_without_data_nothing_is_run(source, precision, line):
    typed = typed_graph(source, CARD, "openvino", BuildConfig(precision=precision))
    assert (typed.keep, typed.accuracy) == (frozenset(), {"line": line})


def test_a_folder_that_is_no_data_set_is_refused_before_anything_runs(source, tmp_path):
    with pytest.raises(DataError, match="has no known layout"):
        typed_graph(source, CARD, "onnxruntime", BuildConfig(data=tmp_path))
