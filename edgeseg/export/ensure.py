"""The graph of a run: the one it has, or a new one; PyTorch is loaded only to make a new one."""

from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.config import ExportConfig
from edgeseg.log import log
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.settings import make


def exported_graph(run: Path) -> Path:
    """Return a run's graph; export it first when there is none, or an older one.

    Older: of other weights, thresholds or context than the run has now.
    """
    card = read_card(run / CARD, ModelCard)
    path = run / f"{card.name}.onnx"
    if path.is_file():
        with OnnxRuntimeBackend(path) as graph:
            found = graph.card
        same = ("weights_sha256", "threshold", "image_threshold", "context")
        if all(getattr(found, name) == getattr(card, name) for name in same):
            return path
        log.info(f"{path} is older than its run: exporting again")
        n, height, width, _ = found.frame_shape
        settings: dict[str, Any] = {
            "frame_size": f"{width}x{height}",
            "format": found.frame_format,
            "batch": n,
        }
        if found.rewrites is not None:
            settings["rewrites"] = ",".join(found.rewrites) or "none"
        config = make(ExportConfig, settings)
    else:
        log.info(f"{run} has no graph yet: exporting")
        config = ExportConfig()
    from edgeseg.export.export import export_run  # PyTorch, only here

    return export_run(run, config).graph
