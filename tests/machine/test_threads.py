"""How many threads a CPU runtime gets."""

import dataclasses
import os
import sys
import types

import pytest

from edgeseg.machine import threads
from edgeseg.machine.facts import this_machine


@pytest.mark.parametrize(
    ("cores", "limit", "wanted", "expected"),
    [(8, 16, None, 8), (64, 2, None, 2), (2, 2, 5, 5), (4, 4, 1, 1)],
)
def test_cores_or_a_containers_limit_or_what_was_wanted(
    monkeypatch, cores, limit, wanted, expected
):
    here = dataclasses.replace(this_machine(), cores=cores, threads=limit)
    monkeypatch.setattr(threads, "this_machine", lambda: here)
    monkeypatch.setattr(threads, "_limit", {})
    assert threads.cpu_threads(wanted) == expected


def test_a_limit_holds_for_what_is_loaded_and_for_what_is_loaded_later(monkeypatch):
    heard = []
    fake = types.SimpleNamespace(set_num_threads=heard.append, setNumThreads=heard.append)
    monkeypatch.setitem(sys.modules, "torch", fake)
    monkeypatch.setitem(sys.modules, "cv2", fake)
    monkeypatch.setattr(threads, "_limit", {})
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    threads.limit_threads(None)  # the environment has said what it wants
    assert heard == []
    threads.limit_threads(3)
    assert heard == [3, 3] and threads.cpu_threads(None) == 3 and threads.cpu_threads(2) == 2
    assert os.environ["OMP_NUM_THREADS"] == "3"


def test_in_words():
    assert threads.on_cpu(1) == "CPU, 1 thread"
    assert threads.on_cpu(4) == "CPU, 4 threads"
