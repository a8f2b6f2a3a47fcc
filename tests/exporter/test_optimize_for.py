"""The form of the head for a GPU is that of training: fewer nodes, the same outputs."""

import pytest

from edgeseg.config import ExportConfig
from edgeseg.exporter.export import export_graph
from edgeseg.gpu_check.pytorch import network
from edgeseg.graph.files import read_graph

SIDE = 64


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Exported, and compared with PyTorch by `export_graph`."""
    config = ExportConfig(optimize_for="gpu", tolerance=1e-3)
    return export_graph(network(SIDE), tmp_path_factory.mktemp("graphs") / "gpu.onnx", config)


def test_the_card_names_the_form(exported):
    assert exported.card.optimized_for == read_graph(exported.graph)[1].optimized_for == "gpu"


def test_the_head_is_that_of_training(exported):
    names = {each.name for each in read_graph(exported.graph)[0].graph.initializer}
    assert any("head" in name for name in names)
    assert not {name for name in names if name.endswith((".regions", ".down"))}
