"""A real MQTT broker on a loopback port, which a test may freeze, kill and start again."""

import json
import shutil
import signal
import socket
import subprocess
import threading

import pytest

from tests.kit.ports import free_port
from tests.kit.stations import until

PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")


class Mosquitto:
    """The broker; `options` are lines of its configuration."""

    def __init__(self, folder, *options, users=(), tls=None):
        if PROGRAM is None:
            pytest.skip("no MQTT broker: apt-get install mosquitto")
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        lines = [f"listener {self.port} 127.0.0.1", "user root", "persistence false", *options]
        if tls is not None:
            names = {"cafile": "ca.pem", "certfile": "127.0.0.1.pem", "keyfile": "127.0.0.1.key"}
            lines += [f"{option} {tls / name}" for option, name in names.items()]
        if users:
            passwords = folder / "passwords"
            passwords.touch()
            for user, password in users:
                command = ["mosquitto_passwd", "-b", str(passwords), user, password]
                subprocess.run(command, check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        lines.append(f"allow_anonymous {'false' if users else 'true'}")
        self._file = folder / "mosquitto.conf"
        self._file.write_text("\n".join(lines) + "\n")
        self._log = folder / "mosquitto.log"
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *raised):
        self.thaw()
        self.kill()

    def start(self):
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([PROGRAM, "-c", self._file], stdout=log, stderr=log)
        assert until(self._answers), self._log.read_text()

    def kill(self):
        self._process.kill()
        self._process.wait()

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


class Listener:
    """Another client, which keeps what it gets as (topic, document, retained)."""

    def __init__(self, broker, *topics, user=None, password=None, tls=None):
        mqtt = pytest.importorskip("paho.mqtt.client")
        self.got, self._ready, self._topics = [], threading.Event(), topics
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id="listener", protocol=mqtt.MQTTv5
        )
        self._client.suppress_exceptions = True
        self._client.reconnect_delay_set(0.05, 0.1)
        if user:
            self._client.username_pw_set(user, password)
        if tls:
            self._client.tls_set(str(tls / "ca.pem"))
        self._client.on_connect = lambda *_: self._client.subscribe([(t, 1) for t in self._topics])
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._broker = broker

    def __enter__(self):
        self._client.connect("127.0.0.1", self._broker.port, keepalive=60)
        self._client.loop_start()
        assert self._ready.wait(120)
        return self

    def __exit__(self, *raised):
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic, document, *, retain=False):
        payload = document if isinstance(document, bytes) else json.dumps(document)
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(120)

    def documents(self, end):
        """The documents of the topics that end so, in order."""
        return [document for topic, document, _ in self.got if topic.endswith(end)]

    def _on_message(self, client, data, message):
        self.got.append((message.topic, json.loads(message.payload or b"null"), message.retain))
