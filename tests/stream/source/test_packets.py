"""NewestPacket: JPEGs of a network stream are read all the time, and the newest is decoded."""

import itertools
import threading
import time

import pytest

from edgeseg.stream.source import packets
from edgeseg.stream.source.mjpeg import BrokenFrame
from edgeseg.stream.source.packets import NewestPacket

WAIT = 10.0  # seconds; a longer wait is a failure


class Network:
    """A capture whose packets come when they are sent; None ends the stream."""

    def __init__(self):
        self._sent, self._changed = [], threading.Condition()
        self.read = 0

    def send(self, *packets):
        """Send packets, and wait until all are read."""
        with self._changed:
            target = self.read + len(self._sent) + len(packets)
            self._sent += packets
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.read >= target, WAIT)
        time.sleep(0.02)  # until the last one is handed over

    def grab(self):
        with self._changed:
            assert self._changed.wait_for(lambda: self._sent, WAIT)
            self._packet = self._sent.pop(0)
            self.read += 1
            self._changed.notify_all()
        return self._packet is not None

    def retrieve(self):
        if isinstance(self._packet, Exception):
            raise self._packet
        return self._packet


@pytest.fixture
def network():
    return Network()


@pytest.fixture
def newest(network):
    reader = NewestPacket(network, network.retrieve)
    yield reader
    network.send(None)
    assert reader.close()


def started(reader, network):
    """Start the reader with its first packet."""
    threading.Thread(target=network.send, args=(b"0",)).start()
    assert reader.take().jpeg == b"0"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A second between two packets, unless the test stops the clock."""
    moments = itertools.count(0, 10**9)
    monkeypatch.setattr(packets.time, "perf_counter_ns", lambda: next(moments))


def test_packets_are_read_while_nobody_takes_them(newest, network):
    started(newest, network)
    network.send(*(b"%d" % number for number in range(1, 5)))
    assert (newest.take().jpeg, newest.skipped) == (b"4", 3)
    network.send(b"5")
    assert (newest.take().jpeg, newest.skipped) == (b"5", 3)


def test_a_burst_is_decoded_in_order(newest, network, monkeypatch):
    """Its frames may be broken, and replace no whole one."""
    started(newest, network)
    network.send(b"1")
    monkeypatch.setattr(packets.time, "perf_counter_ns", lambda: 10**12)
    network.send(b"2", BrokenFrame("no JPEG"), b"4")
    assert (newest.take().jpeg, newest.skipped) == (b"2", 1)
    assert newest.take().error is not None
    assert (newest.take().jpeg, newest.skipped) == (b"4", 1)


def test_a_burst_without_end_does_not_fill_the_memory(newest, network, monkeypatch):
    monkeypatch.setattr(packets.time, "perf_counter_ns", lambda: 0)
    started(newest, network)
    network.send(*[b"1"] * 100)
    assert newest.skipped == 100 - packets.MOST


def test_the_arrival_is_when_the_packet_came(newest, network):
    started(newest, network)
    network.send(b"1")
    came = packets.time.perf_counter_ns()
    assert newest.take().arrival < came


def test_a_broken_packet_is_handed_over(newest, network):
    started(newest, network)
    network.send(BrokenFrame("no JPEG"))
    assert str(newest.take().error) == "no JPEG"


def test_the_end_comes_after_the_last_packet(network):
    reader = NewestPacket(network, network.retrieve)
    started(reader, network)
    network.send(b"1", None)
    assert reader.take().jpeg == b"1"
    assert reader.take() is None and reader.take() is None
    assert reader.close()


def test_a_read_that_blocks_keeps_the_capture(network, monkeypatch):
    monkeypatch.setattr(packets, "CLOSE_SECONDS", 0.01)
    reader = NewestPacket(network, network.retrieve)
    started(reader, network)
    assert not reader.close()
    network.send(None)


def test_what_was_never_read_is_closed_at_once(network):
    assert NewestPacket(network, network.retrieve).close()
