"""The lint: each rule against graphs that break it alone, and against TensorRT-RTX itself."""

import re

import pytest

from edgeseg.engine import tensorrt as tensorrt_build
from edgeseg.engine.checks import check as lint
from edgeseg.engine.checks.graph import Graph, Target
from edgeseg.errors import BuildError
from edgeseg.machine.support import Release
from edgeseg.runtime import tensorrt as trt
from tests.engine.checks.cases import BROKEN, KEPT, TAKEN, cast, pair, top
from tests.kit.hand_made import BYTES, HALF, graph, node, quantized, sampled

ORIN = Target(Release("tensorrt", "10.3.0"), "8.7")
TURING = Target(Release("tensorrt-rtx", "1.7.1"), "7.5")
AMPERE = Target(Release("tensorrt-rtx", "1.7.1"), "8.6")
NAMES = [rule.__name__ for rule in lint.RULES]
CASES = [(rule, k) for rule, cases in BROKEN.items() for k in range(len(cases))]


def target_of(rule):
    """The target of a rule's graphs; TensorRT 10.3 on an Orin keeps the most of them."""
    return TURING if rule == "float_products" else ORIN


def broken(model, target):
    """The names of the rules that a graph breaks, and what is said."""
    read = Graph(model)
    found = {rule.__name__: list(rule(read, target)) for rule in lint.RULES}
    return {name: faults for name, faults in found.items() if faults}


def test_every_rule_has_its_graphs_and_its_source():
    assert list(BROKEN) == list(KEPT) == NAMES
    for rule in lint.RULES:
        sources = "Tried|NvInfer|operators.md|guide|Arithmetic"
        assert re.search(sources, rule.__doc__), rule.__name__


@pytest.mark.parametrize(("rule", "k"), CASES)
def test_a_graph_that_breaks_a_rule_breaks_no_other(rule, k):
    model, words, _ = BROKEN[rule][k]
    found = broken(model, target_of(rule))
    assert list(found) == [rule]
    assert re.search(words, found[rule][0].problem)
    assert found[rule][0].remedy


@pytest.mark.parametrize("rule", KEPT)
def test_a_graph_that_keeps_a_rule(rule):
    for model in KEPT[rule]:
        assert broken(model, target_of(rule)) == {}


@pytest.mark.parametrize(
    ("release", "half", "mixed", "computed"),
    [
        (Release("tensorrt", "8.6.1"), False, True, False),
        (Release("tensorrt", "10.3.0"), True, False, False),
        (Release("tensorrt", "11.1.0"), True, True, True),
        (Release("tensorrt-rtx", "1.7.1"), True, True, True),
    ],
)
def test_scales_are_the_releases_matter(release, half, mixed, computed):
    def takes(model):
        return not {"scale_types", "constant_scales"} & set(broken(model, Target(release, "8.6")))

    assert takes(quantized(kind=HALF)) is half
    assert takes(pair(HALF)) is mixed
    assert takes(pair(scale=None)) is computed
    assert takes(quantized())


def test_tensorrt_rtx_is_let_do_what_it_does():
    for model in (
        top(9, sorted=0),
        top(2, [4, 2, 2, 2, 2], axis=0),
        sampled(mode="cubic"),
        cast(BYTES, 6),
        pair(scale=None),
    ):
        assert broken(model, ORIN)
        assert broken(model, AMPERE) == {}


@pytest.mark.parametrize("target", [ORIN, AMPERE, Target(Release("tensorrt", "11.4"), "7.5")])
def test_only_rtx_on_turing_lacks_fp32_products(target):
    model = BROKEN["float_products"][0][0]
    assert broken(model, target) == {}
    assert list(broken(model, TURING)) == ["float_products"]


def test_a_refusal_says_what_was_found_and_what_to_do():
    model = sampled(mode="linear", antialias=1)
    with pytest.raises(BuildError) as refused:
        lint.check(model, ORIN.release, ORIN.capability)
    assert refused.value.problem == (
        "tensorrt 10.3.0 would not compute this graph as it is: it has antialias = 1; 0 was "
        "expected."
    )
    assert refused.value.remedy == "edgeseg export"
    lint.check(sampled(mode="linear"), ORIN.release, ORIN.capability)


def test_a_refusal_with_many_faults_shows_three():
    nodes = [node("Relu", ["x"], "a", "first", domain="x.y")]
    nodes += [node("Det", ["a"], f"b{k}", f"det{k}") for k in range(4)]
    model = graph([*nodes, node("Relu", ["b3"], "y")])
    with pytest.raises(BuildError, match=r": first is x\.y\.Relu.*; .*det0 is; .*det1 is; and 2 m"):
        lint.check(model, ORIN.release, ORIN.capability)


# What TensorRT-RTX makes of the same graphs.


@pytest.fixture(scope="session")
def build():
    """Parse and build without the lint: the words of a refusal, or TAKEN."""
    pytest.importorskip("tensorrt_rtx")
    api = trt.load("tensorrt-rtx")
    config = tensorrt_build.BuildConfig(precision="fp16", runtime="tensorrt-rtx")

    def attempt(model, capability):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tensorrt_build.lint, "check", lambda *_: None)
            patch.setattr(tensorrt_build, "MEANING", re.compile("never said"))
            log = []
            try:
                plan = tensorrt_build._build(api, model, config, trt.target_of(capability), log)
            except BuildError as refused:
                return refused.problem
            errors = "; ".join(text for severity, text in log if "ERROR" in severity)
            return errors if plan is None else TAKEN

    return attempt


@pytest.mark.parametrize(("rule", "k"), CASES)
def test_tensorrt_rtx_does_what_the_rule_says(build, rule, k):
    model, _, words = BROKEN[rule][k]
    said = build(model, TURING.capability if rule == "float_products" else AMPERE.capability)
    assert (words in said) if words else said == TAKEN, said


@pytest.mark.parametrize("rule", KEPT)
def test_tensorrt_rtx_takes_what_keeps_the_rule(build, rule):
    for model in KEPT[rule]:
        assert build(model, target_of(rule).capability.replace("8.7", "8.6")) == TAKEN
