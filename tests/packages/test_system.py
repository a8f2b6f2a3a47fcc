"""The commands for the distribution's packages fit the environment that runs."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from edgeseg.packages import system as module
from edgeseg.packages.system import apt_install, system_packages

OPENCV = ("opencv-python", "opencv-python-headless")


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A distribution with a Python of the given version; `venv`: edgeseg runs in one of its own."""

    def choose(version="3.11", *, venv=True, installed=(), origin=None):
        python = tmp_path / f"python{version}"
        python.touch()
        (tmp_path / "python3").symlink_to(python)
        monkeypatch.setattr(module, "PYTHON", tmp_path / "python3")
        monkeypatch.setattr(sys, "executable", str(python) if venv else sys.executable)
        monkeypatch.setattr(sys, "prefix", str(tmp_path / "my env") if venv else sys.base_prefix)
        monkeypatch.setattr(module, "installed", dict.fromkeys(installed, "1").get)
        text = None if origin is None else json.dumps({"url": origin})
        package = SimpleNamespace(read_text={"direct_url.json": text}.get)
        monkeypatch.setattr(module, "distribution", {"edgeseg": package}.get)
        return tmp_path

    return choose


def words(command):
    """The steps of a command line, as a shell splits them."""
    return [
        subprocess.run(
            ["bash", "-c", f"printf '%s\\n' {step}"], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for step in command.split(" && ")
    ]


@pytest.mark.parametrize(("user", "sudo"), [(0, []), (1000, ["sudo"])])
def test_root_needs_no_sudo(monkeypatch, user, sudo):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    update, install = words(apt_install("libgl1"))
    assert update == [*sudo, "apt-get", "update"]
    assert install == [*sudo, "apt-get", "install", "-y", "libgl1"]


def test_an_environment_of_the_distribution_is_extended(system):
    """Where it is, whatever it is called, and what would be imported first is removed."""
    folder = system(installed=["edgeseg", "opencv-python-headless", "onnxruntime"])
    _, apt, venv, uninstall = words(system_packages("python3-opencv", instead_of=OPENCV))
    env = str(folder / "my env")
    assert apt[-4:] == ["install", "-y", "python3-venv", "python3-opencv"]
    assert venv[1:] == ["-m", "venv", "--system-site-packages", "--upgrade", env]
    assert uninstall == [f"{env}/bin/pip", "uninstall", "-y", "opencv-python-headless"]


def test_an_environment_of_another_python_is_left_and_a_new_one_made(system, tmp_path):
    wheel = tmp_path / "a b" / "edgeseg-0.2.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    folder = system(venv=False, installed=["openvino"], origin=wheel.as_uri())
    _, _, venv, install, uninstall = words(system_packages("python3-opencv", instead_of=OPENCV))
    python = str(folder / "python3")
    assert venv == [python, "-m", "venv", "--system-site-packages", ".venv-system"]
    assert install == [".venv-system/bin/pip", "install", f"{wheel}[openvino]"]
    assert uninstall == [".venv-system/bin/pip", "uninstall", "-y", "opencv-python"]


@pytest.mark.parametrize("origin", [None, "file:///no/such/folder", "https://host/edgeseg.whl"])
def test_edgeseg_of_unknown_origin_is_installed_from_its_folder(system, origin):
    system(venv=False, origin=origin)
    assert words(system_packages("python3-opencv", instead_of=OPENCV))[3][-1] == ".[cpu]"
