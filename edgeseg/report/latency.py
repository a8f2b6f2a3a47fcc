"""The latency that `edgeseg benchmark MODEL --json` has measured, from a file of its output."""

import json
from dataclasses import dataclass
from pathlib import Path

from edgeseg.cards import GraphCard
from edgeseg.errors import ConfigError
from edgeseg.files import cannot_read, quoted, shown

LARGEST = 1 << 22  # bytes
CODE = "report/benchmark"


@dataclass(frozen=True)
class Latency:
    """Figures of a benchmark, with their conditions."""

    p50: str
    p99: str
    rows: list[tuple[str, str]]


def read_latency(path: Path, card: GraphCard) -> Latency:
    """Read the output of a benchmark, whose last line is JSON; ConfigError for any other file."""
    again = f"edgeseg benchmark MODEL --json > {quoted(path)}"
    try:
        size = path.stat().st_size
        lines = path.read_text(encoding="utf-8").splitlines() if size <= LARGEST else []
        found = json.loads(lines[-1])
        p50, p99, highest = (float(found[name]) for name in ("p50_ms", "p99_ms", "max_ms"))
        count, warmup = int(found["n"]), int(found["warmup"])
        words = {name: str(found[name]) for name in ("model", "engine", "machine", "mode")}
    except OSError as error:
        raise cannot_read(path, error) from error
    except (ValueError, LookupError, TypeError) as error:
        raise ConfigError(
            f"{shown(path)} is not the output of edgeseg benchmark --json", remedy=again, code=CODE
        ) from error
    if words["model"] != card.name:
        raise ConfigError(
            f"{shown(path)} is a benchmark of {shown(words['model'])} (expected {card.name})",
            remedy=again,
            code=CODE,
        )
    return Latency(
        _milliseconds(p50),
        _milliseconds(p99),
        [
            ("Median", _milliseconds(p50)),
            ("99 % of the frames within", _milliseconds(p99)),
            ("Longest", _milliseconds(highest)),
            ("Frames timed", f"{count}, after {warmup} for warm-up, {words['mode']}"),
            ("Engine", words["engine"]),
            ("Machine", words["machine"]),
        ],
    )


def _milliseconds(value: float) -> str:
    return f"{value:.1f} ms" if value < 100 else f"{value:.0f} ms"
