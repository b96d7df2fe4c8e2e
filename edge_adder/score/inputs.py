"""What is scored: folders, patterns, lists, tables and IDX files → rows, in a fixed order.

They are read twice: once to count them, and again for their answers. Neither keeps more in memory
than the names in one folder, or one IDX file.
"""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder import tables
from edge_adder.errors import FileAccessError, InputError
from edge_adder.evaluation.datasets import is_idx_images, read_idx_images, walk_pictures

IMAGE, NUMBER, LABEL = "image", "number", "label"
"""Columns of a table. A label is passed on to the answers, for `edge-adder evaluate`."""


class Row(NamedTuple):
    """One picture to answer.

    Attributes:
        name: As it stands in the column ``image`` of the answers.
        source: What `EdgeAdder.predict` takes, or a URI; None where only names are read.
        number: What to add, as it was given.
        label: The picture's digit as the table has it; None without one.
    """

    name: str
    source: str | bytes | NDArray[np.uint8] | None
    number: Any
    label: Any = None


class Survey(NamedTuple):
    """What the first reading found.

    Attributes:
        rows: Number of rows.
        fingerprint: SHA-256 of all names, numbers and labels in their order, of the content of IDX
            files, and of the footers of tables with pictures in them.
        has_labels: Whether a table has labels.
    """

    rows: int
    fingerprint: str
    has_labels: bool


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs as the user named them.

    Attributes:
        names: Folders, patterns, tables, IDX files and pictures.
        lists: Files with the name of a picture on each line.
        number: What to add to every digit; None for the numbers in the tables.
        number_column: The column of the tables that has them.
    """

    names: tuple[str, ...]
    lists: tuple[Path, ...] = ()
    number: int | None = None
    number_column: str = NUMBER

    def survey(self) -> Survey:
        """Read the names of all rows.

        Raises:
            InputError: An input cannot be used, or there is no picture.
            FileAccessError: One exists and cannot be read.
        """
        digest = hashlib.sha256()
        count = 0
        for row in self.rows(with_sources=False):
            line = f"{row.name}\0{row.number}\0{row.label}\n"
            digest.update(line.encode(errors="surrogateescape"))
            count += 1
        if not count:
            raise InputError(f"no pictures in {', '.join(self.names) or 'the list'}")
        for name in self.names:
            if is_idx_images(name):
                digest.update(read_idx_images(Path(name)).tobytes())
            elif tables.is_table(name) and tables.has_bytes(Path(name), IMAGE):
                digest.update(tables.read_footer(Path(name)))
        labelled = any(tables.is_table(each) and _has_labels(Path(each)) for each in self.names)
        return Survey(count, digest.hexdigest(), labelled)

    def rows(self, start: int = 0, *, with_sources: bool = True) -> Iterator[Row]:
        """Yield the rows of all inputs, then those of the lists.

        Args:
            start: Number of rows to leave out at the beginning.
            with_sources: Whether pictures within tables are read, too.

        Raises:
            InputError: An input cannot be used.
            FileAccessError: One exists and cannot be read.
        """
        for name in self.names:
            if tables.is_table(name):
                held = tables.count_rows(Path(name)) if start else 0
                yield from self._table_rows(Path(name), min(start, held), with_sources)
                start -= min(start, held)
            else:
                for row in self._other_rows(name):
                    if start:
                        start -= 1
                    else:
                        yield row
        for path in self.lists:
            for row in self._list_rows(path):
                if start:
                    start -= 1
                else:
                    yield row

    def _table_rows(self, table: Path, start: int, with_sources: bool) -> Iterator[Row]:
        columns = [IMAGE]
        if self.number is None:
            columns.append(self.number_column)
        if _has_labels(table):
            columns.append(LABEL)
        embedded = tables.has_bytes(table, IMAGE)
        if embedded and not with_sources:
            columns.remove(IMAGE)
        for index, values in enumerate(tables.read_rows(table, columns, start), start):
            row = dict(zip(columns, values, strict=True))
            source = row.get(IMAGE)
            number = (
                _to_integer(row.get(self.number_column)) if self.number is None else self.number
            )
            name = f"{table}[{index}]" if embedded else str(source or "")
            yield Row(name, source or b"", number, _to_integer(row.get(LABEL)))

    def _other_rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of anything but a table."""
        number = self._number_for(name)
        if is_idx_images(name):
            for index, image in enumerate(read_idx_images(Path(name))):
                yield Row(f"{name}[{index}]", image, number)
        else:
            for picture in _find_pictures(name):
                yield Row(picture, picture, number)

    def _list_rows(self, path: Path) -> Iterator[Row]:
        number = self._number_for("a list")
        try:
            with path.open(encoding="utf-8", errors="surrogateescape") as lines:
                for line in lines:
                    if name := line.rstrip("\r\n"):
                        yield Row(name, name, number)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file") from error
        except OSError as error:
            raise FileAccessError(f"{path}: cannot be read: {error.strerror or error}") from error

    def _number_for(self, name: str) -> int:
        if self.number is None:
            raise InputError(
                f"{name} has no column of numbers: name the number to add with --number"
            )
        return self.number


def is_uri(name: str) -> bool:
    """Check whether a name is one of pyarrow's file systems', such as ``s3://bucket/7.png``."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name) is not None


def _find_pictures(name: str) -> Iterator[str]:
    """Yield the pictures that a name stands for: a folder, a pattern, or one picture."""
    path = Path(name)
    try:
        if path.is_dir():
            yield from map(str, walk_pictures(path, max_files=None))
        elif path.exists() or is_uri(name):
            yield name
        elif glob.has_magic(name):
            yield from sorted(glob.iglob(name, recursive=True))  # noqa: PTH207  as it was named
        else:
            raise InputError(f"{name}: no such file or folder")
    except OSError as error:
        where = error.filename or name
        raise FileAccessError(f"cannot read {where}: {error.strerror or error}") from error


def _has_labels(table: Path) -> bool:
    return LABEL in tables.column_names(table)


def _to_integer(value: Any) -> Any:
    """Return a number in a table's text as one; anything else as it is, to be refused later."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
