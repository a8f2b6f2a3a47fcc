"""Files with secrets that every user of a machine can read."""

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.check import check_station
from edgeseg.station.config import read_station
from edgeseg.station.secrets import check_secrets, secret_files
from tests.kit.errors import fails
from tests.kit.stations import write_station

OUTPUT = """
[[output]]
kind = "opcua"
user = "plc"
password_file = "pass word"
[[output]]
kind = "mqtt"
host = "127.0.0.1"
tls = true
certificate = "station.pem"
key = "missing.key"
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "pass word").write_text("secret")
    (tmp_path / "pass word").chmod(0o640)
    return write_station(tmp_path, cameras={"top": {"source": "test://64x48@20"}}, rest=OUTPUT)


def test_a_secret_of_the_owner_and_the_group_is_kept(file):
    (found,) = secret_files(read_station(file))
    assert found.name == "pass word"
    assert check_secrets([found]).endswith("1")


@pytest.mark.parametrize("mode", [0o644, 0o602])
def test_a_secret_that_everybody_can_use_is_named_with_the_command(file, mode):
    (found,) = secret_files(read_station(file))
    found.chmod(mode)
    with fails(ConfigError, "station/secret-readable") as caught:
        check_secrets([found])
    assert "pass word" in caught.value.problem
    assert caught.value.remedy.startswith("chmod o= '")


def test_check_names_it_among_what_does_not_work(tmp_path):
    secret = tmp_path / "token.txt"
    secret.write_text("secret")
    secret.chmod(0o644)
    rest = '[[output]]\nkind = "webhook"\nurl = "http://127.0.0.1:9/"\ntoken_file = "token.txt"\n'
    cameras = {"top": {"source": "test://64x48@20"}}
    report = check_station(write_station(tmp_path, cameras=cameras, rest=rest), lambda *_: "")
    (row,) = [each for each in report.tried if each.what == "secrets"]
    assert "token.txt" in row.problem
