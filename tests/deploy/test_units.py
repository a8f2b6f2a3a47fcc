"""The units of systemd are valid, their commands are of edgeseg; containers install extras."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from edgeseg.cli import app
from tests.test_packaging import EXTRAS

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
STREAM = DEPLOY / "edgeseg.service"
CONTAINERS = sorted(DEPLOY.glob("*.Containerfile"))


def verified(unit):
    """What systemd-analyze says about a unit file."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    return done.returncode, done.stderr


def planted(folder, file=STREAM, change=lambda text: text):
    """The unit with a command that exists here: the real one is installed on the device."""
    true = shutil.which("true")
    text = file.read_text(encoding="utf-8").replace("/opt/edgeseg/bin/edgeseg", true)
    unit = folder / file.name
    unit.write_text(change(text), encoding="utf-8")
    return unit


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_systemd_takes_the_unit(tmp_path, file):
    code, said = verified(planted(tmp_path, file))
    assert (code, said) == (0, "")


@pytest.mark.parametrize("setting", ["WatchdogSec=60", "Type=notify", "Restart=always"])
def test_systemd_would_refuse_another_value(tmp_path, setting):
    wrong = f"{setting.partition('=')[0]}=wrong"
    unit = planted(tmp_path, change=lambda text: text.replace(setting, wrong))
    line = unit.read_text(encoding="utf-8").split("\n").index(wrong) + 1
    assert f"{STREAM.name}:{line}: Failed to parse" in verified(unit)[1]


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_a_camera_that_comes_back_after_days_and_a_csi_camera_are_reached(file):
    lines = file.read_text(encoding="utf-8").split("\n")
    assert "StartLimitIntervalSec=0" in lines  # systemd gives up after a few starts otherwise
    assert "ReadWritePaths=/tmp" in lines and "PrivateTmp=yes" not in lines  # /tmp/argus_socket
    (user,) = (line for line in lines if "useradd" in line)
    assert "--create-home" in user  # `cp` copies into it


@pytest.mark.parametrize("file", UNITS, ids=lambda file: file.name)
def test_the_command_of_the_unit_is_one_of_edgeseg(file):
    (command,) = re.findall(r"^ExecStart=(.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    program, name, *arguments = shlex.split(command)
    assert program == "/opt/edgeseg/bin/edgeseg"
    stream = typer.main.get_command(app).commands[name]
    stream.make_context(name, [each.replace("%S", "/tmp") for each in arguments])


@pytest.mark.parametrize("path", CONTAINERS, ids=lambda path: path.name)
def test_a_container_installs_the_wheel_with_an_extra_that_exists(path):
    text = path.read_text(encoding="utf-8")
    (extras,) = re.findall(r"/tmp/install /tmp/edgeseg-\*\.whl (\S+) /opt/edgeseg", text)
    assert set(extras.split(",")) <= set(EXTRAS)
    assert f"deploy/{path.name}" in text and re.search(r"^ARG BASE=\S+:\S+$", text, re.MULTILINE)
    assert 'ENTRYPOINT ["edgeseg"]' in text


def test_there_is_a_container_for_each_device():
    names = {path.name.partition(".")[0] for path in CONTAINERS}
    assert names == {"cpu", "rtx", "jetpack6", "jetpack7"}


def test_a_jetson_gets_neither_tensorrt_nor_opencv_from_an_index():
    names = {re.match(r"[\w-]+", requirement).group() for requirement in EXTRAS["jetson"]}
    assert names == {"cuda-bindings", "numpy", "onnx", "onnx-ir"}
