"""The whole loop with TrtBackend over the simulated driver: every result is compared.

TensorRT is replaced by tests/kit/fake_trt.py, cuda-python and PyCUDA are real, and the simulated
driver checks memory and order more strictly than a real one.
"""

import pytest

from tests.stream import cuda_faults, cuda_scenarios, lending_scenarios
from tools.cudasim.simulator import JETSON
from tools.cudasim.skipping import run_or_skip

EVERY = "copy", "mapped"


def loop(**arguments):
    return run_or_skip(cuda_scenarios.looped, **arguments)


def sound(report, *, warm=None):
    """Assert that nothing leaked, raced or was allocated, and that every result was right.

    warm: runs before the first frame, if the runs of the frames are to be counted.
    """
    report.clean()
    seen = report.result
    assert seen["wrong"] == []
    assert seen["in_order"] and seen["pinned"] and seen["fills"] == 0
    assert report.counters["steady_allocations"] == report.counters["steady_creations"] == 0
    assert seen["threads"] == []
    if warm is not None:
        assert runs(report) == warm + seen["frames"], "each frame is computed once"
    return seen


def runs(report):
    """Return how often the engine ran, by a graph or without."""
    in_graphs = report.counters["graphs_instantiated"]
    return report.counters["graph_launches"] + report.counters["inferences"] - in_graphs


def warm_runs(in_flight):
    """Each context runs once before its capture and once more as a warm-up."""
    return 2 * (in_flight + 2)


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("io", EVERY)
def test_thousands_of_frames_of_a_file_reach_the_sinks_as_they_must(io, in_flight):
    report = loop(frames=2000, io=io, in_flight=in_flight)
    seen = sound(report, warm=warm_runs(in_flight))
    assert seen["frames"] == seen["shown"] == seen["read"] == 2000
    assert seen["reported"] == [2000, 0, 0]
    assert seen["buffers"] == in_flight + 2, "the source wrote into every slot"
    assert report.counters["graph_launches"] == 2000 + in_flight + 2


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("io", EVERY)
def test_lines_get_the_maps_of_frames_with_regions_alone(io, in_flight):
    report = run_or_skip(cuda_scenarios.lines_alone, frames=300, io=io, in_flight=in_flight)
    seen = report.clean().result
    assert seen["wrong"] == [] and 0 < seen["measured"] < 300
    warm_up = in_flight + 2
    copies = {"copy": 300 + seen["measured"], "mapped": 0}[io]
    assert copies <= seen["copies"] <= copies + 2 * warm_up * (io == "copy")
    assert report.counters["steady_allocations"] == report.counters["steady_creations"] == 0


@pytest.mark.parametrize("cuda_graph", [True, False], ids=["graph", "enqueue"])
@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("io", EVERY)
def test_a_camera_s_frames_are_right_whichever_are_dropped(io, in_flight, cuda_graph):
    report = loop(frames=400, live=True, io=io, in_flight=in_flight, cuda_graph=cuda_graph)
    seen = sound(report, warm=warm_runs(in_flight))
    frames, drops, not_shown = seen["reported"]
    assert frames + drops == seen["read"] == 400
    assert frames == seen["frames"] == seen["shown"] + not_shown
    assert frames >= 100 and seen["shown"] >= 50
    assert (report.counters["graph_launches"] > 0) is cuda_graph


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("io", EVERY)
def test_the_driver_of_a_camera_writes_into_the_pinned_slots(io, in_flight):
    report = run_or_skip(lending_scenarios.lent, frames=200, io=io, in_flight=in_flight)
    report.clean()
    seen = report.result
    assert seen["wrong"] == [] and seen["in_order"] and seen["pinned"] and seen["idle"]
    assert (seen["frames"], seen["writes"], seen["fills"]) == (200, 0, 0)
    assert seen["slots"] == in_flight + 4, "two are the driver's"
    assert 2 <= seen["written"] <= seen["slots"]
    assert seen["threads"] == []


@pytest.mark.parametrize(("userptr", "writes"), [("taken", 0), ("refused", 1)])
def test_a_camera_that_comes_back_gets_the_slots_again(userptr, writes):
    options = {"frames": 120, "unplug_at": 50, "userptr": userptr, "io": "mapped"}
    report = run_or_skip(lending_scenarios.lent, **options)
    report.clean()
    seen = report.result
    assert seen["wrong"] == [] and seen["in_order"] and seen["pinned"]
    assert (seen["frames"], seen["writes"], seen["fills"]) == (120, writes, 0)
    assert seen["reconnects"] == 1


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("io", EVERY)
def test_without_a_graph_a_file_s_frames_are_the_same(io, in_flight):
    report = loop(frames=250, io=io, in_flight=in_flight, cuda_graph=False)
    assert sound(report, warm=warm_runs(in_flight))["shown"] == 250
    assert report.counters["graph_launches"] == 0


@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("io", EVERY)
def test_pycuda_carries_the_loop_as_well(io, in_flight):
    seen = sound(loop(frames=250, io=io, in_flight=in_flight, cuda="pycuda"))
    assert seen["shown"] == 250
    assert ", pycuda " in seen["engine"]


def test_a_jetson_maps_by_itself():
    seen = sound(loop(frames=100, io="auto", attributes=JETSON))
    assert "8.7), mapped memory (zero-copy), CUDA graph, " in seen["engine"]


@pytest.mark.parametrize("lateness", ["eager", "often", "late"])
@pytest.mark.parametrize("io", EVERY)
def test_the_order_of_the_device_s_work_changes_no_mask(io, lateness):
    for seed in range(2):
        report = loop(
            frames=120, io=io, in_flight=2, live=seed == 1, seed=seed, lateness=lateness,
            kernel_us=100,
        )  # fmt: skip
        assert sound(report, warm=warm_runs(2))["frames"] > 10


ENDS = [
    ("limit", {}, None),
    ("source", {}, "the camera was lost."),
    ("sink", {}, None),
    ("signal", {}, None),
    ("enqueue", {"cuda_graph": False}, "bottle.engine: enqueueV3: an illegal"),
    ("launch", {}, "cuGraphLaunch failed"),
]


@pytest.mark.parametrize(("io", "in_flight"), [("mapped", 1), ("copy", 2)])
@pytest.mark.parametrize(("end", "options", "words"), ENDS, ids=[end for end, *_ in ENDS])
def test_whatever_ends_a_stream_nothing_stays_behind(end, options, words, io, in_flight):
    seen = sound(loop(frames=400, end=end, at=100, io=io, in_flight=in_flight, **options))
    if words is None:
        assert seen["error"] is None
    else:
        assert words in seen["error"][1]
        assert seen["said"][-1].startswith("numbered: ")
        assert f", {seen['frames']} masks (" in seen["said"][-1]
    exactly = {"limit": 100, "source": 100, "sink": 400}  # the other sink gets every frame
    assert seen["frames"] == exactly.get(end, seen["frames"])
    assert end == "sink" or (90 <= seen["frames"] < 120 and seen["read"] < 120)


@pytest.mark.parametrize("io", EVERY)
def test_a_camera_may_allocate_while_graphs_are_captured(io):
    report = run_or_skip(cuda_scenarios.beside_a_camera_that_allocates, frames=60, io=io)
    assert "CUDA graph, " in sound(report)["engine"]
    assert report.counters["host_allocations"] == 3 + 3, "of requests, and during their captures"


@pytest.mark.parametrize(
    ("io", "binding", "end"),
    [
        *(("copy", "cuda-python", end) for end in ("sink", "signal")),
        *(("mapped", "cuda-python", end) for end in ("sink", "two signals")),
        *(("copy", "pycuda", "sink"), ("mapped", "pycuda", "signal")),
    ],
)
def test_a_camera_that_hangs_in_a_read_may_write_when_all_is_closed(io, binding, end):
    in_flight = 2 if end == "signal" else 1
    report = run_or_skip(
        cuda_scenarios.hanging, io=io, cuda=binding, end=end, in_flight=in_flight, timeout=10
    )
    assert report.error is None, report.error
    assert report.result == {
        "said": ["numbered: read() is blocked; its buffers are kept until this process exits"],
        "ended": "interrupt" if end == "two signals" else "report",
        "wrong": [],
        "late": True,
    }
    left = [fault["text"] for fault in report.faults]
    slots = in_flight + 2
    assert report.kinds == {"leak": slots + 1}
    assert sum("pinned buffer" in text for text in left) == slots
    assert sum("primary context is still retained" in text for text in left) == 1


def test_where_a_slot_is_given_back_such_a_camera_ends_the_process(io="copy"):
    report = run_or_skip(cuda_scenarios.unkept, io=io, timeout=10)
    assert report.error == "the process was ended by SIGSEGV"
    assert "host-touch" in {fault["fault"] for fault in report.faults}


# A fault in the loop is reported by the driver, seen in a mask, or counted.

COPY, MAPPED = {"io": "copy"}, {"io": "mapped"}
COPY_TWO, MAPPED_TWO = COPY | {"in_flight": 2}, MAPPED | {"in_flight": 2}
FAULTS = [
    ("released_too_early", COPY, "source-changed"),
    ("released_too_early", MAPPED_TWO, "source-changed"),
    ("a_context_for_each_frame", COPY_TWO, "steady"),
    ("a_context_for_each_frame", MAPPED, "steady"),
    ("started_twice", COPY, "race"),
    ("two_frames_in_a_request", COPY_TWO, "race"),
    ("two_frames_in_a_request", MAPPED_TWO, "source-changed"),
    ("global_capture", COPY, "capture"),
    ("global_capture", MAPPED_TWO, "capture"),
]


def plant(fault, **options):
    report = run_or_skip(cuda_faults.planted, fault=fault, frames=60, lateness="late", **options)
    with pytest.raises(AssertionError):
        sound(report, warm=warm_runs(options.get("in_flight", 1)))
    return report


@pytest.mark.parametrize(("fault", "options", "kind"), FAULTS)
def test_a_planted_fault_is_reported_by_the_driver(fault, options, kind):
    if fault == "global_capture":
        options = options | {"of": "beside_a_camera_that_allocates"}
    report = plant(fault, **options)
    assert kind in report.kinds
    if fault == "two_frames_in_a_request":
        assert any("mask" in wrong for wrong in report.result["wrong"])


@pytest.mark.parametrize("options", [COPY, MAPPED_TWO])
def test_a_mask_that_is_handed_over_before_its_time_is_wrong(options):
    report = plant("read_before_finish", **options)
    assert any("mask" in wrong for wrong in report.result["wrong"])
    assert any("score" in wrong for wrong in report.result["wrong"])


def test_a_frame_computed_twice_and_an_image_copied_are_counted():
    report = plant("started_twice", **MAPPED)
    assert (report.kinds, runs(report)) == ({}, warm_runs(1) + 120)
    report = plant("a_copy_of_each_image", **MAPPED)
    assert (report.kinds, report.result["fills"], report.result["pinned"]) == ({}, 60, False)


def test_the_table_of_faults_is_whole():
    named = {fault for fault, _, _ in FAULTS} | {"read_before_finish", "a_copy_of_each_image"}
    assert named == set(cuda_faults.PLANTED)
