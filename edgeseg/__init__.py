"""edgeseg: from photos of good parts to a defect mask for every camera frame.

    load(path) -> Model       open a run, an ONNX file or an engine
    Model(frame) -> Prediction    verdict, score, mask, anomaly map, regions
    train, export, build_engine   make them; each returns the path of what it wrote

Names are imported at first use: `import edgeseg` loads neither OpenCV nor a runtime.
"""

from typing import TYPE_CHECKING, Any

from edgeseg.errors import EdgesegError

if TYPE_CHECKING:
    from edgeseg.api import build_engine, export, train
    from edgeseg.prediction import Model, Prediction, load
    from edgeseg.verdict.regions import Region

__version__ = "0.4.0"

__all__ = [
    "EdgesegError",
    "Model",
    "Prediction",
    "Region",
    "__version__",
    "build_engine",
    "export",
    "load",
    "train",
]

_PLACES = {
    **dict.fromkeys(("build_engine", "export", "train"), "edgeseg.api"),
    **dict.fromkeys(("Model", "Prediction", "load"), "edgeseg.prediction"),
    "Region": "edgeseg.verdict.regions",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'edgeseg' has no attribute '{name}'")
    from importlib import import_module

    found = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
