"""Score inputs: survey them, answer what is not on disk yet, and write it part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from edge_adder.errors import InputError
from edge_adder.predictor import EdgeAdder
from edge_adder.score.answers import PART_ROWS, Batch, Options, cut
from edge_adder.score.inputs import Inputs
from edge_adder.score.parts import Output, read_manifest
from edge_adder.tables import load_pyarrow

Engine = Callable[[EdgeAdder, Iterable[Batch], Options], Iterator[Any]]
"""Answers batches: yields the table of each in order, and None where the caller gets a turn."""


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches that are not on disk yet, read anew by each iteration; can be pickled.

    Attributes:
        inputs: What is scored.
        start: Number of rows that are on disk.
        options: Sizes of parts and batches.
    """

    inputs: Inputs
    start: int
    options: Options

    def __iter__(self) -> Iterator[Batch]:
        return cut(self.inputs.rows(self.start), self.options)


class Progress(NamedTuple):
    """How far a run is.

    Attributes:
        rows: Number of rows with an answer, or an error.
        total: Number of all rows.
        errors: Number of rows without an answer.
        before: Number of rows that an earlier run had written.
    """

    rows: int
    total: int
    errors: int
    before: int


class Summary(NamedTuple):
    """What a finished table holds.

    Attributes:
        rows: Number of rows.
        errors: Number of rows without an answer.
        uncertain: Number of rows with an uncertain answer.
        parts: Number of parts.
    """

    rows: int
    errors: int
    uncertain: int
    parts: int


def score(
    adder: EdgeAdder,
    inputs: Inputs,
    folder: Path,
    options: Options,
    *,
    engine: Engine,
    part_rows: int | None = None,
    resume: bool = False,
    progress: Callable[[Progress], object] = lambda _: None,
) -> Summary:
    """Write a table of answers as a folder of parts.

    Args:
        adder: The model.
        inputs: What is scored.
        folder: Where the parts go.
        options: How the pictures are read, and how the table is written.
        engine: What answers the batches.
        part_rows: Largest number of rows of a part; None for that of the run that goes on, or
            `PART_ROWS`.
        resume: Whether to go on with the run in the folder.
        progress: Is called with how far the run is, at least every second or so.

    Raises:
        InputError: An input or an option cannot be used, or the folder holds another run.
        FileAccessError: Something cannot be read or written. What is on disk can be resumed.
        EdgeAdderError: What the engine raises.
    """
    survey = inputs.survey()
    options = replace(
        options,
        labels=survey.has_labels,
        part_rows=part_rows or _part_rows_of(folder) or PART_ROWS,
    )
    run = {
        "input": {
            "rows": survey.rows,
            "number": inputs.number,
            "fingerprint": survey.fingerprint,
        },
        "model": {"sha256": adder.model_sha256},
        "options": asdict(options),
    }
    output = Output(folder, run, resume=resume)
    before = output.rows
    errors = sum(part.errors for part in output.parts)
    answered = engine(adder, Batches(inputs, before, options), options)
    rows = begun = before
    part: list[Any] = []
    whole = None  # is written when a row follows: the last row of a file that was cut is half a row
    progress(Progress(rows, survey.rows, errors, before))
    for table in answered:
        if table is not None:
            if whole is not None:
                output.add(whole)
                whole = None
            part.append(table)
            rows += table.num_rows
            errors += table.num_rows - table["error"].null_count
            if rows > survey.rows:
                break
            if rows - begun == options.part_rows or rows == survey.rows:
                whole, part, begun = _join(part), [], rows
        progress(Progress(rows, survey.rows, errors, before))
    if rows == survey.rows and whole is not None:
        output.add(whole)
    if rows != survey.rows:
        raise InputError(
            f"the input has changed: expected {survey.rows:,} rows, got {rows:,}; start again in "
            "another folder"
        )
    uncertain = sum(each.uncertain for each in output.parts)
    return Summary(rows, errors, uncertain, len(output.parts))


def _part_rows_of(folder: Path) -> int | None:
    """Return the size of the parts that a folder holds; None if it holds none."""
    found = read_manifest(folder)
    return None if found is None else found.get("options", {}).get("part_rows")


def _join(tables: list[Any]) -> Any:
    """Return one table of many, in one piece, so that it is written the same however it was cut."""
    return load_pyarrow("edge-adder score").concat_tables(tables).combine_chunks()
