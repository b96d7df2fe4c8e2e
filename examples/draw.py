"""Draws the sample images of this folder: python examples/draw.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from export.drawn import draw_digit
from export.pen import photograph


def samples() -> dict[str, Image.Image]:
    """Each sample by its file name: ready, dark on white, transparent, and as a photograph."""
    ready = Image.fromarray(draw_digit(7, np.random.default_rng(7)))
    pen = Image.fromarray(draw_digit(3, np.random.default_rng(3), side=280))
    ink = Image.fromarray(draw_digit(4, np.random.default_rng(4), side=160))
    transparent = Image.new("LA", ink.size, 0)
    transparent.putalpha(ink)
    paper = Image.new("L", (640, 480))
    digit = draw_digit(5, np.random.default_rng(5), side=300)
    paper.paste(Image.fromarray(digit), (210, 70))
    return {
        "seven.png": ready,
        "three.png": ImageOps.invert(pen).convert("RGB"),
        "four.png": transparent,
        "five.jpg": photograph(np.asarray(paper), np.random.default_rng(6)),
    }


if __name__ == "__main__":
    for name, picture in samples().items():
        picture.save(Path(__file__).parent / name)
