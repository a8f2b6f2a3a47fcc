"""Each fault is reported; its correct variant runs clean."""

import pytest

from tools.cudasim.run import run

MEMORY, ORDER = "tools.cudasim.memory_faults:", "tools.cudasim.order_faults:"
UNSUPPORTED, INVALIDATED = "STREAM_CAPTURE_UNSUPPORTED", "STREAM_CAPTURE_INVALIDATED"
LIFETIMES = ["device buffer", "pinned buffer", "stream", "event", "graph", "graph exec"]

MEMORY_FAULTS = [
    ("freed_memory", "freed", {}, "which was freed"),
    ("freed_in_graph", "freed", {}, "which was freed"),
    ("foreign_memory", "foreign", {}, "is no address of this driver"),
    ("double_free", "double-free", {"pinned": False}, "device buffer 0 was freed before"),
    ("double_free", "double-free", {"pinned": True}, "pinned buffer 0 was freed before"),
    ("beyond_the_end", "out-of-range", {}, "bytes 97 to 4097"),
    ("host_beyond_the_end", "out-of-range", {}, "wrote byte 1000"),
    ("wrong_direction", "direction", {}, "must be host memory"),
    ("host_pointer", "host-pointer", {}, "its device address is another"),
    ("unmapped_pointer", "unmapped", {}, "without DEVICEMAP"),
    ("misaligned", "misaligned", {}, "multiples of 256"),
    ("pageable_copy", "pageable", {}, "the source is not pinned"),
    *(("leak", "leak", {"what": what}, what) for what in LIFETIMES),
    ("context_kept", "leak", {}, "the primary context is still retained"),
    ("context_released_twice", "context", {}, "more often"),
    ("freed_while_used", "pending-free", {}, "while cuMemcpyHtoDAsync"),
    ("destroyed_stream", "freed", {}, "used after it was destroyed"),
    ("steady", "steady", {"what": "device buffer"}, "allocated after"),
    ("steady", "steady", {"what": "pinned buffer"}, "allocated after"),
    ("steady", "steady", {"what": "event"}, "created after"),
]
ORDER_FAULTS = [
    ("source_reused_early", "source-changed", {}, "before that work was done"),
    ("mapped_frame_reused_early", "source-changed", {}, "before that work was done"),
    ("destination_written_early", "destination-changed", {}, "before that work was done"),
    ("missing_wait", "race", {}, "nothing orders the two"),
    ("overwritten_early", "race", {}, "nothing orders the two"),
    ("race_in_graph", "race", {}, "in the same graph"),
    ("default_stream", "legacy-stream", {}, "default stream 0"),
    ("driver_in_host_function", "callback", {}, "which CUDA forbids"),
    ("unsafe_call_elsewhere", "capture", {}, "on another thread breaks a capture of mode GLOBAL"),
    ("event_asked_elsewhere", "capture", {}, "on another thread breaks a capture of mode GLOBAL"),
    ("unsafe_call_here", "capture", {"wait": False}, "on the same thread breaks"),
    ("unsafe_call_here", "capture", {"wait": True}, "nothing to wait for"),
    ("isolation", "capture", {}, "recorded outside of it"),
    ("unjoined", "capture", {}, "never came back"),
    ("ended_elsewhere", "capture", {}, "on the thread that began it"),
]


@pytest.mark.parametrize(
    ("scenario", "kind", "arguments", "text"),
    [
        *((MEMORY + scenario, *rest) for scenario, *rest in MEMORY_FAULTS),
        *((ORDER + scenario, *rest) for scenario, *rest in ORDER_FAULTS),
    ],
)
def test_a_fault_is_reported_and_its_correct_variant_is_clean(scenario, kind, arguments, text):
    wrong = run(scenario, wrong=True, lateness="late", **arguments)
    assert wrong.error is None, wrong.error
    assert {fault["fault"] for fault in wrong.faults} == {kind}
    assert text in wrong.faults[0]["text"]
    assert run(scenario, wrong=False, lateness="late", **arguments).clean().warnings == []


@pytest.mark.parametrize("lateness", ["eager", "late"])
@pytest.mark.parametrize(
    "scenario",
    [ORDER + "missing_wait", ORDER + "overwritten_early", MEMORY + "freed_while_used"],
)
def test_order_is_judged_whatever_the_timing(scenario, lateness):
    assert run(scenario, wrong=True, lateness=lateness).faults
    run(scenario, wrong=False, lateness=lateness).clean()


@pytest.mark.parametrize(
    ("scenario", "kind"),
    [
        (MEMORY + "stream_destroyed_while_used", "pending-destroy"),
        (ORDER + "waits_for_nothing", "unrecorded-event"),
    ],
)
def test_what_cuda_allows_and_is_doubtful_is_a_warning(scenario, kind):
    wrong = run(scenario, wrong=True, lateness="late").clean()
    assert {warning["warning"] for warning in wrong.warnings} == {kind}
    assert not run(scenario, wrong=False, lateness="late").clean().warnings


@pytest.mark.parametrize(
    ("scenario", "text"),
    [
        (MEMORY + "host_touches_device", "touches a device address of device buffer"),
        (MEMORY + "host_touches_freed", "touches pinned buffer 0 after it was freed"),
    ],
)
def test_the_host_cannot_touch_what_is_not_its_own(scenario, text):
    wrong = run(scenario, wrong=True)
    assert wrong.error == "the process was ended by SIGSEGV"
    assert [text in fault["text"] for fault in wrong.faults] == [True]
    run(scenario, wrong=False).clean()


def test_an_output_read_before_its_event_is_poison():
    assert run(ORDER + "output_read_early", wrong=True, lateness="late").result == 0xA5
    assert run(ORDER + "output_read_early", wrong=False, lateness="late").clean().result == 0


def test_an_allocation_for_each_frame_is_counted():
    report = run(MEMORY + "steady", wrong=True, what="pinned buffer")
    assert report.counters["steady_allocations"] == 3


@pytest.mark.parametrize(
    ("scenario", "arguments", "answers"),
    [
        ("unsafe_call_elsewhere", {}, [UNSUPPORTED, INVALIDATED]),
        ("event_asked_elsewhere", {}, [UNSUPPORTED, INVALIDATED]),
        ("unsafe_call_here", {"wait": False}, [UNSUPPORTED, INVALIDATED]),
        ("unsafe_call_here", {"wait": True}, [UNSUPPORTED, INVALIDATED]),
        ("isolation", {}, ["STREAM_CAPTURE_ISOLATION", INVALIDATED]),
        ("unjoined", {}, ["SUCCESS", "STREAM_CAPTURE_UNJOINED"]),
    ],
)
def test_a_broken_capture_answers_as_the_driver_does(scenario, arguments, answers):
    assert run(ORDER + scenario, wrong=True, **arguments).result == answers
    assert run(ORDER + scenario, wrong=False, **arguments).result == ["SUCCESS", "SUCCESS"]


def test_an_engine_that_cannot_be_captured_still_runs():
    assert run(ORDER + "uncapturable_engine").clean().result == [900, INVALIDATED, 0]
