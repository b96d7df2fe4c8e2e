"""Fields of a protobuf file, to build and change models without the package onnx."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """Encode a number of variable length."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | str | bytes) -> bytes:
    """Encode a field: a number, or text or bytes (such as a nested message) with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content
