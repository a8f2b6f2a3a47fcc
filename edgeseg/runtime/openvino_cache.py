"""Cache of graphs that OpenVINO compiled, for a faster next start.

    $XDG_CACHE_HOME/edgeseg/openvino/<key>-<hash>.blob      default: ~/.cache

key:  of the graph's bytes, OpenVINO's build, the processor and the options
hash: of the blob; a truncated or changed blob is compiled again and never run

OpenVINO's own CACHE_DIR (seen with 2026.4.1) identifies a graph by path, size and modification
time, so that a new graph gave the old one's results. With a folder for each graph this does not
happen, but it opens a blob with 64 changed bytes among the weights without a message.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from edgeseg.errors import WriteError
from edgeseg.files import newest, replacing, sha256
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import require

LIMIT = 2 << 30  # bytes in the folder: about 15 FP32 or 60 INT8 engines
DIGITS = 32  # of a SHA-256, twice in a file name


def cache_folder(kind: str = "openvino") -> Path | None:
    """Return the user's folder for a kind of cache; None for a user without a home directory."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # the specification ignores relative paths
        return named / "edgeseg" / kind
    with suppress(RuntimeError):
        return Path.home() / ".cache" / "edgeseg" / kind
    return None


class CompiledGraphs:
    """The cached compilations of one graph; without a usable folder it compiles every time.

    digest: the SHA-256 of the graph's file, where it is known.
    """

    def __init__(self, graph: Path, *, digest: str | None = None) -> None:
        self._graph, self._digest = graph, digest
        self._folder = cache_folder()

    def compile(self, core: Any, read: Callable[[Path], Any], options: dict[str, Any]) -> Any:
        """Return the compiled graph, from the cache or new; a new one is cached.

        read: returns OpenVINO's model of a graph. RuntimeError if OpenVINO cannot open the graph.
        """
        if self._folder is None:
            log.info("no home directory: the compiled graph is not cached")
            return core.compile_model(read(self._graph), "CPU", options)
        key = self._key(options)
        for path in self._folder.glob(f"{key}-*.blob"):
            if (cached := self._import(path, core, options)) is not None:
                return cached
        compiled = core.compile_model(read(self._graph), "CPU", options)
        self._store(self._folder, key, compiled)
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
        """Return a cached graph; None for a damaged one, which is logged and deleted."""
        try:
            data = path.read_bytes()
            if path.stem.endswith(f"-{_hash(data)}"):
                # Bytes: OpenVINO does not keep a shared tensor alive.
                compiled = core.import_model(data, "CPU", options)
                with suppress(OSError):
                    path.touch()  # the least recently used is deleted first
                return compiled
            why = "damaged file"
        except (OSError, RuntimeError) as error:
            why = str(error).splitlines()[0]
        log.warning(f"cache entry {path} is not used, the graph is compiled again: {why}")
        with suppress(OSError):
            path.unlink()
        return None

    def _store(self, folder: Path, key: str, compiled: Any) -> None:
        """Write the compiled graph atomically."""
        stream = BytesIO()
        try:
            compiled.export_model(stream)
            data = stream.getbuffer()
            _make_room(folder, len(data))
            with replacing(folder / f"{key}-{_hash(data)}.blob", durable=False) as part:
                part.write_bytes(data)
        except (RuntimeError, WriteError) as error:
            log.warning(f"the compiled graph is not cached: {str(error).splitlines()[0]}")
        else:
            log.info(f"the compiled graph is cached in {folder}")


def _make_room(folder: Path, size: int) -> None:
    """Delete the least recently used entries until `size` more bytes fit below the limit."""
    with suppress(OSError):  # deleted by another process, or no permission
        for path in newest(folder, "*"):
            size += path.stat().st_size
            if size > LIMIT:
                path.unlink()


def _hash(data: Any) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]
