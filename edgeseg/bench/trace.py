"""A profile as a trace file for https://ui.perfetto.dev or chrome://tracing.

One row for each module of the network, one slice for each layer. The layers are placed end to end
in the order of execution, each with its mean time: no single run looks exactly like this.
"""

from typing import Any

from edgeseg.bench.profile_report import ProfileReport


def chrome_trace(report: ProfileReport) -> dict[str, Any]:
    """Return the layers of a profile in Chrome's trace event format (JSON)."""
    modules = [row.module for row in report.modules]
    events = [_metadata("process_name", 0, name=f"{report.model} on {report.engine}")]
    for row, module in enumerate(modules):
        events += [_metadata("thread_name", row, name=module)]
        events += [_metadata("thread_sort_index", row, sort_index=row)]
    start = 0.0
    for layer in report.layers:
        events.append(
            {
                "ph": "X",
                "name": layer.label,
                "cat": layer.kind,
                "pid": 0,
                "tid": modules.index(layer.module),
                "ts": start,  # microseconds, like dur
                "dur": layer.ms * 1e3,
                "args": {"layer": layer.name, "kind": layer.kind, "gmac": layer.gmac},
            }
        )
        start += layer.ms * 1e3
    facts = {"machine": report.machine, "slowdown": report.slowdown, "steady": report.steady}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": facts}


def _metadata(event: str, row: int, **args: Any) -> dict[str, Any]:
    return {"ph": "M", "name": event, "pid": 0, "tid": row, "args": args}
