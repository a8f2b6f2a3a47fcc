import threading

import pytest

from edgeseg.station.config import OutputConfig
from edgeseg.station.cursors import FILE as CURSORS
from edgeseg.station.cursors import Cursors
from edgeseg.station.journal import FILE, Journal
from edgeseg.station.outputs.base import Deliverer, Indicator, Lamp, StationState
from edgeseg.station.workers import Delivery, Indication
from tests.kit.stations import inspection, until

COUNT = 450
"""More than two batches."""


class Peer(Deliverer):
    """Keeps what it got; `behave` may raise, wait, or change what is acknowledged."""

    def __init__(self, behave=lambda peer, batch: batch[-1].id):
        super().__init__(None, None)
        self.got, self.behave, self.opened, self.closed = [], behave, 0, 0

    def open(self):
        self.opened += 1

    def send(self, batch):
        acknowledged = self.behave(self, batch)
        self.got += [each.id for each in batch if each.id <= acknowledged]
        return acknowledged

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("edgeseg.station.workers.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("edgeseg.station.workers.LONGEST_PAUSE", 0.01)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / FILE) as journal:
        for number in range(1, COUNT + 1):
            journal._waiting.append(journal._place(inspection(number)))
        journal.append(inspection(COUNT + 1))
    return tmp_path / FILE


def deliver(journal, *peers):
    """Run a worker for each peer until the first has everything; return the workers."""
    with Cursors(journal.with_name(CURSORS), last=0) as cursors:
        workers = [
            Delivery(OutputConfig(kind="peer", name=f"peer{n}"), peer, journal, cursors)
            for n, peer in enumerate(peers)
        ]
        for worker in workers:
            worker.start()
        assert until(lambda: workers[0].cursor == COUNT + 1)
        assert until(lambda: all(each.failures or each.done or each.bad_for for each in workers))
        for worker in workers:
            worker.stop(2.0)
    return workers


def everything(peer):
    return list(dict.fromkeys(peer.got)) == list(range(1, COUNT + 2))


def test_every_record_comes_in_order(journal):
    peer = Peer()
    deliver(journal, peer)
    assert peer.got == list(range(1, COUNT + 2))
    assert until(lambda: peer.closed)
    assert (peer.opened, peer.closed) == (1, 1)


def test_a_peer_that_raises_gets_all_at_least_once(journal):
    def now_and_then(peer, batch):
        peer.calls = getattr(peer, "calls", 0) + 1
        if peer.calls % 2:
            peer.got += [batch[0].id]  # it had taken this before the connection broke
            raise ConnectionResetError("reset by peer")
        return batch[-1].id

    peer = Peer(now_and_then)
    (worker,) = deliver(journal, peer)
    assert everything(peer)
    assert worker.failures >= 3
    assert worker.problem == ""
    assert peer.opened == worker.failures + 1


def test_a_part_of_a_batch_is_acknowledged(journal):
    peer = Peer(lambda peer, batch: batch[len(batch) // 2].id)
    deliver(journal, peer)
    assert everything(peer)


@pytest.mark.parametrize("lie", [-5, 0, 10**9])
def test_a_lying_peer_loses_nothing_for_the_others(journal, lie):
    def lies(peer, batch):
        return lie

    liar, peer = Peer(lies), Peer()
    workers = deliver(journal, peer, liar)
    assert everything(peer)
    assert workers[1].cursor <= COUNT + 1
    if lie <= 0:
        assert workers[1].failures
        assert workers[1].cursor == 0


def test_a_peer_that_never_answers_holds_up_nobody(journal):
    forever = threading.Event()
    frozen, peer = Peer(lambda peer, batch: forever.wait(300) or 0), Peer()
    workers = deliver(journal, peer, frozen)
    assert everything(peer)
    assert workers[1].bad_for > 0
    forever.set()


def test_a_restart_goes_on_after_the_last_acknowledged_record(journal):
    first = Peer(lambda peer, batch: 0 if peer.got else batch[9].id)  # it raises then
    with Cursors(journal.with_name(CURSORS), last=0) as cursors:
        worker = Delivery(OutputConfig(kind="peer", name="peer0"), first, journal, cursors)
        worker.start()
        assert until(lambda: worker.failures)
        worker.stop(120.0)
    second = Peer()
    deliver(journal, second)
    assert first.got == list(range(1, 11))
    assert second.got == list(range(11, COUNT + 2))


def test_an_output_that_is_added_later_begins_at_the_end(journal):
    with Cursors(journal.with_name(CURSORS), last=0) as cursors:
        assert cursors.of("old") == 0
    with Cursors(journal.with_name(CURSORS), last=COUNT) as cursors:
        assert cursors.of("new") == COUNT
        assert cursors.of("old") == 0


class Light(Indicator):
    def __init__(self):
        super().__init__(None, None)
        self.shown, self.lit = [], threading.Event()

    def show(self, state):
        self.shown.append(state.lamps["top"].code)
        assert self.lit.wait(120)


def test_an_output_that_opens_and_takes_nothing_is_bad_all_the_time(journal, monkeypatch):
    def refuses(peer, batch):
        raise ConnectionError("503")

    refusing = Peer(refuses)
    monkeypatch.setattr("edgeseg.station.workers.JITTER", 0.0)
    with Cursors(journal.with_name(CURSORS), last=0) as cursors:
        worker = Delivery(OutputConfig(kind="peer", name="peer"), refusing, journal, cursors)
        worker.start()
        assert until(lambda: refusing.opened > 10)
        assert worker.bad_for > 0.09  # ten pauses
        assert worker.problem == "503"
        refusing.behave = lambda peer, batch: batch[-1].id
        assert until(lambda: worker.cursor == COUNT + 1)
        assert worker.problem == ""
        worker.stop(120.0)


def test_a_connection_that_is_lost_without_a_record_to_send_is_opened_again(journal, monkeypatch):
    monkeypatch.setattr("edgeseg.station.workers.IDLE", 0.01)
    peer, lost = Peer(), [True]

    def check():
        if lost:
            lost.clear()
            raise ConnectionResetError("lost")

    peer.check = check
    with Cursors(journal.with_name(CURSORS), last=COUNT + 1) as cursors:
        cursors.move("peer", COUNT + 1)
        worker = Delivery(OutputConfig(kind="peer", name="peer"), peer, journal, cursors)
        worker.start()
        assert until(lambda: peer.opened == 2 and not worker.problem)
        worker.stop(120.0)
    assert worker.failures == 1


def test_an_indicator_shows_the_newest_and_skips_what_came_meanwhile():
    newest = [StationState({"top": Lamp(code=0)})]
    light = Light()
    worker = Indication(OutputConfig(kind="light", name="light"), light, lambda: newest[0])
    worker.start()
    assert until(lambda: light.shown)
    for code in range(1, 21):
        newest[0] = StationState({"top": Lamp(code=code)})
        worker.wake()
    light.lit.set()
    assert until(lambda: light.shown[-1:] == [20])
    worker.stop(120.0)
    assert list(dict.fromkeys(light.shown)) == [0, 20]


def test_pauses_double_up_to_a_minute_and_a_half_of_each_is_drawn(journal, monkeypatch):
    monkeypatch.setattr("edgeseg.station.workers.FIRST_PAUSE", 0.5)
    monkeypatch.setattr("edgeseg.station.workers.LONGEST_PAUSE", 60.0)
    pauses = [[], []]
    with Cursors(journal.with_name(CURSORS), last=0) as cursors:
        for found in pauses:
            peer = Peer()
            monkeypatch.setattr(peer, "open", lambda: 1 / 0)
            worker = Delivery(OutputConfig(kind="peer", name="peer"), peer, journal, cursors)

            def noted(seconds, worker=worker, found=found):
                found.append(seconds)
                worker._stopping = len(found) == 10

            monkeypatch.setattr(worker, "_wait", noted)
            worker._work()
    whole = [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    for found in pauses:
        assert all(0.5 * most <= each <= most for each, most in zip(found, whole, strict=True))
    assert pauses[0] != pauses[1]
