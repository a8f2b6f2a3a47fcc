"""A Modbus TCP server: one unit for each camera, with the registers below.

Every read is one snapshot: the registers are computed within the request, from one frozen state, in
the one thread that also takes the states. Input registers and holding registers are the same; bit n
of register r is also discrete input, or coil, 16 r + n. Numbers of two registers have the high word
first.
"""

import logging
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.packages.extras import require
from edgeseg.schema import bounded
from edgeseg.station.outputs.address import cannot_listen
from edgeseg.station.outputs.base import OutputContext
from edgeseg.station.outputs.plc import PlcServer
from edgeseg.station.outputs.signals import CameraSignals

TABLE_VERSION = 1
BITS = ("ok", "not_ok", "ready", "busy", "done", "result_ok", "heartbeat", "alive", "waiting")
"""Of register 0, from bit 0."""
TOLD = struct.Struct(">HHHHIfIIHHHHIHH")
"""Registers 0 to 19: what the station tells."""
TRIGGER, ACKNOWLEDGE, RECIPE, PART, LINE, END = 20, 21, 22, 23, 25, 26
"""Registers that a PLC writes; PART has two."""
STOP, START = 1, 2
"""Values of LINE."""
WRONG_VALUE, BUSY = 3, 6
"""Exceptions of Modbus."""


@dataclass(frozen=True, kw_only=True)
class ModbusSettings:
    """Where the server listens. Modbus has no passwords: whoever reaches it may write."""

    address: str = "127.0.0.1"
    """`0.0.0.0`: every network of this machine."""
    port: int = bounded(1, 65535, default=5020)
    """PLCs expect 502, which needs a privilege."""
    writable: bool = True
    """Whether a client may trigger, acknowledge, choose a recipe, and stop the line."""
    answer_s: float = bounded(0.05, 600, default=5.0)
    """From a trigger to its answer, if the station gives none."""


class ModbusOutput(PlcServer):
    """Serves registers."""

    Settings = ModbusSettings
    settings: ModbusSettings
    by = "modbus"

    def __init__(self, settings: ModbusSettings, context: OutputContext) -> None:
        self._modbus = require("pymodbus", extra="modbus")
        super().__init__(settings, context)
        units = enumerate(self.cameras.values(), 1)
        self.units = {number: Unit(camera, context.recipes) for number, camera in units}

    async def _begin(self) -> None:
        from pymodbus.constants import ExcCodes
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # else a line for each bad request
        readonly = not self.settings.writable
        told = SimData(0, count=TRIGGER, datatype=DataType.REGISTERS, readonly=True)
        taken = SimData(
            TRIGGER, count=END - TRIGGER, datatype=DataType.REGISTERS, readonly=readonly
        )

        def device(number: int, unit: "Unit | None") -> SimDevice:
            async def access(
                function: int,
                start: int,
                address: int,
                count: int,
                registers: list[int],
                values: Any,
            ) -> ExcCodes | None:
                if unit is None:
                    return ExcCodes.GATEWAY_NO_RESPONSE
                unit.camera.catch_up(self.context.state())  # does not wait for `show`
                registers[:END] = unit.registers()
                if values is None:
                    return None
                problem = unit.write(address, values, bits=function in (5, 15))
                return ExcCodes(problem) if problem else None

            data = [told, taken]
            return SimDevice(number, data, use_bit_addressing=True, action=access)

        only = self.units[1] if len(self.units) == 1 else None
        devices = [device(0, only), *(device(n, unit) for n, unit in self.units.items())]
        where = (self.settings.address, self.settings.port)
        self._server = ModbusTcpServer(devices, address=where)
        try:
            await self._server.serve_forever(background=True)
        except RuntimeError as error:
            why = OSError(0, "in use, or not of this machine")
            raise cannot_listen(*where, why) from error

    async def _end(self) -> None:
        for camera in self.cameras.values():
            camera.stopped()
        await self._server.shutdown()


class Unit:
    """The registers of one camera."""

    def __init__(self, camera: CameraSignals, recipes: Sequence[str]) -> None:
        self.camera, self._recipes = camera, recipes
        self._written = [0] * (END - TRIGGER)
        """What the PLC wrote last: the station acts when it changes, and changes nothing in it."""

    def registers(self) -> list[int]:
        """Return all registers, as they are now."""
        now = self.camera.newest()
        found = now.inspection
        result_ok = now.done and now.result == 0
        bits = [now.ok, not now.ok, now.ready, now.busy, now.done, result_ok]
        bits += [bool(now.heartbeat % 2), now.alive, now.waiting > 0]
        seconds = found.decided if found else 0.0
        told = TOLD.pack(
            sum(bit << place for place, bit in enumerate(bits)),
            now.code,
            now.count & 0xFFFF,
            min(now.waiting, 0xFFFF),
            found.id & 0xFFFFFFFF if found else 0,
            math.nan if found is None or found.score is None else found.score,
            part_number(found.part) if found else 0,
            (found.trigger or 0) & 0xFFFFFFFF if found else 0,
            self._number(found.recipe) if found else 0,
            self._number(now.active_recipe),
            now.result,
            now.heartbeat & 0xFFFF,
            int(seconds) & 0xFFFFFFFF,
            int(seconds * 1000) % 1000,
            TABLE_VERSION,
        )
        return [*struct.unpack(f">{TRIGGER}H", told), *self._written]

    def write(self, address: int, values: Sequence[int], *, bits: bool = False) -> int:
        """Take registers, or coils, that were written; return the exception for the PLC, or 0.

        Nothing is taken of a write with an exception.
        """
        written = list(self._written)
        for place, value in enumerate(values, address):
            if bits:
                register, bit = place // 16 - TRIGGER, 1 << place % 16
                written[register] = written[register] & ~bit | bit * bool(value)
            else:
                written[place - TRIGGER] = value
        return self._take(written, acknowledges=self._covers(ACKNOWLEDGE, address, values, bits))

    def _take(self, written: list[int], *, acknowledges: bool) -> int:
        before = self._written
        trigger, acknowledged, recipe, high, low, line = written
        part = str(high << 16 | low) if high or low else ""
        rises, falls = trigger & 1 > before[0] & 1, trigger & 1 < before[0] & 1
        now = self.camera.newest()
        if recipe > len(self._recipes) or line > START:
            return WRONG_VALUE
        if rises and now.busy:
            return BUSY
        count = now.count - (now.count - acknowledged & 0xFFFF)
        if acknowledges and not self.camera.acknowledge(count):
            return WRONG_VALUE
        self._written = written
        if recipe and recipe != before[2]:
            self.camera.choose_recipe(self._recipes[recipe - 1])
        if part and written[3:5] != before[3:5]:
            self.camera.name_part(part)
        if line == STOP and before[5] != STOP:
            self.camera.stop("stopped by Modbus")
        if line == START and before[5] != START:
            self.camera.start()
        if rises:
            self.camera.trigger(part)
        if falls:
            self.camera.release()
        return 0

    @staticmethod
    def _covers(register: int, address: int, values: Sequence[int], bits: bool) -> bool:
        scale = 16 if bits else 1
        return address < (register + 1) * scale and address + len(values) > register * scale

    def _number(self, recipe: str) -> int:
        """Return the place of a recipe in the station's file, from 1; 0 without one."""
        return self._recipes.index(recipe) + 1 if recipe in self._recipes else 0


def part_number(part: str) -> int:
    """Return the number of a part; 0 for one that is none, or does not fit two registers."""
    number = int(part) if part.isascii() and part.isdecimal() else 0
    return number if number <= 0xFFFFFFFF else 0
