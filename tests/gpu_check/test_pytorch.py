"""Tier 2 on the CPU: the typed graph in PyTorch, and what fails a comparison."""

import numpy as np
import onnxruntime
import pytest
import torch

from edgeseg.exporter.trace import trace
from edgeseg.gpu_check import pytorch, training
from edgeseg.gpu_check.finding import Skipped
from edgeseg.gpu_check.typed_graph import TypedGraph
from edgeseg.quantize.fp16 import to_fp16
from edgeseg.runtime.base import INPUTS, output_names
from tests.kit.deploy import toy_backend


@pytest.fixture(scope="module")
def graph():
    backend = toy_backend()
    slot = backend.new_slot()
    inputs = torch.from_numpy(slot.frame), torch.from_numpy(slot.threshold)
    return trace(backend.module, inputs, INPUTS, output_names(backend.card))


def inputs():
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 40, 3), np.uint8)
    return {"frame": torch.from_numpy(frame), "threshold": torch.tensor([0.5])}


def test_a_graph_in_pytorch_computes_what_onnx_runtime_does(graph):
    found = TypedGraph(graph, "cpu")(inputs())
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    arrays = {name: tensor.numpy() for name, tensor in inputs().items()}
    names = [output.name for output in session.get_outputs()]
    for name, expected in zip(names, session.run(None, arrays), strict=True):
        np.testing.assert_allclose(found[name].numpy(), expected, atol=1e-5)


def test_convolutions_compute_in_the_type_of_the_graph(graph):
    plain, typed = TypedGraph(graph, "cpu"), TypedGraph(to_fp16(graph), "cpu")
    assert (plain.half_convolutions, typed.half_convolutions) == (0, 2)
    ours, theirs = typed(inputs())["anomaly_map"], plain(inputs())["anomaly_map"]
    assert 0 < (ours - theirs).abs().max() < 1e-2


def test_an_operation_without_a_translation_is_refused(graph):
    other = type(graph)()
    other.CopyFrom(graph)
    other.graph.node[1].op_type = "Softsign"
    with pytest.raises(NotImplementedError, match="Softsign"):
        TypedGraph(other, "cpu")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_an_overflow_is_the_largest_difference(wrong):
    sound = {"anomaly_map": torch.arange(6.0), "mask": torch.tensor([0, 0, 0, 255, 255, 255])}
    broken = sound | {"anomaly_map": torch.tensor([wrong, 1, 2, 3, 4, 5])}
    frames = [np.zeros((1, 2, 3, 3), np.uint8)]
    same = pytorch.compare([lambda given: sound] * 2, frames, torch)
    assert (same["map_diff"], same["iou"], same["span"]) == (0.0, 1.0, 5.0)
    found = pytorch.compare([lambda given: broken, lambda given: sound], frames, torch)
    assert found["map_diff"] == float("inf")


FALLING = {"student": [4.0, 3.0, 2.0], "head": [1.0, 0.5, 0.4]}


@pytest.mark.parametrize(
    ("gpu", "passed", "words"),
    [
        (FALLING, True, "student 4.0000 to 2.0000"),
        (FALLING | {"head": [1.0, 1.0, 1.0]}, False, "the loss of the head does not fall"),
        (FALLING | {"head": [1.0, float("nan"), 0.4]}, False, "does not fall"),
        (FALLING | {"student": [4.2, 3.0, 2.0]}, False, "the CPU differs"),
    ],
)
def test_losses_have_to_fall_as_on_the_cpu(monkeypatch, gpu, passed, words):
    monkeypatch.setattr(training, "cuda_torch", lambda: None)
    monkeypatch.setattr(training, "_losses", lambda d, *_: FALLING if d == "cpu" else gpu)
    found = training.steps()
    assert found.passed is passed and words in found.found


def test_a_pytorch_without_cuda_skips():
    if torch.cuda.is_available():
        pytest.skip("this PyTorch sees a GPU")
    with pytest.raises(Skipped, match="does not see the GPU"):
        pytorch.cuda_torch()
