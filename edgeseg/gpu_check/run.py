"""Carry out the checks, each group in a process of its own, and report one line a check.

    report = check_gpu(results=Path("h100.json"))
    print(report.summary()); report.store(); report.check()

A check that hangs, crashes or exceeds its time ends its process; the others of its group start
again in a new one.
"""

import datetime
import json
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import edgeseg
from edgeseg.errors import ConfigError, CudaError, GateFailed
from edgeseg.files import check_writable, quoted, write_atomic
from edgeseg.gpu_check.finding import CheckState
from edgeseg.gpu_check.table import CHECKS, DEVICE, ENGINE, GpuCheck
from edgeseg.gpu_check.worker import MARK
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import versions
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.text import counted

LIMIT = 175.0  # seconds for all checks but those of engines, whose builds take minutes
OVER = "within the time for all checks"
PACKAGES = ("cuda-bindings", "pycuda", "numpy", "torch", "onnx", "onnxruntime", "tensorrt")
MARGIN = "  "


@dataclass(frozen=True, kw_only=True)
class GpuResult:
    """One check's line."""

    name: str
    tier: int
    state: CheckState
    found: str
    expected: str
    seconds: float = 0.0
    figures: dict[str, Any] = field(default_factory=dict)
    detail: dict[str, str] = field(default_factory=dict)

    def line(self, width: int) -> str:
        """Return the state, the name, what was found and, unless skipped, what was expected."""
        text = f"{self.state}  {self.tier}  {self.name:<{width}}{MARGIN}{self.found}"
        return text if self.state == "SKIP" else f"{text} (expected: {self.expected})"


@dataclass(frozen=True, kw_only=True)
class GpuReport:
    """Every check's result, and the machine they ran on."""

    results: tuple[GpuResult, ...]
    seconds: float
    date: str
    out: Path | None = None

    @property
    def device(self) -> dict[str, Any]:
        """The GPU as CUDA reports it."""
        return next((r.figures for r in self.results if r.name == DEVICE), {})

    def summary(self) -> str:
        """Return one line for each check, and the count of each state."""
        width = max(len(result.name) for result in self.results)
        states = [result.state for result in self.results]
        counts = ", ".join(f"{states.count(s)} {s}" for s in ("PASS", "FAIL", "SKIP"))
        lines = [result.line(width) for result in self.results]
        return "\n".join([*lines, f"{counts} in {self.seconds:.0f} s"])

    def to_json(self) -> dict[str, Any]:
        """Return the document of the results file."""
        return {
            "date": self.date,
            "device": self.device,
            "machine": asdict(this_machine()),
            "versions": versions(*PACKAGES),
            "seconds": round(self.seconds, 1),
            "checks": [asdict(result) for result in self.results],
        }

    def store(self) -> None:
        """Write the results file, if one was asked for."""
        if self.out is not None:
            write_atomic(self.out, (json.dumps(self.to_json(), indent=1) + "\n").encode())
            log.info(f"results: {self.out}")

    def check(self) -> None:
        """Raise GateFailed if a check failed."""
        failed = [result.name for result in self.results if result.state == "FAIL"]
        if failed:
            raise GateFailed(
                f"{counted(len(failed), 'check')} failed: {', '.join(failed)}",
                remedy="report this with the output of: edgeseg doctor --gpu --json",
                code="gate/gpu-check",
            )


def check_gpu(
    *,
    results: Path | None = None,
    graph: Path | None = None,
    checks: Sequence[GpuCheck] = CHECKS,
    limit: float = LIMIT,
    tell: Callable[[str], None] = log.info,
) -> GpuReport:
    """Carry out the checks in order; the first one has to find a GPU.

    graph: an exported graph for the checks of engines; default: PyTorch exports one. tell: is
    called with each line as it becomes known. Errors: CudaError and MissingExtra without a GPU or a
    binding; ConfigError for a results file that exists; ModelError for another graph.
    """
    if graph is not None:
        read_onnx_card(graph)
        checks = [_with_graph(check, graph) for check in checks]
    if results is not None:
        if results.exists():
            raise ConfigError(
                f"{results} exists (expected a new file for the results)",
                remedy=f"edgeseg doctor --gpu --results {quoted(_other(results))}",
                code="config/exists",
            )
        check_writable(results.parent)
    began = time.perf_counter()
    end = began + limit
    done: list[GpuResult] = []
    for name, group in groupby(checks, key=lambda check: check.group):
        started = time.perf_counter()
        for result in carry_out_group(list(group), math.inf if name == ENGINE else end):
            if result.name == DEVICE and result.state != "PASS":
                raise CudaError(
                    f"no GPU to check: {result.found}",
                    remedy=result.detail.get("remedy", "edgeseg doctor"),
                    code="cuda/no-device",
                )
            tell(f"{result.state}  {result.name}: {result.found}")
            done.append(result)
        if name == ENGINE:
            end += time.perf_counter() - started
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    seconds = time.perf_counter() - began
    return GpuReport(results=tuple(done), seconds=seconds, date=today, out=results)


def _with_graph(check: GpuCheck, graph: Path) -> GpuCheck:
    if check.group != ENGINE:
        return check
    return replace(check, arguments={**check.arguments, "graph": str(graph.resolve())})


def _other(path: Path) -> Path:
    """Return a name beside `path` that is free."""
    numbered = (path.with_stem(f"{path.stem}-{n}") for n in range(2, 1000))
    return next(each for each in numbered if not each.exists())


def carry_out_group(checks: list[GpuCheck], end: float) -> list[GpuResult]:
    """Carry out the checks of one process, and start another after one that failed to answer.

    end: in seconds of `time.perf_counter`; a check that has not begun by then fails.
    """
    results: list[GpuResult] = []
    while left := checks[len(results) :]:
        if time.perf_counter() >= end:
            results += [_failed(check, f"not run {OVER}") for check in left]
            break
        with tempfile.TemporaryDirectory(prefix="edgeseg-", ignore_cleanup_errors=True) as scratch:
            results += _carry_out(left, end, scratch)
    return results


def _carry_out(checks: list[GpuCheck], end: float, scratch: str) -> list[GpuResult]:
    """Return the results of one process, up to and with the first check that did not answer.

    scratch: the folder for its temporary files, engines among them; it cannot remove them itself.
    """
    root = str(Path(edgeseg.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    words = [w for check in checks for w in (check.function, json.dumps(dict(check.arguments)))]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeseg.gpu_check.worker", *words],
        env=os.environ | {"PYTHONPATH": path} | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # ended with the programs that it starts
    )
    answers: queue.Queue[str | None] = queue.Queue()
    errors: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    readers = (
        threading.Thread(target=_read, args=(process.stdout, answers.put), daemon=True),
        threading.Thread(target=_read, args=(process.stderr, _kept(errors)), daemon=True),
    )
    for reader in readers:
        reader.start()
    results: list[GpuResult] = []
    try:
        for check in checks:
            answer = _answer(check, answers, end)
            if answer is None:
                results.append(_failed(check, _silence(check, process, errors, end)))
                break
            results.append(answer)
        return results
    finally:
        _end(process)
        for reader in readers:
            reader.join()
        process.stdout.close()
        process.stderr.close()


def _end(process: "subprocess.Popen[str]") -> None:
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _read(pipe: IO[str], put: Callable[[str | None], object]) -> None:
    for line in pipe:
        put(line)
    put(None)


def _kept(lines: list[str]) -> Callable[[str | None], object]:
    return lambda line: lines.append(line) if line else None


def _answer(check: GpuCheck, answers: "queue.Queue[str | None]", end: float) -> GpuResult | None:
    """Return the next result of a process; None if it ends or takes too long."""
    limit = min(time.perf_counter() + check.seconds, end)
    while True:
        try:
            line = answers.get(timeout=max(limit - time.perf_counter(), 0.0))
        except queue.Empty:
            return None
        if line is None:
            return None
        if line.startswith(MARK):
            return _result(check, json.loads(line.removeprefix(MARK)))


def _result(check: GpuCheck, answer: dict[str, Any]) -> GpuResult:
    return GpuResult(name=check.name, tier=check.tier, expected=check.expected, **answer)


def _failed(check: GpuCheck, why: str) -> GpuResult:
    return GpuResult(
        name=check.name, tier=check.tier, state="FAIL", found=why, expected=check.expected
    )


def _silence(
    check: GpuCheck, process: "subprocess.Popen[str]", errors: list[str], end: float
) -> str:
    """Say why there is no answer: how the process ended, or that it still runs."""
    try:
        status = process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        over = time.perf_counter() >= end
        return f"no answer {OVER if over else f'within {check.seconds:g} s'}"
    time.sleep(0.1)  # the last words may still be on their way
    how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
    last = f": {errors[-1].strip()}" if errors else ""
    return f"its process ended with {how}{last}"
