"""Tables in CSV, JSON Lines or Parquet, read row by row: memory does not grow with them.

pyarrow reads Parquet, and is imported for nothing else.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from edge_adder.errors import FileAccessError, InputError, one_line

SUFFIXES = (".csv", ".jsonl", ".parquet")
"""Suffixes of a table's name, in lower case."""

READ_AHEAD = 64
"""Rows of Parquet that are read together: with pictures in it they are large."""


def is_table(path: str | os.PathLike[str]) -> bool:
    """Check by its name whether a file is a table."""
    return os.fspath(path).lower().endswith(SUFFIXES)


def is_text(table: Path) -> bool:
    """Check by its name whether a table is one of text, which is read without pyarrow."""
    return not _is_parquet(table)


def column_names(table: Path) -> list[str]:
    """Return the names of a table's columns; none of an empty file of text.

    Raises:
        InputError: There is no such file, or it is no table.
        FileAccessError: It cannot be read.
    """
    if _is_parquet(table):
        return [str(name) for name in _open_parquet(table).schema_arrow.names]
    with _reading(table) as file:
        if _is_json(table):
            return list(_parse(next(file, "{}")))
        return next(csv.reader(file), [])


def read_rows(table: Path, columns: Sequence[str], start: int = 0) -> Iterator[tuple[Any, ...]]:
    """Yield the values of some columns, row by row.

    Args:
        table: The file. Values of CSV are texts, or None where a row is too short.
        columns: Their names.
        start: Number of rows to leave out at the beginning.

    Raises:
        InputError: There is no such file or column, or it is no table.
        FileAccessError: It cannot be read.
    """
    missing = [name for name in columns if name not in column_names(table)]
    if missing:
        raise InputError(
            f"{table} has no column {missing[0]!r}: expected the columns {' and '.join(columns)}"
        )
    return (_parquet_rows if _is_parquet(table) else _text_rows)(table, columns, start)


def count_rows(table: Path) -> int:
    """Return the number of a table's rows; CSV is read to its end."""
    if _is_parquet(table):
        return int(_open_parquet(table).metadata.num_rows)
    return sum(1 for _ in read_rows(table, []))


def has_bytes(table: Path, column: str) -> bool:
    """Check whether a column has bytes, such as whole pictures; CSV has only text."""
    if not _is_parquet(table) or column not in column_names(table):
        return False
    types = load_pyarrow("a Parquet table").types
    kind = _open_parquet(table).schema_arrow.field(column).type
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def read_footer(table: Path) -> bytes:
    """Return the end of a Parquet file: where its columns lie, how long they are, and their ranges.

    Raises:
        InputError: There is no such file, or it is no table.
        FileAccessError: It cannot be read.
    """
    _open_parquet(table)
    try:
        with table.open("rb") as file:
            file.seek(-8, os.SEEK_END)  # the footer's length, and a magic word (Parquet's format)
            length = int.from_bytes(file.read(4), "little")
            file.seek(-8 - length, os.SEEK_END)
            return file.read(length)
    except OSError as error:
        raise _unreadable(table, error) from error


def load_pyarrow(purpose: str, module: str = "pyarrow") -> Any:
    """Import pyarrow, or a module of it.

    Args:
        purpose: What needs it, for the message.
        module: Name of the module.

    Raises:
        InputError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(
            f"{purpose} needs pyarrow: run `pip install 'edge-adder[score]'` ({one_line(error)})"
        ) from error


def _is_parquet(table: Path) -> bool:
    return table.suffix.lower() == ".parquet"


def _is_json(table: Path) -> bool:
    return table.suffix.lower() == ".jsonl"


def _parse(line: str) -> dict[str, Any]:
    """Return the object in a line of JSON."""
    found = json.loads(line)
    if not isinstance(found, dict):
        raise ValueError(f"expected an object on each line, got {line.strip()[:50]!r}")  # noqa: TRY004
    return found


def _text_rows(table: Path, columns: Sequence[str], start: int) -> Iterator[tuple[Any, ...]]:
    with _reading(table) as file:
        rows = map(_parse, file) if _is_json(table) else csv.DictReader(file)
        for row in itertools.islice(rows, start, None):
            yield tuple(row.get(name) for name in columns)


@contextlib.contextmanager
def _reading(table: Path) -> Iterator[IO[str]]:
    """Open a table of text, and say in one line what is wrong with it."""
    _check_file(table)
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except (ValueError, csv.Error) as error:
        raise _no_table(table, error) from error
    except OSError as error:
        raise _unreadable(table, error) from error


def _parquet_rows(table: Path, columns: Sequence[str], start: int) -> Iterator[tuple[Any, ...]]:
    file = _open_parquet(table)
    if not columns:  # pyarrow would read no rows either
        yield from itertools.repeat((), max(0, file.metadata.num_rows - start))
        return
    groups: list[int] = []
    left = start
    for index in range(file.num_row_groups):
        rows = file.metadata.row_group(index).num_rows
        if groups or left < rows:
            groups.append(index)
        else:
            left -= rows  # a group that is left out as a whole is not read
    try:
        for batch in file.iter_batches(READ_AHEAD, row_groups=groups, columns=list(columns)):
            values = [batch.column(name).slice(left).to_pylist() for name in columns]
            left = max(0, left - batch.num_rows)
            yield from zip(*values, strict=True)
    except (ValueError, OSError) as error:  # pyarrow's errors are these
        raise _no_table(table, error) from error


def _open_parquet(table: Path) -> Any:
    parquet = load_pyarrow("a Parquet table", "pyarrow.parquet")
    _check_file(table)
    try:
        return parquet.ParquetFile(table)
    except ValueError as error:  # pyarrow's own
        raise _no_table(table, error) from error
    except OSError as error:
        raise _unreadable(table, error) from error


def _check_file(table: Path) -> None:
    """Refuse what cannot be read twice, such as a pipe."""
    if not table.exists():
        raise InputError(f"{table}: no such file")
    if not table.is_file():
        raise InputError(f"{table}: is no file, expected a table")


def _no_table(table: Path, error: Exception) -> InputError:
    return InputError(f"{table} is not a table: {one_line(error)}")


def _unreadable(table: Path, error: OSError) -> FileAccessError:
    return FileAccessError(f"{table}: cannot be read: {error.strerror or one_line(error)}")
