"""Check a typed graph for what TensorRT refuses, or builds and computes badly.

TensorRT names layers that the user never wrote, minutes into a build, or reports nothing: it builds
infinite constants, per-channel activations and uint8 tensors without an error. Each check states
its source; "tried" means with TensorRT-RTX 1.7.1, parsing and building for compute capability 8.6.
"""

from onnx import ModelProto

from edgeseg.engine.checks import quantized, types
from edgeseg.engine.checks.types import Check, Finding
from edgeseg.errors import BuildError
from edgeseg.graph.graph import Graph
from edgeseg.machine.support import Release

CHECKS: tuple[Check, ...] = (*types.CHECKS, *quantized.CHECKS)
SHOWN = 3


def findings(model: ModelProto, release: Release) -> list[Finding]:
    """Return what all checks find, in their order."""
    graph = Graph(model)
    return [finding for check in CHECKS for finding in check(graph, release)]


def check(model: ModelProto, release: Release) -> None:
    """BuildError with the first findings, and the remedy of the first."""
    found = findings(model, release)
    if not found:
        return
    problems = [finding.problem for finding in found[:SHOWN]]
    if len(found) > SHOWN:
        problems.append(f"and {len(found) - SHOWN} more")
    raise BuildError(
        f"{release} cannot compute this graph correctly: {'; '.join(problems)}.",
        remedy=found[0].remedy,
        code="build/checks",
    )
