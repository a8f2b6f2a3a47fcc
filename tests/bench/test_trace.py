"""chrome_trace: the events that Perfetto reads."""

import json
from itertools import pairwise

import pytest

from edgeseg.bench.trace import chrome_trace
from tests.bench.test_profile import CARD, Timed, run_profile


def test_chrome_trace_has_a_row_per_module_and_a_slice_per_layer(red, tmp_path):
    report = run_profile(Timed(CARD), red, tmp_path)
    trace = json.loads(report.trace.read_text())
    assert trace == json.loads(json.dumps(chrome_trace(report)))
    rows = {e["args"]["name"]: e["tid"] for e in trace["traceEvents"] if e["name"] == "thread_name"}
    assert list(rows.values()) == list(range(len(report.modules)))
    slices = [e for e in trace["traceEvents"] if e["ph"] == "X"]
    expected = [(rows[x.module], x.label, x.ms * 1e3) for x in report.layers]
    assert [(e["tid"], e["name"], e["dur"]) for e in slices] == expected
    for before, after in pairwise(slices):
        assert after["ts"] == pytest.approx(before["ts"] + before["dur"]), "end to end"
    (process,) = [e for e in trace["traceEvents"] if e["name"] == "process_name"]
    assert process["args"]["name"] == f"{report.model} on {report.engine}"
