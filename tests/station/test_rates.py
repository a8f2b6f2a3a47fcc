from edgeseg.station import rates
from edgeseg.station.rates import ADDRESSES, RateLimit


def test_a_burst_is_allowed_and_then_a_rate(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(rates.time, "monotonic", lambda: now[0])
    limit = RateLimit(2, 5)
    assert [limit.allows("a") for _ in range(7)] == [True] * 5 + [False] * 2
    assert limit.allows("b")
    now[0] += 1
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    now[0] += 1000
    assert [limit.allows("a") for _ in range(6)] == [True] * 5 + [False]


def test_the_memory_of_addresses_is_bounded():
    limit = RateLimit(1, 1)
    for number in range(2 * ADDRESSES):
        limit.allows(str(number))
    assert len(limit._left) == ADDRESSES


def test_who_asks_faster_than_the_rate_waits_or_is_refused_as_slowly(monkeypatch):
    waited = []
    monkeypatch.setattr(rates.time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(rates.time, "sleep", waited.append)
    limit = RateLimit(2, 1, patience=1)
    assert [limit.allows("a") for _ in range(5)] == [True, True, True, False, False]
    assert waited == [0.5, 1.0, 1.0, 1.0]
    assert limit.allows("b") and len(waited) == 4
