"""The wheel holds the package, all of it, and nothing else; it is installed and started."""

import email
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from edgeseg import __version__

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without the network: the build's tools are among the dev packages."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    done = subprocess.run([*command, str(REPOSITORY)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = folder.glob("*.whl")
    assert path.name == f"edgeseg-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def bare(wheel, tmp_path_factory):
    """A fresh virtual environment with the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder)
    pip = [sys.executable, *"-m pip --python".split(), str(folder)]
    command = [*pip, *"install --no-deps --no-index".split(), wheel.filename]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def run(folder, *command):
    """Run a program of the environment, outside of this repository; return its output."""
    (scripts,) = [path for path in (folder / "bin", folder / "Scripts") if path.is_dir()]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [scripts / command[0], *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_installed_bare_it_is_imported_without_any_dependency(bare):
    code = "import edgeseg; print(edgeseg.__version__, edgeseg.__file__)"
    version, path = run(bare, "python", "-c", code).split()
    assert version == __version__ and Path(path).is_relative_to(bare)


def test_installed_bare_with_the_core_dependencies_it_brings_the_command(bare):
    """The dependencies are those of this environment: nothing is downloaded."""
    (packages,) = bare.rglob("site-packages")
    (packages / "core.pth").write_text(sysconfig.get_path("purelib"))
    assert "build-engine" in run(bare, "edgeseg", "--help")
    path = run(bare, "python", "-c", "import edgeseg.cli; print(edgeseg.cli.__file__)")
    assert Path(path.strip()).is_relative_to(bare)


def test_it_holds_edgeseg_alone(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"edgeseg", f"edgeseg-{__version__}.dist-info"}


def test_it_holds_every_module_every_table_every_template_and_the_type_marker(wheel):
    package = REPOSITORY / "edgeseg"
    files = [*package.rglob("*.py"), *(package / "reproduce" / "tables").glob("*.toml")]
    files += [*package.glob("*/templates/*")]
    files += (package / "station" / "page" / "static").iterdir()
    expected = {path.relative_to(REPOSITORY).as_posix() for path in files}
    held = {name for name in wheel.namelist() if name.startswith("edgeseg/")}
    assert held == expected | {"edgeseg/py.typed"}


def test_it_brings_the_command_and_the_license(wheel):
    info = f"edgeseg-{__version__}.dist-info"
    entry_points = wheel.read(f"{info}/entry_points.txt").decode()
    assert entry_points.split() == ["[console_scripts]", "edgeseg", "=", "edgeseg.cli:program"]
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def test_its_core_needs_no_torch(wheel):
    metadata = email.message_from_bytes(wheel.read(f"edgeseg-{__version__}.dist-info/METADATA"))
    needs = metadata.get_all("Requires-Dist")
    assert not [need for need in needs if need.startswith("edgeseg")]  # extras are flat
    core = sorted({re.split("[<>;]", need)[0] for need in needs if "extra ==" not in need})
    more = ("pillow", "rich", "simplejpeg", "tomli", "typer")
    assert core == ["numpy", "nvidia-ml-py", *more]
    gpu = {"tensorrt", "rtx", "torch-tensorrt", "pycuda", "jetson", "opencv"}
    extras = {"train", "cpu", "openvino", "nvtx", "video", "report", "pdf", "docs", "dev"} | gpu
    station = {"station", "gpio", "modbus", "mqtt", "opcua", "prometheus", "sign"}
    cluster = {"cluster", "ray", "slurm", "storage", "tune", "tensorboard", "mlflow"}
    assert set(metadata.get_all("Provides-Extra")) == extras | station | cluster
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
