"""Where a training is tracked beside its train.csv: `--track tensorboard`, `--track mlflow:URL`."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from edgeseg.addresses import public
from edgeseg.errors import ConfigError
from edgeseg.packages.extras import require
from edgeseg.tracking.mlflow import Mlflow
from edgeseg.tracking.sender import Sender
from edgeseg.tracking.tensorboard import TensorBoard
from edgeseg.tracking.tracker import Beginning, Scalars, Snapshot

DRAIN = 10.0  # seconds for what is not yet recorded at the end of a training
WORDS = "tensorboard, or mlflow:http://HOST:PORT"


class Tracking:
    """The trackers of one training; without any, nothing is done.

    words: of `--track`. ConfigError (`track/unknown`), MissingExtra for a package. At the end of
    the block the trackers have DRAIN seconds.
    """

    def __init__(self, words: Sequence[str] = ()) -> None:
        self.words = list(dict.fromkeys(words))
        for word in self.words:
            _check(word)
        self.step = 0
        """The newest step of all phases."""
        self._senders: list[Sender] = []

    def __bool__(self) -> bool:
        return bool(self.words)

    def __enter__(self) -> "Tracking":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + DRAIN
        for sender in self._senders:
            sender.finish(kind is None, deadline)
        for sender in self._senders:
            sender.join()

    def begin(self, run: Path, name: str, settings: Mapping[str, object], step: int) -> None:
        """Begin to track, before the first step. run: the folder that the training writes to."""
        told = {key: str(value) for key, value in settings.items() if value is not None}
        beginning = Beginning(name=name, settings=told, step=step)
        self.step = step
        for word in self.words:
            if word == "tensorboard":
                self._senders.append(Sender(word, TensorBoard(run), beginning))
            else:
                address = word.partition(":")[2]
                shown = public(address)
                tracker = Mlflow(address, shown, run)
                self._senders.append(Sender(f"MLflow at {shown}", tracker, beginning))

    def put(self, step: int, values: Mapping[str, float]) -> None:
        """Record values of a step: name -> value."""
        self.step = max(self.step, step)
        for sender in self._senders:
            sender.put(Scalars(step, values))

    def picture(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None:
        """Record a picture, RGB uint8 [h, w, 3], that is not changed any more."""
        for sender in self._senders:
            sender.put(Snapshot(step, name, pixels))


def _check(word: str) -> None:
    """Refuse a word that names no tracker, and one whose package is missing."""
    kind, _, address = word.partition(":")
    if word == "tensorboard":
        require("tensorboardX", extra="tensorboard")
        return
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        valid = False
    if kind != "mlflow" or not valid:
        raise ConfigError(
            f"invalid --track: '{public(word)}' (expected {WORDS})",
            remedy="--track tensorboard",
            code="track/unknown",
        )
    require("mlflow", extra="mlflow")
