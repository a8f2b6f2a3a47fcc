"""Returns the graph of a run, and exports it first where it is missing or out of date."""

from pathlib import Path

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.config import ExportConfig
from edgeseg.log import log
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.settings import make


def exported_graph(run: Path) -> Path:
    """Return a run's graph; export it where there is none, or one of other weights or thresholds.

    A graph with other tiles than the run has thresholds of its own. PyTorch is loaded only for an
    export.
    """
    card = read_card(run / CARD, ModelCard)
    path = run / f"{card.name}.onnx"
    config = ExportConfig()
    if path.is_file():
        with OnnxRuntimeBackend(path) as graph:
            found = graph.card
        same = ["weights_sha256", "context", "roi"]
        if found.tiles == card.tiles:
            same += ["threshold", "image_threshold", "rule"]
        if all(getattr(found, name) == getattr(card, name) for name in same):
            return path
        log.info(f"{path} is out of date: exporting {run} again")
        if found.tiles != card.tiles:
            log.warning(f"{path} had other tiles than {run}, and gets those of the run")
        batch, (height, width) = found.frame_shape[0], found.frame_size
        settings = {"frame_size": f"{width}x{height}", "format": found.frame_format}
        settings["optimize_for"] = found.optimized_for
        config = make(ExportConfig, settings | {"batch": batch})
    else:
        log.info(f"{run} has no graph: exporting it")
    from edgeseg.exporter.export import export_run

    return export_run(run, config).graph
