"""A digit and another ink in one picture: python -m benchmarks.robustness.two_inks.

Thirty of MNIST's validation images, which nothing was trained on, are enlarged and drawn in black
on paper, each with a mark in red: a teacher's ring, a tick, a stamp. The digit is what is meant.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.markdown import table
from edge_adder import EdgeAdder
from edge_adder.contract import DIGITS
from edge_adder.errors import ImageError
from export.data import load_mnist, split_indices

SIDE, HEIGHT = 420, 200
"""Side of the picture and height of the digit, in pixels."""

PAPER, BLACK, RED = (245, 243, 238), (30, 30, 35), (210, 40, 40)
EACH = 3
"""Images of each digit."""

Draw = Callable[[ImageDraw.ImageDraw], None]

MARKS: dict[str, tuple[Draw, bool]] = {
    "ring over it": (lambda pen: pen.ellipse((200, 180, 400, 380), outline=RED, width=8), True),
    "ring beside it": (lambda pen: pen.ellipse((330, 330, 410, 410), outline=RED, width=5), False),
    "ring around it": (lambda pen: pen.ellipse((60, 50, 360, 370), outline=RED, width=8), False),
    "tick": (lambda pen: pen.line((300, 300, 330, 340, 400, 230), fill=RED, width=9), True),
    "underlined": (lambda pen: pen.line((110, 345, 310, 340), fill=RED, width=8), False),
    "struck out": (lambda pen: pen.line((90, 320, 330, 110), fill=RED, width=8), True),
    "black ring": (lambda pen: pen.ellipse((60, 50, 360, 370), outline=BLACK, width=8), False),
    "red dot": (lambda pen: pen.ellipse((340, 60, 400, 120), fill=RED), False),
    "red margin": (lambda pen: pen.line((40, 0, 40, SIDE), fill=RED, width=4), False),
}
"""Draws each mark, and whether it touches the digit."""


def digit_on_paper(image: NDArray[np.uint8], generator: np.random.Generator) -> Image.Image:
    """Enlarge a digit smoothly and draw it in black in the middle of a paper.

    Args:
        image: uint8 (28, 28).
        generator: Decides the grain.
    """
    large = Image.fromarray(image).resize((28 * 12, 28 * 12), Image.Resampling.BICUBIC)
    inside = np.asarray(large.filter(ImageFilter.GaussianBlur(4))) > 110
    cut = Image.fromarray(inside.astype(np.uint8) * np.uint8(255))
    cut = cut.crop(cut.getbbox())
    scale = min(HEIGHT / cut.height, (SIDE - 120) / cut.width)
    cut = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))))
    grain = generator.normal(0, 3, (SIDE, SIDE, 1))
    paper = np.clip(np.array(PAPER) + grain, 0, 255).astype(np.uint8)
    picture = Image.fromarray(paper)
    picture.paste(BLACK, ((SIDE - cut.width) // 2, (SIDE - cut.height) // 2), cut)
    return picture


def measure(adder: EdgeAdder, data_dir: Path | None) -> list[tuple[str, bool, int, int, int]]:
    """Return for each mark whether it touches, and how many are right, unsure and surely wrong."""
    mnist = load_mnist(data_dir, train=True)
    held_out = mnist.at(split_indices(len(mnist), "fixed", 0)[1])
    chosen = [
        int(index)
        for digit in range(DIGITS)
        for index in np.flatnonzero(held_out.labels.numpy() == digit)[:EACH]
    ]
    rows = []
    for name, (draw, touches) in MARKS.items():
        generator, right, wrong = np.random.default_rng(0), 0, 0
        for index in chosen:
            picture = digit_on_paper(held_out.images[index, 0].numpy(), generator)
            draw(ImageDraw.Draw(picture))
            try:
                found = adder.predict(picture, 0)
            except ImageError:
                continue
            if not found.uncertain:
                is_right = found.digit == int(held_out.labels[index])
                right, wrong = right + is_right, wrong + (not is_right)
        rows.append((name, touches, right, len(chosen) - right - wrong, wrong))
    return rows


def main(
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
) -> None:
    """Print how a digit with each mark is read."""
    rows = [
        (name, "yes" if touches else "no", *map(str, counts))
        for name, touches, *counts in measure(EdgeAdder(model), data_dir)
    ]
    print(table(("mark", "touches", "right", "unsure or refused", "surely wrong"), rows))


if __name__ == "__main__":
    typer.run(main)
