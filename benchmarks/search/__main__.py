"""The search for `edge`: python -m benchmarks.search time, then train, then draw.

Latency comes first, since an untrained network is as fast as a trained one: time measures all
candidates in one run. train trains one of them and measures it on the validation images. draw
collects what the runs left into benchmarks/pareto.json, docs/pareto.png and benchmarks/SEARCH.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmarks.search import picture, record
from benchmarks.search import time as timing
from benchmarks.search import train as training

RUNS = Path("runs")

app = typer.Typer(add_completion=False, rich_markup_mode=None, help=__doc__)


@app.command()
def time(calls: Annotated[int, typer.Option(min=20, help="Calls of each network.")] = 4000) -> None:
    """Time all candidates and the registered networks, and record it."""
    record.update(timed=timing.time_candidates(calls))


@app.command()
def train(
    line: Annotated[str, typer.Argument(help="A layout, in quotes.")],
    settings: Annotated[
        list[str] | None, typer.Argument(help="Fields of TrainConfig, such as epochs=30.")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder for the runs.")] = RUNS,
) -> None:
    """Train one candidate and measure it on validation images."""
    print(training.train_candidate(line, settings or [], runs=runs, data_dir=data_dir))


@app.command()
def draw(runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = RUNS) -> None:
    """Collect the runs, draw the picture and write the page."""
    print(picture.draw(runs))


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.search")
