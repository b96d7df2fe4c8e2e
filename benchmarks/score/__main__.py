"""Many pictures at once: python -m benchmarks.score, then what to measure, or all.

``columns``: `EdgeAdder.predict_columns` over an array, beside raw runs of onnxruntime with each
pair of batch and threads. ``files`` and ``photographs``: rows a second of `edge-adder score`'s
engine, beside Pillow's decoding alone in as many processes. ``memory``: its peak with ten times the
rows. ``parts``: what writing the parts costs. ``ray``: the same rows on Ray's engine.

All that is compared takes turns in each round, and a ratio is the median of the rounds' ratios, so
that a busy machine slows both sides of it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from benchmarks import suite
from benchmarks.score import measure, report
from benchmarks.score.turns import Turns
from edge_adder.environment import fingerprint
from edge_adder.errors import InputError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Count = Annotated[int, typer.Option(min=64, help="Number of files, images or rows.")]
Rounds = Annotated[int, typer.Option(min=1, help="How often each call gets all of them.")]


@app.callback()
def root() -> None:
    """Measure what `edge-adder score` does, and what it is made of."""


@app.command()
def columns(count: Count = 16_384, rounds: Rounds = 9) -> None:
    """Compare `predict_columns` and `predict_many` over arrays with raw runs."""
    print(report.text("columns", measure.columns(count, rounds)))


@app.command()
def files(count: Count = 100_000, rounds: Rounds = 3) -> None:
    """Score PNG files of 28×28 on one and two processes, beside Pillow alone."""
    print(report.text("files", measure.files(count, rounds)))


@app.command()
def photographs(count: Count = 2_000, rounds: Rounds = 1) -> None:
    """Score photographs of 12 megapixels on one and two processes, beside Pillow alone."""
    print(report.text("photographs", measure.photographs(count, rounds)))


@app.command()
def memory() -> None:
    """Print the peak memory of `edge-adder score` and of its two processes, by number of rows."""
    print(report.text("memory", measure.memory()))


@app.command()
def parts(count: Count = 20_000, rounds: Rounds = 5) -> None:
    """Compare a run that writes its parts with one that drops the answers."""
    print(report.text("parts", measure.parts(count, rounds)))


@app.command()
def ray(count: Count = 20_000, rounds: Rounds = 3) -> None:
    """Compare a local Ray cluster with processes, both from their start on."""
    print(report.text("ray", measure.ray(count, rounds)))


@app.command(name="all")
def everything(
    publish: Annotated[
        bool, typer.Option("--publish", help="Also put the figures into benchmarks/RESULTS.md.")
    ] = False,
) -> None:
    """Measure everything; Ray only where it is installed."""
    found: dict[str, Any] = {}
    for name in ("columns", "files", "photographs", "memory", "parts", "ray"):
        try:
            found[name] = getattr(measure, name)()
        except InputError as error:
            print(f"{name}: {error}")
        else:
            print(report.text(name, found[name]), flush=True)
    if publish:
        content = {
            name: each.to_dict() if isinstance(each, Turns) else each
            for name, each in found.items()
        }
        suite.publish_score(
            {
                "date": datetime.now(UTC).date().isoformat(),
                "environment": fingerprint(),
                "parts": content,
            }
        )


if __name__ == "__main__":
    app()
