"""`edge-adder score`."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from edge_adder.cli.options import ModelOption, ProviderOption, Sha256Option
from edge_adder.cli.output import check_folder, is_terminal, say, write_to_stderr
from edge_adder.cli.predict import (
    DEFAULT_MEGAPIXELS,
    STANDARD_INPUT,
    InkOption,
    MegapixelsOption,
    check_megapixels,
    to_pixels,
)
from edge_adder.contract import DIGITS
from edge_adder.environment import allowed_cores
from edge_adder.errors import ExitCode, InputError

if TYPE_CHECKING:
    from edge_adder.score.run import Engine, Progress, Summary

EXAMPLE = "edge-adder score scans --number 5 --out answers"

ENGINES = ("local", "ray")
PROGRESS = ("auto", "bar", "json", "none")

SECONDS_BETWEEN_LINES = 10.0
"""How often a line of JSON says how far the run is."""

InputsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT...",
        help="Folders, patterns in quotes, tables (.csv, .jsonl, .parquet) with the columns image "
        "and number, IDX files, or pictures.",
        show_default=False,
    ),
]
FromFileOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|-", help="List of pictures, one on each line; - for standard input."
    ),
]
NumberOption = Annotated[
    int | None,
    typer.Option(metavar="N", help=f"The number to add to every digit, 0 to {DIGITS - 1}."),
]
NumberColumnOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Column of the tables with the number to add.")
]
OutOption = Annotated[
    Path, typer.Option("--out", metavar="DIR", help="Folder for the parts of the table.")
]
FormatOption = Annotated[
    str, typer.Option("--format", metavar="parquet|csv|jsonl", help="Format of the parts.")
]
DetailsOption = Annotated[
    bool, typer.Option("--details", help="Also write how each picture was prepared.")
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on with the run whose parts are in --out.")
]
PartRowsOption = Annotated[
    int | None, typer.Option(metavar="N", help="Rows of a part (default: 2000).")
]
ProcessesOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Number of processes (default: the cores that this process may use).",
    ),
]
ProgressOption = Annotated[
    str,
    typer.Option(
        "--progress",
        metavar="|".join(PROGRESS),
        help="How to show progress; auto takes a bar on a terminal, and elsewhere a line of JSON "
        f"every {SECONDS_BETWEEN_LINES:.0f} seconds.",
    ),
]
EngineOption = Annotated[
    str,
    typer.Option(metavar="|".join(ENGINES), help="Processes on this machine, or actors of Ray."),
]
RayAddressOption = Annotated[
    str | None,
    typer.Option(metavar="A", help="Address of a Ray cluster (default: one that is started here)."),
]


def score(
    out: OutOption,
    inputs: InputsArgument = None,
    from_file: FromFileOption = None,
    number: NumberOption = None,
    number_column: NumberColumnOption = None,
    output_format: FormatOption = "parquet",
    details: DetailsOption = False,
    resume: ResumeOption = False,
    part_rows: PartRowsOption = None,
    processes: ProcessesOption = None,
    progress: ProgressOption = "auto",
    engine: EngineOption = "local",
    ray_address: RayAddressOption = None,
    model: ModelOption = None,
    provider: ProviderOption = "cpu",
    sha256: Sha256Option = None,
    ink: InkOption = "auto",
    max_megapixels: MegapixelsOption = DEFAULT_MEGAPIXELS,
) -> int:
    """Answer many pictures, on all cores, and write the answers as a table.

    The table is a folder of parts, with a row for each picture, in order. If the run is cut off,
    --resume goes on with it. Exits with 6 if an answer is uncertain or some pictures could not be
    read, and with 2 if none could.
    """
    if progress not in PROGRESS:
        raise InputError(f"--progress must be one of {', '.join(PROGRESS)}, got {progress!r}")
    if not inputs and from_file is None:
        raise InputError("expected an input: edge-adder score FOLDER --number N --out DIR")
    if number is not None and not 0 <= number < DIGITS:
        raise InputError(f"--number must be 0 to {DIGITS - 1}, got {number}")
    if number is not None and number_column is not None:
        raise InputError("expected --number or --number-column, got both")
    if engine not in ENGINES:
        raise InputError(f"--engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if ray_address is not None and engine != "ray":
        raise InputError("--ray-address needs --engine ray")
    check_megapixels(max_megapixels)
    check_folder(out)

    from edge_adder.tables import load_pyarrow

    load_pyarrow("edge-adder score")

    from edge_adder.predictor import EdgeAdder
    from edge_adder.score import local, run
    from edge_adder.score.answers import Options
    from edge_adder.score.inputs import NUMBER, Inputs
    from edge_adder.score.parts import check_options

    options = Options(
        ink=ink,  # type: ignore[arg-type]
        max_pixels=to_pixels(max_megapixels),
        details=details,
        format=output_format,
    )
    check_options(options, part_rows)
    adder = EdgeAdder(model, provider=provider, sha256=sha256)  # type: ignore[arg-type]
    processes = processes or allowed_cores()
    chosen: Engine = functools.partial(local.run, processes=processes)
    if engine == "ray":
        from edge_adder.score import ray_engine

        ray_engine.load_ray()
        chosen = functools.partial(ray_engine.run, processes=processes, address=ray_address)
    with _list(from_file) as lists, _choose_display(progress) as display:
        named = Inputs(tuple(inputs or ()), lists, number, number_column or NUMBER)
        found = run.score(
            adder,
            named,
            out,
            options,
            engine=chosen,
            part_rows=part_rows,
            resume=resume,
            progress=display,
        )
    return _report(found, out)


@contextlib.contextmanager
def _list(file: Path | None) -> Iterator[tuple[Path, ...]]:
    """Yield the list's file, which is read twice; standard input is kept in one meanwhile."""
    if file is None:
        yield ()
    elif str(file) != STANDARD_INPUT:
        yield (file,)
    elif sys.stdin is None:
        raise InputError("standard input is closed: expected a list of pictures on it for -")
    else:
        with tempfile.TemporaryDirectory(prefix="edge-adder-") as folder:
            copy = Path(folder) / "list"
            with copy.open("wb") as kept:
                shutil.copyfileobj(sys.stdin.buffer, kept)
            yield (copy,)


def _choose_display(progress: str) -> _Display:
    """Return what shows progress."""
    if progress == "bar" or (progress == "auto" and is_terminal()):
        return _Bar()
    return _Display() if progress == "none" else _Lines()


class _Display:
    """Shows nothing; the others show how far the run is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""

    def __call__(self, progress: Progress) -> None:
        """Show how far the run is."""


class _Bar(_Display):
    """A bar with rate, errors and the time that is left, on stderr."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stack = contextlib.ExitStack()
        self._bar: Any = None

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, progress: Progress) -> None:
        if self._bar is None:
            bar: Any = typer.progressbar(
                length=progress.total - progress.before,
                label="pictures",
                file=sys.stderr,
            )
            self._bar = self._stack.enter_context(bar)
        done = progress.rows - progress.before
        rate = done / max(1e-9, time.monotonic() - self._began)
        self._bar.label = f"pictures, {rate:,.0f}/s, {progress.errors:,} errors"
        self._bar.update(done - self._bar.pos)


class _Lines(_Display):
    """A line of JSON on stderr now and then, and at the end."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < SECONDS_BETWEEN_LINES and progress.rows < progress.total:
            return
        self._last = now
        rate = (progress.rows - progress.before) / max(1e-9, now - self._began)
        line = {
            "rows": progress.rows,
            "total": progress.total,
            "errors": progress.errors,
            "rows_per_second": round(rate, 1),
            "seconds_left": round((progress.total - progress.rows) / rate) if rate else None,
        }
        write_to_stderr(f"{json.dumps(line)}\n")


def _report(found: Summary, out: Path) -> ExitCode:
    """Say what was written, and return the command's exit code."""
    say(
        f"written: {out}: {found.rows:,} rows in {found.parts:,} parts, {found.errors:,} errors, "
        f"{found.uncertain:,} uncertain"
    )
    if found.errors == found.rows:
        return ExitCode.USAGE
    return ExitCode.ATTENTION if found.errors or found.uncertain else ExitCode.DONE
