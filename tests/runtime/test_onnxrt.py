"""ONNX Runtime's trace, from a shortened one of version 1.32."""

import json

import pytest

from edgeseg.machine import threads
from edgeseg.runtime.layer_times import LayerTime
from edgeseg.runtime.onnxrt import open_session, read_trace
from tests.kit.red_graph import red_graph

TRACE = """[
{"cat": "Session", "pid": 7, "tid": 7, "dur": 389145, "ts": 5, "ph": "X",
 "name": "model_loading_uri", "args": {}},
{"cat": "Session", "pid": 7, "tid": 7, "dur": 618121, "ts": 389238, "ph": "X",
 "name": "session_initialization", "args": {}},
{"cat": "Node", "pid": 7, "tid": 7, "dur": 96, "ts": 1017035, "ph": "X",
 "name": "node__to_copy_kernel_time", "args": {"op_name": "Cast", "node_index": "0"}},
{"cat": "Node", "pid": 7, "tid": 7, "dur": 5536, "ts": 1017140, "ph": "X",
 "name": "relu_1_nchwc_kernel_time", "args": {"op_name": "Conv", "node_index": "302"}},
{"cat": "Session", "pid": 7, "tid": 7, "dur": 5700, "ts": 1017030, "ph": "X",
 "name": "SequentialExecutor::Execute", "args": {}},
{"cat": "Session", "pid": 7, "tid": 7, "dur": 5750, "ts": 1017020, "ph": "X",
 "name": "model_run", "args": {}},
{"cat": "Node", "pid": 7, "tid": 7, "dur": 40, "ts": 1717572, "ph": "X",
 "name": "node__to_copy_kernel_time", "args": {"op_name": "Cast", "node_index": "0"}},
{"cat": "Node", "pid": 7, "tid": 7, "dur": 1498, "ts": 1717630, "ph": "X",
 "name": "relu_1_nchwc_kernel_time", "args": {"op_name": "Conv", "node_index": "302"}},
{"cat": "Session", "pid": 7, "tid": 7, "dur": 1700, "ts": 1717560, "ph": "X",
 "name": "model_run", "args": {}}
]"""


def test_the_layers_of_each_run():
    first, second = read_trace(TRACE)
    assert first == [
        LayerTime("node__to_copy", "Cast", 96e-6),
        LayerTime("relu_1_nchwc", "Conv", 5536e-6),
    ]
    assert [layer.seconds for layer in second] == [40e-6, 1498e-6]


def test_fences_of_older_versions_are_no_layers():
    events = json.loads(TRACE)
    fence = {"cat": "Node", "name": "node__to_copy_fence_before", "dur": 1, "args": {}}
    assert read_trace(json.dumps([fence, *events])) == read_trace(TRACE)


def test_threads_spin_unless_the_cores_are_shared(monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(threads, "_limit", {})
    graph, found = red_graph().SerializeToString(), []
    for prepare in (lambda: None, threads.share_cores):
        prepare()
        options = open_session(graph, 2).get_session_options()
        found.append(options.get_session_config_entry("session.intra_op.allow_spinning"))
    assert found == ["1", "0"]
