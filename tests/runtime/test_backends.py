"""The contract of all backends, on a graph with known results.

tensorrt_scenarios.py runs the same tests with TensorRT's backend.
"""

import dataclasses
import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import onnx
import pytest
from onnx import helper

from edgeseg.cards import metadata_from
from edgeseg.errors import MissingExtra, ModelError
from edgeseg.runtime.base import OUTPUTS, PAGE, Pipelined, Slot, tensor_types
from edgeseg.runtime.fake import FakeBackend
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.runtime.openvino import OpenVinoBackend
from edgeseg.runtime.pytorch import PyTorchBackend
from tests.kit.errors import fails

GRAPH_BACKENDS = {"onnxruntime": OnnxRuntimeBackend, "openvino": OpenVinoBackend}


@pytest.fixture(params=["fake", "onnxruntime", "openvino", "pytorch"])
def backend(request, red_card, red_graph, red_module):
    try:
        match request.param:
            case "fake":
                opened = FakeBackend(red_card)
            case "pytorch":
                opened = PyTorchBackend(red_module, red_card)
            case name:
                opened = GRAPH_BACKENDS[name](red_graph, threads=2)
    except MissingExtra as missing:
        pytest.skip(missing.problem)
    with opened:
        yield opened


@pytest.mark.parametrize("runtime", GRAPH_BACKENDS)
@pytest.mark.parametrize(
    "changes",
    [{"network_size": (20, 20)}, {"frame_shape": (2, 4, 6, 3)}, {"frame_shape": (1, 5, 7, 3)}],
)
def test_metadata_of_another_graph_is_refused(red_card, red_graph, tmp_path, runtime, changes):
    model = onnx.load(red_graph)
    other = dataclasses.replace(red_card, **changes)
    assert tensor_types(other) != tensor_types(red_card)
    del model.metadata_props[:]
    helper.set_model_props(model, metadata_from(other))
    onnx.save(model, tmp_path / "other.onnx")
    with fails(ModelError, "model/damaged-metadata"):
        GRAPH_BACKENDS[runtime](tmp_path / "other.onnx")


def test_run_rewrites_the_bound_arrays_in_place(backend):
    slot = backend.new_slot()
    backend.bind(slot)
    for red in (0, 51, 255):
        slot.frame[...] = 7  # the other channels mean nothing
        slot.frame[..., 0] = red
        backend.run()
        np.testing.assert_allclose(slot.anomaly_map, red / 255, atol=1e-6)
        np.testing.assert_allclose(slot.score, red / 255, atol=1e-6)
        assert (slot.mask == (255 if red > 127 else 0)).all()
        assert (slot.frame[..., 1] == 7).all()


def test_each_pixel_and_each_frame_has_its_own_answer(backend):
    slot = backend.new_slot()
    backend.bind(slot)
    slot.frame[...] = np.random.default_rng(0).integers(0, 256, slot.frame.shape)
    slot.frame[1, ..., 0] //= 2
    backend.run()
    expected = slot.frame[..., 0] / 255
    np.testing.assert_allclose(slot.anomaly_map, expected, atol=1e-6)
    np.testing.assert_allclose(slot.score, expected.max(axis=(1, 2)), atol=1e-6)
    mean = expected.mean(axis=(1, 2))
    np.testing.assert_allclose(slot.input_check, np.stack([mean, mean], 1), atol=1e-6)
    np.testing.assert_array_equal(slot.mask, np.where(slot.frame[..., 0] > 127, 255, 0))


def test_the_threshold_is_read_in_every_run(backend):
    slot = backend.new_slot()
    backend.bind(slot)
    slot.frame[..., 0] = 100  # 0.392
    for threshold, expected in ((0.5, 0), (0.39, 255), (0.4, 0)):
        slot.threshold[:] = threshold
        backend.run()
        assert (slot.mask == expected).all()


def test_bind_turns_to_another_slot(backend):
    first, second = backend.new_slot(), backend.new_slot()
    first.frame[..., 0] = 255
    for slot in (first, second, first):
        backend.bind(slot)
        backend.run()
    assert (first.mask == 255).all()
    assert (second.mask == 0).all()
    before = {name: second.tensors()[name].copy() for name in OUTPUTS}
    second.frame[...] = 255
    backend.run()  # bound to the first
    for name in OUTPUTS:
        np.testing.assert_array_equal(second.tensors()[name], before[name])


def test_new_slot_is_zeroed_and_has_the_card_s_threshold(backend):
    slot = backend.new_slot()
    assert slot.frame.shape == backend.card.frame_shape
    assert not any(slot.tensors()[name].any() for name in ("frame", *OUTPUTS))
    assert slot.threshold == backend.card.threshold
    assert slot.frame.ctypes.data % PAGE == 0, "the driver of a camera may write there"


def test_second_has_a_request_of_its_own_in_flight(backend):
    backends = (backend, backend.second())
    slots = [one.new_slot() for one in backends]
    for one, slot, red in zip(backends, slots, (51, 255), strict=True):
        one.bind(slot)
        slot.frame[...] = red
    pipelined = isinstance(backend, Pipelined)
    for one in backends if pipelined else ():
        one.start()
    for one, slot, red in zip(backends, slots, (51, 255), strict=True):
        one.finish() if pipelined else one.run()
        np.testing.assert_allclose(slot.score, red / 255, atol=1e-6)
        assert (slot.mask == (255 if red > 127 else 0)).all()


def test_name_and_card(backend, red_card):
    assert re.fullmatch(
        r"(fake|(onnxruntime|openvino|pytorch) \d+\.\d+\.\d+), CPU, \d+ threads?", backend.name
    )
    assert backend.card == red_card


@pytest.mark.parametrize("kind", GRAPH_BACKENDS.values())
def test_name_has_the_number_of_threads(kind, red_graph):
    with kind(red_graph, threads=1) as opened:
        assert opened.name.endswith("CPU, 1 thread")


@pytest.mark.parametrize("kind", GRAPH_BACKENDS.values())
def test_a_file_that_is_no_graph_is_refused(kind, tmp_path):
    path = tmp_path / "photo.onnx"
    path.write_bytes(b"GIF89a" * 20)
    with pytest.raises(ModelError, match=r"photo\.onnx") as caught:
        kind(path)
    assert caught.value.remedy.startswith("edgeseg export")


def test_fake_backend_averages_the_cells_of_its_map(red_card):
    card = dataclasses.replace(red_card, network_size=(2, 2), frame_format="bgr")
    slot = Slot.on_host(card)
    slot.frame[:, :4, :4, 2] = 255
    slot.frame[:, :2, 4:, 2] = 255
    with FakeBackend(card) as backend:
        backend.bind(slot)
        backend.run()
        np.testing.assert_allclose(slot.anomaly_map[0], [[1.0, 0.5], [0.0, 0.0]])
        assert not backend.closed
    assert backend.closed


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_a_signal_after_two_openvino_engines_is_survived(red_graph):
    pytest.importorskip("openvino")
    program = textwrap.dedent(f"""
        import signal
        from pathlib import Path
        from edgeseg.runtime.openvino import OpenVinoBackend

        first = OpenVinoBackend(Path({str(red_graph)!r}))
        second = OpenVinoBackend(Path({str(red_graph)!r}))
        del first, second
        signal.signal(signal.SIGTERM, lambda number, frame: print("caught"))
        signal.raise_signal(signal.SIGTERM)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "caught\n"), done.stderr
