"""A folder of PNG files: python -m benchmarks.files.

How many `predict_many` answers in a second, from their paths, against how many Pillow alone decodes
on as many threads. Both have all files in turn, several times.
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
from edge_adder.bench import bundled_vectors
from edge_adder.contract import IMAGE
from edge_adder.cores import allowed_cores
from edge_adder.image import encode_png
from edge_adder.predictor import BATCH_SIZE


def measure(adder: EdgeAdder, images: NDArray[np.uint8], files: int, rounds: int) -> dict[str, Any]:
    """Write PNG files, then predict and decode them in turn.

    Args:
        adder: The model.
        images: uint8 (count, 1, 28, 28); repeated until there are enough.
        files: How many files.
        rounds: How often each has all files.

    Returns:
        ``files``, ``threads``, medians ``decoded_per_second`` and ``predicted_per_second``, and the
        median ``ratio`` of the rounds.
    """
    threads = allowed_cores()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index:05}.png" for index in range(files)]
        for index, path in enumerate(paths):
            path.write_bytes(encode_png(images[index % len(images), 0]))
        pairs = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            _decode_all(paths, threads)
            decoded = time.perf_counter()
            count = sum(1 for _ in adder.predict_many(paths, 7))
            predicted = time.perf_counter()
            if count != files:
                raise SystemExit(f"{count} answers for {files} files")
            pairs.append((files / (decoded - began), files / (predicted - decoded)))
    pairs = pairs[1:]  # the first warms up
    decoded_rate, predicted_rate = (float(np.median(column)) for column in zip(*pairs, strict=True))
    return {
        "files": files,
        "threads": threads,
        "decoded_per_second": decoded_rate,
        "predicted_per_second": predicted_rate,
        "ratio": float(np.median([b / a for a, b in pairs])),
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
    print(f"{files:,} PNG files, {found['threads']} threads, median of {rounds} rounds")
    print(f"Pillow decodes      {found['decoded_per_second']:10,.0f} a second")
    print(f"predict_many        {found['predicted_per_second']:10,.0f} a second")
    print(f"ratio               {found['ratio']:10.2f}")


if __name__ == "__main__":
    typer.run(main)
