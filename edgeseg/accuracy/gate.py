"""The accuracy gate: what a lower precision costs on labelled frames, and which layers cost it.

    source graph, typed graph -> the same frames -> pixel AP and image AUROC of both
    neither falls too far, and few verdicts flip: passed
    otherwise, on a few frames, lower one block at a time, and rank the blocks by how far each moves
    the maps; keep the fewest of the worst that make the few frames accurate; run all frames again

Both graphs run on the same runtime, so that their types are all they differ in. The gate knows
nothing of FP16 or INT8: `retype` makes a typed graph from the names of the nodes to keep.

Each block is lowered alone, and not kept alone while all others are lowered: where several blocks
spoil the maps, none that is kept changes much, and the ranking is chance (seen with weights of four
bits: the half that ranked first, kept, made nothing better).
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from edgeseg.accuracy.cases import Cases, spread
from edgeseg.accuracy.measure import Accuracy, Allowance, Answers, measure
from edgeseg.cards import GraphCard
from edgeseg.data.images import fill_frame
from edgeseg.errors import GateFailed, ModelError
from edgeseg.graph.blocks import Block
from edgeseg.log import log
from edgeseg.progress import task
from edgeseg.runtime.base import Backend

ROUNDS = 3  # of keeping more blocks and running all frames again
MOST = 0.5  # of the blocks may be kept: with more, the higher precision is the better choice
FEW = 16  # frames of a search: a map has thousands of pixels, and each block takes a run of each

Retype = Callable[[frozenset[str]], ModelProto]
Open = Callable[[Path], Backend]


@dataclass(frozen=True)
class Passed:
    """A typed graph that is accurate enough."""

    model: ModelProto
    accuracy: Accuracy
    kept: tuple[Block, ...]
    """In the higher precision, the most useful first."""
    on: str
    """The runtime that ran both graphs."""


def gate(
    source: ModelProto,
    retype: Retype,
    blocks: Sequence[Block],
    cases: Cases,
    *,
    card: GraphCard,
    open_graph: Open,
    allowed: Allowance,
    higher: str,
) -> Passed:
    """Find the typed graph that costs no more than is allowed and keeps few blocks as they were.

    retype: node names -> the typed graph in which those nodes keep the precision `higher` (as
    `--precision` names it); blocks: all that it changes. GateFailed when no such graph is found;
    ModelError for a source whose answers are no numbers.
    """
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder) / "graph.onnx", open_graph)
        log.info(f"gate: {cases.origin}")
        reference = bench.run(source, cases, "gate: as exported")
        if not reference.finite:
            raise ModelError(
                f"{card.name} returns NaN or infinity before its precision is lowered.",
                remedy="train again, and look at the curves in its run's folder",
            )
        trial = _Trial.of(bench, retype, blocks, cases, reference, card)
        kept: tuple[Block, ...] = ()
        for left in reversed(range(ROUNDS + 1)):
            typed = retype(_nodes(kept))
            answers = bench.run(typed, cases, "gate: lower precision")
            found = measure(reference, answers, cases, card)
            log.info(f"gate: {found.line()}")
            if allowed.covers(found):
                return Passed(typed, found, kept, bench.name)
            more = trial.culprits(2 * len(kept), allowed) if left else kept
            if len(more) == len(kept):
                break
            kept = more
            log.info(f"gate: kept in {higher} now: {', '.join(block.name for block in kept)}")
    names = f", with {len(kept)} of {len(blocks)} blocks in {higher}" if kept else ""
    raise GateFailed(
        f"The lower precision costs too much{names}: {found.line()}; {allowed.line()}, and nothing "
        "was written.",
        remedy=f"--precision {higher}, or a larger --max-drop or --max-flip-rate",
    )


@dataclass
class _Bench:
    """Runs graphs that are not files yet."""

    path: Path
    open_graph: Open
    name: str = ""
    """Of the runtime that ran last."""

    def run(self, model: ModelProto, cases: Cases, title: str = "") -> Answers:
        """Return a graph's answers; a bar shows them coming where there is a title."""
        onnx.save(model, self.path)
        with self.open_graph(self.path) as backend:
            self.name = backend.name
            if not title:
                return _answers(backend, cases, lambda: None)
            with task(title, len(cases)) as bar:
                return _answers(backend, cases, bar.advance)


@dataclass(frozen=True)
class _Trial:
    """A few of the frames, to try blocks on."""

    bench: _Bench
    retype: Retype
    blocks: Sequence[Block]
    cases: Cases
    reference: Answers
    card: GraphCard

    @classmethod
    def of(
        cls,
        bench: _Bench,
        retype: Retype,
        blocks: Sequence[Block],
        cases: Cases,
        reference: Answers,
        card: GraphCard,
    ) -> "_Trial":
        few = spread(cases.good, FEW)
        return cls(bench, retype, blocks, cases.part(few), reference.part(few), card)

    def culprits(self, least: int, allowed: Allowance) -> tuple[Block, ...]:
        """Return the fewest blocks that have to be kept, but at least `least`; the worst first.

        None where no block moves the maps; as many as allowed where even those are too few.
        """
        ranked = self._ranked[: max(int(MOST * len(self.blocks)), 1)]
        low, high = min(max(least, 1), len(ranked)), len(ranked)
        while low < high:
            middle = (low + high) // 2
            answers = self._run(ranked[:middle])
            if allowed.covers(measure(self.reference, answers, self.cases, self.card)):
                high = middle
            else:
                low = middle + 1
        return ranked[:low]

    @cached_property
    def _ranked(self) -> tuple[Block, ...]:
        """The blocks that move the maps when they alone are lowered, the worst first."""
        damage = {}
        with task("gate: searching the layers at fault", len(self.blocks)) as bar:
            for block in self.blocks:
                others = [other for other in self.blocks if other is not block]
                damage[block] = self._run(others).distance(self.reference)
                bar.advance(block.name)
        worst = sorted(self.blocks, key=damage.__getitem__, reverse=True)
        return tuple(block for block in worst if damage[block] > 0)

    def _run(self, kept: Sequence[Block]) -> Answers:
        return self.bench.run(self.retype(_nodes(kept)), self.cases)


def _answers(backend: Backend, cases: Cases, advance: Callable[[], None]) -> Answers:
    """Run every case, in the batches that the graph takes."""
    card = backend.card
    slot = backend.new_slot()
    backend.bind(slot)
    side = card.image_size
    answers = Answers(
        np.empty((len(cases), side, side), np.float32), np.empty(len(cases), np.float32)
    )
    for start in range(0, len(cases), len(slot.frame)):
        part = range(start, min(start + len(slot.frame), len(cases)))
        for frame, place in zip(slot.frame, part, strict=False):
            fill_frame(frame, cases.read[place](), source="rgb", target=card.frame_format)
        backend.run()
        answers.maps[start : part.stop] = slot.anomaly_map[: len(part)]
        answers.scores[start : part.stop] = slot.score[: len(part)]
        for _ in part:
            advance()
    return answers


def _nodes(blocks: Sequence[Block]) -> frozenset[str]:
    return frozenset().union(*(block.nodes for block in blocks))
