"""The names of the verdicts and the reasons that programs compare; they need no package."""

from typing import Literal

VerdictName = Literal["good", "anomalous", "unknown"]
GOOD: VerdictName = "good"
ANOMALOUS: VerdictName = "anomalous"
UNKNOWN: VerdictName = "unknown"

FROZEN_CAMERA = "frozen camera: the same picture again and again"
DROPPED = "dropped"
"""A newer frame of a live source replaced it."""
