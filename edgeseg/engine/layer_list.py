"""The layers of an engine, from a build log or from the engine inspector.

TensorRT lists them at the end of a verbose build log, in a form that depends on its version:

    Name: a + b, LayerType: correlation, Inputs: [ { Name: x, Dimensions: [1,8,4,4], ...,
        Datatype: Half, ... }], Constants: [...], Outputs: [...], ..., Metadata: [ONNX Layer: a]...
    ... Inputs: [ { ..., Format/Datatype: Channel major FP16 format where channel % 8 == 0 }],
        Outputs: [...], ..., Weights: {"Type": "Half", "Count": 23232}, ..., Metadata: ...
    Layer(CaskConvolution): a + b, Tactic: 0x2, x (Half[1,8,4,4]) -> y (Half[1,8,4,4])

The first is that of TensorRT-RTX 1.7 and is read from real builds; the second, of TensorRT 8.6 to
10, and the third, of TensorRT 8.6 and of engines without detailed verbosity, were taken from logs
and inspections that users of TensorRT published. The inspector's JSON has the same keys.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN = "unknown"  # a type that is not shown

# TensorRT's words for a type -> ours
_WORDS = {"Half": "FP16", "Float": "FP32", "Int8": "INT8", "BFloat16": "BF16"}
_WORDS |= {kind: kind for kind in ("FP32", "FP16", "BF16", "FP8", "INT8")}
_WORDS |= {kind: kind for kind in ("UInt8", "Int32", "Int64", "Bool")}
_WORD = re.compile(rf"\b({'|'.join(_WORDS)})\b")

_NAMED = "Name: "
_LAYER = re.compile(
    r"Name: (?P<name>.+?), LayerType: (?P<kind>\w+), "
    r"Inputs: \[(?P<inputs>\s*|.*?\}\s*)\], "
    r"(?:Constants: \[(?P<constants>\s*|.*?\}\s*)\], )?"
    r"Outputs: \[(?P<outputs>\s*|.*?\}\s*)\](?P<rest>, .*|$)"
)
_TENSOR = re.compile(
    r"\{ Name: (?P<name>.*?),.*? Dimensions: \[(?P<shape>[-\d,]*)\](?P<rest>.*?)\}"
)
_TYPE = re.compile(r"(?:Format/)?Datatype: ([^}]*?)(?:, \w+: |\s*$)")
_WEIGHTS = re.compile(r'Weights: \{"Type": "(\w+)"')
_NODE = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
_SHORT = "Layer("
_SHORT_LAYER = re.compile(
    r"Layer\((?P<kind>\w+)\): (?P<name>.+?), (?:Tactic: \S+, )?(?P<inputs>.*) -> (?P<outputs>.*)"
)
_SHORT_TYPE = re.compile(r"(?:\[| \()(\w+)[\[(](?=-?\d)")
_COPIES = ("Reformat", "NoOp")  # layers that carry the name of another


@dataclass(frozen=True)
class Layer:
    """One kernel: its kind, the types of its tensors (`FP16`, `UInt8`), the ONNX nodes fused in it.

    weights: the types of its constants with four axes; sure: the inputs contain no constants.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: frozenset[str]
    weights: tuple[str, ...] = ()
    sure: bool = True


@dataclass(frozen=True)
class _Tensor:
    name: str
    axes: int
    type: str

    @property
    def constant(self) -> bool:
        """Whether its name is one that TensorRT gives to constants."""
        return "const" in self.name


def read_layers(lines: Iterable[str]) -> list[Layer]:
    """Find the layers in a build log; none where the log has no list of them."""
    return [layer for layer in map(_read, lines) if layer is not None]


def unread_lines(lines: Iterable[str]) -> list[str]:
    """Return the lines of a build log that seem to list a layer and cannot be read."""
    return [
        line
        for line in lines
        if ((line.startswith(_NAMED) and "LayerType: " in line) or line.startswith(_SHORT))
        and _read(line) is None
    ]


def inspected_layers(information: str) -> list[Layer]:
    """Return the layers in the JSON of the engine inspector; none without detailed verbosity."""
    found = json.loads(information).get("Layers", [])
    return [_inspected(layer) for layer in found if isinstance(layer, dict)]


def word_of(text: str) -> str:
    """Return the type that TensorRT describes: `Half`, `Row major linear FP16 format` -> `FP16`."""
    found = _WORD.search(text)
    return _WORDS[found[1]] if found else UNKNOWN


def _read(line: str) -> Layer | None:
    if line.startswith(_SHORT):
        found = _SHORT_LAYER.match(line)
        if found is None:
            return None
        inputs, outputs = (
            tuple(word_of(kind) for kind in _SHORT_TYPE.findall(found[end]))
            for end in ("inputs", "outputs")
        )
        nodes = _nodes(found["name"], found["kind"], None)
        return Layer(found["name"], found["kind"], inputs, outputs, nodes, sure=False)
    found = _LAYER.match(line)
    if found is None:
        return None
    constants = None if found["constants"] is None else _tensors(found["constants"])
    metadata = found["rest"].rpartition("Metadata: ")
    return _layer(
        found["name"],
        found["kind"],
        _tensors(found["inputs"]),
        _tensors(found["outputs"]),
        constants,
        [word_of(kind) for kind in _WEIGHTS.findall(found["rest"])],
        metadata[2] if metadata[1] else None,
    )


def _inspected(layer: dict[str, Any]) -> Layer:
    def tensors(key: str) -> list[_Tensor]:
        return [
            _Tensor(
                str(each.get("Name", "")),
                len(each.get("Dimensions", ())),
                word_of(str(each.get("Format/Datatype") or each.get("Datatype") or "")),
            )
            for each in layer.get(key, ())
            if isinstance(each, dict)
        ]

    weights = layer.get("Weights")
    return _layer(
        str(layer.get("Name", "")),
        str(layer.get("LayerType", "")),
        tensors("Inputs"),
        tensors("Outputs"),
        tensors("Constants") if "Constants" in layer else None,
        [word_of(str(weights.get("Type")))] if isinstance(weights, dict) else [],
        layer.get("Metadata"),
    )


def _layer(
    name: str,
    kind: str,
    inputs: Sequence[_Tensor],
    outputs: Sequence[_Tensor],
    constants: Sequence[_Tensor] | None,
    weights: Sequence[str],
    metadata: str | None,
) -> Layer:
    listed = constants is not None
    if constants is None:  # among the inputs
        constants = [tensor for tensor in inputs if tensor.constant]
        inputs = [tensor for tensor in inputs if not tensor.constant]
    return Layer(
        name=name,
        kind=kind,
        inputs=tuple(tensor.type for tensor in inputs),
        outputs=tuple(tensor.type for tensor in outputs),
        nodes=_nodes(name, kind, metadata),
        weights=(*weights, *(tensor.type for tensor in constants if tensor.axes == 4)),
        sure=listed,
    )


def _nodes(name: str, kind: str, metadata: str | None) -> frozenset[str]:
    """Return the ONNX nodes of a layer: of its metadata, or where it has none of its name."""
    if metadata is not None:
        return frozenset(_NODE.findall(metadata))
    return frozenset() if kind in _COPIES else frozenset(name.split(" + "))


def _tensors(text: str) -> list[_Tensor]:
    found = []
    for tensor in _TENSOR.finditer(text):
        kind = _TYPE.search(tensor["rest"])
        axes = tensor["shape"].count(",") + 1 if tensor["shape"] else 0
        found.append(_Tensor(tensor["name"], axes, word_of(kind[1] if kind else "")))
    return found
