"""Build PyCUDA from source against the simulated driver: some minutes of compiling.

    python -m tests.cudasim.build_pycuda FOLDER    then PYTHONPATH=FOLDER for the tests

PyCUDA has no wheels, so that a machine without CUDA can only have it in this way. It needs cuda.h,
curand.h and libcurand, from a CUDA toolkit or from wheels of NVIDIA (nvidia-cuda-runtime,
nvidia-curand) beside this Python. Where there are none, one line says so, and nothing is built.
"""

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.cudasim.build import NoCompilerError, build

VERSION = "2026.1"
NEEDS = ("pytools", "platformdirs", "mako")


def main(folder: Path) -> str:
    """Install PyCUDA and what it imports into `folder`; return what was done, or why not."""
    if (folder / "pycuda").is_dir():
        return f"pycuda is in {folder} already"
    found = {name: next(_find(name), None) for name in ("cuda.h", "curand.h", "libcurand.so*")}
    missing = [name for name, file in found.items() if file is None]
    if missing:
        return f"pycuda not built: no {', '.join(missing)} on this machine"
    try:
        driver = build()
    except NoCompilerError as error:
        return f"pycuda not built: {error}"
    with tempfile.TemporaryDirectory() as links:
        curand = found["libcurand.so*"]
        assert curand is not None
        (Path(links) / "libcurand.so").symlink_to(curand)
        includes = {str(file.parent) for file in found.values() if file and file.suffix == ".h"}
        environment = os.environ | {
            "CPATH": os.pathsep.join(sorted(includes)),
            "LIBRARY_PATH": os.pathsep.join([str(driver), links]),
            "LDFLAGS": f"-Wl,-rpath,{curand.parent}",
        }
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
        subprocess.run(
            [*pip, "--no-cache-dir", "--no-deps", "--no-binary", "pycuda", f"pycuda=={VERSION}"],
            env=environment,
            check=True,
        )
        subprocess.run([*pip, *NEEDS], check=True)
    return f"pycuda {VERSION} built into {folder}"


def _find(name: str) -> Iterator[Path]:
    """Find a header or library of CUDA: a toolkit's, or a wheel's beside this Python."""
    part = "lib" if name.startswith("lib") else "include"
    roots = [Path(os.environ[key]) for key in ("CUDA_HOME", "CUDA_ROOT") if key in os.environ]
    roots += sorted(Path("/usr/local").glob("cuda*"), reverse=True)
    roots += sorted((Path(sysconfig.get_path("purelib")) / "nvidia").glob("*"), reverse=True)
    for root in roots:
        yield from sorted((root / part).glob(name))
        yield from sorted((root / "lib64").glob(name)) if part == "lib" else ()


if __name__ == "__main__":
    print(main(Path(sys.argv[1]).resolve()))
