"""What TensorRT would refuse, or build and compute badly, said before TensorRT sees the graph.

TensorRT's own words name layers that the user never wrote, come minutes late, or do not come at
all: it builds per-channel activations in Float, uint8 as int8, and infinite constants as they are.
The rules are in rules/, each with its source; here they are put to one graph and one target.
"""

from onnx import ModelProto

from edgeseg.engine.checks import operators, quantized, types
from edgeseg.engine.checks.graph import Fault, Graph, Rule, Target
from edgeseg.errors import BuildError
from edgeseg.machine.support import Release

RULES: tuple[Rule, ...] = (*operators.RULES, *types.RULES, *quantized.RULES)
SHOWN = 3


def faults(model: ModelProto, target: Target) -> list[Fault]:
    """Return everything that breaks a rule, in the rules' order."""
    graph = Graph(model)
    return [fault for rule in RULES for fault in rule(graph, target)]


def check(model: ModelProto, release: Release, capability: str) -> None:
    """BuildError when a graph breaks a rule; the first faults with what to do about the first."""
    found = faults(model, Target(release, capability))
    if not found:
        return
    problems = [fault.problem for fault in found[:SHOWN]]
    if len(found) > SHOWN:
        problems.append(f"and {len(found) - SHOWN} more")
    raise BuildError(
        f"{release} would not compute this graph as it is: {'; '.join(problems)}.",
        remedy=found[0].remedy,
    )
