"""What commands print: results to stdout, everything else to stderr; and where they write."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import typer

from edge_adder.errors import FileAccessError


def print_json(value: object) -> None:
    """Print a value as one line of JSON, which has no NaN."""
    print(json.dumps(value, allow_nan=False))


def print_coloured(line: str, colour: str | None) -> None:
    """Print a line in a colour if stdout is a terminal, and `NO_COLOR` (no-color.org) is unset."""
    typer.secho(line, fg=colour, color=False if os.environ.get("NO_COLOR") else None)


def say(line: str) -> None:
    """Print a line to stderr, if that takes it; answers and exit codes never depend on it."""
    write_to_stderr(f"edge-adder: {printable(line)}\n")


def log_line(line: str) -> None:
    """Print a line to stderr as it is, if that takes it; for programs that read it."""
    write_to_stderr(f"{line}\n")


def say_traceback(error: BaseException) -> None:
    """Print an exception's traceback to stderr, as `say` does a line."""
    write_to_stderr("".join(traceback.format_exception(error)))


def write_to_stderr(text: str) -> None:
    """Write to stderr, if that takes it."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:  # what is left in the buffer would fail again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def say_progress(part: str) -> None:
    """Say what is being measured, if stderr is a terminal."""
    if is_terminal():
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
    if not is_terminal():
        yield lambda _: None
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def printable(text: str) -> str:
    """Return text with line ends and other control characters escaped, so that it is one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_folder(folder: Path) -> None:
    """Check before any work that `make_folder` will be able to make a folder, or find it.

    Raises:
        FileAccessError: It will not, as far as can be known now.
    """
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not place.is_dir():
        raise FileAccessError(f"cannot make folder {folder}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise FileAccessError(f"cannot write to folder {folder}: {place} is read-only")


def is_terminal() -> bool:
    """Check whether stderr is a terminal."""
    return sys.stderr is not None and sys.stderr.isatty()
