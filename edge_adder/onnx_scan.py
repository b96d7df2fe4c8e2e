"""What an ONNX file needs besides itself: custom operators, weights in other files.

A walk over the file's protobuf encoding, before onnxruntime opens the file. It looks at a few
fields and skips all others, such as names, shapes and weights. Standard library only.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

MAX_FIELDS = 200_000
"""Maximum number of fields in a file, which take some tenths of a second; the bundled model has
390."""

FIELDS: dict[str, dict[int, str]] = {
    "ModelProto": {
        7: "GraphProto",
        8: "OperatorSetIdProto",
        20: "TrainingInfoProto",
        25: "FunctionProto",
    },
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto", 7: "domain"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "FunctionProto": {
        7: "NodeProto",
        9: "OperatorSetIdProto",
        10: "domain",
        11: "AttributeProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "OperatorSetIdProto": {1: "domain"},
    "TensorProto": {13: "external_data", 14: "data_location"},
}
"""Message → field number → the message in that field, or its name. The part of ``onnx.proto``
through which operators and tensors are reached; a test compares it with the package onnx."""

_VARINT, _LENGTH = 0, 2  # protobuf's wire types
_FIXED_SIZES = {1: 8, 5: 4}  # in bytes, by wire type
_TAGS = {
    message: {
        number << 3 | (_VARINT if name == "data_location" else _LENGTH): name
        for number, name in fields.items()
    }
    for message, fields in FIELDS.items()
}


class Requirements(NamedTuple):
    """What an ONNX file needs besides itself.

    Attributes:
        domains: Domains of its operators, functions and operator sets; ``""`` is ONNX's own.
        external_data: Whether a tensor has its data in another file.
    """

    domains: frozenset[str]
    external_data: bool


def scan(data: bytes) -> Requirements:
    """Find what an ONNX file needs besides itself.

    Args:
        data: Content of the whole file.

    Raises:
        ValueError: It is not protobuf, is cut off, or has more than `MAX_FIELDS`.
    """
    domains = set()
    external_data = False
    counter = itertools.count(1)
    pending = [("ModelProto", 0, len(data))]
    while pending:
        for name, start, end in _known_fields(data, *pending.pop(), counter):
            if name in FIELDS:
                pending.append((name, start, end))
            elif name == "domain":
                domains.add(data[start:end].decode(errors="replace"))
            elif name == "external_data" or any(data[start:end]):  # data_location 0: in this file
                external_data = True
    return Requirements(frozenset(domains), external_data)


def _known_fields(
    data: bytes, message: str, at: int, end: int, counter: Iterator[int]
) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of each field of a message that is in `FIELDS`; count all."""
    known = _TAGS[message]
    while at < end:
        if next(counter) > MAX_FIELDS:
            raise ValueError(f"it has more than {MAX_FIELDS:,} fields")
        field_start = at
        tag, at = read_varint(data, at, end)
        kind = tag & 7
        start = at
        if kind == _LENGTH:
            size, start = read_varint(data, at, end)
            at = start + size
        elif kind == _VARINT:
            _, at = read_varint(data, at, end)
        elif kind in _FIXED_SIZES:
            at += _FIXED_SIZES[kind]
        else:
            tag = 0
        if not 8 <= tag < 2**32:  # the number 0, or one that wraps around in other readers
            raise ValueError(f"no field begins at byte {field_start:,}")
        if at > end:
            raise ValueError(f"it ends within the field that begins at byte {field_start:,}")
        if tag in known:
            yield known[tag], start, at


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Read a number of variable length; return it with the position after it."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        if byte < 0x80:
            return value | byte << shift, at
        value |= (byte & 0x7F) << shift
        shift += 7
    raise ValueError(f"it ends within a number, or has none, at byte {at:,}")
