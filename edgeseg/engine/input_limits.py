"""The limits of the input check of an engine: those of its graph, moved by what the engine moves.

A lower precision changes the teacher's features, and with them the distances. The same photos run
through graph and engine; each column's limits move by the mean of the differences and widen by
WIDER standard deviations of them. Only differences count, so the photos need not be good ones.

A column with an upper limit alone is the log of a squared distance. Rounding adds to the squared
distance, by about as much near good parts as far from them, so these differences are taken without
the log: in the log, what a photo of a good part moves would move the limit several times too far.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import InputLimit
from edgeseg.runtime.base import Backend

WIDER = 2.0  # standard deviations of the differences; of 600 good tiles none came near the limit
FEWEST = 4  # photos

CheckTable = NDArray[np.float64]


def moved_limits(
    graph: Backend, engine: Backend, photos: Sequence[NDArray[np.uint8]]
) -> dict[str, Any]:
    """Return what of the graph's card changes for its engine; nothing without a check or photos.

    photos: batches of frames, each uint8 [N, H, W, C].
    """
    card = graph.card
    if not card.input_check:
        return {}
    if len(photos) * card.frame_shape[0] < FEWEST:
        return {"input_note": card.input_note | {"engine": "limits of the graph: too few photos"}}
    logs = [limit.low is None for limit in card.input_check]
    apart = _linear(_checks(engine, photos), logs) - _linear(_checks(graph, photos), logs)
    shift, wider = apart.mean(axis=0), WIDER * apart.std(axis=0, ddof=1)
    limits = tuple(
        _moved(limit, float(shift[k]), float(wider[k])) for k, limit in enumerate(card.input_check)
    )
    note = {"photos": len(apart), "shift": shift.tolist(), "wider": wider.tolist()}
    return {"input_check": limits, "input_note": card.input_note | {"engine": note}}


def _moved(limit: InputLimit, shift: float, wider: float) -> InputLimit:
    low, high = limit.low, limit.high
    if low is None and high is not None:
        added = math.log(max(shift + wider, 1e-12))
        return InputLimit(name=limit.name, high=float(np.logaddexp(high, added)))
    return InputLimit(
        name=limit.name,
        low=None if low is None else low + shift - wider,
        high=None if high is None else high + shift + wider,
    )


def _linear(checks: CheckTable, logs: Sequence[bool]) -> CheckTable:
    """Return checks [n, K] with squared distances in place of their logs."""
    return np.where(logs, np.exp(checks), checks)


def _checks(backend: Backend, photos: Sequence[NDArray[np.uint8]]) -> CheckTable:
    """Return the input checks of all frames, [n, K]."""
    slot = backend.new_slot()
    backend.bind(slot)
    found = []
    for frames in photos:
        np.copyto(slot.frame, frames)
        backend.run()
        found.append(slot.input_check.astype(np.float64))
    return np.concatenate(found)
