"""Mirrors edgeseg/stream/watchdog.py: systemd is told what is so, and nobody else anything."""

import os
import socket

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.stream import watchdog
from edgeseg.stream.stream import stream
from edgeseg.stream.watchdog import Watchdog
from tests.kit.fakes import ListSource, RedBackend
from tests.kit.logs import logged


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The socket that systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "4000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield listening


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: now[0])
    return now


def told(service):
    found = []
    while True:
        try:
            found.append(service.recv(100).decode())
        except BlockingIOError:
            return found


def test_progress_is_told_once_in_half_of_the_limit(service, clock):
    with Watchdog() as watching:
        assert told(service) == ["READY=1"]
        watching.progress(1)
        watching.progress(2)
        assert told(service) == ["WATCHDOG=1"]
        clock[0] += 1.9
        watching.progress(3)
        assert told(service) == []
        clock[0] += 0.2
        watching.progress(3)
        assert told(service) == ["WATCHDOG=1"]
    assert told(service) == ["STOPPING=1"]


def test_a_stream_that_judges_nothing_is_not_alive(service, clock):
    with Watchdog() as watching:
        watching.progress(7)
        told(service)
        for _ in range(5):
            clock[0] += 10
            watching.progress(7)
        assert told(service) == []


@pytest.mark.parametrize(
    "environment",
    [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_PID": "1"}],
)
def test_without_a_limit_for_this_process_there_is_no_message(service, monkeypatch, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with Watchdog() as watching:
        watching.progress(1)
    assert told(service) == ["READY=1", "STOPPING=1"]


def test_a_socket_that_is_gone_is_said_once(monkeypatch, tmp_path):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with logged() as said, Watchdog():
        pass
    assert len(said) == 1 and "READY=1" in said[0]


def test_a_stream_tells_systemd(service):
    frames = [np.zeros((48, 64, 3), np.uint8)] * 3
    stream(RedBackend(), ListSource(frames), [], StreamConfig(window=False))
    messages = told(service)
    assert (messages[0], messages[-1]) == ("READY=1", "STOPPING=1")
    assert set(messages[1:-1]) <= {"WATCHDOG=1"}
