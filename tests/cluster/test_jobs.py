"""What is said while jobs run."""

import time

from edgeseg.cluster.jobs import Countdown, Failure

FAILED = Failure("no photos", "add some")


def test_the_time_left_follows_from_the_jobs_that_did_not_fail(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    countdown = Countdown(6, 2, "products")
    now[0] += 1
    assert countdown.ended(FAILED) == "1 of 6 products"
    assert countdown.ended(FAILED) == "2 of 6 products", "those that fail at once are no pace"
    now[0] += 599
    assert countdown.ended(None) == "3 of 6 products", "of two at a time the first one"
    assert countdown.ended(None) == "4 of 6 products, about 10.0 min left"
    assert countdown.ended(FAILED) == "5 of 6 products, about 5.0 min left"
    assert countdown.ended(None) == "6 of 6 products"
