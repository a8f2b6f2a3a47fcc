"""The loss history: train.csv with one row per step, and its plot curves.png."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.images import Image, write_png
from edgeseg.files import shown, write_atomic
from edgeseg.log import log

HISTORY = "train.csv"
COLUMNS = ("phase", "step", "loss", "seconds", "waited")  # waited for the batch, in seconds
PHASES = ("student", "head")
PANEL = (240, 480)  # height, width in pixels


class History:
    """The losses of a run. A resumed run keeps the rows before `start` (phase, step)."""

    def __init__(self, path: Path, start: tuple[int, int]) -> None:
        self.path = path
        self.rows: list[tuple[str, int, float, float, float]] = []
        if path.exists() and start > (0, 0):
            try:
                self.rows = _read(path, start)
            except (csv.Error, KeyError, TypeError, ValueError) as error:
                log.warning(
                    f"{shown(path)} was changed and cannot be read ({shown(str(error))}): it "
                    "begins again without the steps before"
                )

    def add(self, phase: str, step: int, loss: float, seconds: float, waited: float) -> None:
        """Add a step."""
        self.rows.append((phase, step, loss, seconds, waited))

    def seconds(self) -> dict[str, float]:
        """Return the duration of each phase, including the wait for batches."""
        phases = dict.fromkeys(row[0] for row in self.rows)
        return {phase: sum(r[3] + r[4] for r in self.rows if r[0] == phase) for phase in phases}

    def summary(self) -> list[str]:
        """Return the number of steps and the last loss of each phase, as text."""
        found = {row[0]: (row[1] + 1, row[2]) for row in self.rows}
        return [f"{name}: {steps} steps, loss {loss:.6g}" for name, (steps, loss) in found.items()]

    def save(self) -> None:
        """Write train.csv and curves.png beside it."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows((p, s, f"{x:.6g}", f"{t:.4f}", f"{w:.4f}") for p, s, x, t, w in self.rows)
        write_atomic(self.path, text.getvalue().encode())
        losses = {phase: [r[2] for r in self.rows if r[0] == phase] for phase in PHASES}
        panels = [
            _panel(phase, found) for phase, found in losses.items() if found or phase == PHASES[0]
        ]
        write_png(self.path.with_name("curves.png"), np.hstack(panels))


def _read(path: Path, start: tuple[int, int]) -> list[tuple[str, int, float, float, float]]:
    rows = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if (PHASES.index(row["phase"]), int(row["step"])) < start:
                seconds, waited = float(row["seconds"]), float(row.get("waited", 0))
                rows.append((row["phase"], int(row["step"]), float(row["loss"]), seconds, waited))
    return rows


def _panel(title: str, losses: list[float]) -> Image:
    """Plot a loss over the steps on a logarithmic scale, with its moving average."""
    height, width = PANEL
    canvas = np.full((height, width, 3), 255, np.uint8)
    cv2.rectangle(canvas, (50, 30), (width - 10, height - 30), (200, 200, 200))
    if len(losses) > 1:
        values = np.log10(np.maximum(losses, 1e-9))
        low, high = values.min(), values.max() + 1e-6
        window = max(len(values) // 50, 1)
        padded = np.pad(values, (window // 2, window - 1 - window // 2), mode="edge")
        smooth = np.convolve(padded, np.full(window, 1 / window), "valid")
        for course, color in ((values, (170, 200, 235)), (smooth, (20, 70, 160))):
            x = 50 + np.linspace(0, width - 60, len(course))
            y = height - 30 - (course - low) / (high - low) * (height - 60)
            points = np.stack([x, y], axis=1).astype(np.int32)
            cv2.polylines(canvas, [points], False, color, 1, cv2.LINE_AA)
        _text(canvas, f"{10**high:.2g}", (4, 38))
        _text(canvas, f"{10**low:.2g}", (4, height - 30))
    _text(canvas, f"{title}: loss over {len(losses)} steps", (50, 20))
    return canvas


def _text(canvas: Image, text: str, place: tuple[int, int]) -> None:
    cv2.putText(canvas, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
