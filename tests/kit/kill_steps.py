"""Kills a follower at each step of taking a model, and looks what runs then.

python -m tests.kit.kill_steps STATION_FILE     prints what was found, by step
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from unittest.mock import patch

from edgeseg.engine import build_engine  # noqa: F401  # before the forks
from edgeseg.fleet import attempt, follower, pull
from edgeseg.fleet.registry import Registry
from edgeseg.runtime import engine_pair
from edgeseg.station.following import current
from tests.kit.followed import Followed


def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def after(call):
    """The call, and then the end."""
    return lambda *words, **names: (call(*words, **names), killed())


def after_calls(call, count):
    """The end after so many calls."""
    left = [count]

    def counted(*words, **names):
        found = call(*words, **names)
        left[0] -= 1
        return found if left[0] else killed()

    return counted


STEPS = {
    "first blob begun": lambda: patch.object(Registry, "_fetch", killed),
    "first blob there": lambda: patch.object(Registry, "fetch", after(Registry.fetch)),
    "all blobs there": lambda: patch.object(pull, "write_atomic", killed),
    "manifest written": lambda: patch.object(pull, "write_atomic", after(pull.write_atomic)),
    "engine half built": lambda: patch("edgeseg.engine.build_engine._parity", killed),
    "engine without card": lambda: patch.object(engine_pair, "write_card", killed),
    "judged": lambda: patch.object(attempt, "judge_model", after(attempt.judge_model)),
    "trial noted": lambda: patch.object(follower.Follower, "_tried", killed),
    "trial opened": lambda: patch.object(
        follower.Follower, "_tried", after(follower.Follower._tried)
    ),
    "kept": lambda: patch.object(follower, "write_current", after_calls(follower.write_current, 2)),
}


def in_a_fork(call):
    """What a call returns in another process, and the signal that ended it."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writes, json.dumps(call()).encode())
        os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as file:
        text = file.read()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return json.loads(text) if text else None, -code


def looked(file):
    """Look once; how it ended."""
    followed = Followed(file)
    before = followed.limit
    state = followed.look()
    return {"before": before, "problem": state.problem, "running": state.running,
            "limit": followed.limit}  # fmt: skip


def main(file):
    """Kill at each step, each time from the begin."""
    found = {}
    for step, fault in STEPS.items():
        shutil.rmtree(file.parent / "station" / current.MODELS, ignore_errors=True)

        def broken(fault=fault):
            with fault():
                return looked(file)

        _, ended = in_a_fork(broken)
        limit, _ = in_a_fork(lambda: Followed(file).limit)
        again, _ = in_a_fork(lambda: looked(file))
        found[step] = {
            "signal": ended,
            "limit": limit,
            "next_problem": again["problem"],
            "next_limit": again["limit"],
            "running": again["running"],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
