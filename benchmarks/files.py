"""A folder of PNG files: python -m benchmarks.files.

How many `predict_many` answers in a second, from their paths, against how many Pillow alone decodes
on as many threads, and on one: Pillow holds the interpreter's lock for most of the time that so
small a file needs, and threads then only wait for each other. All have all files in turn, several
times.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
    """Write PNG files, then predict and decode them in turn.

    Args:
        adder: The model.
        images: uint8 (count, 1, 28, 28); repeated until there are enough.
        files: How many files.
        rounds: How often each has all files.

    Returns:
        ``files``, ``threads``, medians ``decoded_per_second`` on as many threads,
        ``decoded_on_one_per_second`` and ``predicted_per_second``, and the median ``ratio`` and
        ``ratio_on_one`` of the rounds.
    """
    threads = allowed_cores()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index:05}.png" for index in range(files)]
        for index, path in enumerate(paths):
            path.write_bytes(encode_png(images[index % len(images), 0]))
        rounds_of: list[tuple[float, float, float]] = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            _decode_all(paths, threads)
            decoded = time.perf_counter()
            _decode_all(paths, 1)
            alone = time.perf_counter()
            count = sum(1 for _ in adder.predict_many(paths, 7))
            predicted = time.perf_counter()
            if count != files:
                raise EdgeAdderError(f"{count} answers for {files} files")
            rounds_of.append((decoded - began, alone - decoded, predicted - alone))
    seconds = np.array(rounds_of[1:])  # the first warms up
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


def _decode_all(paths: Sequence[Path], threads: int) -> None:
    """Pillow alone, on threads, in the batches that `predict_many` has."""

    def decode(part: Sequence[Path]) -> None:
        for path in part:
            with Image.open(path) as image:
                image.load()

    parts = [paths[start : start + BATCH_SIZE] for start in range(0, len(paths), BATCH_SIZE)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(decode, parts))


def main(
    files: Annotated[int, typer.Option(min=1, help="Files.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each has all files.")] = 5,
) -> None:
    """Print both rates and their ratio."""
    found = measure(EdgeAdder(), bundled_vectors()[IMAGE.name], files, rounds)
    rates = "decoded_per_second", "decoded_on_one_per_second", "predicted_per_second"
    names = f"Pillow, {found['threads']} threads", "Pillow, 1 thread", "predict_many"
    print(f"{files:,} PNG files, median of {rounds} rounds")
    for name, rate in zip(names, rates, strict=True):
        print(f"{name:20}{found[rate]:10,.0f} a second")
    print(f"ratios              {found['ratio']:10.2f} and {found['ratio_on_one']:.2f}")


if __name__ == "__main__":
    typer.run(main)
