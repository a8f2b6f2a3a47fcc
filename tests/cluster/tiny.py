"""Tiny jobs for the tests of executors; workers import this file."""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import DataError, Interrupted


@dataclass(frozen=True, kw_only=True)
class Tiny:
    """A job: sums the bytes of its data."""

    name: str
    data: Path
    folder: Path
    does: str = ""

    def __setstate__(self, state: dict[str, object]) -> None:
        """Arrive in a worker, which may be unable to load the job, for once or always."""
        vars(self).update(state)
        if not self.does.startswith("cannot load"):
            return
        mark = Path(os.environ.get("TINY_MARKS", "/nowhere"), f"{self.name} arrived")
        before = mark.exists()
        with mark.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if self.does == "cannot load" or not before:
            raise ImportError("the code is torn")


def work(job: Tiny) -> None:
    """Do what `does` says, then write the sum, and the paths that the job saw."""
    os.write(1, f"working on {job.name}\n".encode())  # as a C library prints
    marks = Path(os.environ.get("TINY_MARKS", "/nowhere"))
    begun = marks / job.name
    before = begun.exists()
    if marks.is_dir():
        with begun.open("a") as file:
            file.write(f"{os.environ.get('RAY_RAYLET_PID')} {os.getpid()}\n")
    if job.does == "fail":
        raise DataError("The image is torn.", remedy="another image")
    if job.does == "stop":  # as a training does when its node is drained
        raise Interrupted("stopped", remedy="again")
    if job.does == "die" or (job.does == "die once" and not before):
        os.kill(os.getpid(), signal.SIGKILL)
    while job.does == "wait once" and not before and not (marks / "go on").exists():
        time.sleep(0.05)
    total = sum(sum(path.read_bytes()) for path in sorted(job.data.iterdir()))
    job.folder.mkdir(parents=True, exist_ok=True)
    seen = {"sum": total, "data": str(job.data), "folder": str(job.folder / "sum.json")}
    seen["edgeseg"] = str(Path(sys.modules["edgeseg"].__file__ or "").parent)
    (job.folder / "sum.json").write_text(json.dumps(seen))
