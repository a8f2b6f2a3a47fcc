"""Run scenarios on a real GPU: the simulator's `infer` as kernels that NVRTC compiles.

    result = run_on_gpu("tests.runtime.tensorrt_scenarios:stream", frames=1000, io="copy")

Each runs in a process of its own, with NVIDIA's driver, and returns a JSON value. The simulator's
other controls do nothing there, except `forbid_capture`.
"""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from edgeseg.gpu_check.kernels import Kernels
from tools.cudasim import simulator

ROOT = Path(__file__).parents[2]
MARK = "result: "


def install() -> Kernels:
    """Put the kernels in the place of the simulator's controls, in this process."""
    kernels = Kernels()

    def forbid(on: bool = True) -> None:
        kernels.forbidden = on

    controls = {
        "infer": kernels.infer,
        "steady": lambda on=True: None,
        "forbid_capture": forbid,
    }
    for name, control in controls.items():
        setattr(simulator, name, control)
    return kernels


def run_on_gpu(scenario: str, timeout: float = 120, **arguments: Any) -> Any:
    """Run `module:function` in a process of its own; return its result."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", __name__, scenario, json.dumps(arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    return json.loads(found[-1].removeprefix(MARK))


if __name__ == "__main__":
    install()
    module, _, name = sys.argv[1].partition(":")
    answer = getattr(import_module(module), name)(**json.loads(sys.argv[2]))
    print(MARK + json.dumps(answer))
