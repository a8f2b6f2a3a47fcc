"""Signals that stop a loop, and those that a parent has switched off."""

import signal

import pytest

from edgeseg.interrupt import stop_at_once, stop_requests

pytestmark = pytest.mark.usefixtures("usual_signals")

STOPS = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


@pytest.mark.parametrize("number", STOPS)
def test_each_signal_asks_for_a_stop_and_the_old_handler_returns(number):
    before = signal.getsignal(number)
    with stop_requests() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", STOPS)
def test_each_signal_ends_what_has_no_safe_point(number):
    with pytest.raises(KeyboardInterrupt), stop_at_once():
        signal.raise_signal(number)


@pytest.mark.parametrize("number", STOPS)
def test_a_part_without_a_safe_point_may_stand_among_others(number):
    with stop_requests() as stop:
        with pytest.raises(KeyboardInterrupt), stop_at_once():
            signal.raise_signal(number)
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
@pytest.mark.parametrize("stops", [stop_requests, stop_at_once])
def test_a_hangup_that_nohup_ignores_stays_ignored(stops):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stops() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop is None or not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)
