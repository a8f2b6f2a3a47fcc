"""The settings of an MQTT output, and what follows from them."""

import re
from dataclasses import dataclass

from edgeseg.errors import ConfigError
from edgeseg.log import log
from edgeseg.schema import bounded
from edgeseg.station.outputs.base import OutputContext
from edgeseg.station.outputs.credentials import is_loopback, read_secret, tls_context
from edgeseg.station.outputs.mqtt.connection import Broker

PORT, TLS_PORT = 1883, 8883
_TOPIC = re.compile(r"[^$/+#\0][^+#\0]*[^/+#\0]|[^$/+#\0]")


@dataclass(frozen=True, kw_only=True)
class MqttSettings:
    """Which broker, and what it is told."""

    host: str
    port: int | None = bounded(1, 65_535, default=None)
    """[default: 8883 with tls, else 1883]"""
    tls: bool = False
    ca: str = ""
    """PEM file of the authority of the broker's certificate [default: the system's]."""
    certificate: str = ""
    """PEM file by which this station identifies itself."""
    key: str = ""
    user: str = ""
    password_file: str = ""
    """Relative to the station's file."""
    password_env: str = ""
    """Or the environment variable that has it."""
    client_id: str = ""
    """[default: edgeseg-STATION-HOSTNAME]"""
    topic: str = ""
    """What all topics begin with [default: edgeseg/STATION]."""
    keepalive_s: int = bounded(1, 3600, default=10)
    """A broker that hears nothing for one and a half times as long publishes the last will."""
    heartbeat_s: float = bounded(0.1, 3600, default=2.0)
    """Between two statuses without a change."""
    ack_s: float = bounded(0.1, 600, default=10.0)
    """How long the broker may take for each answer."""
    not_ok_only: bool = False
    """Whether records of good parts are left out; `sequence` tells how many there were."""
    commands: bool = False
    """Whether commands are taken; whoever may publish to the topic can then stop the line."""
    discovery: str = ""
    """Where Home Assistant looks for devices: `homeassistant`; empty: it is told of none."""

    def __post_init__(self) -> None:
        """ConfigError for settings that contradict each other, and topics that are none."""
        if not self.tls and (self.ca or self.certificate or self.key):
            raise _wrong("ca, certificate and key need tls = true", "tls = true")
        if (self.password_file or self.password_env) and not self.user:
            raise _wrong("a password without a user", 'user = "NAME"')
        for name in ("topic", "discovery"):
            topic: str = getattr(self, name)
            if topic and not (_TOPIC.fullmatch(topic) and len(topic) <= 200):
                raise _wrong(
                    f"{name} is {topic[:40]!r} (expected a topic without +, # and / at its ends)",
                    f'{name} = "plant/line-3"',
                )

    def broker(self, context: OutputContext) -> Broker:
        """Return where to connect; ConfigError for a password or certificate that is missing."""
        base = context.base
        password = read_secret(base, self.password_file, self.password_env, "password")
        if password and not self.tls and not is_loopback(self.host):
            log.warning(f"mqtt: the password goes to {self.host} in clear text: tls = true")
        tls = tls_context(base, self.ca, self.certificate, self.key) if self.tls else None
        client_id = self.client_id or f"edgeseg-{context.station}-{context.device}"
        return Broker(
            host=self.host,
            port=self.port or (TLS_PORT if self.tls else PORT),
            client_id=client_id + "-trial" * context.trial,  # a broker ends the older of two
            user=self.user,
            password=password,
            tls=tls,
            keepalive=self.keepalive_s,
            patience=self.ack_s,
        )

    def root(self, context: OutputContext) -> str:
        """Return what all topics begin with."""
        return self.topic or f"edgeseg/{context.station}"


def _wrong(problem: str, remedy: str) -> ConfigError:
    return ConfigError(f"output mqtt: {problem}.", remedy=remedy, code="station/config")
