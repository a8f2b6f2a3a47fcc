"""A graph's nodes by residual block: nodes that change their precision together.

The exporter names a convolution after its module (`student.layer3.0.conv1`), and the nodes between
convolutions by number. A block is a module's path up to its first run of numbers
(`student.layer3.0`). A node without a path belongs to the last convolution before it, so that a
residual sum stays with its block, and otherwise to the first convolution after it.
"""

import re
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

_BLOCK = re.compile(r".*?\.\d+(?:\.\d+)*(?=\.|$)")


@dataclass(frozen=True)
class Block:
    """Nodes that change their precision together."""

    name: str
    """The module: `teacher.encoder.layer2.0`."""
    nodes: frozenset[str]


def blocks_of(model: ModelProto, among: frozenset[str]) -> tuple[Block, ...]:
    """Divide the nodes named in `among` into blocks, in the order of the graph.

    A node that is not among them ends a block; a node that reaches no named one is in no block.
    """
    nodes = [node for node in model.graph.node if node.name in among]
    owners = _owners(nodes)
    members: dict[str, set[str]] = {}
    for node in nodes:
        if node.name in owners:
            members.setdefault(owners[node.name], set()).add(node.name)
    return tuple(Block(name, frozenset(names)) for name, names in members.items())


def block_name(path: str) -> str:
    """`student.layer3.0.conv1` -> `student.layer3.0`; a path without a number is its own block."""
    found = _BLOCK.match(path)
    return found[0] if found else path


def _owners(nodes: list[NodeProto]) -> dict[str, str]:
    """Return node -> block."""
    owners: dict[str, str] = {}
    written: dict[str, tuple[int, str]] = {}  # tensor -> the last path before it, its block
    for place, node in enumerate(nodes):
        before = [written[name] for name in node.input if name in written]
        named = (place, block_name(node.name)) if "." in node.name else max(before, default=None)
        if named:
            owners[node.name] = named[1]
            written.update(dict.fromkeys(node.output, named))
    read: dict[str, str] = {}
    for node in reversed(nodes):
        behind = next((read[name] for name in node.output if name in read), None)
        if owner := owners.get(node.name) or behind:
            owners[node.name] = owner
            read.update(dict.fromkeys(node.input, owner))
    return owners
