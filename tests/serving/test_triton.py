"""The real server: the same masks as in process, versions under load, refusals, metrics."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.prediction import load
from edgeseg.serving.config import ServingConfig
from edgeseg.serving.export import export_to_server
from tests.kit.red_graph import CARD
from tests.kit.served import plate, save_checked, save_plates
from tests.kit.stations import until
from tests.kit.triton import Triton

GRPC = Path(__file__).parents[1] / "kit" / "triton_grpc.py"
CLIENT = Path(__file__).parents[2] / "examples" / "triton_client.py"
PYTHON = ServingConfig(backend="python", instance_threads=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A running server; its repository is the folder `models` beside its log."""
    folder = tmp_path_factory.mktemp("triton")
    (folder / "models").mkdir()
    with Triton(folder / "models", folder / "log") as running:
        yield running


@pytest.fixture
def models(server):
    return server.log.parent / "models"


def add(graph, models, config=PYTHON):
    return export_to_server(graph, config, "triton", models)


def test_masks_are_those_of_the_process_by_http_and_grpc(
    server, models, run, exported, tmp_path, monkeypatch
):
    """Bit for bit, and so are map and score; the threshold has a default, and may be given."""
    monkeypatch.setattr("edgeseg.exporter.export.export_run", lambda *_, **__: exported)
    report = add(run, models)
    assert report.to_json()["exported"]["graph"] == str(exported.graph)
    assert server.load("screws") is None
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 80, 3), np.uint8)
    np.save(tmp_path / "frame.npy", frame)
    with load(exported.graph, threads=1) as model:
        middle = float(np.median(model(frame[0]).anomaly_map))
        default = model(frame[0])
        model.threshold = middle
        right = model(frame[0])
    assert 0 < right.mask.mean() < 255
    found = server.infer("screws", frame=frame, threshold=np.array([middle], np.float32))
    words = [server.python, GRPC, server.grpc_port, "screws", tmp_path / "frame.npy"]
    words += [tmp_path / "out.npz", repr(middle)]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for outputs in (found, np.load(tmp_path / "out.npz")):
        np.testing.assert_array_equal(outputs["mask"][0], right.mask)
        np.testing.assert_array_equal(outputs["anomaly_map"][0], right.anomaly_map)
        assert outputs["score"][0] == np.float32(right.score)
    found = server.infer("screws", frame=frame)
    np.testing.assert_array_equal(found["mask"][0], default.mask)


def test_a_new_version_is_loaded_under_load_without_a_failed_request(server, models, tmp_path):
    graph = save_plates(tmp_path / "plates.onnx")
    add(graph, models)
    assert server.load("plates") is None
    old, new = np.float32(200 / 255), np.float32(100 / 255)
    scores, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            scores.append(server.infer("plates", frame=plate(200))["score"][0])

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            assert until(lambda: len(scores) > 20)
            assert server.metric("nv_inference_request_success", "plates") >= 20
            add(save_plates(graph, red=0.5), models)
            assert server.versions("plates") == [1], "the running version was touched"
            assert server.load("plates") is None
            before = len(scores)
            assert until(lambda: len(scores) > before + 20)
        finally:
            stop.set()
        for each in asking:
            each.result()  # raises what a request raised
    np.testing.assert_allclose(sorted(set(scores)), [new, old], rtol=1e-6)
    assert scores[-1] == pytest.approx(new)
    assert until(lambda: server.versions("plates") == [2])
    unloaded = "successfully unloaded 'plates' version 1"
    assert until(lambda: unloaded in server.log.read_text())
    assert server.metric("nv_inference_request_success", "plates") > 20  # of version 2 alone
    assert server.metric("nv_inference_request_failure", "plates") == 0


def test_a_version_that_cannot_be_loaded_leaves_the_old_one(server, models, tmp_path):
    graph = save_plates(tmp_path / "plates.onnx", card=replace(CARD, name="kept"))
    add(graph, models)
    assert server.load("kept") is None
    added = add(graph, models)
    (added.folder / "2" / "model.onnx").write_bytes(b"cut")
    assert "version 2" in server.load("kept")
    assert server.versions("kept") == [1]
    assert server.infer("kept", frame=plate(200))["score"] == pytest.approx(200 / 255)


def test_frames_of_another_size_and_thresholds_that_are_no_number_are_refused(
    server, models, tmp_path
):
    add(save_plates(tmp_path / "plates.onnx", card=replace(CARD, name="sizes")), models)
    assert server.load("sizes") is None
    with pytest.raises(
        AssertionError, match=r"(?s)unexpected shape.*\[1,16,16,3\], got \[1,8,32,3"
    ):
        server.infer("sizes", frame=plate().reshape(1, 8, 32, 3))
    with pytest.raises(AssertionError, match="invalid threshold"):
        server.infer("sizes", frame=plate(), threshold=np.array([np.nan], np.float32))


def test_requests_are_batched_where_the_graph_takes_several_frames(server, models, tmp_path):
    """Frames of two requests run once; each has its own threshold and its own outputs."""
    card = replace(CARD, name="pairs", frame_shape=(2, *CARD.frame_shape[1:]))
    graph = save_plates(tmp_path / "pairs.onnx", card=card)
    add(graph, models, replace(PYTHON, queue_delay_ms=10_000.0))
    assert server.load("pairs") is None
    runs = server.metric("nv_inference_exec_count", "pairs")
    low, high = (np.array([[level]], np.float32) for level in (0.1, 0.9))
    with ThreadPoolExecutor(2) as pool:
        pending = [
            pool.submit(server.infer, "pairs", frame=plate(level), threshold=low)
            for level in (50, 100)
        ]
        scores = [each.result()["score"] for each in pending]
    np.testing.assert_allclose(scores, np.float32([[[50 / 255]], [[100 / 255]]]), rtol=1e-6)
    assert until(lambda: server.metric("nv_inference_exec_count", "pairs") > runs)
    assert server.metric("nv_inference_exec_count", "pairs") == runs + 1
    both = np.concatenate([plate(200), plate(100)])
    found = server.infer("pairs", frame=both, threshold=np.concatenate([high, low]))
    assert found["mask"].shape == (2, 16, 16) and found["score"].shape == (2, 1)
    assert [mask.max() for mask in found["mask"]] == [0, 255]


def test_the_client_example_prints_the_verdict(server, models, tmp_path):
    """Dark: the score is NaN; bright: beyond the input check, with a score that is anomalous."""
    export_to_server(save_checked(tmp_path / "checked.onnx"), PYTHON, "triton", models)
    assert server.load("checked") is None
    mask = tmp_path / "mask.raw"

    def client(frame):
        (tmp_path / "frame.raw").write_bytes(frame.tobytes())
        words = [
            sys.executable,
            CLIENT,
            "checked",
            tmp_path / "frame.raw",
            mask,
            "--url",
            server.url,
        ]
        done = subprocess.run([*map(str, words)], capture_output=True, text=True)
        return done.stdout.split(" ")[0] or done.stderr

    assert client(plate(200)) == "anomalous"
    assert np.fromfile(mask, np.uint8).reshape(16, 16)[2:6, 3:9].min() == 255
    assert client(plate(100)) == "good"
    assert client(plate(250, whole=True)) == "unknown"
    assert client(plate(0)) == "unknown"
    assert "byte size mismatch" in client(plate()[:, :8]) and "unknown" in client(plate()[:, :8])
