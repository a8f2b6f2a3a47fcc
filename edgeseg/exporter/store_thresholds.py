"""Writes thresholds and rules to a run, an ONNX file or an engine; nothing is exported or built.

run         its card, and the graphs beside it that have its weights, tiles, blur and ROIs
ONNX file   its metadata and the default of its input `threshold`, replaced as one file
engine      its card, whose thresholds override those in the file: the file keeps its SHA-256
"""

import dataclasses
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, ENGINES, EngineCard, ModelCard, read_card, write_card
from edgeseg.errors import ModelError
from edgeseg.evaluation.pick import Chosen
from edgeseg.evaluation.threshold import log_outdated
from edgeseg.files import newest, quoted, shown, write_atomic
from edgeseg.frame.roi import Roi
from edgeseg.graph.files import graph_bytes, read_graph
from edgeseg.log import log
from edgeseg.packages.extras import installed
from edgeseg.runtime.engine_pair import card_path
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.verdict.rule import Rule


def store_thresholds(
    model: Path,
    chosen: Chosen | None,
    context: float | None = None,
    rule: Rule | None = None,
    roi: Roi | None = None,
) -> None:
    """Write chosen thresholds and a rule to a model; WriteError leaves it as it was.

    context, roi: a new blur of the map and new ROIs, of a run. None: unchanged.
    """
    values: dict[str, Any] = {} if rule is None else {"rule": rule}
    if chosen is not None:
        values |= {"threshold": chosen.pixel, "image_threshold": chosen.image}
    if model.is_dir():
        return _store_run(model, values, chosen, context, roi)
    if card_path(model).is_file():
        path = card_path(model)
        card = read_card(path, EngineCard)
        graph = dataclasses.replace(card.graph, **values)
        write_card(path, dataclasses.replace(card, graph=graph))
        return log.info(f"stored in {shown(path)}")
    _store_graph(model, values)
    log.info(f"stored in {shown(model)}")
    beside = model.parent / CARD
    if beside.is_file():
        log.info(
            f"the run {shown(model.parent)} keeps its own, and an export writes those; to set "
            f"them too: edgeseg threshold {quoted(model.parent)} "
            f"{_options(chosen, rule, read_card(beside, ModelCard).rule)}"
        )


def _store_run(
    run: Path,
    values: dict[str, Any],
    chosen: Chosen | None,
    context: float | None,
    roi: Roi | None,
) -> None:
    card = read_card(run / CARD, ModelCard)
    same_maps = context in (None, card.context) and roi in (None, card.roi)
    found = dataclasses.replace(
        card,
        **values,
        context=card.context if context is None else context,
        roi=card.roi if roi is None else roi,
        threshold_note=card.threshold_note if chosen is None else chosen.note(),
        metrics=card.metrics if same_maps else {},
    )
    write_card(run / CARD, found)
    log.info(f"stored in {shown(run / CARD)}")
    for path in sorted(run.glob("[!.]*.onnx")):
        if _fits(path, found) and installed("onnx"):
            _store_graph(path, values)
            log.info(f"stored in {shown(path)}")
    log_outdated(run, found)
    for path in newest(ENGINES, "*.json"):
        try:
            engine = read_card(path, EngineCard)
        except ModelError:
            continue
        if engine.graph.weights_sha256 != card.weights_sha256:
            continue
        if (engine.graph.context, engine.graph.roi) != (found.context, found.roi):
            log.info(
                f"{shown(path.stem)} has the old ROIs or blur of the map; to update it, after the "
                f"export: edgeseg build-engine {quoted(run)} --precision {engine.precision} "
                f"--runtime {engine.runtime}"
            )
            continue
        differs = any(getattr(engine.graph, name) != value for name, value in values.items())
        if differs:
            log.info(
                f"{shown(path.stem)} keeps its own; to set them: edgeseg threshold "
                f"{quoted(path.with_name(engine.file))} "
                f"{_options(chosen, values.get('rule'), engine.graph.rule)}"
            )


def _options(chosen: Chosen | None, rule: Rule | None, before: Rule) -> str:
    """Return what to type to give another model, with its rule of before, the same."""
    found = [] if chosen is None else ["DATA --false-reject 0.01"]
    return " ".join(found if rule is None else [*found, rule.options(before)])


def _fits(path: Path, card: ModelCard) -> bool:
    """Whether a graph has weights, blur, tiles and ROIs of a run; a damaged one has not."""
    try:
        graph = read_onnx_card(path)
    except ModelError:
        return False
    names = ("weights_sha256", "context", "tiles", "roi")
    return all(getattr(graph, name) == getattr(card, name) for name in names)


def _store_graph(path: Path, values: dict[str, Any]) -> None:
    model, card = read_graph(path)
    write_atomic(path, graph_bytes(model, dataclasses.replace(card, **values)))
