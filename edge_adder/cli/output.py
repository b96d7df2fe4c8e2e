"""What commands print: results to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator

import typer


def print_json(value: object) -> None:
    """Print a value as one line of JSON, which has no NaN."""
    print(json.dumps(value, allow_nan=False))


def say(line: str) -> None:
    """Print a line to stderr, unless that is closed."""
    if sys.stderr is not None:
        print(f"edge-adder: {printable(line)}", file=sys.stderr)


def say_progress(part: str) -> None:
    """Say what is being measured, if stderr is a terminal."""
    if _is_terminal():
        say(f"measuring {part}")


@contextlib.contextmanager
def progress_bar(length: int, label: str) -> Iterator[Callable[[int], object]]:
    """Show a bar while the context lasts, if stderr is a terminal.

    Args:
        length: Number of steps.
        label: What the steps are, such as ``images``.

    Yields:
        A function to call with the number of steps that were taken.
    """
    if not _is_terminal():
        yield lambda _: None
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def printable(text: str) -> str:
    """Return text with line ends and other control characters escaped, so that it is one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
