"""What is known about a model from its cards: training, thresholds, files, hashes, machines."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg import __version__
from edgeseg.cards import (
    CARD,
    ENGINES,
    IMPORTED,
    RUNS,
    WEIGHTS,
    EngineCard,
    GraphCard,
    ModelCard,
    read_card,
)
from edgeseg.errors import EdgesegError
from edgeseg.files import newest, sha256, shown
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.engine_pair import card_path
from edgeseg.text import counted
from edgeseg.verdict.verdict import BY_SCORE

METHODS = {
    "destseg": "DeSTSeg: a denoising student network and a segmentation head",
    "stpm": "STPM: a student network",
    "dskd": "DSKD: two student networks",
}
Rows = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """The cards of one model: of its graph, its run and its engine, as far as they are at hand."""

    path: Path
    graph: GraphCard
    run: ModelCard | None
    engine: EngineCard | None

    @property
    def photos(self) -> int | None:
        """Good photos that it was trained on; None if unknown."""
        return len(self.run.split.get("train", {})) or None if self.run else None

    @property
    def held_out(self) -> int:
        """Good photos that were kept back for the thresholds."""
        return len(self.run.split.get("holdout", {})) if self.run else 0

    @property
    def defects(self) -> dict[str, int]:
        """Photos of each type of defect that it was trained on; empty without --use-defects."""
        return dict(sorted(Counter(self.graph.defects.values()).items()))

    def training(self) -> Rows:
        """What was trained, on what, and how the threshold was set."""
        card, config = self.graph, self.graph.training
        photos = "not known from this file" if self.photos is None else f"{self.photos}"
        rows = [
            ("Method", METHODS.get(card.model, card.model)),
            ("Teacher network", str(config.get("teacher", "unknown"))),
            ("Good photos, training", photos),
        ]
        if self.defects:
            kinds = ", ".join(f"{label} {count}" for label, count in self.defects.items())
            total = sum(self.defects.values())
            rows.append(("Photos of defects, training (--use-defects)", f"{total}: {kinds}"))
        if self.held_out:
            rows.append(("Good photos, kept back for the threshold", str(self.held_out)))
        rows.append(("Input of the network", _size(card)))
        if self.run:
            steps = ", ".join(f"{name} {count}" for name, count in self.run.steps.items() if count)
            rows.append(("Training steps", steps or "none"))
            if seconds := sum(self.run.seconds.values()):
                rows.append(("Training time", _duration(seconds)))
        rows.append(("Image threshold", f"{card.image_threshold:.4g}"))
        rows.append(("Pixel threshold", f"{card.threshold:.4g}"))
        if card.roi is not None:
            ignored = f", {counted(len(card.roi.ignored), 'ignored area')}" * bool(card.roi.ignored)
            rows.append(("Inspected", (", ".join(card.roi.names) or "the whole picture") + ignored))
        if card.rule != BY_SCORE:
            rows.append(("Rule of the verdict", card.rule.words()))
        note = self.run.threshold_note if self.run else {}
        if "false_reject_rate" in note:
            rows.append(
                (
                    "Set for",
                    f"{100 * note['false_reject_rate']:.3g} % false rejects, from "
                    f"{note.get('images', 'unknown')} good photos",
                )
            )
        return rows

    def threshold_warning(self) -> str | None:
        """What the card says against the thresholds: too few photos for the wanted rate."""
        found = self.run.threshold_note.get("warning") if self.run else None
        return str(found) if found else None

    def settings(self) -> Rows:
        """All settings of the training that are set."""
        config = self.graph.training
        kept = {k: v for k, v in sorted(config.items()) if v is not None and k != IMPORTED}
        return [(name.replace("_", " "), _value(value)) for name, value in kept.items()]

    def machines(self) -> Rows:
        """Where it was trained, built and judged."""
        rows = [("This report", this_machine().line())]
        if self.run and self.run.trained_on:
            rows.append(("Training", self.run.trained_on))
        if self.engine:
            built = ", ".join(f"{v}" for v in self.engine.built_on.values() if v)
            rows += [
                ("Engine built on", built),
                ("Engine built for", self.engine.target),
                ("Precision", self.engine.precision),
                ("Runtime", f"{self.engine.runtime} {self.engine.runtime_version}"),
            ]
        return rows

    def hashes(self) -> Rows:
        """SHA-256 of everything that decides a verdict."""
        rows = [("Weights", self.graph.weights_sha256)]
        if self.path.is_file():
            rows.append((f"File {shown(self.path.name)}", sha256(self.path)))
        elif (self.path / WEIGHTS).is_file():
            rows.append((f"File {WEIGHTS}", sha256(self.path / WEIGHTS)))
        if self.engine:
            rows.append(("Engine, by its card", self.engine.sha256))
            rows.append(("Graph that it was built from", self.engine.source_sha256))
        return rows

    def versions(self) -> Rows:
        """Versions of the packages of the training, and of edgeseg now."""
        return [("edgeseg, this report", __version__), *sorted(self.graph.versions.items())]


def facts_of(path: Path, graph: GraphCard) -> ModelFacts:
    """Collect the cards of an opened model, by its path and by the hash of its weights."""
    engine = None
    if path.is_file() and card_path(path).is_file():
        with suppress(EdgesegError):
            engine = read_card(card_path(path), EngineCard)
    return ModelFacts(path=path, graph=graph, run=_run_of(path, graph), engine=engine)


def engines_of(graph: GraphCard, folder: Path = ENGINES) -> list[EngineCard]:
    """Return the cards of the engines with these weights, the newest first."""
    found = []
    for path in newest(folder, "*.json"):
        with suppress(EdgesegError):
            card = read_card(path, EngineCard)
            if card.graph.weights_sha256 == graph.weights_sha256:
                found.append(card)
    return found


def _run_of(path: Path, graph: GraphCard) -> ModelCard | None:
    for run in (path, path.parent, RUNS / graph.name):
        with suppress(EdgesegError):
            card = read_card(run / CARD, ModelCard)
            if card.weights_sha256 == graph.weights_sha256:
                return card
    return None


def _size(card: GraphCard) -> str:
    height, width = card.frame_size
    rows, columns = card.network_size
    if card.tiles:
        return f"{card.tiles.text(card.network_size)}, of frames of {width} x {height}"
    return f"{columns} x {rows} pixels, of frames of {width} x {height}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
