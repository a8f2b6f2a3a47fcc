"""The folder of an evaluation: evaluation.json and sheet.png, replaced together."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgeseg.data.images import Image, encode_png
from edgeseg.files import check_writable, locked, replacing

DOCUMENT, SHEET = "evaluation.json", "sheet.png"


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

    def store(self, document: dict[str, Any], draw_sheet: Callable[[], Image]) -> None:
        """Write both files, and leave the folder."""
        text = json.dumps(document, indent=1, allow_nan=False)
        with self._lock, replacing(self.out / DOCUMENT) as part:
            part.write_text(text + "\n", encoding="ascii")
            with replacing(self.out / SHEET) as sheet:
                sheet.write_bytes(encode_png(draw_sheet()))

    def close(self) -> None:
        """Leave the folder."""
        self._lock.close()
