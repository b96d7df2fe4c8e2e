"""Draws docs/samples.png: python examples/picture.py NUMBER.

Shows each sample, what the network sees of it, and the probabilities of digit and sum; by the
bundled model, unless `--model` names another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from edge_adder import EdgeAdder, prepare_image
from export.plot_style import BLUE, GREEN, plot, png

FOLDER = Path(__file__).parent
PICTURE = FOLDER.parent / "docs" / "samples.png"
SAMPLES = ("seven.png", "three.png", "four.png", "five.jpg")

CHECKS = 8
"""Side of the squares that stand for transparency, in pixels."""


def on_checks(image: Image.Image) -> Image.Image:
    """Return an image over a grey checkerboard, so that transparency shows."""
    y, x = np.indices((image.height, image.width)) // CHECKS
    checks = Image.fromarray(np.where((x + y) % 2, 200, 240).astype(np.uint8)).convert("RGBA")
    checks.alpha_composite(image.convert("RGBA"))
    return checks


def draw(number: int, model: Path | None, out: Path) -> None:
    """Write the picture.

    Args:
        number: Number that is added to each sample, 0 to 9.
        model: The ONNX file; None for the bundled one.
        out: The PNG file to write.
    """
    adder = EdgeAdder(model)
    with plot(8, 6.4, columns=4, rows=len(SAMPLES)) as (figure, axes):
        for row, name in enumerate(SAMPLES):
            draw_sample(adder, name, number, axes[4 * row : 4 * row + 4])
        out.write_bytes(png(figure))


def draw_sample(adder: EdgeAdder, name: str, number: int, row: list[Axes]) -> None:
    """Draw one sample on four axes: the picture, the network's input, digit and sum."""
    picture, seen, digits, sums = row
    prediction = adder.predict(FOLDER / name, number)
    picture.imshow(on_checks(Image.open(FOLDER / name)))
    picture.set_title(f"{name} and {number}")
    seen.imshow(prepare_image(FOLDER / name), cmap="gray", vmin=0, vmax=255)
    seen.set_title("what the network sees")
    for axes, values, colour, step, title in (
        (digits, prediction.digit_log_probabilities, BLUE, 1, f"digit: {prediction.digit}"),
        (sums, prediction.sum_log_probabilities, GREEN, 3, f"sum: {prediction.sum}"),
    ):
        axes.bar(range(len(values)), np.exp(values), color=colour)
        axes.set(title=title, ylim=(0, 1), xticks=range(0, len(values), step), yticks=(0, 0.5, 1))
        axes.grid(visible=False, axis="x")
    for axes in (picture, seen):
        axes.set_axis_off()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int, help="added to each sample, 0 to 9")
    parser.add_argument("--model", type=Path, help="the ONNX file; else the bundled one")
    parser.add_argument("--out", type=Path, default=PICTURE, help="the PNG file to write")
    draw(**vars(parser.parse_args()))
