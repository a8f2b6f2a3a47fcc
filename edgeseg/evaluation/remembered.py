"""The verdict of an evaluation, kept in the model's card, and the warning that follows from it.

run         `evaluation` of card.json; an export copies it into the graph
ONNX file   that of the run beside it with the same weights; a file without a run is not changed
engine      `graph.evaluation` of its card

A verdict on the ranking holds for the weights and the blur of the map (context), one on the
thresholds for these thresholds only. Commands that take a model call `warn_if_useless`.
"""

import dataclasses
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeseg import __version__
from edgeseg.cards import CARD, RUNS, EngineCard, GraphCard, ModelCard, read_card, write_card
from edgeseg.errors import EdgesegError, ModelError
from edgeseg.evaluation.assessment import useless_words
from edgeseg.files import shown
from edgeseg.log import log, warn_once
from edgeseg.runtime.engine_pair import card_path

Remembered = dict[str, Any]


def facts_of(document: Remembered, card: GraphCard) -> Remembered:
    """Return what a card keeps of an evaluation's JSON document."""
    rates = document["rates"]
    return {
        **document["assessment"],
        "image_auroc": document["image_auroc"],
        "pixel_ap": document["pixel_ap"],
        "false_rejects": [rates["false_rejects"]["count"], rates["false_rejects"]["total"]],
        "misses": [rates["misses"]["count"], rates["misses"]["total"]],
        "dataset": document["dataset"]["name"],
        "backend": document["backend"],
        "edgeseg": __version__,
        "of": _of(card),
    }


def remember(model: Path, facts: Remembered) -> None:
    """Write the facts to the card of a model; a card that cannot be written is logged."""
    try:
        path = _card_of(model, facts["of"])
        if path is None:
            log.info(f"not remembered: {shown(model)} has no run of the same thresholds beside it")
            return
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        if path.name == CARD:
            write_card(path, dataclasses.replace(read_card(path, ModelCard), evaluation=facts))
        else:
            card = read_card(path, EngineCard)
            graph = dataclasses.replace(card.graph, evaluation=facts)
            write_card(path, dataclasses.replace(card, graph=graph))
        os.utime(path, ns=times)  # the newest model is the one that was made last
    except (EdgesegError, OSError) as error:
        log.warning(f"the evaluation is not remembered: {error}".split("\n")[0])


def complaint(card: GraphCard, facts: Remembered) -> str | None:
    """Return why the evaluation of a model calls it useless, or None.

    facts: of its card, or those of a run with the same weights.
    """
    of, now = facts.get("of", {}), _of(card)
    if any(of.get(name) != now.get(name) for name in ("weights_sha256", "context", "roi")):
        return None
    found = []
    auroc, interval = facts.get("image_auroc"), facts.get("image_auroc_interval", (1, 1))
    if facts.get("ranking") == "useless" and isinstance(auroc, float):
        found.append(f"image AUROC {auroc:.2f}, {useless_words(interval)}")
    if facts.get("thresholds") == "unfit" and of == now:
        (rejected, good), (missed, defective) = facts["false_rejects"], facts["misses"]
        if 2 * missed > defective:
            found.append(f"{missed} of {defective} defective parts pass as good")
        if 2 * rejected > good:
            found.append(f"{rejected} of {good} good parts are rejected")
    return "; ".join(found) or None


def warn_if_useless(path: Path, card: GraphCard) -> None:
    """Log one warning where the evaluation of the model at a path calls it useless."""
    run = None if card.evaluation else run_card(path, card)
    facts = run.evaluation if run else card.evaluation
    if found := complaint(card, facts):
        warn_once(
            f"{card.name} is useless by its own evaluation on {facts['dataset']}: {found} "
            "(edgeseg evaluate MODEL DATA tells what to try)"
        )


def _of(card: GraphCard | ModelCard) -> Remembered:
    """Return what an evaluation depends on."""
    names = ("weights_sha256", "context", "threshold", "image_threshold")
    found: Remembered = {name: getattr(card, name) for name in names}
    found |= {"rule": card.rule.words()} if card.rule.by_regions else {}
    return found | ({"roi": card.roi.digest} if card.roi else {})


def _card_of(model: Path, of: Remembered) -> Path | None:
    """Return the JSON card of a model, or None for a graph without a run of the same facts."""
    if model.is_dir():
        return model / CARD
    if card_path(model).is_file():
        return card_path(model)
    beside = model.parent / CARD
    same = beside.is_file() and _of(read_card(beside, ModelCard)) == of
    return beside if same else None


def run_card(path: Path, card: GraphCard) -> ModelCard | None:
    """Return the card of a run, or of the run of a graph or an engine, if it is on this machine."""
    if path.is_dir():
        return read_card(path / CARD, ModelCard)
    for run in (path.parent, RUNS / card.name):
        with suppress(ModelError):
            found = read_card(run / CARD, ModelCard)
            if found.weights_sha256 == card.weights_sha256:
                return found
    return None
