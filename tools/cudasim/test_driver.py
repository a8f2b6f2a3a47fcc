"""The simulated driver, called through the real cuda-python, answers as CUDA documents it."""

import pytest

from tools.cudasim.run import run
from tools.cudasim.simulator import CAN_MAP_HOST_MEMORY, INTEGRATED, JETSON

HERE = "tools.cudasim.scenarios:"


@pytest.mark.parametrize("lateness", ["eager", "often", "mixed", "late"])
def test_a_copy_comes_back_and_is_not_there_early(lateness):
    report = run(HERE + "round_trip", lateness=lateness).clean()
    assert report.result == {"early": 0xA5, "same": True}
    assert report.counters["copies_to_device"] == report.counters["copies_to_host"] == 1


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("shape", [(48, 64, 32, 1), (33, 20, 7, 3), (10, 12, 32, 1)])
def test_the_recorder_computes_what_the_fake_backend_does(shape, graph):
    height, width, side, batch = shape
    report = run(
        HERE + "recorder", height=height, width=width, side=side, batch=batch, graph=graph
    ).clean()
    assert report.result < 1e-6
    assert report.counters["inferences" if not graph else "graph_launches"] == 10


def answer(scenario, **arguments):
    return run(HERE + scenario, **arguments).clean().result


def test_nothing_answers_before_initialization():
    assert answer("answers_before_initialization") == ["NOT_INITIALIZED"] * 2


def test_the_device_is_what_the_test_says():
    ours = [INTEGRATED, CAN_MAP_HOST_MEMORY, 75, 76]
    discrete = answer("device", numbers=ours)
    assert discrete["attributes"] == [0, 1, 8, 6]
    jetson = answer("device", numbers=ours, attributes=JETSON)
    assert jetson["attributes"] == [1, 1, 8, 7]
    assert (jetson["count"], jetson["second"]) == (1, "INVALID_DEVICE")
    assert jetson["name"] == "simulated CUDA device"
    assert jetson["version"] == 13000


def test_a_context_is_current_where_it_was_made_so():
    assert answer("contexts") == {
        "none": "INVALID_CONTEXT",
        "same": True,
        "state": 1,
        "other thread": "INVALID_CONTEXT",
        "dead": "CONTEXT_IS_DESTROYED",
        "popped": "SUCCESS",
        "empty": "INVALID_CONTEXT",
        "current": 0,
    }


def test_memory_is_aligned_poisoned_and_of_a_kind():
    assert answer("memory") == {
        "aligned": [0, 0, 0],
        "apart": True,
        "poison": [0xA5],
        "kind of device memory": 2,
        "kind of pinned memory": 1,
        "flags": 3,
        "nothing": ["INVALID_VALUE", "SUCCESS"],
        "too much": "OUT_OF_MEMORY",
    }


def test_copies_and_fills_arrive_in_stream_order():
    assert answer("copies", lateness="late") == [[7, 4, 1, 5], [8, 9]]


def test_an_event_is_reached_after_the_work_before_it():
    seen = run(HERE + "events", lateness="late").result
    assert 0 <= seen.pop("milliseconds") < 1000
    assert seen == {
        "pending": "NOT_READY",
        "asked": True,
        "no timing": "INVALID_HANDLE",
        "destroyed": "INVALID_HANDLE",
    }


def test_a_stream_keeps_its_flags_and_priority():
    assert answer("streams") == {"range": [0, -5], "priority": -5, "flags": 1, "idle": "SUCCESS"}


def test_the_seed_chooses_the_order_between_streams_but_not_within_one():
    orders = [answer("order", streams=4, seed=seed, lateness="late") for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    for called in orders:
        for stream in (10, 20, 30, 40):
            assert [n for n in called if stream <= n < stream + 10] == list(
                range(stream, stream + 4)
            )


def test_work_goes_on_though_nobody_waits():
    assert answer("alone", lateness="late") is True


def test_a_copy_without_a_stream_comes_after_blocking_streams():
    assert answer("synchronous_copy_waits", lateness="late") == 3


def test_a_graph_runs_when_launched_and_not_when_captured():
    assert answer("captured", lateness="late") == {
        "before": 0,
        "twice": "ILLEGAL_STATE",
        "during": [1, 1],
        "info": 1,
        "after": 0,
        "nodes": 3,
        "untouched": 1,
        "results": [0xA5, 4, 0xA5, 5],
    }


def test_a_relaxed_thread_may_allocate_while_it_captures():
    assert answer("capture_mode_of_a_thread") == ["0", "SUCCESS", "2"]


def test_errors_have_names_and_missing_functions_are_missing():
    name, text, missing, unsupported = answer("words")
    assert (name, text) == ("CUDA_ERROR_NOT_READY", "device not ready")
    assert "cuDevicePrimaryCtxReset" in missing
    assert unsupported == "NOT_SUPPORTED"
