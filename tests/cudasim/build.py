"""Build the simulated driver with the system's C compiler, once for each state of its sources."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent / "driver"
FLAGS = ("-std=gnu11", "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror")


class NoCompilerError(Exception):
    """There is no C compiler here, so nothing can be simulated; tests skip with this sentence."""


def build(*extra: str) -> Path:
    """Return the folder that holds libcuda.so.1, compiled with `extra` flags beside FLAGS.

    The folder is named after a hash of the sources and flags, so that it is built once, and is
    moved into place whole, so that two test runs at once are no trouble.
    """
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise NoCompilerError("no C compiler (cc) on the path: the CUDA simulator cannot be built")
    files = sorted(SOURCES.glob("*.[ch]"))
    key = hashlib.sha256(repr((compiler, FLAGS, extra)).encode())
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
        library = made / "libcuda.so.1"
        sources = [str(file) for file in files if file.suffix == ".c"]
        command = [compiler, *FLAGS, *extra, "-shared", "-Wl,-soname,libcuda.so.1", *sources]
        command += ["-o", str(library), "-lpthread", "-ldl", "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        (made / "libcuda.so").symlink_to("libcuda.so.1")
        try:
            made.rename(folder)
        except OSError:  # another run was faster
            if not folder.is_dir():
                raise
    return folder
