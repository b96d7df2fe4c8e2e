"""Accuracy of the bundled file on MNIST's test images: python -m benchmarks.accuracy.

First all pairs of image and number through `EdgeAdder.run`; then a part of the images, saved as
PNG, through the command line itself, and whether it answers what the arrays gave.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.contract import DIGITS
from export.data import load_mnist

CHUNK = 100
"""Images for each `EdgeAdder.run`, each with all ten numbers."""


def main(
    files: Annotated[int, typer.Option(min=1, help="Images to save as PNG.")] = 1000,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
) -> None:
    """Print both accuracies over all pairs, and those of the PNG files."""
    test = load_mnist(data_dir, train=False)
    images, labels = test.images.numpy(), test.labels.numpy()
    numbers = np.tile(np.arange(DIGITS), len(images))
    adder = EdgeAdder()
    answers = np.concatenate(
        [
            np.stack([output.argmax(1) for output in adder.run(*_pairs(part))], axis=1)
            for part in np.array_split(images, -(-len(images) // CHUNK))
        ]
    )
    truth = np.repeat(labels, DIGITS)
    digit, total = (answers == np.stack([truth, truth + numbers], axis=1)).mean(axis=0)
    print(f"arrays: {len(truth):,} pairs, digit {digit:.2%}, sum {total:.2%}")

    chosen = np.linspace(0, len(images) - 1, min(files, len(images))).astype(int)
    told = _through_the_command_line(images[chosen, 0])
    truth = labels[chosen, None]
    digit = (told[:, :, 0] == truth).mean()
    total = (told[:, :, 1] == truth + np.arange(DIGITS)).mean()
    same = (told.reshape(-1, 2) == answers.reshape(-1, DIGITS, 2)[chosen].reshape(-1, 2)).all()
    print(
        f"PNG files through `edge-adder predict`: {told[..., 0].size:,} pairs of {len(chosen):,} "
        f"files, digit {digit:.2%}, sum {total:.2%}; the same answers as the arrays: {same}"
    )


def _pairs(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    numbers = np.tile(np.arange(DIGITS), len(images))
    return np.repeat(images, DIGITS, axis=0), numbers


def _through_the_command_line(images: np.ndarray) -> np.ndarray:
    """Digit and sum for each image and number: int64 (count, 10, 2)."""
    command = [sys.executable, "-m", "edge_adder", "predict", "--json", "--min-probability", "0"]
    told = np.empty((len(images), DIGITS, 2), np.int64)
    with tempfile.TemporaryDirectory() as folder:
        names = [f"{index:05}.png" for index in range(len(images))]
        for name, image in zip(names, images, strict=True):
            Image.fromarray(image).save(Path(folder) / name)
        for number in range(DIGITS):
            done = subprocess.run(  # noqa: S603
                [*command, *names, str(number)],
                check=True,
                capture_output=True,
                text=True,
                cwd=folder,
            )
            lines = [json.loads(line) for line in done.stdout.splitlines()]
            told[:, number] = [(line["digit"], line["sum"]) for line in lines]
    return told


if __name__ == "__main__":
    typer.run(main)
