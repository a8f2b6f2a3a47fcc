"""Each check against graphs that it alone rejects, and against TensorRT-RTX itself."""

import re

import pytest

from edgeseg.engine import tensorrt as tensorrt_build
from edgeseg.engine.checks import check as checks
from edgeseg.errors import BuildError
from edgeseg.graph.graph import Graph
from edgeseg.machine.support import Release
from edgeseg.runtime import tensorrt as trt
from tests.engine.checks.cases import BROKEN, KEPT, TAKEN, cast, pair, top
from tests.kit.errors import fails
from tests.kit.hand_made import BYTES, HALF, graph, node, quantized

ORIN = Release("tensorrt", "10.3.0")  # accepts the fewest graphs
RTX = Release("tensorrt-rtx", "1.7.1")
NAMES = [check.__name__ for check in checks.CHECKS]
CASES = [(name, k) for name, cases in BROKEN.items() for k in range(len(cases))]


def broken(model, release):
    """Return the names of the checks that reject a graph, and their findings."""
    read = Graph(model)
    found = {check.__name__: list(check(read, release)) for check in checks.CHECKS}
    return {name: findings for name, findings in found.items() if findings}


def test_checks_have_graphs_and_sources():
    assert list(BROKEN) == list(KEPT) == NAMES
    for check in checks.CHECKS:
        sources = "Tried|NvInfer|operators.md|guide|Arithmetic"
        assert re.search(sources, check.__doc__), check.__name__


@pytest.mark.parametrize(("name", "k"), CASES)
def test_checks_reject_a_graph_for_one_reason(name, k):
    model, words, _ = BROKEN[name][k]
    found = broken(model, ORIN)
    assert list(found) == [name]
    assert re.search(words, found[name][0].problem)
    assert found[name][0].remedy


@pytest.mark.parametrize("name", KEPT)
def test_checks_accept_a_sound_graph(name):
    for model in KEPT[name]:
        assert broken(model, ORIN) == {}


@pytest.mark.parametrize(
    ("release", "half", "mixed"),
    [
        (Release("tensorrt", "8.6.1"), False, True),
        (Release("tensorrt", "10.3.0"), True, False),
        (Release("tensorrt", "11.1.0"), True, True),
        (RTX, True, True),
    ],
)
def test_scale_types_depend_on_the_release(release, half, mixed):
    def takes(model):
        return "scale_types" not in broken(model, release)

    assert takes(quantized(kind=HALF)) is half
    assert takes(pair(HALF)) is mixed
    assert takes(quantized())


def test_bytes_are_cast_from_int32_by_rtx_only():
    model = cast(BYTES, 6)
    assert broken(model, ORIN)
    assert broken(model, RTX) == {}


def test_check_says_what_was_found_and_what_to_do():
    with fails(BuildError, "build/checks") as caught:
        checks.check(top(3841), ORIN)
    assert "tensorrt 10.3.0" in caught.value.problem and "k of it is 3841" in caught.value.problem
    assert caught.value.remedy.startswith("edgeseg train DATA --top 3840")
    checks.check(top(3840), ORIN)


def test_check_shows_three_findings():
    names = ["x", "a", "b", "c", "y"]
    nodes = [
        node("ReduceMean", [names[k]], names[k + 1], f"mean{k}") for k in range(len(names) - 1)
    ]
    half = {"x": (HALF, [1, 8])}, {"y": (HALF, None)}
    with fails(BuildError, "build/checks") as caught:
        checks.check(graph(nodes, inputs=half[0], outputs=half[1]), ORIN)
    shown = [f"mean{k}" in caught.value.problem for k in range(4)]
    assert shown == [True, True, True, False]
    assert caught.value.problem.endswith("and 1 more.")


# What TensorRT-RTX makes of the same graphs.


@pytest.fixture(scope="session")
def build():
    """Parse and build without our checks: the words of an error, or TAKEN."""
    pytest.importorskip("tensorrt_rtx")
    api = trt.load("tensorrt-rtx")
    config = tensorrt_build.BuildConfig(precision="fp16", runtime="tensorrt-rtx")

    def attempt(model):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tensorrt_build, "check", lambda *_: None)
            patch.setattr(tensorrt_build, "MEANING", re.compile("never said"))
            log = []
            try:
                plan = tensorrt_build._build(api, model, config, "sm86", log)
            except BuildError as refused:
                return refused.problem
            errors = "; ".join(text for severity, text in log if "ERROR" in severity)
            return errors if plan is None else TAKEN

    return attempt


@pytest.mark.parametrize(("name", "k"), CASES)
def test_tensorrt_rtx_does_what_the_check_states(build, name, k):
    model, _, words = BROKEN[name][k]
    found = build(model)
    assert (words in found) if words else found == TAKEN, found


@pytest.mark.parametrize("name", KEPT)
def test_tensorrt_rtx_takes_a_sound_graph(build, name):
    for model in KEPT[name]:
        assert build(model) == TAKEN
