"""Writes thresholds to a run, an ONNX file or an engine; nothing is exported or built again.

run         its card, and the graphs beside it that have its weights and its blur of the map
ONNX file   its metadata and the default of its input `threshold`, replaced as one file
engine      its card, whose thresholds override those in the file: the file keeps its SHA-256
"""

import dataclasses
from pathlib import Path

from edgeseg.cards import CARD, ENGINES, EngineCard, GraphCard, ModelCard, read_card, write_card
from edgeseg.errors import ModelError
from edgeseg.evaluation.pick import Chosen
from edgeseg.evaluation.threshold import log_outdated
from edgeseg.extras import installed
from edgeseg.files import newest, quoted, shown, write_atomic
from edgeseg.graph.files import graph_bytes, read_graph
from edgeseg.log import log
from edgeseg.runtime.engine_pair import card_path
from edgeseg.runtime.onnx_card import read_onnx_card


def store_thresholds(model: Path, chosen: Chosen, context: float | None = None) -> None:
    """Write chosen thresholds to a model; WriteError leaves it as it was.

    context: a new blur of the map, of a run.
    """
    if model.is_dir():
        return _store_run(model, chosen, context)
    if card_path(model).is_file():
        path = card_path(model)
        card = read_card(path, EngineCard)
        graph = dataclasses.replace(
            card.graph, threshold=chosen.pixel, image_threshold=chosen.image
        )
        write_card(path, dataclasses.replace(card, graph=graph))
        return log.info(f"stored in {shown(path)}")
    _store_graph(model, chosen.pixel, chosen.image)
    log.info(f"stored in {shown(model)}")
    beside = model.parent / CARD
    if beside.is_file():
        log.info(
            f"the run {shown(model.parent)} keeps its thresholds, and an export writes those; to "
            f"set them too: edgeseg threshold {quoted(model.parent)} DATA --false-reject 0.01"
        )


def _store_run(run: Path, chosen: Chosen, context: float | None) -> None:
    card = read_card(run / CARD, ModelCard)
    same_maps = context in (None, card.context)
    found = dataclasses.replace(
        card,
        threshold=chosen.pixel,
        image_threshold=chosen.image,
        context=card.context if context is None else context,
        threshold_note=chosen.note(),
        metrics=card.metrics if same_maps else {},
    )
    write_card(run / CARD, found)
    log.info(f"stored in {shown(run / CARD)}")
    for path in sorted(run.glob("[!.]*.onnx")):
        if _fits(path, found) and installed("onnx"):
            _store_graph(path, chosen.pixel, chosen.image)
            log.info(f"stored in {shown(path)}")
    log_outdated(run, found)
    for path in newest(ENGINES, "*.json"):
        try:
            engine = read_card(path, EngineCard)
        except ModelError:
            continue
        limits = (engine.graph.threshold, engine.graph.image_threshold)
        if engine.graph.weights_sha256 == card.weights_sha256 and limits != (
            chosen.pixel,
            chosen.image,
        ):
            log.info(
                f"{shown(path.stem)} keeps its thresholds; to set them: edgeseg threshold "
                f"{quoted(path.with_name(engine.file))} DATA --false-reject 0.01"
            )


def _fits(path: Path, card: ModelCard) -> bool:
    """Whether a graph has the weights and the blur of a run; a damaged one has not."""
    try:
        graph = read_onnx_card(path)
    except ModelError:
        return False
    return (graph.weights_sha256, graph.context) == (card.weights_sha256, card.context)


def _store_graph(path: Path, pixel: float, image: float) -> None:
    model, card = read_graph(path)
    found: GraphCard = dataclasses.replace(card, threshold=pixel, image_threshold=image)
    write_atomic(path, graph_bytes(model, found))
