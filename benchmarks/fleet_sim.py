"""A fleet of stations that publish to brokers, simulated: an outage, and what comes after it.

    python benchmarks/fleet_sim.py [--devices 10000] [--parts 100] [--published 1.0] [--brokers 1]
        [--outage 60] [--kind refused] [--jitter 0.5] [--connect-us 100] [--seconds 600]

Each device appends records to its journal and delivers them in order, as the workers and the MQTT
output of a station do: WINDOW messages in flight, a connection that is given up after `ack_s`, and
pauses between attempts that double from FIRST_PAUSE to LONGEST_PAUSE. A broker is one thread of a
processor, which takes one packet of each connection in turn, and a link. A subscriber takes from
all brokers; what its queue cannot hold is lost, though it was acknowledged (MQTT's QoS 1 ends at
the broker).

    refused     the broker is dead: connections end, and new ones are refused at once
    silent      the network is cut: nothing is answered, each attempt takes `ack_s`

Not modelled: packets that are lost, the memory of the broker, a queue of the kernel for connections
that overflows, processors that other work takes. `bench_fleet.py` measures the constants and holds
a simulated outage against real brokers and devices.

The last line of standard output is one JSON document.
"""

import argparse
from dataclasses import asdict, dataclass, field
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from documents import Figure, emit
from edgeseg.station import workers
from edgeseg.station.outputs.mqtt import connection

Kind = Literal["refused", "silent"]
LAG = 0.5  # seconds of parts that may wait on a device that has caught up


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """The devices. The defaults of sizes and rates are measured, see docs/scale.md."""

    devices: int = 10_000
    parts_per_s: float = 100.0
    published: float = 1.0
    """Share of the records that become messages: 1, or that of NOT OK with `not_ok_only`."""
    status_per_s: float = 0.5
    """Retained statuses of a device."""
    drain_per_s: float = 1500.0
    """Messages that one device can deliver."""
    message_bytes: int = 489
    row_bytes: int = 515
    """Of a record in the journal."""
    window: int = connection.WINDOW
    first_pause: float = workers.FIRST_PAUSE
    longest_pause: float = workers.LONGEST_PAUSE
    jitter: float = workers.JITTER
    """Share of a pause that is drawn."""
    ack_s: float = 10.0

    @property
    def messages_per_s(self) -> float:
        """Verdicts of one device."""
        return self.parts_per_s * self.published


@dataclass(frozen=True, kw_only=True)
class Brokers:
    """What takes the messages."""

    count: int = 1
    message_us: float = 30.0
    """Processor time of a broker for a message that it passes to one subscriber."""
    connect_us: float = 100.0
    """The same for a connection, with its session; with TLS a handshake more."""
    link_mb_s: float = 125.0
    """Of one broker, into it."""
    subscriber_per_s: float = inf
    queue: float = inf
    """Messages that wait for the subscriber; `max_queued_messages` of mosquitto."""


@dataclass(frozen=True, kw_only=True)
class Outage:
    """When nothing reaches the brokers. In seconds."""

    begin: float = 30.0
    seconds: float = 60.0
    kind: Kind = "refused"

    @property
    def end(self) -> float:
        """When it is over."""
        return self.begin + self.seconds


@dataclass(kw_only=True)
class Outcome:
    """What came of it. Arrays have one entry for each step."""

    step: float
    produced: int = 0
    """Messages that were due."""
    acknowledged: int = 0
    waiting: int = 0
    """In the journals, at the end."""
    repeated: int = 0
    """Messages that a broker took and a device did not hear of: they come twice."""
    stored: int = 0
    """Messages that the subscriber has taken."""
    queued: int = 0
    dropped: int = 0
    """Messages that were acknowledged and did not find room in the subscriber's queue."""
    caught_up: float = inf
    """Seconds from the end of the outage until no device has more than LAG waiting."""
    connected_after: float = inf
    """Seconds from the end of the outage until all devices are connected."""
    most_waiting: int = 0
    """On one device."""
    failures: int = 0
    """Attempts that failed, after the end of the outage."""
    attempts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    busy: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Share of its processor that the busiest broker used."""

    def storm(self, after: float, seconds: float = 1.0) -> int:
        """Return the most attempts within so many seconds, from `after` on."""
        attempts = self.attempts[round(after / self.step) :]
        width = max(round(seconds / self.step), 1)
        return int(np.convolve(attempts, np.ones(width, np.int64)).max()) if len(attempts) else 0


class Simulation:
    """The devices, step by step; arrays have one entry for each."""

    def __init__(self, fleet: Fleet, brokers: Brokers, outage: Outage, *, seed: int) -> None:
        count = fleet.devices
        self._fleet, self._brokers, self._outage = fleet, brokers, outage
        self._random = np.random.default_rng(seed)
        self._phase = self._random.random(count)
        self._shard = np.arange(count) % brokers.count
        self.produced = np.zeros(count, np.int64)
        self.acknowledged = np.zeros(count, np.int64)
        self.connected = np.ones(count, bool)
        self._asked = np.full(count, inf)
        """When an attempt began that has no answer yet."""
        self._heard = np.zeros(count)
        """When the last answer came, or nothing was waiting."""
        self._due = np.zeros(count)
        """When the next attempt begins."""
        self._pause = np.full(count, fleet.first_pause)
        self._proven = np.ones(count, bool)
        """Whether something was delivered since the last failure."""
        self._credit = np.zeros(count)
        """Parts of messages that the brokers still owe."""
        self._abandoned = np.zeros(brokers.count, np.int64)
        """Connections that nobody waits for any more, but that cost the broker its time."""
        self._turns = np.zeros(brokers.count)
        """Connections that the brokers still owe."""
        self._queue = 0.0
        self.repeated = self.stored = self.dropped = self.failures = 0
        self.attempts = 0
        self.busy = 0.0

    @property
    def waiting(self) -> NDArray[np.int64]:
        """Messages in each journal."""
        return self.produced - self.acknowledged

    def advance(self, now: float, step: float) -> None:
        """Go on by a step, which begins at `now`."""
        fleet, outage = self._fleet, self._outage
        up = not outage.begin <= now < outage.end
        rate = fleet.messages_per_s
        self.produced = np.floor(rate * (now + step) + self._phase).astype(np.int64)
        self.attempts, self.busy = 0, 0.0
        if not up and outage.kind == "refused":
            self._fail(self.connected, now)
        self._heard[self.waiting == 0] = now
        self._fail_late(now, up=up)
        begins = ~self.connected & np.isinf(self._asked) & (self._due <= now)
        self.attempts = int(begins.sum())
        if up or outage.kind == "silent":
            self._asked[begins] = now
        else:
            self._fail(begins, now)
        if up:
            for shard in range(self._brokers.count):
                self._serve(shard, now, step)
        self._subscribe(step)

    def _serve(self, shard: int, now: float, step: float) -> None:
        """Share the time and the link of one broker."""
        fleet, brokers = self._fleet, self._brokers
        mine = self._shard == shard
        asking = np.flatnonzero(mine & np.isfinite(self._asked))
        connected = mine & self.connected
        wanted = np.where(connected, np.minimum(self.waiting, fleet.drain_per_s * step), 0.0)
        verdicts = float(wanted.sum())
        messages = verdicts + connected.sum() * fleet.status_per_s * step
        connects = len(asking) + int(self._abandoned[shard])
        in_flight = np.where(connected, np.minimum(self.waiting, fleet.window), 0)
        # Its loop takes one packet of each connection in turn: a new one waits for one round.
        connecting = connects * brokers.connect_us / 1e6
        round_s = connecting + np.count_nonzero(in_flight) * brokers.message_us / 1e6
        turn = min(1.0, step / round_s) if round_s else 1.0
        self._turns[shard] += connects * turn
        served = min(int(self._turns[shard] + 1e-9), connects)
        self._turns[shard] -= served
        time_left = step - min(connecting * turn, step)
        needed = messages * brokers.message_us / 1e6
        full = messages * fleet.message_bytes / 1e6 / step / brokers.link_mb_s
        share = min(1.0, time_left / needed if needed else 1.0, 1 / full if full else 1.0)
        self.busy = max(self.busy, (step - time_left + needed * share) / step)
        stale = min(served, int(self._abandoned[shard]))
        self._abandoned[shard] -= stale
        first = asking[np.argsort(self._asked[asking], kind="stable")[: served - stale]]
        self.connected[first], self._asked[first], self._heard[first] = True, inf, now
        self._credit = np.where(connected, self._credit + wanted * share, self._credit)
        sent = np.where(connected, np.minimum(np.floor(self._credit + 1e-9), self.waiting), 0)
        self._credit -= sent
        self.acknowledged += sent.astype(np.int64)
        self._proven |= sent > 0
        self._heard[sent > 0] = now
        self._queue += float(sent.sum())

    def _subscribe(self, step: float) -> None:
        took = min(self._queue, self._brokers.subscriber_per_s * step)
        took = float(np.floor(took)) if np.isfinite(took) else self._queue
        self._queue -= took
        self.stored += int(took)
        over = max(self._queue - self._brokers.queue, 0.0)
        self._queue -= over
        self.dropped += int(over)

    def _fail_late(self, now: float, *, up: bool) -> None:
        late = self._asked + self._fleet.ack_s <= now
        if up:
            self._abandoned += np.bincount(self._shard[late], minlength=self._brokers.count)
        self._fail(late, now)
        silent = self.connected & (self._heard + self._fleet.ack_s <= now)
        if up:
            in_flight = np.minimum(self.waiting[silent], self._fleet.window)
            self.repeated += int(in_flight.sum())
        self._fail(silent, now)

    def _fail(self, which: NDArray[np.bool_], now: float) -> None:
        """End attempts and connections; each is tried again after its pause, as workers.py does."""
        count = int(which.sum())
        if not count:
            return
        fleet = self._fleet
        if now >= self._outage.end:
            self.failures += count
        pause = np.where(self._proven[which], fleet.first_pause, self._pause[which])
        drawn = 1 - fleet.jitter * self._random.random(count)
        self._due[which] = now + pause * drawn
        self._pause[which] = np.minimum(2 * pause, fleet.longest_pause)
        self._proven[which] = self.connected[which] = False
        self._asked[which] = inf

    @property
    def queued(self) -> int:
        """Messages that wait for the subscriber."""
        return int(self._queue)


def simulate(
    fleet: Fleet,
    brokers: Brokers,
    outage: Outage,
    *,
    seconds: float,
    step: float = 0.05,
    seed: int = 0,
) -> Outcome:
    """Run until `seconds`, or until all has been caught up after the outage."""
    simulation = Simulation(fleet, brokers, outage, seed=seed)
    outcome, attempts, busy = Outcome(step=step), [], []
    most = LAG * fleet.messages_per_s + 1
    for place in range(round(seconds / step)):
        now = place * step
        simulation.advance(now, step)
        attempts.append(simulation.attempts)
        busy.append(simulation.busy)
        waiting = int(simulation.waiting.max())
        outcome.most_waiting = max(outcome.most_waiting, waiting)
        if now >= outage.end and simulation.connected.all():
            since = now + step - outage.end
            outcome.connected_after = min(outcome.connected_after, since)
            if waiting <= most:
                outcome.caught_up = since
                break
    outcome.produced = int(simulation.produced.sum())
    outcome.acknowledged = int(simulation.acknowledged.sum())
    outcome.waiting = int(simulation.waiting.sum())
    outcome.repeated, outcome.failures = simulation.repeated, simulation.failures
    outcome.stored, outcome.dropped = simulation.stored, simulation.dropped
    outcome.queued = simulation.queued
    outcome.attempts, outcome.busy = np.array(attempts, np.int64), np.array(busy)
    return outcome


def loads(fleet: Fleet, brokers: Brokers) -> dict[str, float]:
    """Return how much of each resource the fleet takes in normal operation; above 1 it breaks."""
    verdicts = fleet.devices * fleet.messages_per_s
    messages = verdicts + fleet.devices * fleet.status_per_s
    return {
        "broker, processor": messages * brokers.message_us / 1e6 / brokers.count,
        "broker, link": messages * fleet.message_bytes / 1e6 / brokers.link_mb_s / brokers.count,
        "subscriber": verdicts / brokers.subscriber_per_s,
        "device": fleet.messages_per_s / fleet.drain_per_s,
    }


def main() -> None:
    """Simulate an outage and print what came of it."""
    options = _options()
    fleet = Fleet(
        devices=options.devices,
        parts_per_s=options.parts,
        published=options.published,
        drain_per_s=options.drain,
        jitter=options.jitter,
    )
    brokers = Brokers(
        count=options.brokers,
        message_us=options.message_us,
        connect_us=options.connect_us,
        link_mb_s=options.link,
        subscriber_per_s=options.subscriber or inf,
        queue=inf if options.queue < 0 else options.queue,
    )
    for name, load in sorted(loads(fleet, brokers).items(), key=lambda each: -each[1]):
        print(f"{load:10.2f} of the {name}")
    outage = Outage(seconds=options.outage, kind=options.kind)
    found = simulate(
        fleet, brokers, outage, seconds=outage.end + options.seconds, seed=options.seed
    )
    journal = found.most_waiting / fleet.published * fleet.row_bytes / 1e6
    units: dict[str, tuple[float, str]] = {
        "connected after": (found.connected_after, "s"),
        "caught up after": (found.caught_up, "s"),
        "most attempts in a second, after it": (found.storm(outage.end), "1"),
        "failures after the outage": (found.failures, "1"),
        "journal, waiting at most": (journal, "MB"),
        "broker busy": (float(found.busy.max()), "share"),
        "messages": (found.produced, "1"),
        "messages waiting at the end": (found.waiting, "1"),
        "messages repeated": (found.repeated, "1"),
        "messages lost behind the broker": (found.dropped, "1"),
    }
    for name, (value, unit) in units.items():
        print(f"{value:14,.2f} {unit:5} {name}")
    figures = [
        Figure(name=name, unit=unit, p50=value)
        for name, (value, unit) in units.items()
        if np.isfinite(value)
    ]
    emit("fleet-sim", figures, fleet=_finite(fleet), brokers=_finite(brokers), seed=options.seed)


def _finite(settings: Any) -> dict[str, Any]:
    return {k: None if v == inf else v for k, v in asdict(settings).items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    fleet, brokers = Fleet(), Brokers()
    add = parser.add_argument
    add("--devices", type=int, default=fleet.devices)
    add("--parts", type=float, default=fleet.parts_per_s, help="per second and device")
    add("--published", type=float, default=1.0, help="share of the records that are published")
    add("--drain", type=float, default=fleet.drain_per_s, help="messages/s of one device")
    add("--jitter", type=float, default=fleet.jitter, help="share of a pause that is drawn")
    add("--brokers", type=int, default=brokers.count)
    add("--message-us", type=float, default=brokers.message_us, help="of a broker's processor")
    add("--connect-us", type=float, default=brokers.connect_us, help="of a broker's processor")
    add("--link", type=float, default=brokers.link_mb_s, help="MB/s into one broker")
    add("--subscriber", type=float, default=0.0, help="messages/s; 0: without a limit")
    add("--queue", type=float, default=-1.0, help="messages for it; -1: without a limit")
    add("--outage", type=float, default=60.0, help="seconds")
    add("--kind", choices=("refused", "silent"), default="refused")
    add("--seconds", type=float, default=600.0, help="simulated after the outage at most")
    add("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
