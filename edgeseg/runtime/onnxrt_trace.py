"""ONNX Runtime's own profile: a JSON trace, from which the layers of each run are read.

    {"cat": "Node", "name": "<layer>_kernel_time", "dur": microseconds, "args": {"op_name": ...}}
    {"cat": "Session", "name": "model_run", ...}      after the nodes of its run

Fused layers are named after the tensor that they write, with `_nchwc` behind it where the layout is
blocked.
"""

import json
from typing import Any

from edgeseg.runtime.layer_times import LayerTime

KERNEL = "_kernel_time"


def read_trace(text: str) -> list[list[LayerTime]]:
    """Return the layers of every run, in the order in which they ran."""
    runs: list[list[LayerTime]] = []
    run: list[LayerTime] = []
    for event in json.loads(text):
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            run.append(_layer(event))
        elif event.get("name") == "model_run":
            runs.append(run)
            run = []
    return runs


def _layer(event: dict[str, Any]) -> LayerTime:
    name = event["name"].removesuffix(KERNEL)
    return LayerTime(name, event["args"].get("op_name", ""), event["dur"] / 1e6)
