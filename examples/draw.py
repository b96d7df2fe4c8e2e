"""Draws the sample images of this folder: python examples/draw.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from export.synthetic.digits import draw_digit
from export.synthetic.strokes import photograph

PAGE = ("140", "26")
"""Digits on page.jpg, line by line."""

PHONE = ("3041", "57  26", "9814 7")
"""Digits on phone.jpg, line by line; a plus stands in the middle of the second."""


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


def telephone() -> Image.Image:
    """Draw what a telephone takes: a ruled page on a table, in lamplight, with lines that rise."""
    generator = np.random.default_rng(21)
    width, height = 960, 720
    page = Image.new("RGB", (width, height), (236, 233, 224))
    pen = ImageDraw.Draw(page)
    for y in range(70, height, 62):
        pen.line((0, y, width, y), (176, 190, 214), 2)
    pen.line((110, 0, 110, height), (222, 150, 150), 2)
    ink = np.zeros((height, width), np.uint8)
    for row, line in enumerate(PHONE):
        for column, sign in enumerate(line):
            top, left = 110 + 190 * row - 9 * column, 150 + 105 * column
            place = ink[top : top + 130, left : left + 130]
            if sign.isdigit():
                np.maximum(place, draw_digit(int(sign), generator, side=130), out=place)
    paper = Image.fromarray(ink)
    plus = ImageDraw.Draw(paper)
    plus.line((488, 330, 548, 326), 255, 10)
    plus.line((518, 298, 520, 358), 255, 10)
    page.paste((48, 56, 110), (0, 0), paper)
    ImageDraw.Draw(page).ellipse((650, 415, 825, 620), outline=(200, 60, 60), width=7)
    table = np.full((height, width, 3), (112, 78, 52)) + generator.normal(0, 9, (1, width, 1))
    corners = (-70, -50, 20, height + 90, width + 30, height + 40, width + 60, -90)
    lying = page.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    covered = Image.new("L", page.size, 255)
    covered = covered.transform((width, height), Image.Transform.QUAD, corners)
    y, x = np.indices((height, width))
    lamp = np.exp(-((x - 300) ** 2 + (y - 250) ** 2) / (2 * 420**2))
    share = np.asarray(covered)[:, :, None] / 255
    pixels = np.asarray(lying) * share + table * (1 - share)
    pixels = pixels * (0.32 + 0.68 * lamp)[:, :, None] * (1.0, 0.94, 0.82)
    pixels = pixels + generator.normal(0, 4, (height, width, 1))
    photo = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return photo.filter(ImageFilter.GaussianBlur(1.2))


def samples() -> dict[str, Image.Image]:
    """Draw the samples; return each by its file name.

    One is in MNIST's format, one dark on white, one transparent, two are photographs, of plain and
    of squared paper, one is a page of digits, and the last is a page as a telephone takes it.
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
        "phone.jpg": telephone(),
    }


if __name__ == "__main__":
    for name, picture in samples().items():
        picture.save(Path(__file__).parent / name)
