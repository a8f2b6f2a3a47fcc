"""The runner: a line a check, whatever a check does, and a results file."""

import json
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError, CudaError, GateFailed, ModelError
from edgeseg.gpu_check.run import check_gpu
from edgeseg.gpu_check.table import DEVICE, ENGINE, GpuCheck
from tests.kit.errors import fails


def planted(name, *, group="a", seconds=20.0, function=None, **arguments):
    return GpuCheck(
        name=name, tier=1, group=group, function=f"tests.gpu_check.planted:{function or name}",
        expected="what it is", seconds=seconds, arguments=arguments,
    )  # fmt: skip


def states(report):
    return [(result.name, result.state) for result in report.results]


def test_each_check_has_its_line_whatever_the_others_do(tmp_path):
    names = ("passes", "fails", "skips", "lacks", "breaks", "raises", "crashes")
    checks = [planted(name) for name in names] + [planted("after", function="passes")]
    told = []
    report = check_gpu(checks=checks, tell=told.append, results=tmp_path / "gpu.json")
    assert states(report) == [
        ("passes", "PASS"), ("fails", "FAIL"), ("skips", "SKIP"), ("lacks", "SKIP"),
        ("breaks", "FAIL"), ("raises", "FAIL"), ("crashes", "FAIL"), ("after", "PASS"),
    ]  # fmt: skip
    lines = report.summary().splitlines()
    assert lines[0] == "PASS  1  passes   as it must be (expected: what it is)"
    assert lines[2] == "SKIP  1  skips    there is no camera"
    assert "SIGABRT" in lines[6]
    assert lines[-1].startswith("2 PASS, 4 FAIL, 2 SKIP in ")
    assert len(told) == len(checks)
    with fails(GateFailed, "gate/gpu-check") as error:
        report.check()
    assert "4 checks failed: fails, breaks, raises, crashes" in error.value.problem
    report.store()
    document = json.loads((tmp_path / "gpu.json").read_text())
    assert [each["state"] for each in document["checks"]] == [state for _, state in states(report)]
    assert document["checks"][0]["figures"] == {"n": 3, "nan": None}
    assert "ZeroDivisionError" in document["checks"][5]["detail"]["traceback"]


def test_a_hang_ends_its_check_and_no_other():
    checks = [planted("hangs", seconds=3.0), planted("passes"), planted("skips", group="b")]
    report = check_gpu(checks=checks)
    assert states(report) == [("hangs", "FAIL"), ("passes", "PASS"), ("skips", "SKIP")]
    assert report.results[0].found == "no answer within 3 s"


def test_what_the_time_does_not_reach_fails():
    report = check_gpu(checks=[planted("passes")], limit=0.0)
    assert states(report) == [("passes", "FAIL")]
    assert report.results[0].found == "not run within the time for all checks"


def test_a_check_that_the_time_for_all_ends_is_not_said_to_take_longer():
    report = check_gpu(checks=[planted("hangs")], limit=2.0)
    assert report.results[0].found == "no answer within the time for all checks"


def test_nothing_is_left_in_the_temporary_folder():
    (left,) = check_gpu(checks=[planted("leaves")]).results
    assert left.state == "PASS" and not Path(left.found).parent.exists()


def test_builds_of_engines_take_their_own_time():
    checks = [planted("passes", group=ENGINE), planted("after", function="passes")]
    assert states(check_gpu(checks=checks, limit=0.0)) == [("passes", "PASS"), ("after", "FAIL")]


def test_a_graph_is_for_the_checks_of_engines_alone(exported):
    checks = [planted("gets", group=ENGINE), planted("passes")]
    report = check_gpu(checks=checks, graph=exported.graph)
    assert states(report) == [("gets", "PASS"), ("passes", "PASS")]
    assert report.results[0].found == str(exported.graph.resolve())


def test_another_graph_is_refused_before_the_checks(tmp_path):
    path = tmp_path / "other.onnx"
    with fails(ModelError, "model/not-onnx"):
        check_gpu(checks=[], graph=path)


def test_without_a_gpu_nothing_is_checked(tmp_path):
    checks = [planted(DEVICE, function="breaks"), planted("passes", group="b")]
    with pytest.raises(CudaError) as raised:
        check_gpu(checks=checks)
    assert raised.value.problem == "no GPU to check: cuInit failed."
    assert raised.value.remedy == "edgeseg doctor"


def test_an_earlier_results_file_is_kept(tmp_path):
    path = tmp_path / "gpu.json"
    path.write_text("earlier")
    with pytest.raises(ConfigError, match=r"gpu-2\.json"):
        check_gpu(checks=[], results=path)
    assert path.read_text() == "earlier"
