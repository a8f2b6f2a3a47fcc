"""Run scenarios under the simulated driver, each in a process of its own.

    report = run(copies, frames=1000, seed=3, lateness="late", attributes=JETSON)
    report.clean(); report.result; report.counters["steady_allocations"]; report.kinds

A scenario is a top-level function of a module. It receives the keyword arguments, imports the CUDA
bindings itself and returns a JSON value. A server process that never calls CUDA does the slow
imports once and forks a child for each scenario, which starts in milliseconds and may crash.
"""

import atexit
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tools.cudasim.build import build

ROOT = Path(__file__).parents[2]


@dataclass
class Report:
    """What the driver saw in a scenario, and what the scenario returned."""

    result: Any = None
    error: str | None = None
    """The traceback, or how the process ended."""
    faults: list[dict[str, str]] = field(default_factory=list)
    """Each has `fault`, its kind, `call`, and `text`; of each kind the first twenty."""
    warnings: list[dict[str, str]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    """How often each kind was seen, warnings too."""
    counters: dict[str, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    """How often each driver function was called."""
    output: str = ""

    def clean(self) -> "Report":
        """Assert that the scenario ran to its end and the driver found no fault; return self."""
        assert self.error is None, f"{self.error}\n{self.output}"
        assert not self.faults, "\n".join(
            f"{f['fault']}: {f['call']}: {f['text']}" for f in self.faults
        )
        return self


def run(
    scenario: Callable[..., Any] | str,
    *,
    seed: int = 0,
    attributes: dict[int, int] | None = None,
    lateness: str = "mixed",
    kernel_us: int = 0,
    timeout: float = 60,
    **arguments: Any,
) -> Report:
    """Run a scenario, a function or `module:function`, and report; NoCompilerError without `cc`.

    lateness: eager, often, mixed or late (work runs only when something waits for it).
    """
    if not isinstance(scenario, str):
        scenario = f"{scenario.__module__}:{scenario.__qualname__}"
    with tempfile.TemporaryDirectory(prefix="cudasim-") as folder:
        request = {
            "scenario": scenario,
            "arguments": arguments,
            "folder": folder,
            "timeout": timeout,
            "settings": {
                "seed": seed,
                "attributes": attributes or {},
                "lateness": lateness,
                "kernel_us": kernel_us,
            },
        }
        server = _server()
        assert server.stdin is not None and server.stdout is not None
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = server.stdout.readline()
        if not status:
            _server.cache_clear()
            raise RuntimeError("the scenario server ended")
        return _read(Path(folder), int(status))


@cache
def _server() -> "subprocess.Popen[str]":
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(build()) + os.pathsep + os.environ.get("LD_LIBRARY_PATH", ""),
        "PYTHONPATH": str(ROOT) + os.pathsep + os.environ.get("PYTHONPATH", ""),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "tools.cudasim.run"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def stop() -> None:
        assert server.stdin is not None and server.stdout is not None
        server.stdin.close()
        server.wait()
        server.stdout.close()

    atexit.register(stop)
    return server


def _read(folder: Path, status: int) -> Report:
    report = Report()
    report.output = (folder / "output").read_text(errors="replace")
    lines = folder / "report"
    for line in lines.read_text().splitlines() if lines.exists() else []:
        entry = json.loads(line)
        if "fault" in entry:
            report.faults.append(entry)
        elif "warning" in entry:
            report.warnings.append(entry)
        else:
            report.counters, report.calls, report.kinds = (
                entry["counters"],
                entry["calls"],
                entry["kinds"],
            )
    answer = folder / "result"
    if answer.exists():
        kept = json.loads(answer.read_text())
        report.result, report.error = kept["result"], kept["error"]
    if status < 0:
        report.error = f"the process was ended by {signal.Signals(-status).name}"
    elif report.error is None and (status or not answer.exists()):
        report.error = f"the process exited with {status}"
    return report


def _serve() -> dict[str, Any] | None:
    """Fork a child for each request; in the child, return the request."""
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            return dict(request)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def _scenario(request: dict[str, Any]) -> None:
    folder = Path(request["folder"])
    output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(0)
    os.environ["CUDASIM_REPORT"] = str(folder / "report")
    # A scenario that hangs ends with SIGALRM.
    signal.setitimer(signal.ITIMER_REAL, request["timeout"])
    from tools.cudasim import simulator

    settings = request["settings"]
    settings["attributes"] = {int(key): value for key, value in settings["attributes"].items()}
    simulator.configure(**settings)
    module, _, name = request["scenario"].partition(":")
    result, error = None, None
    try:
        result = getattr(import_module(module), name)(**request["arguments"])
    except Exception:
        error = traceback.format_exc()
    (folder / "result").write_text(json.dumps({"result": result, "error": error}))


if __name__ == "__main__":
    import edgeseg.runtime.fake  # noqa: F401

    try:
        import tools.cudasim.cuda  # noqa: F401
    except ImportError:
        pass
    gc.freeze()
    request = _serve()
    if request is not None:
        _scenario(request)
