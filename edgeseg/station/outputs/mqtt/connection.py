"""One connection to a broker, on which nothing counts as sent before its PUBACK.

paho keeps what it could not send in memory, and an exception in one of its callbacks ends its
thread without a word. Here the journal is the queue: a connection that is lost is given up with all
that paho holds, callbacks only note what they are told, and a broker that does not acknowledge in
time is one that is lost.
"""

import queue
import socket
import ssl
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeseg.closing import Closing
from edgeseg.packages.extras import require

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

WINDOW = 16  # messages that wait for their PUBACK at once; a broker may allow less
MOST_COMMANDS = 100  # messages that wait to be looked at; more are dropped
CALLBACKS = ("on_connect", "on_disconnect", "on_publish", "on_subscribe", "on_message")
WITH_WILL = 0x04  # reason of a DISCONNECT, after which the broker publishes the will
END_SECONDS = 0.5  # for the DISCONNECT to be sent


@dataclass(frozen=True)
class Message:
    """What is published, with QoS 1."""

    topic: str
    payload: str
    retain: bool = False


@dataclass(frozen=True, kw_only=True)
class Broker:
    """Where a connection goes, and as whom."""

    host: str
    port: int
    client_id: str
    user: str
    password: str
    tls: ssl.SSLContext | None
    keepalive: int
    """Seconds."""
    patience: float
    """Seconds that the broker has for each answer."""

    def __repr__(self) -> str:
        """Without the password."""
        return f"Broker({self.host}:{self.port})"


class BrokerConnection(Closing):
    """Connected from the begin; `problem` says why it is lost, and it is not used again then."""

    def __init__(self, broker: Broker, will: Message, topics: Sequence[str] = ()) -> None:
        """topics: to subscribe. OSError: no connection, or the broker refuses it."""
        self._broker = broker
        self._changed = threading.Condition()
        self._acknowledged: dict[int, Any] = {}
        """Reason codes by the number of the message."""
        self._connack: tuple[Any, Any] | None = None
        self._suback: list[Any] | None = None
        self._ended = False
        self.problem = ""
        self.received: queue.Queue[bytes] = queue.Queue(MOST_COMMANDS)
        """Payloads of the messages that came, without retained ones."""
        self._client = self._made(will)
        try:
            self._connect()
            if topics:
                self._subscribe(topics)
        except BaseException:
            self.close()
            raise

    def deliver(self, messages: Sequence[Message]) -> int:
        """Publish messages in order; return how many the broker has acknowledged.

        OSError: not the first, or the connection is lost. For several threads.
        """
        sent: deque[tuple[int, Message]] = deque()
        done = 0
        try:
            for message in messages:
                while not self._room.acquire(timeout=0 if sent else self._broker.patience):
                    if not sent:
                        self.lose("the broker acknowledges nothing")
                        self.check()
                    self._settle(*sent.popleft())
                    done += 1
                self.check()
                info = self._client.publish(
                    message.topic, message.payload, qos=1, retain=message.retain
                )
                sent.append((info.mid, message))
            while sent:
                self._settle(*sent.popleft())
                done += 1
        except OSError:
            if not done:
                raise
        return done

    def check(self) -> None:
        """Raise OSError if the connection is lost."""
        if self.problem:
            raise ConnectionError(self.problem)

    def lose(self, problem: str) -> None:
        """Give the connection up; who waits for it learns of it."""
        with self._changed:
            self.problem = self.problem or problem
            self._changed.notify_all()

    def close(self, *, last: Message | None = None) -> None:
        """End the connection with a last message; of a lost one the broker publishes the will."""
        if last is not None and not self.problem:
            with suppress(OSError):
                self.deliver([last])
        self._end_connection()
        for name in CALLBACKS:  # with them, and its two sockets, it would wait for the collector
            setattr(self._client, name, None)

    def _end_connection(self) -> None:
        connected = self._client.socket()
        if connected is None:
            return
        codes = require("paho.mqtt.reasoncodes", extra="mqtt")
        kinds = require("paho.mqtt.packettypes", extra="mqtt")
        reason = WITH_WILL if self.problem else 0
        self._client.disconnect(codes.ReasonCode(kinds.PacketTypes.DISCONNECT, identifier=reason))
        with self._changed:
            self._changed.wait_for(lambda: self._ended, END_SECONDS)
        if isinstance(connected, socket.socket):  # paho's thread waits while it has messages
            with suppress(OSError, ValueError):
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def _made(self, will: Message) -> "Client":
        mqtt = require("paho.mqtt.client", extra="mqtt")
        broker = self._broker
        client: Client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=broker.client_id,
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        client.suppress_exceptions = True
        client.connect_timeout = broker.patience
        if broker.user:
            client.username_pw_set(broker.user, broker.password or None)
        if broker.tls is not None:
            client.tls_set_context(broker.tls)
        client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        client.on_socket_open = _without_delay
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _connect(self) -> None:
        broker = self._broker
        place = f"{broker.host}:{broker.port}"
        try:
            self._client.connect(broker.host, broker.port, broker.keepalive, clean_start=True)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else None
            raise ConnectionError(f"{place}: {why or error}") from error
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._connack or self.problem, broker.patience)
        if self._connack is None:
            raise ConnectionError(f"{place}: {self.problem or 'no answer'}")
        reason, properties = self._connack
        if reason.is_failure:
            raise ConnectionError(f"{place}: the broker refuses the connection: {reason}")
        room = getattr(properties, "ReceiveMaximum", None) or WINDOW
        self._room = threading.Semaphore(min(room, WINDOW))

    def _subscribe(self, topics: Sequence[str]) -> None:
        options = require("paho.mqtt.subscribeoptions", extra="mqtt")
        never = options.SubscribeOptions.RETAIN_DO_NOT_SEND
        how = options.SubscribeOptions(qos=1, retainHandling=never)
        self._client.subscribe([(topic, how) for topic in topics])
        with self._changed:
            self._changed.wait_for(lambda: self._suback or self.problem, self._broker.patience)
        for topic, reason in zip(topics, self._suback or [None] * len(topics), strict=False):
            if reason is None or reason.is_failure:
                raise ConnectionError(f"the broker refuses to subscribe {topic}: {reason}")

    def _settle(self, number: int, message: Message) -> None:
        """Wait until a message is acknowledged."""
        with self._changed:
            self._changed.wait_for(
                lambda: number in self._acknowledged or self.problem, self._broker.patience
            )
            reason = self._acknowledged.pop(number, None)
        if reason is None:
            self.lose(f"the broker did not acknowledge in {self._broker.patience:g} s")
        elif reason.is_failure:
            self.lose(f"the broker refuses {message.topic}: {reason}")
        else:
            return
        self.check()

    # Called by paho's thread: they must not call paho, wait, or raise.

    def _on_connect(self, client: Any, data: Any, flags: Any, reason: Any, properties: Any) -> None:
        with self._changed:
            self._connack = (reason, properties)
            self._changed.notify_all()

    def _on_disconnect(
        self, client: Any, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self._ended = True
        why = f": {reason}" if flags.is_disconnect_packet_from_server else ""
        self.lose(f"the connection is lost{why}")

    def _on_publish(self, client: Any, data: Any, number: int, reason: Any, more: Any) -> None:
        with self._changed:
            self._acknowledged[number] = reason
            self._changed.notify_all()
        self._room.release()

    def _on_subscribe(self, client: Any, data: Any, number: int, reasons: Any, more: Any) -> None:
        with self._changed:
            self._suback = list(reasons)
            self._changed.notify_all()

    def _on_message(self, client: Any, data: Any, message: "MQTTMessage") -> None:
        if not message.retain:
            with suppress(queue.Full):
                self.received.put_nowait(bytes(message.payload))


def _without_delay(client: Any, data: Any, connected: Any) -> None:
    """Send each message at once."""
    with suppress(OSError):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
