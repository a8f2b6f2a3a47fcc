"""TrtBackend, whole, over the simulated driver: every mask is compared with FakeBackend's.

TensorRT is stood in for by modules with its names (fake_trt); both CUDA bindings are the real ones.
PyCUDA is tried where it is installed.
"""

import pytest

from tests.runtime import tensorrt_extras, tensorrt_faults, tensorrt_scenarios
from tools.cudasim.simulator import JETSON
from tools.cudasim.skipping import run_or_skip

BINDINGS = ("cuda-python", "pycuda")
BUILD = "edgeseg build-engine "


def simulate(scenario, **arguments):
    """Run a scenario of tensorrt_scenarios; skip where a binding or a compiler is missing."""
    modules = (tensorrt_scenarios, tensorrt_extras, tensorrt_faults)
    (function,) = {vars(m)[scenario] for m in modules if scenario in vars(m)}
    return run_or_skip(function, **arguments)


@pytest.fixture(params=BINDINGS)
def binding(request):
    return request.param


@pytest.mark.parametrize("cuda_graph", [True, False], ids=["graph", "enqueue"])
@pytest.mark.parametrize("in_flight", [1, 2])
def test_thousands_of_frames_have_their_own_masks(io, in_flight, cuda_graph):
    options = {"io": io, "cuda_graph": cuda_graph, "cuda": BINDINGS[0]}
    report = simulate("stream", frames=2000, in_flight=in_flight, slots=3, **options).clean()
    assert report.result["checked"] == 2000
    assert report.counters["steady_allocations"] == report.counters["steady_creations"] == 0
    assert (report.counters["graph_launches"] == 2000) is cuda_graph
    copies = 2000 if io == "copy" else 0
    assert report.counters["copies_to_host"] == copies
    assert copies <= report.counters["copies_to_device"] <= copies + in_flight
    low, high = report.result["seconds"]
    assert 0 < low <= high < 1


@pytest.mark.parametrize("lateness", ["eager", "often", "late"])
def test_masks_do_not_depend_on_when_work_is_done(io, lateness, binding):
    for seed in range(3):
        report = simulate(
            "stream", frames=150, in_flight=2, slots=2, io=io, cuda=binding, seed=seed,
            lateness=lateness, kernel_us=50,
        ).clean()  # fmt: skip
        assert report.result["checked"] == 150


def test_the_contract_of_backends(io, binding):
    name = simulate("contract", io=io, cuda=binding).clean().result
    way = {"mapped": "mapped memory (zero-copy)", "copy": "pinned memory, copied"}[io]
    device = "tensorrt 10.3.0, simulated CUDA device (compute capability 8.6), "
    assert name.startswith(f"{device}{way}, CUDA graph, {binding} ")


def test_layers_are_timed_without_a_graph(io, binding):
    # The stand-in's first layer takes as many milliseconds as its context has run: 3, 4, 5.
    found = simulate("layers", io=io, cuda=binding).clean().result
    assert found["layers"] == [
        ["red", ["Gather_1"], pytest.approx(0.004)],
        ["reformat", [], pytest.approx(0.0005)],
    ]
    assert (found["runs"], found["prepared"]) == (3, [0, 1, 2, 3, 4])


def test_threads_start_finish_and_allocate_beside_a_capture(io, binding):
    report = simulate("threads", frames=100, io=io, cuda=binding).clean()
    assert report.result == 100
    assert report.counters["graph_launches"] == 100


def test_nothing_grows_in_python_s_memory(io, binding):
    assert simulate("growth", frames=500, io=io, cuda=binding).clean().result < 500  # bytes


def test_all_contexts_use_one_activation_memory(io):
    report = simulate("stream", frames=100, in_flight=3, slots=3, io=io).clean()
    assert report.result["activation_memories"] == 1
    assert simulate("beside_a_frame", io=io, lateness="late").clean().result == 5


def test_the_map_is_not_copied_where_nobody_reads_it(io):
    assert simulate("without_map", io=io).clean().result is (io == "copy")


@pytest.mark.parametrize("first", ["", "damaged"])
def test_rtx_keeps_its_kernels_beside_the_engine(first):
    found = simulate("kernels", first=first).clean().result
    assert (found["began"], found["stored"]) == (["", "kernels", "kernels"], "kernels")
    assert found["said"] == []


def test_kernels_that_cannot_be_kept_are_a_warning():
    found = simulate("kernels", first="folder").clean().result
    assert found["began"] == ["", "", ""]
    assert all(line.startswith("compiled kernels are not kept") for line in found["said"])


def test_an_error_that_tensorrt_survived_is_a_warning(io):
    report = simulate("survived_errors", io=io).clean()
    said = report.result["said"]
    assert (report.result["checked"], report.counters["graph_launches"]) == (20, 20)
    assert said[:2] == [
        f"tensorrt went on after an error: Unable to determine GPU memory usage in {where}"
        for where in ("reading", "a context")
    ]


def test_waits_do_not_use_the_binding_which_may_keep_the_gil(io):
    assert simulate("waits_through_ctypes", io=io).clean().result["checked"] == 20


@pytest.mark.parametrize(
    ("wait", "attributes", "words"),
    [("spin", JETSON, "spinning"), ("block", {}, "blocking"), ("auto", JETSON, "blocking")],
)
def test_the_wait_is_named(wait, attributes, words):
    report = simulate("stream", frames=10, wait=wait, attributes=attributes).clean()
    assert report.result["name"].endswith(f", {words} wait")


def test_a_capture_that_is_refused_is_said_once_and_done_without(io, binding):
    report = simulate("refused_capture", io=io, cuda=binding).clean()
    (line,) = report.result["said"]
    assert line.startswith("no CUDA graph (tensorrt 10.3.0 ") and "enqueueV3: CUDA error" in line
    assert "no CUDA graph (tensorrt" in report.result["name"]
    assert (report.result["checked"], report.counters["graph_launches"]) == (50, 0)


@pytest.mark.parametrize("version", ["8.6.1", "10.3.0", "10.16.2", "11.4.0.106"])
def test_every_release_of_tensorrt(version):
    report = simulate("stream", frames=100, in_flight=2, version=version, io="auto").clean()
    assert report.result["name"].startswith(f"tensorrt {version}, ")
    assert report.counters["graphs_instantiated"] == 2
    assert report.result["asked"] == ["None", "None"]
    assert report.result["activation_memories"] == 1


@pytest.mark.parametrize(("cuda_graph", "asked"), [(True, ["1"]), (False, ["0"])])
def test_rtx_captures_by_itself(cuda_graph, asked):
    report = simulate(
        "stream", frames=100, version="1.7.1.116", rtx=True, io="copy", cuda_graph=cuda_graph
    ).clean()
    assert report.result["asked"] == asked
    assert report.counters["graphs_instantiated"] == 0
    words = "CUDA graph by tensorrt-rtx" if cuda_graph else "no CUDA graph (disabled)"
    assert f", {words}, " in report.result["name"]


def test_auto_copies_unless_the_memory_is_shared():
    for attributes, words in ((JETSON, "8.7), mapped memory"), ({}, "8.6), pinned memory, copied")):
        report = simulate("stream", frames=10, io="auto", attributes=attributes).clean()
        assert words in report.result["name"]


@pytest.mark.parametrize(
    ("what", "found", "expected"),
    [
        ("shape", "frame: input uint8 [1, 25, 20, 3]", "frame: input uint8 [1, 24, 20, 3]"),
        ("type", "score: output float16 [1]", "score: output float32 [1]"),
        ("name", "map: output float32 [1, 8, 8], mask", "anomaly_map: output float32 [1, 8, 8]"),
        ("mode", "mask: input uint8 [1, 24, 20]", "mask: output uint8 [1, 24, 20]"),
    ],
)
def test_an_engine_that_is_not_its_card_s(what, found, expected):
    kind, code, problem, remedy = simulate("refused_plan", what=what).clean().result
    has, _, says = problem.partition(" (expected by its card: ")
    assert (kind, code) == ("ModelError", "engine/other-tensors")
    assert found in has and expected in says and found not in says
    assert remedy == "edgeseg build-engine bottle --precision fp16 --runtime tensorrt"


@pytest.mark.parametrize(
    ("refusal", "expected", "text", "help"),
    [
        (
            "read",
            ["EngineMismatch", "engine/unreadable"],
            "Serialization assertion magicTag failed",
            BUILD,
        ),
        (
            "context",
            ["ModelError", "engine/no-context"],
            "out of memory for activations",
            "free GPU memory",
        ),
        ("address", ["ModelError", "engine/no-context"], "no reason given", BUILD),
        ("enqueue", ["ModelError", "engine/run-failed"], "enqueueV3: an illegal kernel", BUILD),
    ],
)
def test_what_tensorrt_says_is_passed_on_and_nothing_stays_behind(
    refusal, expected, text, help, io
):
    *found, problem, remedy = simulate("failure", refusals=[refusal], io=io).clean().result
    assert found == expected and remedy.startswith(help)
    assert problem.startswith("tensorrt 10.3.0 ") and problem.endswith(f": bottle.engine: {text}.")


def test_an_engine_for_another_gpu_than_the_one_that_would_run_it():
    found = simulate("failure", target="sm75").clean().result
    assert found[:2] == ["EngineMismatch", "engine/other-gpu"]
    assert "built for sm75; the GPU that would run it is simulated CUDA device, sm86" in found[2]


def test_a_gpu_that_is_not_there():
    found = simulate("failure", device=1).clean().result
    assert found[:2] == ["CudaError", "cuda/no-device"]
    assert "CUDA_ERROR_INVALID_DEVICE" in found[2] and "--device 0" in found[3]


@pytest.mark.parametrize("cuda_graph", [True, False])
def test_nothing_stays_behind_whichever_call_fails(io, cuda_graph):
    report = simulate("exceptions", io=io, cuda_graph=cuda_graph).clean()
    calls = {"cuMemHostAlloc", "cuStreamCreate", "cuEventCreate", "cuEventRecord", "cuInit"}
    calls |= {"cuMemAlloc", "cuMemcpyHtoDAsync", "cuStreamWaitEvent"} if io == "copy" else set()
    calls |= (
        {"cuStreamBeginCapture", "cuGraphInstantiate", "cuGraphLaunch"} if cuda_graph else set()
    )
    assert calls <= set(report.result)


def test_an_engine_is_opened_by_its_path():
    report = simulate("through_the_opener", io="mapped", cuda_graph=False).clean()
    name, said, changed = report.result
    assert "mapped memory (zero-copy), no CUDA graph (disabled), " in name
    assert said[0].endswith(f"bottle.engine: {name}")
    assert changed == "EngineMismatch"


# A fault in the backend is reported by the driver, or seen in a mask.

COPY, MAPPED = {"io": "copy", "in_flight": 2}, {"io": "mapped"}
FAULTS = [
    ("no_wait_for_the_frame", COPY, "race"),
    ("no_wait_for_the_mask", COPY, "race"),
    ("leaked_graph", COPY, "leak"),
    ("leaked_graph", MAPPED, "leak"),
    ("leaked_context", COPY, "leak"),
    ("leaked_memory", MAPPED, "leak"),
    ("an_allocation_for_each_frame", COPY, "steady"),
    ("an_allocation_for_each_frame", MAPPED, "steady"),
    ("freed_while_in_use", COPY, "pending-free"),
    ("freed_while_in_use", MAPPED, "pending-free"),
    ("global_capture", COPY, "capture"),
    ("global_capture", MAPPED, "capture"),
    ("reused_too_early", COPY, "source-changed"),
    ("reused_too_early", MAPPED, "source-changed"),
]


@pytest.mark.parametrize(("fault", "options", "kind"), FAULTS)
def test_a_planted_fault_is_reported(fault, options, kind):
    assert kind in simulate("planted", name=fault, **options).kinds


def test_a_mask_that_is_read_before_its_event_is_wrong(io):
    report = simulate("planted", name="read_before_its_event", io=io)
    assert "Arrays are not equal" in report.result["wrong"]


def test_the_table_of_faults_is_whole():
    named = {fault for fault, _, _ in FAULTS} | {"read_before_its_event"}
    assert named == set(tensorrt_faults.PLANTED)
