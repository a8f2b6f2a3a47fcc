"""The accuracy gate: what a lower precision costs on labelled frames, and which layers cost it.

    source graph, typed graph -> the same frames -> pixel AP and image AUROC of both
    neither falls by more than max_drop: passed
    otherwise: keep one block at a time in the higher precision, on a few frames; the blocks that
    bring the maps nearest to the source's stay there, and all frames are run again

Both graphs run on the same runtime, so that their types are all they differ in. The gate knows
nothing of FP16 or INT8: `retype` makes a typed graph from the names of the nodes to keep.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto

from edgeseg.cards import GraphCard
from edgeseg.data.images import fill_frame
from edgeseg.deploy.accuracy import Accuracy, Answers, measure
from edgeseg.deploy.blocks import Block
from edgeseg.deploy.cases import Cases, spread
from edgeseg.errors import GateFailed, ModelError
from edgeseg.progress import task
from edgeseg.runtime.base import Backend, Slot

SEARCHES = 3
GROWTH = 4  # each search keeps at least so many times as many blocks as the one before
ALONE = 0.05  # of the maps' distance: what the best block has to explain by itself
FEW = 16  # frames of a search: a map has thousands of pixels, and each block takes a run of each

Retype = Callable[[frozenset[str]], ModelProto]
Open = Callable[[Path], Backend]
Say = Callable[[str], None]


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
    max_drop: float,
    higher: str,
    say: Say,
) -> Passed:
    """Find the typed graph that costs at most `max_drop` and keeps few blocks as they were.

    retype: node names -> the typed graph in which those nodes keep the precision `higher` (as
    `--precision` names it). GateFailed when no such graph is found; ModelError for a source whose
    answers are no numbers.
    """
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder) / "graph.onnx", open_graph)
        say(f"gate: {cases.origin}")
        reference = bench.run(source, cases, "gate: as exported")
        if not reference.finite:
            raise ModelError(
                f"{card.name} returns NaN or infinity before its precision is lowered.",
                remedy="train again, and look at the curves in its run's folder",
            )
        trial = _Trial.of(bench, retype, cases, reference)
        kept: tuple[Block, ...] = ()
        for search in range(SEARCHES + 1):
            typed = retype(_nodes(kept))
            answers = bench.run(typed, cases, "gate: lower precision")
            found = measure(reference, answers, cases, card)
            say(f"gate: {found.line()}")
            if found.drop <= max_drop:
                return Passed(typed, found, kept, bench.name)
            if search == SEARCHES:
                break
            say(f"gate: worse by more than {max_drop:g}; searching for the layers that cause it")
            more = trial.search(blocks, kept, GROWTH**search, max_drop, card)
            if not more:
                break
            kept += more
            say(f"gate: in {higher} from here on: {', '.join(block.name for block in more)}")
    names = f" with {len(kept)} of {len(blocks)} blocks in {higher}" if kept else ""
    raise GateFailed(
        f"The lower precision costs too much{names}: {found.line()}; a fall of {max_drop:g} is "
        "allowed, and nothing was written.",
        remedy=f"--precision {higher}, or a larger --max-drop",
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
    cases: Cases
    reference: Answers

    @classmethod
    def of(cls, bench: _Bench, retype: Retype, cases: Cases, reference: Answers) -> "_Trial":
        few = spread(cases.good, FEW)
        return cls(bench, retype, cases.part(few), reference.part(few))

    def search(
        self,
        blocks: Sequence[Block],
        kept: tuple[Block, ...],
        least: int,
        max_drop: float,
        card: GraphCard,
    ) -> tuple[Block, ...]:
        """Return the blocks to keep beside those that are kept: none when no block helps.

        They are ranked by how much nearer the maps come when one is kept; where none does much,
        because several spoil the maps each for itself, by how far one spoils them alone.
        least: how many at least; twice as many, and again, until the few frames are accurate.
        """
        base = self._distance(kept)
        left = [block for block in blocks if block not in kept]
        gains = self._each("kept", left, lambda block: base - self._distance((*kept, block)))
        if max(gains.values(), default=0.0) < ALONE * base:
            others = {block: [b for b in blocks if b is not block] for block in left}
            gains = self._each("lowered", left, lambda block: self._distance(others[block]))
        ranked = [block for block in sorted(left, key=gains.__getitem__)[::-1] if gains[block] > 0]
        count = least
        while count < len(ranked):
            answers = self._answers((*kept, *ranked[:count]))
            if measure(self.reference, answers, self.cases, card).drop <= max_drop:
                break
            count *= 2
        return tuple(ranked[:count])

    def _each(
        self, how: str, blocks: Sequence[Block], gain: Callable[[Block], float]
    ) -> dict[Block, float]:
        gains = {}
        with task(f"gate: each block {how}", len(blocks)) as bar:
            for block in blocks:
                gains[block] = gain(block)
                bar.advance(block.name)
        return gains

    def _distance(self, kept: Sequence[Block]) -> float:
        return self._answers(kept).distance(self.reference)

    def _answers(self, kept: Sequence[Block]) -> Answers:
        return self.bench.run(self.retype(_nodes(kept)), self.cases)


def _answers(backend: Backend, cases: Cases, advance: Callable[[], None]) -> Answers:
    """Run every case, in the batches that the graph takes."""
    card = backend.card
    slot = Slot.on_host(card)
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
