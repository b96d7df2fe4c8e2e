"""A batch of rows → a table of answers: what every engine does, on every machine."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from edge_adder.contract import DIGITS
from edge_adder.errors import EdgeAdderError, one_line
from edge_adder.limits import DEFAULT_MAX_PIXELS
from edge_adder.predictor import EdgeAdder
from edge_adder.preprocessing.decode import name_of
from edge_adder.preprocessing.polarity import Ink
from edge_adder.preprocessing.prepare import UNCHANGED
from edge_adder.score.inputs import Row, is_uri
from edge_adder.tables import load_pyarrow

PART_ROWS = 2_000
"""Rows of a part: what a machine that goes down loses, seconds to minutes of work."""

BATCH_ROWS = 128
"""Rows that a process is given at once, and that the network runs on together."""

BATCH_BYTES = 64 * 2**20
"""Size of the pictures from which on a batch with pictures in it is cut short."""

RUNNING = -1
"""Stands for the network in the place of the row that is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the answers depend on, beside the input and the model.

    Attributes:
        ink: As in `EdgeAdder.predict`.
        max_pixels: As in `EdgeAdder.predict`.
        details: Whether the answers say how each picture was prepared.
        labels: Whether they have the labels of the input.
        format: ``parquet``, ``csv`` or ``jsonl``.
        part_rows: Largest number of rows of a part.
        batch_rows: Largest number of rows of a batch. Probabilities may differ in the last digits
            between sizes, since the network adds in another order.
        batch_bytes: As `BATCH_BYTES`.
    """

    ink: Ink = "auto"
    max_pixels: int = DEFAULT_MAX_PIXELS
    details: bool = False
    labels: bool = False
    format: str = "parquet"
    part_rows: int = PART_ROWS
    batch_rows: int = BATCH_ROWS
    batch_bytes: int = BATCH_BYTES


class Batch(NamedTuple):
    """Rows that the network runs on together.

    Attributes:
        place: Place of the batch in this run, from 0.
        rows: The rows.
    """

    place: int
    rows: list[Row]

    @property
    def size_bytes(self) -> int:
        """Size of the pictures that it holds; paths hold none."""
        return sum(map(_bytes_of, self.rows))


def cut(rows: Iterable[Row], options: Options) -> Iterator[Batch]:
    """Cut rows into batches, none of which reaches over the end of a part.

    Args:
        rows: The rows, from the beginning of a part on.
        options: Sizes of parts and batches.
    """
    rows, places = iter(rows), itertools.count()
    for first in rows:
        batch, size = [first], _bytes_of(first)
        for row in itertools.islice(rows, options.part_rows - 1):
            if len(batch) == options.batch_rows or size + _bytes_of(row) > options.batch_bytes:
                yield Batch(next(places), batch)
                batch, size = [], 0
            batch.append(row)
            size += _bytes_of(row)
        yield Batch(next(places), batch)


def _bytes_of(row: Row) -> int:
    return len(row.source) if isinstance(row.source, bytes) else 0


def answer(
    adder: EdgeAdder,
    rows: list[Row],
    options: Options,
    *,
    lost: Mapping[int, str] | None = None,
    reading: Callable[[int], object] = lambda _: None,
) -> Any:
    """Answer a batch of rows.

    Args:
        adder: The model.
        rows: The rows.
        options: How they are read, and which columns the answers have.
        lost: Errors of rows that are not to be read, by index.
        reading: Is called with the index of each row before it is read, and then with `RUNNING`.

    Returns:
        A `pyarrow.Table` of `schema(options)`, a row for each.

    Raises:
        ModelError: The model's answer is not a log-probability.
    """
    lost = lost or {}
    unread: dict[int, str] = dict(lost)

    def sources() -> Iterator[Any]:
        for index, row in enumerate(rows):
            reading(index)
            yield b"" if index in lost else _load(row.source, index, unread)
        reading(RUNNING)

    found = adder.predict_columns(
        sources(),
        [row.number for row in rows],
        ink=options.ink,
        max_pixels=options.max_pixels,
        batch_size=options.batch_rows + 1,  # so that the sources end before the network runs
        workers=1,
        on_error="return",
    )
    errors = {
        index: _describe(rows[index], error) for index, error in found.errors.items()
    } | unread
    missing = np.array([index in errors for index in range(len(rows))])
    columns: dict[str, Any] = {
        "image": [_printable(row.name) for row in rows],
        "number": [_digit(row.number) for row in rows],
    }
    for name in ("digit", "sum", "digit_probability", "sum_probability", "uncertain"):
        columns[name] = np.ma.masked_array(getattr(found, name), missing)
    columns["error"] = [errors.get(index) for index in range(len(rows))]
    if options.labels:
        columns["label"] = [_digit(row.label) for row in rows]
    if options.details:
        columns["preparation"] = [
            None if index in errors else _details(found.preparations.get(index, UNCHANGED))
            for index in range(len(rows))
        ]
    return _table(columns, options)


@functools.cache
def schema(options: Options) -> Any:
    """Return the columns of the answers as a `pyarrow.Schema`."""
    pa = load_pyarrow("edge-adder score")
    columns = [
        ("image", pa.string()),
        ("number", pa.int8()),
        ("digit", pa.int8()),
        ("sum", pa.int8()),
        ("digit_probability", pa.float64()),
        ("sum_probability", pa.float64()),
        ("uncertain", pa.bool_()),
        ("error", pa.string()),
    ]
    if options.labels:
        columns.append(("label", pa.int8()))
    if options.details:
        kinds = {"box": pa.list_(pa.float64()), "stroke_width": pa.float64()}
        flags = ("unchanged", "is_multi_frame", "doubtful")
        kinds |= dict.fromkeys(flags, pa.bool_())
        names = [field.name for field in fields(UNCHANGED)]
        columns.append(
            ("preparation", pa.struct([(name, kinds.get(name, pa.string())) for name in names]))
        )
    return pa.schema(columns)


def _table(columns: dict[str, Any], options: Options) -> Any:
    pa = load_pyarrow("edge-adder score")
    wanted = schema(options)
    arrays = []
    for field in wanted:
        values = columns[field.name]
        if isinstance(values, np.ma.MaskedArray):
            arrays.append(pa.array(values.data, mask=values.mask).cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.table(arrays, schema=wanted)


def _load(source: Any, index: int, unread: dict[int, str]) -> Any:
    """Return what the library takes: the bytes behind a URI, and anything else as it is."""
    if not (isinstance(source, str) and is_uri(source)):
        return source
    file_systems = load_pyarrow("an address of a picture", "pyarrow.fs")
    try:
        system, path = file_systems.FileSystem.from_uri(source)
        with system.open_input_stream(path) as stream:
            return stream.read()
    except (OSError, ValueError) as error:  # pyarrow's errors are these
        unread[index] = f"cannot be read: {one_line(error)}"
        return b""


def _describe(row: Row, error: EdgeAdderError) -> str:
    return str(error).removeprefix(f"{name_of(row.source)}: ")


def _details(preparation: Any) -> dict[str, Any]:
    return asdict(preparation) | {"box": preparation.box and list(preparation.box)}


def _digit(value: object) -> int | None:
    """Return a number from 0 to 9; None for anything else."""
    is_digit = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < DIGITS
    return value if is_digit else None  # type: ignore[return-value]


def _printable(name: str) -> str:
    """Return a file's name as UTF-8 can hold it."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
