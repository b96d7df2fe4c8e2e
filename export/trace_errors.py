"""What PyTorch's exporter says about a network that it cannot trace, as one readable line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from torch import nn

from .networks import own

_CAUSES = (
    (
        r"data-dependent|DataDependent|torch\.cond|aten\._local_scalar_dense",
        "forward decides by the values of its inputs, which a graph cannot: compute both ways, "
        "and choose with torch.where",
    ),
    (
        r"Constraints violated|ConstraintViolation|specialized|not all values of",
        "forward fixes the batch size: use image.shape[0] without int(), or -1 in view and "
        "reshape, or pass --batch N",
    ),
    (
        r"numpy\(\)|from_numpy|\bnumpy\b|FakeTensor",
        "forward leaves PyTorch, with numpy() or the like: use tensor operations alone",
    ),
)
"""Texts of `torch.export`'s errors, and what to change."""

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def describe_trace_error(error: BaseException, network: nn.Module) -> str:
    """Return what `torch.onnx.export` could not do, and what to change, as one line."""
    chain = [*_causes(error)]
    text = _ESCAPES.sub("", "\n".join(f"{type(each).__name__}: {each}" for each in chain))
    where = _line(text, chain, own.source_file(type(network)))
    for pattern, advice in _CAUSES:
        if re.search(pattern, text):
            return f"cannot be traced{where}: {advice}"
    root = chain[-1]
    lines = _ESCAPES.sub("", str(root)).strip().splitlines() or [""]
    return f"cannot be traced{where}: {type(root).__name__}: {' '.join(lines[0].split())[:200]}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an exception and what it was raised from, the deepest last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _line(text: str, chain: list[BaseException], file: Path | None) -> str:
    """Return the line of the network's file that a traceback or a message names last."""
    if file is None:
        return ""
    for each in reversed(chain):
        line = own.line_in(each, file)
        if line:
            return f" at {line}"
    named = re.findall(rf'{re.escape(str(file))}"?[:,] ?(?:line )?(\d+)', text)
    return f" at line {named[-1]}" if named else ""
