"""The accuracy gate: what a lower precision costs on labeled frames, and which layers cause it.

    source graph, typed graph -> the same frames -> pixel AP and image AUROC of both
    neither drops too far and few verdicts flip: passed
    otherwise, on a few frames: lower one block at a time and rank the blocks by the change of the
    maps; leave the fewest of the worst in the higher precision that make the few frames accurate;
    run all frames again

Both graphs run on the same runtime, so only their types differ. The gate does not depend on the
precision: `retype` makes a typed graph from the names of the nodes to leave as they are.

Each block is lowered alone, rather than left alone while all others are lowered: where several
blocks spoil the maps, leaving out one changes little and the ranking is random (observed with 4-bit
weights: leaving out the half that ranked first improved nothing).
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
from edgeseg.cards import GraphCard
from edgeseg.data.frames import batches
from edgeseg.errors import GateFailed, ModelError
from edgeseg.evaluation.compare import Comparison, Outputs, compare_outputs, run_frames
from edgeseg.evaluation.evaluate import inside_boxes
from edgeseg.graph.blocks import Block
from edgeseg.log import log
from edgeseg.progress import task
from edgeseg.runtime.base import Backend

ROUNDS = 3  # of leaving more blocks in the higher precision and running all frames again
MOST = (
    0.5  # share of the blocks that may be left; beyond it the higher precision is the better choice
)
FEW = 16  # frames of a search: a map has thousands of pixels, and each block takes a run over them

Retype = Callable[[frozenset[str]], ModelProto]
Open = Callable[[Path], Backend]


@dataclass(frozen=True)
class Allowance:
    """What a lower precision may cost."""

    drop: float
    """Of pixel AP and image AUROC."""
    flip_rate: float
    """Share of the verdicts that may flip, borderline ones aside; a single one always may."""

    def covers(self, found: Comparison) -> bool:
        """Whether a comparison is within it."""
        flips = max(1.0, self.flip_rate * found.frames)
        return found.drop <= self.drop and found.counted_flips <= flips


@dataclass(frozen=True)
class Passed:
    """A typed graph that is accurate enough."""

    model: ModelProto
    accuracy: Comparison
    kept: tuple[Block, ...]
    """Left in the higher precision, the most useful first."""
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
    """Find a typed graph that costs no more than allowed and leaves few blocks as they were.

    retype: node names -> the typed graph in which those nodes keep the precision `higher` (a value
    of `--precision`); blocks: all that it changes. GateFailed when no such graph is found, and when
    the cases define no metric;
    ModelError for a source whose outputs are not finite.
    """
    with tempfile.TemporaryDirectory() as folder:
        runner = _Runner(Path(folder) / "graph.onnx", open_graph)
        log.info(f"gate: {cases.origin}")
        reference = runner.run(source, cases, "gate: as exported")
        if not reference.finite:
            raise ModelError(
                f"{card.name} returns NaN or infinity before its precision is lowered.",
                remedy="train again, and check the loss curves in the run directory",
                code="model/not-finite",
            )
        if not cases.compare(reference, reference).judged:
            raise GateFailed(
                f"The accuracy gate can judge nothing: {cases.origin}. Nothing was written.",
                remedy="--data FOLDER with images of good and of defective parts",
                code="gate/nothing-judged",
            )
        search = _Search(runner, retype, blocks, cases, reference, allowed)
        kept: tuple[Block, ...] = ()
        for left in reversed(range(ROUNDS + 1)):
            typed = retype(_nodes(kept))
            found = cases.compare(reference, runner.run(typed, cases, "gate: lower precision"))
            log.info(f"gate: {found.line()}")
            if allowed.covers(found):
                return Passed(typed, found, kept, runner.name)
            more = search.culprits(2 * len(kept)) if left else kept
            if len(more) == len(kept):
                break
            kept = more
            log.info(f"gate: now left in {higher}: {', '.join(block.name for block in kept)}")
    names = f", with {len(kept)} of {len(blocks)} blocks left in {higher}" if kept else ""
    raise GateFailed(
        f"The lower precision costs too much{names}: {found.line()} (allowed: a drop of "
        f"{allowed.drop:g}, {allowed.flip_rate:.3g} of the verdicts). Nothing was written.",
        remedy=f"--precision {higher}, or a larger --max-drop or --max-flip-rate",
        code="gate/accuracy",
    )


@dataclass
class _Runner:
    """Runs graphs that are not files yet."""

    path: Path
    open_graph: Open
    name: str = ""
    """Of the runtime that ran last."""

    def run(self, model: ModelProto, cases: Cases, title: str = "") -> Outputs:
        """Return the outputs of a graph, masks at the map's size; a title gets a progress bar."""
        onnx.save(model, self.path)
        with self.open_graph(self.path) as backend:
            self.name = backend.name
            if not title:
                return _outputs(backend, cases, lambda: None)
            with task(title, len(cases)) as bar:
                return _outputs(backend, cases, bar.advance)


class _Search:
    """Looks for the blocks to leave in the higher precision, on a few of the frames."""

    def __init__(
        self,
        runner: _Runner,
        retype: Retype,
        blocks: Sequence[Block],
        cases: Cases,
        reference: Outputs,
        allowed: Allowance,
    ) -> None:
        few = spread(cases.good, FEW)
        self.cases, self.reference = cases.subset(few), reference.subset(few)
        self.runner, self.retype, self.allowed = runner, retype, allowed
        self.blocks = blocks

    def culprits(self, least: int) -> tuple[Block, ...]:
        """Return the fewest blocks that have to be left, but at least `least`; the worst first.

        None where no block moves the maps; as many as allowed where even those are too few.
        """
        ranked = self._ranked[: max(int(MOST * len(self.blocks)), 1)]
        low, high = min(max(least, 1), len(ranked)), len(ranked)
        while low < high:
            middle = (low + high) // 2
            outputs = self._run(ranked[:middle])
            if self.allowed.covers(self.cases.compare(self.reference, outputs)):
                high = middle
            else:
                low = middle + 1
        return ranked[:low]

    @cached_property
    def _ranked(self) -> tuple[Block, ...]:
        """The blocks that move the maps when they alone are lowered, the worst first."""
        damage = {}
        with task("gate: effect of each layer", len(self.blocks)) as bar:
            for block in self.blocks:
                outputs = self._run([other for other in self.blocks if other is not block])
                damage[block] = compare_outputs(self.reference, outputs).mean_abs_diff
                bar.advance(block.name)
        worst = sorted(self.blocks, key=damage.__getitem__, reverse=True)
        return tuple(block for block in worst if damage[block] > 0)

    def _run(self, kept: Sequence[Block]) -> Outputs:
        return self.runner.run(self.retype(_nodes(kept)), self.cases)


def _outputs(backend: Backend, cases: Cases, advance: Callable[[], None]) -> Outputs:
    """Run every case."""
    card, count = backend.card, len(cases)
    maps = np.empty((count, *card.map_size), np.float32)
    scores = np.empty(count, np.float32)
    frames = batches(card, count, lambda place: cases.read[place]())
    for start, found in zip(
        range(0, count, card.frame_shape[0]), run_frames(backend, frames), strict=True
    ):
        batch = slice(start, min(start + card.frame_shape[0], count))
        maps[batch] = found.maps[: batch.stop - start]
        scores[batch] = found.scores[: batch.stop - start]
        for _ in range(start, batch.stop):
            advance()
    masks = (maps > card.threshold) & inside_boxes(cases.boxes, card.map_size, card.roi)
    scale = card.rule.scale(card.frame_size, card.content.size)
    return Outputs(
        maps,
        scores,
        masks,
        card.threshold,
        card.image_threshold,
        rule=card.rule,
        scale=scale,
        boxes=cases.boxes,
        roi=card.roi,
    )


def _nodes(blocks: Sequence[Block]) -> frozenset[str]:
    return frozenset().union(*(block.nodes for block in blocks))
