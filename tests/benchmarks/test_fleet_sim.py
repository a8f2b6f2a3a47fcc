"""The simulated fleet, where the answer is known."""

from math import inf

import numpy as np
import pytest

from documents import read_documents
from fleet_sim import Brokers, Fleet, Outage, Outcome, loads, main, simulate

STEP = 0.05
PLENTY = Brokers(message_us=0.001, connect_us=0.001, link_mb_s=1e6)


def run(fleet=None, brokers=PLENTY, outage=None, *, seconds=200.0, seed=0):
    fleet = fleet or Fleet(devices=20)
    return simulate(fleet, brokers, outage or Outage(), seconds=seconds, step=STEP, seed=seed)


def is_conserved(found: Outcome):
    return (
        found.produced == found.acknowledged + found.waiting
        and found.acknowledged == found.stored + found.queued + found.dropped
    )


@pytest.mark.parametrize("kind", ["refused", "silent"])
@pytest.mark.parametrize("brokers", [PLENTY, Brokers(message_us=500.0, connect_us=2e5)])
def test_every_message_is_delivered_or_waits(kind, brokers):
    found = run(brokers=brokers, outage=Outage(seconds=17.0, kind=kind), seconds=61.0)
    assert found.produced >= 20 * 100 * 47
    assert is_conserved(found)


def test_a_broker_with_room_is_caught_up_at_the_pace_of_a_device():
    """The backlog of T + reconnection shrinks by drain - parts."""
    fleet = Fleet(devices=20, drain_per_s=300.0, jitter=0.0)
    found = run(fleet, outage=Outage(begin=30, seconds=20.0))
    # attempts 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s after the begin: 11.5 s after the end
    assert found.connected_after == pytest.approx(11.5, abs=2 * STEP)
    backlog = 31.5 * 100 - 0.5 * 100
    assert found.caught_up == pytest.approx(11.5 + backlog / (300 - 100), abs=3 * STEP)
    assert found.most_waiting == pytest.approx(31.5 * 100, rel=0.01)


def test_a_full_broker_is_caught_up_at_its_own_pace():
    fleet = Fleet(devices=100, parts_per_s=20.0, status_per_s=0.0, jitter=0.0)
    brokers = Brokers(message_us=250.0, connect_us=0.001, link_mb_s=1e6)
    found = run(fleet, brokers, Outage(begin=30, seconds=20.0))
    backlog = 100 * (31.5 * 20 - 0.5 * 20)
    assert found.caught_up == pytest.approx(11.5 + backlog / (4000 - 2000), rel=0.03)
    assert found.busy[-1] == pytest.approx(1.0)


def test_the_link_bounds_as_the_processor_does():
    fleet = Fleet(devices=100, parts_per_s=20.0, status_per_s=0.0, jitter=0.0, message_bytes=500)
    by_link = run(fleet, Brokers(message_us=0.001, connect_us=0.001, link_mb_s=2.0))
    by_time = run(fleet, Brokers(message_us=250.0, connect_us=0.001, link_mb_s=1e6))
    assert by_link.caught_up == pytest.approx(by_time.caught_up, rel=0.01)


def test_a_broker_that_is_too_slow_never_catches_up():
    found = run(brokers=Brokers(message_us=1000.0), seconds=60.0)
    assert found.caught_up == inf
    assert loads(Fleet(devices=20), Brokers(message_us=1000.0))["broker, processor"] > 1
    assert is_conserved(found)


def test_without_a_drawn_share_all_attempts_come_at_once():
    fleets = [Fleet(devices=1000, parts_per_s=1.0, jitter=jitter) for jitter in (0.0, 0.5)]
    outage = Outage(seconds=100.0)
    at_once, spread = (run(each, outage=outage).storm(outage.end) for each in fleets)
    assert at_once == 1000
    assert spread < 100


def test_handshakes_that_come_at_once_time_out_and_come_again():
    """1000 of 20 ms need 20 s, and nobody waits for longer than 10 s."""
    brokers = Brokers(message_us=0.001, connect_us=20_000.0, link_mb_s=1e6)
    fleets = [Fleet(devices=1000, parts_per_s=1.0, jitter=jitter) for jitter in (0.0, 0.5)]
    at_once, spread = (run(each, brokers, Outage(seconds=100.0), seconds=900) for each in fleets)
    assert at_once.failures > 400
    assert spread.failures == 0
    assert spread.caught_up < at_once.caught_up


def test_what_the_queue_of_a_subscriber_cannot_hold_is_lost():
    brokers = Brokers(
        message_us=0.001, connect_us=0.001, link_mb_s=1e6, subscriber_per_s=1000.0, queue=500
    )
    found = run(Fleet(devices=20), brokers, Outage(begin=50.0), seconds=50.0)
    assert found.queued == pytest.approx(500, abs=1)
    assert found.dropped == pytest.approx(1000 * 50 - 500, rel=0.01)
    assert is_conserved(found)


def test_acknowledgments_later_than_a_device_waits_lose_the_connection():
    fleet = Fleet(devices=200, parts_per_s=10.0, ack_s=1.0, status_per_s=0.0)
    found = run(fleet, Brokers(message_us=10_000.0, connect_us=10.0), Outage(begin=9.0), seconds=9)
    assert found.repeated > 0 and found.waiting > 0.5 * found.produced


def test_the_same_seed_gives_the_same_numbers():
    first, second, other = (run(outage=Outage(seconds=40.0), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.attempts, second.attempts)
    assert first.caught_up == second.caught_up
    assert not np.array_equal(first.attempts, other.attempts)


def test_it_prints_a_document(monkeypatch, capsys, tmp_path):
    words = "fleet_sim.py --devices 50 --parts 10 --outage 10 --seconds 90"
    monkeypatch.setattr("sys.argv", words.split())
    main()
    path = tmp_path / "output.txt"
    path.write_text(capsys.readouterr().out)
    (document,) = read_documents(path)
    assert {each.name for each in document.figures} >= {"caught up after", "messages"}
