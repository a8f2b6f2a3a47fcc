"""What a check found."""

from dataclasses import dataclass, field
from typing import Any, Literal

CheckState = Literal["PASS", "FAIL", "SKIP"]


@dataclass(frozen=True)
class GpuFinding:
    """A check that ran: whether it was met, in words, and the figures for the results file."""

    passed: bool
    found: str
    figures: dict[str, Any] = field(default_factory=dict)


class Skipped(Exception):
    """A check cannot run here; the reason."""
