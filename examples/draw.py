"""Draws the sample images of this folder: python examples/draw.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from export.synthetic.digits import draw_digit
from export.synthetic.strokes import photograph

PAGE = ("140", "26")
"""Digits on page.jpg, line by line."""


def on_squared_paper(photo: Image.Image, generator: np.random.Generator) -> Image.Image:
    """Return a photograph with a printed grid, dust, and a shadow across it."""
    pixels = np.asarray(photo).astype(np.float64)
    y, x = np.indices(pixels.shape[:2])
    lines = (x % 40 < 2) | (y % 40 < 2)
    dust = generator.random(lines.shape) < 0.0002
    shadow = 1 - 0.45 / (1 + np.exp((x - 0.4 * y - 250) / 25))
    cover = np.where(dust, 0.4, np.where(lines, 0.8, 1.0)) * shadow
    return Image.fromarray((pixels * cover[:, :, None]).astype(np.uint8))


def page() -> Image.Image:
    """Draw a page with several digits in lines."""
    generator = np.random.default_rng(8)
    ink = np.zeros((480, 640), np.uint8)
    for row, line in enumerate(PAGE):
        for column, digit in enumerate(line):
            top, left = 30 + 210 * row, 40 + 190 * column
            ink[top : top + 190, left : left + 190] = draw_digit(int(digit), generator, side=190)
    return photograph(ink, generator)


def samples() -> dict[str, Image.Image]:
    """Draw the samples; return each by its file name.

    One is in MNIST's format, one dark on white, one transparent, two are photographs, of plain and
    of squared paper, and the last is a page of digits.
    """
    mnist_format = Image.fromarray(draw_digit(7, np.random.default_rng(7)))
    pen = Image.fromarray(draw_digit(3, np.random.default_rng(3), side=280))
    ink = Image.fromarray(draw_digit(4, np.random.default_rng(4), side=160))
    transparent = Image.new("LA", ink.size, 0)
    transparent.putalpha(ink)
    paper = Image.new("L", (640, 480))
    digit = draw_digit(5, np.random.default_rng(5), side=300)
    paper.paste(Image.fromarray(digit), (210, 70))
    squared = Image.new("L", (640, 480))
    squared.paste(Image.fromarray(draw_digit(9, np.random.default_rng(9), side=260)), (150, 130))
    photo = photograph(np.asarray(squared), np.random.default_rng(10))
    return {
        "seven.png": mnist_format,
        "three.png": ImageOps.invert(pen).convert("RGB"),
        "four.png": transparent,
        "five.jpg": photograph(np.asarray(paper), np.random.default_rng(6)),
        "nine.jpg": on_squared_paper(photo, np.random.default_rng(11)),
        "page.jpg": page(),
    }


if __name__ == "__main__":
    for name, picture in samples().items():
        picture.save(Path(__file__).parent / name)
