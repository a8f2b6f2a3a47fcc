"""What edgeseg uses of TensorRT is in NVIDIA's own bindings of each version, as it is called.

Those of TensorRT are downloaded (tests/kit/real_tensorrt.py), TensorRT-RTX is installed.
"""

from types import FunctionType

import pytest

from edgeseg.gpu_check import stand_in
from edgeseg.machine.support import Release
from edgeseg.runtime.tensorrt import FLAVORS, Api
from edgeseg.runtime.tensorrt_engine import CAPTURES_ITSELF
from tests.kit import fake_trt, old_tensorrt
from tests.kit.real_tensorrt import LEAN_ALONE, RTX, VERSIONS, described, run
from tests.runtime.tensorrt_interface import (
    ALSO_ELSEWHERE,
    NOT_IN_SOURCES,
    USED,
    accepts,
    used_in_sources,
    uses,
)

ALL = (*VERSIONS, RTX)
STAND_INS = {
    (fake_trt, name): (version, name)
    for name in ("Runtime", "ICudaEngine", "IExecutionContext", "EngineInspector")
    for version in ("10.16.1.11",)
} | {
    (stand_in, "StandInEngine"): ("10.3.0", "ICudaEngine"),
    (stand_in, "StandInContext"): ("10.3.0", "IExecutionContext"),
    (old_tensorrt, "Options"): ("8.6.1", "IBuilderConfig"),
    (old_tensorrt, "Layer"): ("8.6.1", "ILayer"),
    (old_tensorrt, "Network"): ("8.6.1", "INetworkDefinition"),
}


@pytest.fixture(params=ALL)
def version(request):
    if request.param == RTX:
        pytest.importorskip("tensorrt_rtx")
    return request.param


def release_of(version):
    return Release("tensorrt-rtx", "1.7") if version == RTX else Release("tensorrt", version)


def has(members, member, names):
    kind, _, last = member.rpartition(".")
    found = members.get(kind, {})
    return last in found and (names is None or accepts(found[last] or "", names))


def test_the_table_has_what_the_sources_use():
    table = {m for each in (*USED.values(), *ALSO_ELSEWHERE.values()) for m, _ in uses(each)}
    constructors = {member.removesuffix(".__init__") for member in table}
    classes = {member.rpartition(".")[0] for member in table}
    found = used_in_sources()
    assert found - table - constructors - classes - {"ComputeCapability.__members__"} == set()
    missing = {member for member in table - found if member not in NOT_IN_SOURCES}
    assert {m for m in missing if m.removesuffix(".__init__") not in found} == set()


def test_a_release_has_what_it_is_used_for_and_no_more(version):
    members, release = described(version), release_of(version)
    for feature, table in USED.items():
        expected = feature == "all" or getattr(release, feature)
        wrong = [m for m, names in uses(table) if has(members, m, names) is not expected]
        assert wrong == [], f"{feature}: expected {'in' if expected else 'not in'} {version}"
    for feature, table in ALSO_ELSEWHERE.items():
        lacking = [m for m, names in uses(table) if not has(members, m, names)]
        assert not getattr(release, feature) or lacking == []


def test_the_lean_runtime_has_what_runs_an_engine():
    """It lacks what builds, what TensorRT-RTX alone has, and the inspector."""
    members = described(LEAN_ALONE)
    lacking = {m for m in used_in_sources("runtime/") if not has(members, m, None)}
    kinds = {member.partition(".")[0] for member in lacking}
    assert kinds == {
        *("ComputeCapability", "CudaGraphStrategy", "IRuntimeConfig"),
        *("NetworkDefinitionCreationFlag", "EngineInspector"),
    }
    assert {m for m in lacking if m.startswith("IRuntimeConfig.")} == {
        "IRuntimeConfig.cuda_graph_strategy"
    }
    signatures = [m for t in (USED["all"], USED["strong"]) for m in uses(t) if m[1] is not None]
    used = used_in_sources("runtime/")
    wrong = [m for m, names in signatures if m in used - lacking and not has(members, m, names)]
    assert wrong == []


def test_the_flags_of_a_network_are_the_release_s_own(version):
    facts = run(version, f"{__name__}:facts", runtime=release_of(version).runtime)
    numbers = described(version)["NetworkDefinitionCreationFlag"]
    release = release_of(version)
    strong = 1 << numbers["STRONGLY_TYPED"] if release.weak and release.strong else 0
    assert facts["strong_flags"] == (strong if release.strong else None)
    batch = 1 << numbers["EXPLICIT_BATCH"] if release.implicit_batch else 0
    assert facts["weak_flags"] == (batch if release.weak else None)
    assert facts["captures_itself"] is (version == RTX)
    assert ("8.6" in facts["targets"]) is (version == RTX)
    assert version in (facts["version"], RTX)


def facts(module, runtime):
    """Ask edgeseg's own code about a real module."""
    api = Api(FLAVORS[runtime], module)
    release = api.release
    return {
        "version": api.version,
        "targets": api.targets,
        "strong_flags": api.network_flags(weak=False) if release.strong else None,
        "weak_flags": api.network_flags(weak=True) if release.weak else None,
        "captures_itself": hasattr(module, CAPTURES_ITSELF),
    }


@pytest.mark.parametrize(
    ("module", "name"), STAND_INS, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_stand_in_has_no_method_that_tensorrt_lacks(module, name):
    version, real = STAND_INS[module, name]
    members = described(version)[real]
    own = {m for m, value in vars(getattr(module, name)).items() if isinstance(value, FunctionType)}
    assert {member for member in own if member[:2] != "__"} <= members.keys()


@pytest.mark.parametrize(
    ("stand_in_version", "version"),
    [("8.6.1", "8.6.1"), ("10.3.0", "10.3.0"), ("10.16.1", "10.16.1.11"), ("11.1.0", "11.4.0.106")],
)
def test_the_recorder_has_the_numbers_of_tensorrt(stand_in_version, version):
    members, library = described(version), old_tensorrt.library(stand_in_version)
    for name in ("NetworkDefinitionCreationFlag", "BuilderFlag"):
        ours, real = getattr(library, name).__members__, members[name]
        numbers = {member for member in real if isinstance(real[member], int)}
        known = {"EXPLICIT_BATCH", "STRONGLY_TYPED", "FP16", "INT8", "TF32",
                 "OBEY_PRECISION_CONSTRAINTS", "VERSION_COMPATIBLE",
                 "EXCLUDE_LEAN_RUNTIME"}  # fmt: skip
        assert set(ours) == numbers & known
        if name == "NetworkDefinitionCreationFlag":
            assert {member: int(ours[member]) for member in ours} == {m: real[m] for m in ours}


@pytest.mark.parametrize(
    ("signature", "names", "expected"),
    [
        ("f(self: a.B) -> None", [], True),
        ("f(self: a.B, x: int, y: a.C = <C.D: 0>) -> a.E", ["x"], True),
        ("f(self: a.B, x: int, y: a.C = <C.D: 0>) -> a.E", ["x", "y"], True),
        ("f(self: a.B, x: int, y: int) -> None", ["x"], False),
        ("f(self: a.B, x: int) -> None", ["z"], False),
        ("f(*args, **kwargs)\n1. f(self: B) -> A\n2. f(self: B, c: D = None) -> A", ["c"], True),
    ],
)
def test_a_signature_is_read(signature, names, expected):
    assert accepts(signature, names) is expected
