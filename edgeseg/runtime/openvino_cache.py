"""Graphs that OpenVINO compiled, kept for the next start.

    $XDG_CACHE_HOME/edgeseg/openvino/<key>-<hash>.blob      in ~/.cache where that is not set

key:  of the graph's bytes, OpenVINO's build, the processor and the options: none meets another's
hash: of the blob, so that half a file or a changed bit is compiled again and not run

OpenVINO's own cache (CACHE_DIR, seen with 2026.4.1) knows a graph by its path, its size and the
second it was written in, and gave the old one's answers for a new graph; and it opened a blob with
64 changed bytes among the weights without a word.
"""

import hashlib
import json
import os
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from edgeseg.cards import newest, replacing, sha256
from edgeseg.errors import WriteError
from edgeseg.extras import require
from edgeseg.log import log
from edgeseg.machine.facts import this_machine

LIMIT = 2 << 30  # bytes in the folder: fifteen FP32 engines, sixty of INT8
DIGITS = 32  # of a SHA-256, twice in a file's name


def cache_folder() -> Path | None:
    """Return the user's folder for compiled graphs; None where the user has no home."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # the specification ignores others
        return named / "edgeseg" / "openvino"
    with suppress(RuntimeError):
        return Path.home() / ".cache" / "edgeseg" / "openvino"
    return None


class Compiled:
    """What is kept of one graph; a folder that cannot be used costs time, and no run.

    digest: the SHA-256 of the graph's file, where it is known.
    """

    def __init__(self, graph: Path, *, digest: str | None = None) -> None:
        self._graph, self._digest = graph, digest
        self._folder = cache_folder()

    def compile(self, core: Any, options: dict[str, Any]) -> Any:
        """Return the compiled graph, the kept one or a new one that is kept then.

        RuntimeError when OpenVINO cannot open the graph.
        """
        if self._folder is None:
            log.info("no home folder: OpenVINO will compile the graph at the next start too")
            return core.compile_model(str(self._graph), "CPU", options)
        key = self._key(options)
        for path in self._folder.glob(f"{key}-*.blob"):
            if (kept := self._import(path, core, options)) is not None:
                return kept
        compiled = core.compile_model(str(self._graph), "CPU", options)
        self._keep(self._folder, key, compiled)
        return compiled

    def _key(self, options: dict[str, Any]) -> str:
        here = this_machine()
        facts = {
            "graph": self._digest or sha256(self._graph),
            "openvino": require("openvino", extra="openvino").get_version(),
            "processor": (here.cpu, *here.instructions),
            "options": options,
        }
        return _hash(json.dumps(facts, sort_keys=True).encode())

    def _import(self, path: Path, core: Any, options: dict[str, Any]) -> Any:
        """Return a kept graph; None for one that is damaged, which is said and taken away."""
        try:
            data = path.read_bytes()
            if path.stem.endswith(f"-{_hash(data)}"):
                # Bytes: OpenVINO would not keep a shared tensor alive, and read freed memory.
                compiled = core.import_model(data, "CPU", options)
                with suppress(OSError):
                    path.touch()  # used last: what is not used goes first
                return compiled
            why = "it is damaged"
        except (OSError, RuntimeError) as error:
            why = str(error).splitlines()[0]
        log.info(f"{path} is not used, the graph is compiled again: {why}")
        with suppress(OSError):
            path.unlink()
        return None

    def _keep(self, folder: Path, key: str, compiled: Any) -> None:
        """Write what OpenVINO exports, whole or not at all."""
        stream = BytesIO()
        try:
            compiled.export_model(stream)
            data = stream.getbuffer()
            _make_room(folder, len(data))
            with replacing(folder / f"{key}-{_hash(data)}.blob", durable=False) as part:
                part.write_bytes(data)
        except (RuntimeError, WriteError) as error:
            why = str(error).splitlines()[0]
            log.info(f"OpenVINO will compile the graph at the next start too: {why}")
        else:
            log.info(f"compiled, and kept for the next start in {folder}")


def _make_room(folder: Path, size: int) -> None:
    """Take away what was used longest ago, until `size` more bytes fit below the limit."""
    with suppress(OSError):  # another process took it away first, or nothing may be
        for path in newest(folder, "*"):
            size += path.stat().st_size
            if size > LIMIT:
                path.unlink()


def _hash(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]
