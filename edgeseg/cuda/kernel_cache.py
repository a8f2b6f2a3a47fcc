"""TensorRT-RTX's kernels, compiled for this GPU and kept beside the engine.

    engines/bottle-fp16-rtx-sm86.engine
    engines/bottle-fp16-rtx-sm86.kernels     written after the first start, read at later ones

An engine of TensorRT-RTX contains no machine code: its kernels are compiled at each start without
this file. TensorRT-RTX refuses a file of another version, GPU or driver, which is then replaced.
Tested with a stand-in; not run on a GPU.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeseg.errors import WriteError
from edgeseg.files import replacing
from edgeseg.log import log

SUFFIX = ".kernels"


class KernelCache:
    """The compiled kernels of one engine, for all its execution contexts."""

    def __init__(self, engine: Path) -> None:
        self._path = engine.with_suffix(SUFFIX)
        self._cache: Any = None
        self._kept = b""

    def give(self, options: Any) -> None:
        """Let the context of this runtime configuration use and extend the cache."""
        if self._cache is None:
            self._cache = options.create_runtime_cache()
            with suppress(OSError):
                data = self._path.read_bytes()
                if self._cache.deserialize(data):
                    self._kept = data
        options.set_runtime_cache(self._cache)

    def keep(self) -> None:
        """Write the kernels, if there are new ones; a failure is a warning."""
        if self._cache is None:
            return
        data = bytes(self._cache.serialize())
        if data == self._kept:
            return
        self._kept = data  # a second failure would not help
        try:
            with replacing(self._path, durable=False) as part:
                part.write_bytes(data)
        except WriteError as error:
            log.warning(f"compiled kernels are not kept for the next start: {error.problem}")

    def close(self) -> None:
        """Drop the cache, after the contexts that use it."""
        self._cache = None
