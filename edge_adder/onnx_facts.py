"""What an ONNX file holds, counted from its own bytes, whatever its metadata claims.

A walk over the file's protobuf encoding, as in `edge_adder.onnx_scan`, so that no other package is
needed. Standard library only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from edge_adder.onnx_scan import read_varint

DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    6: "int32",
    7: "int64",
    9: "bool",
    10: "float16",
    11: "float64",
    16: "bfloat16",
}
"""Names of TensorProto's most usual data types."""

_WEIGHTS = ("float32", "float16", "bfloat16", "float64", "int8", "uint8")
"""Data types of weights; others are of shapes and indices."""

_VARINT, _LENGTH = 0, 2  # protobuf's wire types
_FIXED_SIZES = {1: 8, 5: 4}


def measure(data: bytes) -> dict[str, Any]:
    """Return what a valid ONNX file holds, in JSON's types.

    Args:
        data: Content of the whole file.

    Returns:
        ``precision``, the data type of most weights; ``values``, how many numbers are stored of
        each data type; ``operators``, how often each stands in the graph; ``opset``,
        ``ir_version`` and ``producer``.
    """
    facts: dict[str, Any] = {"producer": ""}
    operators: Counter[str] = Counter()
    values: Counter[str] = Counter()
    for number, value in _fields(data):
        if number == 1:
            facts["ir_version"] = value
        elif number == 2:
            facts["producer"] = _text(value)
        elif number == 7:
            _count_graph(value, operators, values)
        elif number == 8:
            parts = dict(_fields(value))
            if not parts.get(1):  # ONNX's own operators
                facts["opset"] = parts.get(2)
    weights = {name: values[name] for name in _WEIGHTS if values[name]}
    return {
        "precision": max(weights, key=lambda name: weights[name]) if weights else None,
        "values": dict(sorted(values.items())),
        "operators": dict(sorted(operators.items())),
        **facts,
    }


def _count_graph(graph: bytes, operators: Counter[str], values: Counter[str]) -> None:
    for number, value in _fields(graph):
        if number == 1:
            _count_node(value, operators, values)
        elif number == 5:
            _count_tensor(value, values)


def _count_node(node: bytes, operators: Counter[str], values: Counter[str]) -> None:
    for number, value in _fields(node):
        if number == 4:
            operators[_text(value)] += 1
        elif number == 5:
            for part, content in _fields(value):  # an attribute: a tensor, or the graph of an If
                if part == 5:
                    _count_tensor(content, values)
                elif part == 6:
                    _count_graph(content, operators, values)


def _count_tensor(tensor: bytes, values: Counter[str]) -> None:
    shape: list[int] = []
    dtype = 0
    for number, value in _fields(tensor):
        if number == 1:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == 2:
            dtype = value
    values[DTYPES.get(dtype, f"type {dtype}")] += math.prod(shape)


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a message: an int, or bytes."""
    at, end = 0, len(data)
    while at < end:
        tag, at = read_varint(data, at, end)
        kind = tag & 7
        if kind == _LENGTH:
            size, at = read_varint(data, at, end)
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind == _VARINT:
            value, at = read_varint(data, at, end)
            yield tag >> 3, value
        else:
            at += _FIXED_SIZES[kind]


def _packed(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = read_varint(data, at, len(data))
        found.append(value)
    return found


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
