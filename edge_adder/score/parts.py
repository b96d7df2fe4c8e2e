"""The table on disk: a folder of parts beside a manifest, from which a run goes on.

A part is written beside its place, synced and renamed; then the manifest names it. A run that is
cut off between the two writes the same part again.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_adder import __version__
from edge_adder.contract import differences
from edge_adder.errors import FileAccessError, InputError
from edge_adder.files import make_folder, read_file, write_atomically
from edge_adder.preprocessing.polarity import INKS
from edge_adder.score.answers import Options
from edge_adder.tables import load_pyarrow

MANIFEST = "_manifest.json"
"""Its name begins as pyarrow and Spark expect it of a file that is no part of the table."""

FORMATS = ("parquet", "csv", "jsonl")
"""Formats of a part, and the suffix of its name."""

_VERSION = 1
_MAX_MANIFEST_BYTES = 2**28


@dataclass(frozen=True, slots=True)
class Part:
    """A part that is on disk, as the manifest has it.

    Attributes:
        file: Its name in the folder.
        rows: Number of rows.
        errors: Number of those without an answer.
        uncertain: Number of those with an uncertain one.
        sha256: SHA-256 of the file.
    """

    file: str
    rows: int
    errors: int
    uncertain: int
    sha256: str


class Output:
    """The folder of one run.

    Args:
        folder: Its path; it is made if it is missing.
        run: What the answers depend on, in JSON's types: ``input``, ``model`` and ``options``.
        resume: Whether to go on with the run whose parts it holds.

    Raises:
        InputError: The folder holds a run and `resume` is False, or another run.
        FileAccessError: The folder cannot be read or written.
    """

    def __init__(self, folder: Path, run: dict[str, Any], *, resume: bool) -> None:
        self.folder = folder
        self._run = {"version": _VERSION, "edge_adder": __version__} | run
        self._format = run["options"]["format"]
        make_folder(folder)
        self.parts = self._find_parts(resume=resume)
        self._write_manifest()

    @property
    def rows(self) -> int:
        """Number of rows that are on disk."""
        return sum(part.rows for part in self.parts)

    def add(self, table: Any) -> None:
        """Write the next part.

        Args:
            table: A `pyarrow.Table` of the answers.

        Raises:
            FileAccessError: It cannot be written; what is there stays as it is.
        """
        name = f"part-{len(self.parts):05}.{self._format}"
        data = encode(table, self._format)
        write_atomically(self.folder / name, data)
        self.parts.append(
            Part(
                file=name,
                rows=table.num_rows,
                errors=table.num_rows - table["error"].null_count,
                uncertain=sum(filter(None, table["uncertain"].to_pylist())),
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
        self._write_manifest()

    def _find_parts(self, *, resume: bool) -> list[Part]:
        """Return the parts of the run that is to go on, up to the first that is not as written."""
        found = read_manifest(self.folder)
        if found is None:
            visible = [path.name for path in self._list() if not path.name.startswith(".")]
            if visible and not resume:
                raise InputError(f"{self.folder} is not empty: name another folder with --out")
            return []
        if not resume:
            raise InputError(
                f"{self.folder} has the answers of an earlier run: add --resume, or name another "
                "folder with --out"
            )
        parts = found.pop("parts")
        changed = list(differences(found, self._run, "the run"))
        if changed:
            raise InputError(f"{self.folder} has another run: {'; '.join(changed)}")
        whole = []
        for part in (Part(**each) for each in parts):
            if not self._is_whole(part):
                break
            whole.append(part)
        return whole

    def _is_whole(self, part: Part) -> bool:
        path = self.folder / part.file
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == part.sha256
        except FileNotFoundError:
            return False
        except OSError as error:
            raise FileAccessError(f"{path}: cannot be read: {error.strerror or error}") from error

    def _list(self) -> Iterator[Path]:
        try:
            yield from self.folder.iterdir()
        except OSError as error:
            raise FileAccessError(f"cannot read {self.folder}: {error.strerror}") from error

    def _write_manifest(self) -> None:
        content = self._run | {"parts": [asdict(part) for part in self.parts]}
        write_atomically(self.folder / MANIFEST, (json.dumps(content, indent=1) + "\n").encode())


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest in a folder; None without one.

    Raises:
        InputError: It is not one of ours.
        FileAccessError: It cannot be read.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        found = json.loads(read_file(path, limit=_MAX_MANIFEST_BYTES, what="a manifest"))
        found["parts"] = [asdict(Part(**part)) for part in found["parts"]]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is not a manifest of edge-adder score") from error
    return found  # type: ignore[no-any-return]


def encode(table: Any, name: str) -> bytes:
    """Return a table in one of `FORMATS`."""
    if name == "jsonl":
        rows = (json.dumps(row, allow_nan=False) + "\n" for row in table.to_pylist())
        return "".join(rows).encode()
    buffer = io.BytesIO()
    if name == "csv":
        load_pyarrow("edge-adder score", "pyarrow.csv").write_csv(_flatten(table), buffer)
    else:
        load_pyarrow("edge-adder score", "pyarrow.parquet").write_table(table, buffer)
    return buffer.getvalue()


def _flatten(table: Any) -> Any:
    """Return a table whose last column, if it is one of objects, has JSON's text instead."""
    if "preparation" not in table.column_names:
        return table
    pa = load_pyarrow("edge-adder score")
    texts = [row and json.dumps(row) for row in table["preparation"].to_pylist()]
    place = table.column_names.index("preparation")
    return table.set_column(place, "preparation", pa.array(texts, pa.string()))


def check_options(options: Options, part_rows: int | None) -> None:
    """Refuse options that cannot be kept, before anything is written.

    Raises:
        InputError: One of them cannot.
    """
    if options.format not in FORMATS:
        raise InputError(f"--format must be one of {', '.join(FORMATS)}, got {options.format!r}")
    if options.ink not in INKS:
        raise InputError(f"--ink must be one of {', '.join(INKS)}, got {options.ink!r}")
    if part_rows is not None and part_rows < 1:
        raise InputError(f"--part-rows must be at least 1, got {part_rows}")
