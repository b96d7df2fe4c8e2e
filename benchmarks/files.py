"""Throughput over a folder of PNG files: python -m benchmarks.files.

Compares how many files `predict_many` answers per second with how many Pillow alone decodes on as
many threads, and on one. Pillow holds the interpreter's lock for most of the time that so small a
file takes, so that more threads mostly wait for each other. All three get all files in each round.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.batching import BATCH_SIZE
from edge_adder.contract import IMAGE
from edge_adder.environment import allowed_cores
from edge_adder.errors import EdgeAdderError
from edge_adder.parity import bundled_vectors
from edge_adder.preprocessing.decode import encode_png


def measure(adder: EdgeAdder, images: NDArray[np.uint8], files: int, rounds: int) -> dict[str, Any]:
    """Write PNG files; decode and predict them in rounds, one more of which warms up.

    Args:
        adder: The model.
        images: uint8 (count, 1, 28, 28); repeated until there are enough.
        files: Number of files.
        rounds: Number of counted rounds.

    Returns:
        ``files``; ``threads``; the medians ``decoded_per_second`` on as many threads,
        ``decoded_on_one_per_second`` and ``predicted_per_second``; the median ``ratio`` and
        ``ratio_on_one`` of predicting to decoding in a round.
    """
    threads = allowed_cores()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index:05}.png" for index in range(files)]
        for index, path in enumerate(paths):
            path.write_bytes(encode_png(images[index % len(images), 0]))
        decode = partial(_decode, paths, threads), partial(_decode, paths, 1)
        jobs = (*decode, partial(_predict, adder, paths))
        seconds = np.array([[_seconds(job) for job in jobs] for _ in range(rounds + 1)])[1:]
    many, one, ours = (float(rate) for rate in np.median(files / seconds, axis=0))
    return {
        "files": files,
        "threads": threads,
        "decoded_per_second": many,
        "decoded_on_one_per_second": one,
        "predicted_per_second": ours,
        "ratio": float(np.median(seconds[:, 0] / seconds[:, 2])),
        "ratio_on_one": float(np.median(seconds[:, 1] / seconds[:, 2])),
    }


def _seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def _predict(adder: EdgeAdder, paths: Sequence[Path]) -> None:
    count = sum(1 for _ in adder.predict_many(paths, 7))
    if count != len(paths):
        raise EdgeAdderError(f"{count} answers for {len(paths)} files")


def _decode(paths: Sequence[Path], threads: int) -> None:
    """Decode with Pillow alone, in the batches that `predict_many` uses."""

    def decode(part: Sequence[Path]) -> None:
        for path in part:
            with Image.open(path) as image:
                image.load()

    parts = [paths[start : start + BATCH_SIZE] for start in range(0, len(paths), BATCH_SIZE)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, parts))


def main(
    files: Annotated[int, typer.Option(min=1, help="Number of files.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each gets all files.")] = 5,
) -> None:
    """Print the rates and their ratios."""
    found = measure(EdgeAdder(), bundled_vectors()[IMAGE.name], files, rounds)
    rates = "decoded_per_second", "decoded_on_one_per_second", "predicted_per_second"
    names = f"Pillow, {found['threads']} threads", "Pillow, 1 thread", "predict_many"
    print(f"{files:,} PNG files, median of {rounds} rounds")
    for name, rate in zip(names, rates, strict=True):
        print(f"{name:20}{found[rate]:10,.0f} per second")
    print(f"ratios              {found['ratio']:10.2f} and {found['ratio_on_one']:.2f}")


if __name__ == "__main__":
    typer.run(main)
