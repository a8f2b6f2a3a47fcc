"""How the address of an output is written, and what is said of one that cannot be used."""

import socket

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.outputs.address import host_port
from edgeseg.station.outputs.kinds import output_kind
from tests.kit.errors import fails
from tests.kit.outputs import make_context

PACKAGES = {"modbus": "pymodbus", "opcua": "asyncua", "prometheus": "prometheus_client"}


def test_addresses():
    assert host_port("127.0.0.1:8765", "page") == ("127.0.0.1", 8765)
    assert host_port("[::1]:80", "page") == ("::1", 80)
    for wrong in ("", "8765", ":80", "host", "host:", "host:x", "host:65536", "host:-1", "host:٣"):
        with fails(ConfigError, "station/page-address"):
            host_port(wrong, "page")


@pytest.mark.parametrize("kind", ["modbus", "opcua", "page", "prometheus"])
def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path, kind):
    if kind in PACKAGES:
        pytest.importorskip(PACKAGES[kind])
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with_port = {"port": port, "address": "127.0.0.1"}
        with_port |= {"anonymous": True} if kind == "opcua" else {}
        place = with_port if kind in ("modbus", "opcua") else {"address": f"127.0.0.1:{port}"}
        output = output_kind(kind)
        with output(output.Settings(**place), make_context(tmp_path)) as opened:
            with fails(ConfigError, "station/listen") as caught:
                opened.open()
    assert f"127.0.0.1:{port}" in caught.value.problem and "port" in caught.value.remedy


def test_an_address_of_another_machine_is_no_port_that_is_taken(tmp_path):
    output = output_kind("page")
    with output(output.Settings(address="192.0.2.1:0"), make_context(tmp_path)) as opened:
        with fails(ConfigError, "station/listen") as caught:
            opened.open()
    assert "address of this machine" in caught.value.remedy
