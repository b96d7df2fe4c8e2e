"""Fields of a protobuf file, to build and to change models where the package onnx is not."""

from __future__ import annotations


def varint(value: int) -> bytes:
    """A number of variable length."""
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | str | bytes) -> bytes:
    """A field: a number, or bytes with their length, such as those of the message in it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content
