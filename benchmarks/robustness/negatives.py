"""Synthetic pictures that show no single digit, drawn by different code from the training images.

Training draws letters from fonts (`export.synthetic.negatives`); here they are strokes of a pen.
The other kinds follow other formulas, too. All are whole pictures: on paper, on a screen or 28×28.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from export.synthetic.digits import draw_digit
from export.synthetic.strokes import Strokes, arc, draw_strokes, photograph

Generator = np.random.Generator
Pixels = NDArray[np.uint8]

LETTERS: dict[str, Strokes] = {
    "A": [[(0.0, 1.0), (0.5, 0.0), (1.0, 1.0)], [(0.2, 0.62), (0.8, 0.62)]],
    "E": [[(0.9, 0.0), (0.1, 0.0), (0.1, 1.0), (0.9, 1.0)], [(0.1, 0.5), (0.7, 0.5)]],
    "F": [[(0.9, 0.0), (0.1, 0.0), (0.1, 1.0)], [(0.1, 0.45), (0.7, 0.45)]],
    "H": [[(0.1, 0.0), (0.1, 1.0)], [(0.9, 0.0), (0.9, 1.0)], [(0.1, 0.5), (0.9, 0.5)]],
    "K": [[(0.1, 0.0), (0.1, 1.0)], [(0.85, 0.0), (0.1, 0.55), (0.9, 1.0)]],
    "M": [[(0.0, 1.0), (0.05, 0.0), (0.5, 0.7), (0.95, 0.0), (1.0, 1.0)]],
    "N": [[(0.1, 1.0), (0.1, 0.0), (0.9, 1.0), (0.9, 0.0)]],
    "P": [[(0.1, 1.0), (0.1, 0.0)], [(0.1, 0.0), *arc((0.45, 0.25), (0.4, 0.25), -90, 90)]],
    "R": [
        [(0.1, 1.0), (0.1, 0.0), *arc((0.45, 0.25), (0.4, 0.25), -90, 90), (0.1, 0.5)],
        [(0.4, 0.5), (0.9, 1.0)],
    ],
    "T": [[(0.0, 0.0), (1.0, 0.0)], [(0.5, 0.0), (0.5, 1.0)]],
    "V": [[(0.0, 0.0), (0.5, 1.0), (1.0, 0.0)]],
    "W": [[(0.0, 0.0), (0.25, 1.0), (0.5, 0.3), (0.75, 1.0), (1.0, 0.0)]],
    "X": [[(0.0, 0.0), (1.0, 1.0)], [(1.0, 0.0), (0.0, 1.0)]],
    "a": [[*arc((0.45, 0.55), (0.4, 0.42), -30, -360)], [(0.85, 0.1), (0.85, 0.9), (1.0, 1.0)]],
    "d": [[*arc((0.45, 0.7), (0.4, 0.3), 0, 360)], [(0.86, 0.0), (0.86, 1.0)]],
    "e": [[(0.1, 0.5), (0.9, 0.5), *arc((0.5, 0.5), (0.42, 0.48), -10, -310)]],
    "f": [[*arc((0.6, 0.2), (0.25, 0.2), -20, -170), (0.35, 1.0)], [(0.1, 0.4), (0.7, 0.4)]],
    "h": [[(0.15, 0.0), (0.15, 1.0)], [*arc((0.5, 0.7), (0.35, 0.25), 180, 360), (0.85, 1.0)]],
    "k": [[(0.15, 0.0), (0.15, 1.0)], [(0.75, 0.4), (0.15, 0.7), (0.8, 1.0)]],
    "m": [
        [(0.0, 0.1), (0.0, 1.0)],
        [*arc((0.25, 0.4), (0.25, 0.3), 180, 360), (0.5, 1.0)],
        [*arc((0.75, 0.4), (0.25, 0.3), 180, 360), (1.0, 1.0)],
    ],
    "n": [[(0.1, 0.0), (0.1, 1.0)], [*arc((0.5, 0.4), (0.4, 0.35), 180, 360), (0.9, 1.0)]],
    "r": [[(0.2, 0.0), (0.2, 1.0)], [*arc((0.6, 0.4), (0.4, 0.35), 180, 310)]],
    "t": [
        [(0.45, 0.0), (0.45, 0.85), *arc((0.65, 0.85), (0.2, 0.15), 180, 20)],
        [(0.1, 0.3), (0.9, 0.3)],
    ],
    "w": [[(0.0, 0.2), (0.25, 1.0), (0.5, 0.4), (0.75, 1.0), (1.0, 0.2)]],
    "x": [[*arc((0.1, 0.5), (0.4, 0.5), -70, 70)], [*arc((0.9, 0.5), (0.4, 0.5), 110, 250)]],
}
"""Strokes of letters that nobody writes like a digit."""

SIGNS: dict[str, Strokes] = {
    "arrow": [[(0.0, 0.5), (1.0, 0.5)], [(0.65, 0.2), (1.0, 0.5), (0.65, 0.8)]],
    "plus": [[(0.5, 0.0), (0.5, 1.0)], [(0.0, 0.5), (1.0, 0.5)]],
    "tick": [[(0.0, 0.6), (0.35, 1.0), (1.0, 0.0)]],
    "house": [
        [(0.1, 0.4), (0.1, 1.0), (0.9, 1.0), (0.9, 0.4), (0.5, 0.0), (0.1, 0.4)],
        [(0.4, 1.0), (0.4, 0.65), (0.6, 0.65), (0.6, 1.0)],
    ],
    "triangle": [[(0.0, 1.0), (0.5, 0.0), (1.0, 1.0), (0.0, 1.0)]],
    "square": [[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0)]],
    "star": [[(0.2, 1.0), (0.5, 0.0), (0.8, 1.0), (0.0, 0.38), (1.0, 0.38), (0.2, 1.0)]],
    "hash": [
        [(0.3, 0.0), (0.25, 1.0)],
        [(0.75, 0.0), (0.7, 1.0)],
        [(0.0, 0.35), (1.0, 0.35)],
        [(0.0, 0.7), (1.0, 0.7)],
    ],
    "spiral": [
        [
            (0.5 + 0.008 * step * math.cos(step / 4), 0.5 + 0.008 * step * math.sin(step / 4))
            for step in range(60)
        ]
    ],
    "stick figure": [
        arc((0.5, 0.15), (0.16, 0.15), 0, 360),
        [(0.5, 0.3), (0.5, 0.65)],
        [(0.1, 0.45), (0.9, 0.45)],
        [(0.15, 1.0), (0.5, 0.65), (0.85, 1.0)],
    ],
}  # fmt: skip
"""Strokes of signs and doodles."""


def draw_negative_pictures(count: int, *, seed: int = 1) -> dict[str, list[Image.Image]]:
    """Draw pictures of each kind.

    Args:
        count: Pictures of each kind.
        seed: Decides everything that varies.

    Returns:
        Pictures by kind; modes L and RGB, 28×28 to 640×480.
    """
    generator = np.random.default_rng(seed)
    return {kind: [draw(generator) for _ in range(count)] for kind, draw in _KINDS.items()}


def _written(strokes: dict[str, Strokes], generator: Generator) -> Image.Image:
    names = list(strokes)
    chosen = strokes[names[int(generator.integers(len(names)))]]
    return _shown(draw_strokes(chosen, generator, side=280), generator)


def _shown(ink: Pixels, generator: Generator) -> Image.Image:
    """Show ink, uint8 (height, width), as a photograph, on a screen or at 28×28."""
    form = int(generator.integers(3))
    if form == 2:
        small = Image.fromarray(ink).resize((28, 28), Image.Resampling.BOX)
        return small.point(lambda value: min(255, round(value * 1.2)))
    room = (640, 480) if form == 0 else (ink.shape[1] + 60, ink.shape[0] + 60)
    paper = Image.new("L", room)
    scale = min(1.0, 0.8 * room[0] / ink.shape[1], 0.8 * room[1] / ink.shape[0])
    size = round(ink.shape[1] * scale), round(ink.shape[0] * scale)
    left, top = (
        int(generator.integers(whole - own + 1)) for whole, own in zip(room, size, strict=True)
    )
    paper.paste(Image.fromarray(ink).resize(size), (left, top))
    if form == 0:
        return photograph(np.asarray(paper), generator)
    return ImageOps.invert(paper)


def _several(generator: Generator) -> Image.Image:
    """Draw two to four digits in a row, with gaps."""
    digits = [
        draw_digit(int(generator.integers(10)), generator, side=200)
        for _ in range(int(generator.integers(2, 5)))
    ]
    return _shown(np.hstack([digit[:, 30:170] for digit in digits]), generator)


def _scribble(generator: Generator) -> Image.Image:
    """Draw a line that goes to and fro."""
    turns = generator.integers(6, 14)
    steps = np.linspace(0, 1, 12 * int(turns))
    wide, high = generator.uniform(0.2, 0.5, 2)
    x = steps + wide * np.sin(2 * np.pi * turns * steps + generator.uniform(0, 6))
    y = 0.5 + high * np.cos(2 * np.pi * generator.uniform(0.6, 1.7) * turns * steps)
    strokes = [[(float(a), float(b)) for a, b in zip(x, y, strict=True)]]
    return _shown(draw_strokes(strokes, generator, side=280), generator)


def _texture(generator: Generator) -> Image.Image:
    """Draw checks, rings, bricks or leather, all over the picture."""
    side = int(generator.choice([28, 128, 320]))
    y, x = np.mgrid[0:side, 0:side] / side
    many = float(generator.uniform(3, 9))
    kind = int(generator.integers(4))
    if kind == 0:
        values = (np.floor(x * many) + np.floor(y * many)) % 2
    elif kind == 1:
        middle = generator.uniform(0, 1, 2)
        values = 0.5 + 0.5 * np.sin(6.28 * many * np.hypot(x - middle[0], y - middle[1]))
    elif kind == 2:
        row = np.floor(y * many)
        values = ((y * many % 1 > 0.15) & ((x * many / 2 + row / 2) % 1 > 0.08)).astype(float)
    else:
        seeds = generator.random((round(many) ** 2, 2))
        away = np.sort(np.hypot(x[..., None] - seeds[:, 0], y[..., None] - seeds[:, 1]), axis=2)
        values = np.minimum(1, (away[..., 1] - away[..., 0]) * many)
    low, high = sorted(generator.uniform(10, 245, 2))
    noise = generator.normal(0, 4, values.shape)
    return Image.fromarray(np.clip(low + (high - low) * values + noise, 0, 255).astype(np.uint8))


def _noise(generator: Generator) -> Image.Image:
    """Draw independent pixels, blurred ones, or sparse dots."""
    side = int(generator.choice([28, 100, 300]))
    kind = int(generator.integers(3))
    if kind == 0:
        return Image.fromarray(generator.integers(0, 256, (side, side), dtype=np.uint8))
    if kind == 1:
        values = np.clip(generator.normal(128, 60, (side, side)), 0, 255).astype(np.uint8)
        return ImageOps.autocontrast(
            Image.fromarray(values).filter(ImageFilter.GaussianBlur(generator.uniform(0.5, 4)))
        )
    dots = generator.random((side, side)) < generator.uniform(0.02, 0.3)
    return Image.fromarray(np.where(dots, np.uint8(0), np.uint8(255)))


def _face(generator: Generator) -> Image.Image:
    """Draw a face in front of a wall."""
    image = Image.new("RGB", (240, 300), _colour(generator, 90, 230))
    draw = ImageDraw.Draw(image)
    wide, high = generator.uniform(60, 85), generator.uniform(85, 115)
    skin, hair = _colour(generator, 130, 235), _colour(generator, 10, 110)
    draw.ellipse((120 - wide - 8, 140 - high - 15, 128 + wide, 140 + 0.6 * high), fill=hair)
    draw.ellipse((120 - wide, 150 - high, 120 + wide, 150 + high), fill=skin)
    for x in (120 - wide * 0.4, 120 + wide * 0.4):
        draw.ellipse((x - 14, 128, x + 14, 142), fill=(245, 245, 245))
        draw.ellipse((x - 6, 129, x + 6, 141), fill=hair)
        draw.line((x - 16, 116, x + 16, 114), fill=hair, width=5)
    draw.line((120, 142, 112, 172, 124, 174), fill=tuple(c // 2 for c in skin), width=3)
    smile = generator.uniform(5, 22)
    draw.arc((120 - 30, 195 - smile, 120 + 30, 195 + smile), 10, 170, fill=(150, 40, 50), width=6)
    return image.filter(ImageFilter.GaussianBlur(1))


def _colour(generator: Generator, low: int, high: int) -> tuple[int, int, int]:
    red, green, blue = (int(each) for each in generator.integers(low, high, 3))
    return red, green, blue


def _blank(generator: Generator) -> Image.Image:
    """Draw empty paper with grain and a shadow."""
    paper = np.zeros((int(generator.integers(60, 400)), int(generator.integers(60, 400))), np.uint8)
    picture = photograph(paper, generator)
    return picture if generator.random() < 0.7 else picture.resize((28, 28)).convert("L")


_KINDS: dict[str, Callable[[Generator], Image.Image]] = {
    "letters": lambda generator: _written(LETTERS, generator),
    "signs": lambda generator: _written(SIGNS, generator),
    "several digits": _several,
    "scribbles": _scribble,
    "textures": _texture,
    "noise": _noise,
    "faces": _face,
    "blank paper": _blank,
}
