"""How many threads a CPU runtime gets."""

import dataclasses

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
    assert threads.cpu_threads(wanted) == expected


def test_in_words():
    assert threads.on_cpu(1) == "CPU, 1 thread"
    assert threads.on_cpu(4) == "CPU, 4 threads"
