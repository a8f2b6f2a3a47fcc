"""The folder of an evaluation: its document, the scores of the images and the contact sheet."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD
from edgeseg.data.images import Image, encode_png
from edgeseg.files import check_writable, locked, replacing

EVALUATIONS = Path("evaluations")
DOCUMENT, SCORES, SHEET = "evaluation.json", "scores.csv", "sheet.png"


def default_folder(model: Path, data: str) -> Path:
    """Return evaluations/MODEL/DATA; MODEL is the whole name, of a run's graph also the run's.

    So runs/v1.0 and runs/v1.5, a run, its graph and its engines do not share a folder.
    """
    path = model.resolve()
    run = path.parent.name if (path.parent / CARD).is_file() else ""
    return EVALUATIONS / (f"{run}-{path.name}" if run else path.name) / data


class EvaluationFolder:
    """Locked from before the first image until the results are stored.

    WriteError: nothing can be written there; EdgesegError (`files/locked`): another evaluation
    writes there.
    """

    def __init__(self, out: Path) -> None:
        check_writable(out)
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        self._lock = ExitStack()
        self._lock.enter_context(locked(out))

    def store(self, document: dict[str, Any], scores: str, draw_sheet: Callable[[], Image]) -> None:
        """Write the three files, which are replaced together, and leave the folder."""
        text = json.dumps(document, indent=1, allow_nan=False)
        with self._lock, replacing(self.out / DOCUMENT) as part:
            part.write_text(text + "\n", encoding="ascii")
            with replacing(self.out / SCORES) as rows, replacing(self.out / SHEET) as sheet:
                rows.write_text(scores, encoding="utf-8")
                sheet.write_bytes(encode_png(draw_sheet()))

    def close(self) -> None:
        """Leave the folder."""
        self._lock.close()
