"""The simulated driver, asked through the real cuda-python, answers as CUDA documents it."""

import pytest

from tests.cudasim.run import run

HERE = "tests.cudasim.scenarios:"


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
