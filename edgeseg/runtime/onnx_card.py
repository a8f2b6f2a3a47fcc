"""Reads the card in an ONNX file's metadata without the package `onnx` and without the weights.

Importing `onnx` takes as long as importing a runtime. An ONNX file is one protobuf message,
ModelProto: fields with a key (8 * number + wire type) and a value.
Sources: Protocol Buffers, Encoding; onnx.proto, where field 14 is metadata_props (key, value).
"""

from collections.abc import Iterator, Mapping, Sequence
from io import SEEK_CUR, SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

from edgeseg.cards import GraphCard, card_from_metadata
from edgeseg.errors import ModelError
from edgeseg.files import shown
from edgeseg.limits import limit
from edgeseg.runtime.base import tensor_types

METADATA_PROPS, KEY, VALUE = 14, 1, 2
_VARINT, _LENGTH = 0, 2
_WIDTHS = {1: 8, 5: 4}  # wire type -> bytes
_LONGEST = 10  # bytes of a varint


def read_onnx_card(path: Path) -> GraphCard:
    """Read the card of an exported graph; ModelError for any other or truncated file."""
    try:
        with path.open("rb") as file:
            metadata = dict(_entry(value) for _, value in _fields(file, {METADATA_PROPS}))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"invalid ONNX file: {shown(path)} ({error}).",
            remedy="edgeseg export",
            code="model/not-onnx",
        ) from error
    return card_from_metadata(metadata, path)


def check_tensors(found: Mapping[str, Sequence[object]], card: GraphCard, path: Path) -> None:
    """ModelError unless a graph's inputs and outputs have the shapes that its metadata tells.

    found: name -> shape
    """
    for name, (shape, _) in tensor_types(card).items():
        if tuple(found.get(name, ())) != shape:
            raise ModelError(
                f"{shown(path)} has {name} {list(found[name]) if name in found else 'nowhere'} "
                f"(expected {list(shape)}, as its metadata says)",
                remedy="edgeseg export RUN",
                code="model/damaged-metadata",
            )


def _entry(message: bytes) -> tuple[str, str]:
    fields = {number: value.decode() for number, value in _fields(BytesIO(message), {KEY, VALUE})}
    return fields.get(KEY, ""), fields.get(VALUE, "")


def _fields(message: BinaryIO, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    """Yield (number, bytes) of the wanted length-delimited fields; ValueError if malformed."""
    size = message.seek(0, SEEK_END)
    message.seek(0)
    while message.tell() < size:
        number, wire = divmod(_varint(message), 8)
        if wire == _VARINT:
            _varint(message)
            continue
        if wire != _LENGTH and wire not in _WIDTHS:
            raise ValueError(f"field {number} has the unknown wire type {wire}")
        length = _varint(message) if wire == _LENGTH else _WIDTHS[wire]
        if message.tell() + length > size:
            raise ValueError(f"truncated within field {number}")
        if number in wanted and length > limit("EDGESEG_MAX_JSON_MB") << 20:
            raise ValueError(f"field {number} is too large; EDGESEG_MAX_JSON_MB raises the limit")
        if wire == _LENGTH and number in wanted:
            yield number, message.read(length)
        else:
            message.seek(length, SEEK_CUR)


def _varint(message: BinaryIO) -> int:
    """Read a varint: seven bits a byte, lowest first; the last byte has its top bit clear."""
    number = 0
    for place, byte in enumerate(message.read(1) for _ in range(_LONGEST)):
        if not byte:
            raise ValueError("truncated within a number")
        number |= (byte[0] & 0x7F) << 7 * place
        if byte[0] < 0x80:
            return number
    raise ValueError("a number of more than 10 bytes")
