"""Markdown that the benchmarks write: tables, figures in cells, blocks of a document."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path

from edge_adder.errors import InputError
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are aligned to the right."""
    lines = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def plural(count: int, noun: str) -> str:
    """Return such as ``1 thread`` or ``2 threads``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def mean_and_deviation(fractions: Sequence[float]) -> str:
    """Return mean and standard deviation, such as ``99.57 % ± 0.031 %``.

    Args:
        fractions: 0 to 1. A single one has no deviation, and none give an empty text.
    """
    if len(fractions) < 2:
        return "".join(percent(each) for each in fractions)
    return f"{percent(statistics.mean(fractions))} ± {percent(statistics.stdev(fractions), 3)}"


def replace_block(document: Path, name: str, content: str) -> None:
    """Replace what a document has between ``<!-- NAME: … -->`` and ``<!-- /NAME -->``.

    Raises:
        InputError: The document does not have exactly one such block.
        FileAccessError: It cannot be written.
    """
    block = re.compile(f"(<!-- {name}: [^>]*-->\n).*(\n<!-- /{name} -->)", re.DOTALL)
    updated, count = block.subn(lambda m: m[1] + content + m[2], document.read_text())
    if count != 1:
        raise InputError(f"{document} has {count} blocks {name!r}, expected one")
    write_atomically(document, updated.encode())
