"""The verdict of a frame, and the thresholds that it may be judged by.

Prediction, stream, evaluation and the accuracy gate decide here, in float64: a score that rounds to
the threshold in float32 has the same verdict everywhere.
"""

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import ConfigError
from edgeseg.limits import THRESHOLD


def is_anomalous(score: float, image_threshold: float) -> bool:
    """Whether a frame is not good: its score is above the threshold, NaN or infinite."""
    return not (math.isfinite(score) and score <= image_threshold)


def are_anomalous(scores: Iterable[Any], image_threshold: float) -> NDArray[np.bool_]:
    """Decide for each of N scores, bool [N]."""
    return np.array([is_anomalous(float(score), image_threshold) for score in scores], np.bool_)


def check_thresholds(threshold: float | None, image_threshold: float | None) -> None:
    """Check thresholds as `checked_threshold`; None stands for the model's own."""
    for name, value in (("threshold", threshold), ("image_threshold", image_threshold)):
        if value is not None:
            checked_threshold(name, value)


def checked_threshold(name: str, value: Any) -> float:
    """Return a threshold as a float; ConfigError unless it is a number from -1e6 to 1e6."""
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if number and abs(float(value)) <= THRESHOLD:  # false for NaN
        return float(value)
    raise ConfigError(
        f"invalid {name}: {value!r} (expected a number from {-THRESHOLD:g} to {THRESHOLD:g})",
        remedy=f"{name}=0.5 in Python, --{name.replace('_', '-')} 0.5 on the command line",
    )
