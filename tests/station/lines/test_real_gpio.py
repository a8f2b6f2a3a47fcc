"""Lines of the real kernel, in the virtual machine of .ci/camera."""

import os
import time
from pathlib import Path

import pytest

if not os.environ.get("EDGESEG_REAL_CAMERAS"):
    pytest.skip("only in the virtual machine of .ci/camera", allow_module_level=True)

from edgeseg.errors import SinkError
from edgeseg.station.config import GpioConfig
from edgeseg.station.inspection import Code
from edgeseg.station.lines.gpio import Gpio
from tests.kit.errors import fails
from tests.kit.stations import inspection, until
from tests.kit.usb_gpio import UsbLines

CHIP = Path("/dev/gpiochip0")


PLUGGED = 120.0
"""Seconds: while it probes, the driver waits for an answer that the kernel holds back."""


def test_a_verdict_is_a_pulse_at_the_chip_until_it_is_unplugged():
    config = GpioConfig(chip=str(CHIP), ok=0, not_ok=1, ready=2, pulse_ms=100.0)
    with UsbLines() as lines:
        assert until(CHIP.exists, PLUGGED), "hid-mcp2221 made no chip"
        gpio = Gpio(config, lambda: None)
        lines.changes.clear()
        began = time.monotonic()
        gpio.show(inspection(1, code=Code.ANOMALOUS, arrived=time.time()))
        assert until(lambda: [each for each in lines.changes if each[1:] == (1, False)], 10.0)
        (on, _, first), (off, _, last) = [each for each in lines.changes if each[1] == 1]
        assert (first, last) == (True, False)
        print(f"set after {1e3 * (on - began):.1f} ms, for {1e3 * (off - on):.1f} ms")
        assert off - on > 0.05
        with fails(SinkError, "station/gpio"):
            Gpio(config, lambda: None)
        gpio.beat()
        assert until(lambda: [each for each in lines.changes if each[1] == 2], 10.0)
    gpio.show(inspection(2))
    gpio.close()
