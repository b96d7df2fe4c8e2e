"""Many pictures at once: python -m benchmarks.score, then what to measure.

``columns``: `EdgeAdder.predict_columns` over an array, beside raw runs of onnxruntime with each
pair of batch and threads. All take turns in each round, and a ratio is the median of the rounds'
ratios, so that a busy machine slows both sides of it.
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from edge_adder import EdgeAdder
from edge_adder.contract import DIGIT, IMAGE, NUMBER, SUM
from edge_adder.environment import allowed_cores
from edge_adder.parity import bundled_vectors

BATCHES = (64, 128, 256, 512, 1024)
"""Batches of the raw runs; the best one lies between them (docs/performance.md)."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.callback()
def root() -> None:
    """Measure what `edge-adder score` does, and what it is made of."""


@app.command()
def columns(
    images: Annotated[int, typer.Option(min=1024, help="Number of images.")] = 16_384,
    rounds: Annotated[int, typer.Option(min=1, help="How often each gets all images.")] = 9,
) -> None:
    """Compare `predict_columns` and `predict_many` over arrays with raw runs."""
    vectors = bundled_vectors()
    image = np.resize(vectors[IMAGE.name], (images, *vectors[IMAGE.name].shape[1:]))
    number = np.arange(images, dtype=np.int64) % 10
    adder = EdgeAdder()
    calls: dict[str, Callable[[], object]] = {}
    for threads in sorted({1, allowed_cores()}):
        session = EdgeAdder(threads=threads).session
        for batch in BATCHES:
            name = f"raw, batch {batch}, {threads} thread(s)"
            calls[name] = partial(_run_raw, session, image, number, batch)
    ours = {
        "predict_columns": lambda: adder.predict_columns(image, number),
        "predict_many": lambda: deque(adder.predict_many(image, number), maxlen=0),
    }
    seconds = _take_turns(calls | ours, rounds)
    rates = {name: images / statistics.median(times) for name, times in seconds.items()}
    best = max(calls, key=rates.__getitem__)
    print(f"{images:,} images, median of {rounds} rounds")
    for name, rate in rates.items():
        ratio = _ratio(seconds[best], seconds[name])
        print(f"{name:28}{rate:10,.0f} per second  {ratio:5.2f} of the best raw run")


def _run_raw(
    session: Any, images: NDArray[np.uint8], numbers: NDArray[np.int64], batch: int
) -> None:
    """Run all images with onnxruntime alone, and drop the answers."""
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        session.run([DIGIT.name, SUM.name], {IMAGE.name: images[part], NUMBER.name: numbers[part]})


def _take_turns(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds that each call took in each round, after a round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
    return {name: times[1:] for name, times in seconds.items()}


def _ratio(reference: list[float], times: list[float]) -> float:
    """Return the median over all rounds of the rate, as a share of the reference's."""
    return statistics.median(a / b for a, b in zip(reference, times, strict=True))


if __name__ == "__main__":
    app()
