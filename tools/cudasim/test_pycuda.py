"""PyCUDA on the simulated driver: what edgeseg needs of it. build_pycuda.py builds it."""

from importlib.util import find_spec

import pytest

from tools.cudasim.run import run

HERE = "tools.cudasim.pycuda_scenarios:"

pytestmark = pytest.mark.skipif(
    find_spec("pycuda") is None,
    reason="no pycuda: python -m tools.cudasim.build_pycuda FOLDER, and set PYTHONPATH=FOLDER",
)


def test_a_slot_in_mapped_memory_works():
    report = run(HERE + "primitives", lateness="late").clean()
    seen = report.result
    assert seen.pop("milliseconds") >= 0
    assert seen == {
        "refused": 0,
        "early": 0xA5,
        "mask": [255, 255],
        "score": 0.25,
        "current": "simulated CUDA device",
        "apart": True,
    }
    # autoprimaryctx leaves the context to PyCUDA's destructor, which cannot release it.
    assert report.kinds == {"detach": 1}


def test_a_graph_runs_on_a_stream_of_pycuda():
    assert run(HERE + "graph", lateness="late").clean().result == [0, 0, 0, 0, 0, 0, 9]


def test_a_missing_wait_is_reported_and_an_own_context_is_released():
    assert run(HERE + "missing_wait", wrong=True).kinds == {"race": 1}
    report = run(HERE + "missing_wait", wrong=False).clean()
    assert report.kinds == {}
    assert report.calls["cuDevicePrimaryCtxRelease_v2"] == 1
