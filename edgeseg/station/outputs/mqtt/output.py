"""Publishes records to an MQTT 5 broker, and keeps a retained status there.

ROOT/CAMERA/verdict    each record, in order; moves the cursor when its PUBACK is there
ROOT/status            retained: what each camera's newest part was; also the last will
ROOT/command           commands, if `commands` is set; see commands.py
ROOT/answer            their answers
"""

import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

from edgeseg.packages.extras import require
from edgeseg.station.inspection import Inspection
from edgeseg.station.outputs.base import Deliverer, OutputContext
from edgeseg.station.outputs.mqtt.commands import Commands
from edgeseg.station.outputs.mqtt.connection import BrokerConnection, Message
from edgeseg.station.outputs.mqtt.settings import MqttSettings
from edgeseg.station.outputs.mqtt.status import (
    ENDED,
    LOST,
    discovery_messages,
    offline,
    online,
    status_message,
)

TICK = 0.1  # seconds between two looks at the state
HASTE = 0.01  # the same while an answer is expected


class MqttOutput(Deliverer):
    """Publishes records; a thread of its own keeps the status and takes commands."""

    Settings = MqttSettings
    settings: MqttSettings
    _connection: BrokerConnection | None = None
    _attendant: "_Attendant | None" = None

    def __init__(self, settings: MqttSettings, context: OutputContext) -> None:
        super().__init__(settings, context)
        require("paho.mqtt.client", extra="mqtt")
        self._root = settings.root(context)

    def open(self) -> None:
        broker = self.settings.broker(self.context)
        topics = [f"{self._root}/command"] if self.settings.commands else []
        self._connection = BrokerConnection(broker, self._ended(LOST), topics)

    def send(self, batch: Sequence[Inspection]) -> int:
        connection = self._begun()
        connection.check()
        wanted = [each for each in batch if not (self.settings.not_ok_only and each.ok)]
        done = connection.deliver(
            [Message(f"{self._root}/{each.camera}/verdict", each.to_json()) for each in wanted]
        )
        return batch[-1].id if done == len(wanted) else wanted[done - 1].id

    def check(self) -> None:
        self._begun().check()

    def close(self) -> None:
        attendant, connection = self._attendant, self._connection
        self._attendant = self._connection = None
        if attendant is not None:
            attendant.end()
        if connection is not None:
            connection.close(last=self._ended(ENDED) if attendant is not None else None)

    def _begun(self) -> BrokerConnection:
        """Return the connection, on which the station has introduced itself."""
        connection, settings = self._connection, self.settings
        assert connection is not None
        if self._attendant is None:
            if settings.discovery:
                messages = discovery_messages(
                    self.context, self._root, settings.discovery, commands=settings.commands
                )
                if connection.deliver(messages) < len(messages):
                    connection.check()
            self._attendant = _Attendant(connection, settings, self.context)
            self._attendant.start()
        return connection

    def _ended(self, reason: str) -> Message:
        document = offline(self.context, reason)
        return status_message(self.context, self._root, document, 0, self.settings.heartbeat_s)


class _Attendant(threading.Thread):
    """Publishes the status, passes commands on and publishes their answers."""

    def __init__(
        self, connection: BrokerConnection, settings: MqttSettings, context: OutputContext
    ) -> None:
        super().__init__(name="mqtt status", daemon=True)
        self._connection, self._settings, self._context = connection, settings, context
        self._root = settings.root(context)
        self._commands = Commands(context, self._root)
        self._shown: dict[str, Any] = {}
        self._beat, self._due = 0, 0.0
        self._over = False

    def end(self) -> None:
        """End the thread, and wait for it."""
        self._over = True
        self.join()

    def run(self) -> None:
        while not self._over and not self._connection.problem:
            try:
                self._step()
            except Exception as error:  # of any kind: the output has to learn of it
                self._connection.lose(str(error) or repr(error))

    def _step(self) -> None:
        now = time.monotonic()
        document = online(self._context, self._context.state())
        if now >= self._due or document != self._shown:
            self._beat += 1
            beat, period = self._beat, self._settings.heartbeat_s
            message = status_message(self._context, self._root, document, beat, period)
            self._connection.deliver([message])
            self._shown, self._due = document, now + period
        try:
            pause = HASTE if self._commands.waits else min(TICK, self._settings.heartbeat_s)
            answers = self._commands.take(self._connection.received.get(timeout=pause))
        except queue.Empty:
            answers = []
        for answer in (*answers, *self._commands.answers()):
            self._connection.deliver([answer])
