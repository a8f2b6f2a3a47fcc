"""Build PyCUDA from source against the simulated driver: some minutes of compiling, once.

    python -m tools.cudasim.build_pycuda FOLDER    then PYTHONPATH=FOLDER for the tests

PyCUDA has no wheels. The build needs a C++ compiler, and cuda.h, curand.h and libcurand from a CUDA
toolkit or from NVIDIA's wheels beside this Python (PyTorch installs them on Linux). If one is
missing, a message says so and nothing is built. A folder built for the same Python is reused.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools.cudasim.build import NoCompilerError, build

VERSION = "2026.1"
NEEDS = ("pytools", "platformdirs", "mako")
COMPILER = "a C++ compiler (c++)"


def main(folder: Path) -> str:
    """Install PyCUDA and what it imports into `folder`; return what was done, or why not."""
    found = {name: next(_find(name), None) for name in ("cuda.h", "curand.h", "libcurand.so.*")}
    missing = [name for name, file in found.items() if file is None]
    if shutil.which(os.environ.get("CXX", "c++")) is None:
        missing.append(COMPILER)
    if missing:
        return f"pycuda not built: no {', '.join(missing)} on this machine"
    curand = found["libcurand.so.*"]
    assert curand is not None
    includes = sorted({str(file.parent) for file in found.values() if file and file != curand})
    done = f"pycuda {VERSION} is in {folder} already"
    if not _built(folder):
        try:
            driver = build()
        except NoCompilerError as error:
            return f"pycuda not built: {error}"
        try:
            _install(folder, driver, curand, includes)
        except subprocess.CalledProcessError as error:
            return f"pycuda not built: pip ended with {error.returncode}, see above"
        done = f"pycuda {VERSION} built into {folder}"
    _link(folder / "curand" / curand.name, curand)
    return done


def _built(folder: Path) -> bool:
    """Whether `folder` holds this version, for this Python."""
    driver = folder / "pycuda" / f"_driver{sysconfig.get_config_var('EXT_SUFFIX')}"
    return driver.is_file() and (folder / f"pycuda-{VERSION}.dist-info").is_dir()


def _install(folder: Path, driver: Path, curand: Path, includes: list[str]) -> None:
    """Build in a temporary folder beside `folder`, and put it there whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        links, made = Path(temporary) / "links", Path(temporary) / "made"
        _link(links / "libcurand.so", curand)
        environment = os.environ | {
            "CPATH": os.pathsep.join(includes),
            "LIBRARY_PATH": os.pathsep.join([str(driver), str(links)]),
            # Through a link of the folder's own: this Python may be gone when it is used again.
            "LDFLAGS": f"-Wl,-rpath,{folder / 'curand'}",
        }
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(made)]
        subprocess.run(
            [*pip, "--no-cache-dir", "--no-deps", "--no-binary", "pycuda", f"pycuda=={VERSION}"],
            env=environment,
            check=True,
        )
        subprocess.run([*pip, *NEEDS], check=True)
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


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
