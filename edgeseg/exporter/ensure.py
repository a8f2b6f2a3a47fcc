"""Returns the graph of a run, and exports it first where it is missing or out of date.

runs/bottle/bottle.onnx        the graph that `edgeseg export` writes
runs/bottle/bottle-gpu.onnx    with the head in the other form, where a build needs it
"""

from pathlib import Path

from edgeseg.cards import CARD, GraphCard, ModelCard, read_card
from edgeseg.config import ExportConfig, OptimizeFor
from edgeseg.log import log
from edgeseg.packages.extras import installed
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.settings import make

ANY = "any"  # the form of a graph without a head


def exported_graph(run: Path, form: OptimizeFor | None = None) -> Path:
    """Return a run's graph; export it where there is none, or one of other weights or thresholds.

    form: of the head; None: that of the graph. Where PyTorch is not installed, a graph of the other
    form is returned. A graph with other tiles than the run has thresholds of its own. PyTorch is
    loaded only for an export.
    """
    card = read_card(run / CARD, ModelCard)
    path = run / f"{card.name}.onnx"
    if not path.is_file():
        log.info(f"{run} has no graph: exporting it")
        return _export(run, path, ExportConfig(optimize_for=form or ExportConfig.optimize_for))
    found = read_onnx_card(path)
    if not _current(found, card):
        log.info(f"{path} is out of date: exporting {run} again")
        if found.tiles != card.tiles:
            log.warning(f"{path} had other tiles than {run}, and gets those of the run")
        _export(run, path, _like(found, found.optimized_for))
    if form is None or found.optimized_for in (form, ANY) or not installed("torch"):
        return path
    other = run / f"{card.name}-{form}.onnx"
    if other.is_file():
        made = read_onnx_card(other)
        same = made.frame_shape == found.frame_shape and made.frame_format == found.frame_format
        if same and made.optimized_for == form and _current(made, card):
            return other
    if found.tiles != card.tiles:  # of an export with tiles of its own
        return path
    log.info(f"{path} has the head in the form for a {found.optimized_for}: exporting {other.name}")
    return _export(run, other, _like(found, form))


def _current(found: GraphCard, card: ModelCard) -> bool:
    same = ["weights_sha256", "context", "roi"]
    if found.tiles == card.tiles:
        same += ["threshold", "image_threshold", "rule"]
    return all(getattr(found, name) == getattr(card, name) for name in same)


def _like(found: GraphCard, form: str) -> ExportConfig:
    """Return the settings of an export for the frames of a graph."""
    form = ExportConfig.optimize_for if form == ANY else form
    height, width = found.frame_size
    settings = {"frame_size": f"{width}x{height}", "format": found.frame_format}
    return make(ExportConfig, settings | {"optimize_for": form, "batch": found.frame_shape[0]})


def _export(run: Path, path: Path, config: ExportConfig) -> Path:
    from edgeseg.exporter.export import export_run

    return export_run(run, config, path=path).graph
