"""Compile C with the system's compiler, the simulated driver above all, cached by a hash."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

SOURCES = Path(__file__).parent / "driver"
STRICT = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")


class NoCompilerError(Exception):
    """No C compiler is installed; tests skip with this message."""


def build() -> Path:
    """Return the folder that holds libcuda.so.1."""
    flags = ("-O2", "-g", "-fPIC", "-fvisibility=hidden", "-shared", "-Wl,-soname,libcuda.so.1")
    folder = compiled("libcuda.so.1", _driver(), flags)
    with suppress(FileExistsError):
        (folder / "libcuda.so").symlink_to("libcuda.so.1")
    return folder


def build_stress(sanitizer: str) -> Path:
    """Return a program of stress.c and the driver, compiled with -fsanitize=`sanitizer`."""
    flags = ("-O0", "-g1", f"-fsanitize={sanitizer}")
    sources = [*_driver(), Path(__file__).parent / "stress.c"]
    return compiled("stress", sources, flags) / "stress"


def _driver() -> list[Path]:
    return sorted(SOURCES.glob("*.[ch]"))


def compiled(name: str, files: Sequence[Path], flags: Sequence[str]) -> Path:
    """Compile C sources to a file of this name; return its folder.

    The folder is named after a hash of sources and flags and renamed into place when complete, so
    that parallel test runs share it.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise NoCompilerError(f"no C compiler (cc) on the path: {name} cannot be built")
    key = hashlib.sha256(repr((compiler, STRICT, name, tuple(flags))).encode())
    for file in files:
        key.update(file.name.encode() + file.read_bytes())
    cache = Path(tempfile.gettempdir()) / f"edgeseg-cudasim-{os.getuid()}"
    folder = cache / key.hexdigest()[:16]
    if folder.is_dir():
        return folder
    cache.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        sources = [str(file) for file in files if file.suffix == ".c"]
        command = [compiler, *STRICT, *flags, *sources, "-o", str(made / name)]
        done = subprocess.run(
            [*command, "-lpthread", "-ldl", "-lm"], capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        try:
            made.rename(folder)
        except OSError:  # another process was faster
            if not folder.is_dir():
                raise
    return folder
