"""Usage reports of optional packages, switched off before these are imported.

onnxruntime      from 1.29 writes a device id and a database to ~/.cache/Microsoft and sends events
                 to mobile.events.data.microsoft.com; it reads ORT_DISABLE_TELEMETRY at its import
openvino         writes a client id to ~/intel and sends events to google-analytics.com, with the
                 package openvino_telemetry; where that is missing, it uses an empty class
mlflow           asks its maker's server and sends usage events; it reads MLFLOW_DISABLE_TELEMETRY
huggingface_hub  (of timm) sends usage events; it reads HF_HUB_DISABLE_TELEMETRY at its import
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import cast

VARIABLES = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY", "MLFLOW_DISABLE_TELEMETRY")
REPORTER = "openvino_telemetry"


def import_silently(module: str) -> ModuleType:
    """Import a module that neither stores an id of this machine nor sends anything.

    The variables stay set, for the processes that are started from this one.
    """
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    with _missing(REPORTER):
        found = import_module(module)
    if module == "onnxruntime":
        found.disable_telemetry_events()  # Windows, where no variable is read
    return found


@contextmanager
def _missing(package: str) -> Iterator[None]:
    """Make imports of a package fail as if it were not installed."""
    before = sys.modules.get(package)
    sys.modules[package] = cast(ModuleType, None)
    try:
        yield
    finally:
        del sys.modules[package]
        if before is not None:
            sys.modules[package] = before
