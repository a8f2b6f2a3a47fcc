"""Mirrors edgeseg/cuda/trial.py, on the simulated driver."""

from tools.cudasim.skipping import run_or_skip


def test_the_gpu_returns_what_it_got():
    report = run_or_skip("edgeseg.cuda.trial:try_cuda", lateness="late").clean()
    assert report.result.startswith("cuda-python ")
    assert report.result.endswith("simulated CUDA device: 1 MiB copied there and back")
