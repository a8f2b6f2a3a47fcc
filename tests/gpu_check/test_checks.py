"""Tier 1 on the simulated driver: each check passes, and a planted fault fails it."""

import pytest
import torch

from tests.gpu_check import scenarios
from tools.cudasim.skipping import run_or_skip


def check(room, name, fault="", *, kernel_us=0, lateness="mixed", **arguments):
    report = run_or_skip(
        scenarios.check, room=room, name=name, fault=fault, kernel_us=kernel_us,
        lateness=lateness, **arguments,
    )  # fmt: skip
    assert report.error is None, report.error
    passed, found, figures = report.result
    return passed, found, figures


@pytest.mark.parametrize("graph", [True, False], ids=["graph", "enqueue"])
@pytest.mark.parametrize("in_flight", [1, 2])
@pytest.mark.parametrize("io", ["mapped", "copy"])
def test_every_mask_is_right(io, in_flight, graph):
    options = {"io": io, "in_flight": in_flight, "graph": graph, "binding": "cuda-python"}
    passed, found, figures = check("frames", "masks", frames=60, lateness="late", **options)
    assert (passed, figures["right"]) == (True, 60), found


@pytest.mark.parametrize("io", ["mapped", "copy"])
def test_a_mask_that_is_read_too_early_is_seen(io):
    options = {"io": io, "in_flight": 2, "graph": True, "binding": "cuda-python"}
    fault = "read_before_finish"
    passed, _, figures = check("frames", "masks", fault, frames=60, lateness="late", **options)
    assert not passed and figures["right"] < 60


@pytest.mark.parametrize("io", ["mapped", "copy"])
def test_the_loop_shows_every_frame(io):
    passed, found, figures = check("frames", "stream_loop", io=io, frames=100)
    assert (passed, figures["right"]) == (True, 100), found


@pytest.mark.parametrize("lender", ["dlpack", "interface"])
def test_a_model_is_called_with_frames_in_gpu_memory(lender):
    passed, found, figures = check("gpu_frames", "model", frames=30, lender=lender)
    assert (passed, figures) == (True, {"right": 60, "lent": 60, "n": 60}), found
    passed, found, _ = check("gpu_frames", "model", "frame_not_read", frames=5, lender=lender)
    assert not passed, found


def test_a_model_is_called_with_tensors_where_pytorch_sees_the_gpu():
    if torch.cuda.is_available():
        pytest.skip("this PyTorch sees a GPU")
    skipped, reason, _ = check("gpu_frames", "model", frames=2, lender="pytorch")
    assert skipped == "skipped" and "does not see the GPU" in reason


def test_large_frames_are_timed_on_both_paths():
    _, found, figures = check("frames", "large_frames", size=[48, 64], frames=5)
    assert figures["right"] == 20 and figures["auto"] == "copy", found


WAIT = {
    "rounds": 3, "seconds": 0.2, "kernel_us": 200_000,
    "lateness": "late", "idle_us": 60_000_000,  # the kernel begins when something waits for it
}  # fmt: skip


def test_a_wait_that_keeps_the_gil_is_seen():
    _, found, free = check("waiting", "other_threads", **WAIT)
    assert free["pause_s_min"]["wait"] < 0.15, found
    passed, found, kept = check("waiting", "other_threads", "gil_kept", **WAIT)
    assert not passed and kept["pause_s_min"]["wait"] > 0.15, found


def test_a_wait_for_nothing_is_no_wait():
    passed, found, _ = check("waiting", "other_threads", **(WAIT | {"kernel_us": 0}))
    assert not passed and "not 200 ms" in found


def test_kernels_that_did_not_run_are_seen():
    passed, found, _ = check("waiting", "launches", kernel_count=5, rounds=3)
    assert not passed and "0 kernels ran, not 35" in found


def test_captures_beside_allocations():
    passed, found, figures = check("waiting", "capture", captures=10)
    assert passed and figures["allocations"] > 0, found


def test_a_blocking_and_a_spinning_event_are_timed():
    _, found, figures = check("waiting", "blocking", waits=5)
    assert set(figures["cpu_share"]) == {"block", "spin"} and figures["n"] == 5, found


def test_a_lost_context_is_a_cuda_error():
    passed, found, _ = check("lifetimes", "trap", "context_lost")
    assert passed and "CUDA_ERROR_LAUNCH_FAILED (719)" in found, found


def test_a_trap_without_an_error_fails():
    passed, found, _ = check("lifetimes", "trap")
    assert (passed, found) == (False, "no error")


def test_memory_comes_back():
    passed, found, _ = check("lifetimes", "open_close", times=8)
    assert passed, found


def test_too_much_memory_is_an_error_and_the_context_lives():
    passed, found, _ = check("lifetimes", "out_of_memory")
    assert passed, found


def test_a_refused_capture_is_enqueued():
    passed, found, _ = check("lifetimes", "refused_capture")
    assert passed, found
