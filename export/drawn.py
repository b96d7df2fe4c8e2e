"""Digits that this code draws: strokes with a random hand, for samples, tests and parity.

They stand in wherever real handwriting must not be shipped or is not at hand, and beside it in
training, since MNIST's writers have no 1 with a flag and no 7 with a bar.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge_adder.contract import DIGITS, IMAGE_SIDE
from edge_adder.normalise import DIGIT_SIDE

Point = tuple[float, float]

_OVERSAMPLING = 8  # each pixel is the mean of this many squared
_CURVE_POINTS = 24  # to each full turn; a finer polygon looks the same at any size used here


def _arc(centre: Point, radii: Point, start: float, end: float) -> list[Point]:
    """Points of an ellipse from one angle to another, in degrees clockwise from the right."""
    count = max(2, math.ceil(abs(end - start) / 360 * _CURVE_POINTS) + 1)
    angles = np.radians(np.linspace(start, end, count))
    return [
        (centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles
    ]


# Of each digit the ways to write it, each a list of strokes in a box from (0, 0), top left, to
# (1, 1). Europe's 1 has a flag and often a foot, its 7 a bar; a 4 is open or closed, a 9 has a
# straight stem or a tail.
_STYLES: tuple[list[list[list[Point]]], ...] = (
    [
        [_arc((0.5, 0.5), (0.36, 0.5), -90, 270)],
        [_arc((0.5, 0.5), (0.26, 0.5), -70, 300)],
        [_arc((0.5, 0.5), (0.44, 0.46), -110, 255)],
    ],
    [
        [[(0.3, 0.22), (0.52, 0.0), (0.52, 1.0)]],
        [[(0.52, 0.0), (0.5, 1.0)]],
        [[(0.05, 0.45), (0.55, 0.0), (0.55, 1.0)]],
        [[(0.0, 0.3), (0.5, 0.0), (0.5, 1.0)]],
        [[(0.1, 0.62), (0.6, 0.0), (0.5, 1.0)]],
        [[(0.22, 0.25), (0.5, 0.0), (0.5, 1.0)], [(0.15, 1.0), (0.85, 1.0)]],
        [[(0.05, 0.4), (0.5, 0.0), (0.5, 1.0)], [(0.05, 1.0), (0.95, 1.0)]],
        [[(0.1, 0.28), *_arc((0.2, 0.0), (0.32, 0.3), 70, 0), (0.5, 1.0)]],
    ],
    [
        [[*_arc((0.5, 0.28), (0.34, 0.28), 190, 380), (0.14, 1.0), (0.9, 1.0)]],
        [
            [
                *_arc((0.46, 0.26), (0.34, 0.26), 200, 400),
                *_arc((0.26, 0.88), (0.14, 0.12), 0, -270),
                *_arc((0.6, 0.8), (0.34, 0.2), 150, 60),
                (0.98, 0.9),
            ]
        ],
        [[(0.1, 0.05), (0.8, 0.05), (0.1, 0.98), (0.9, 0.98)]],
    ],
    [
        [
            [
                *_arc((0.46, 0.25), (0.34, 0.25), 215, 450),
                *_arc((0.46, 0.73), (0.38, 0.27), -90, 150),
            ]
        ],
        [[(0.12, 0.0), (0.8, 0.0), (0.42, 0.4), *_arc((0.44, 0.7), (0.4, 0.3), -80, 150)]],
        [[*_arc((0.4, 0.22), (0.36, 0.22), 200, 440), *_arc((0.4, 0.72), (0.5, 0.28), -90, 120)]],
    ],
    [
        [[(0.62, 0.0), (0.1, 0.66), (0.92, 0.66)], [(0.68, 0.38), (0.66, 1.0)]],
        [[(0.7, 1.0), (0.7, 0.0), (0.08, 0.68), (0.95, 0.68)]],
        [[(0.12, 0.0), (0.1, 0.55), (0.9, 0.55)], [(0.8, 0.0), (0.78, 1.0)]],
        [[(0.4, 0.0), (0.05, 0.6), (0.95, 0.6)], [(0.75, 0.3), (0.6, 1.0)]],
        [[(0.3, 0.0), (0.02, 0.72), (0.98, 0.7)], [(0.62, 0.5), (0.5, 1.0)]],
        [[*_arc((0.5, 0.0), (0.4, 0.5), 180, 20), (0.82, 0.0), (0.7, 1.0)]],
    ],
    [
        [[(0.84, 0.02), (0.28, 0.02), (0.22, 0.44), *_arc((0.46, 0.69), (0.36, 0.31), -115, 150)]],
        [
            [(0.3, 0.02), (0.2, 0.45), *_arc((0.44, 0.7), (0.38, 0.3), -110, 150)],
            [(0.28, 0.03), (0.95, 0.0)],
        ],
        [
            [
                (0.9, 0.0),
                *_arc((0.5, 0.24), (0.36, 0.24), 270, 110),
                *_arc((0.4, 0.72), (0.44, 0.28), -80, 150),
            ]
        ],
    ],
    [
        [[*_arc((0.92, 0.62), (0.76, 0.64), 262, 180), *_arc((0.5, 0.7), (0.34, 0.3), 180, 540)]],
        [[(0.62, 0.0), (0.2, 0.62), *_arc((0.5, 0.72), (0.36, 0.28), 200, 530)]],
        [[*_arc((0.62, 0.5), (0.48, 0.5), 290, 180), *_arc((0.5, 0.72), (0.36, 0.28), 180, 500)]],
    ],
    [
        [[(0.1, 0.03), (0.88, 0.03), (0.4, 1.0)]],
        [[(0.1, 0.03), (0.88, 0.03), (0.4, 1.0)], [(0.3, 0.52), (0.88, 0.5)]],
        [[(0.05, 0.2), (0.08, 0.03), (0.9, 0.03), (0.4, 1.0)]],
        [[(0.05, 0.18), (0.08, 0.03), (0.9, 0.03), (0.45, 1.0)], [(0.25, 0.5), (0.9, 0.46)]],
        [[(0.08, 0.06), (0.85, 0.0), *_arc((1.1, 1.0), (0.6, 0.95), 240, 180)]],
    ],
    [
        [[*_arc((0.5, 0.26), (0.29, 0.26), 90, 450), *_arc((0.5, 0.76), (0.36, 0.24), -90, 270)]],
        [
            [
                (0.8, 0.1),
                *_arc((0.46, 0.24), (0.34, 0.24), 310, 110),
                *_arc((0.5, 0.74), (0.34, 0.26), -80, 230),
                (0.85, 0.1),
            ]
        ],
    ],
    [
        [[*_arc((0.48, 0.3), (0.34, 0.3), 0, 360), (0.8, 0.36), (0.66, 1.0)]],
        [[*_arc((0.46, 0.28), (0.34, 0.28), -20, 340), (0.8, 0.2), (0.8, 1.0)]],
        [[*_arc((0.46, 0.27), (0.36, 0.27), -20, 340), *_arc((0.4, 0.62), (0.42, 0.38), -25, 140)]],
        [[*_arc((0.5, 0.26), (0.34, 0.26), 0, 360), *_arc((0.34, 0.5), (0.5, 0.5), 0, 100)]],
    ],
)


def draw_digit(
    digit: int,
    generator: np.random.Generator,
    *,
    side: int = IMAGE_SIDE,
    messiness: float = 1.0,
) -> NDArray[np.uint8]:
    """Draw one digit as a pen would, in MNIST's form: in 20/28 of the side, centred by mass.

    Args:
        digit: 0 to 9.
        generator: The hand: slant, turn, width, stroke and wobble.
        side: Height and width, in pixels.
        messiness: How far the hand strays from the model; 0 is print.

    Returns:
        uint8 (side, side); 0 = background, 255 = full ink.
    """
    style = _STYLES[digit][int(generator.integers(len(_STYLES[digit]))) if messiness else 0]
    slant, turn, widen = generator.normal(0, messiness, 3) * (0.12, 0.06, 0.08)
    pen = side * (0.085 + messiness * generator.uniform(-0.025, 0.03))
    width, height = 0.62 * math.exp(widen), 1.0
    strokes = []
    for stroke in style:
        points = (np.array(stroke) - 0.5) * (width, height)
        phase = generator.uniform(0, 2 * math.pi, 2)
        wave = np.stack([np.sin(4 * points[:, 1] + phase[0]), np.sin(4 * points[:, 0] + phase[1])])
        points = points + messiness * 0.03 * wave.T
        points[:, 0] -= slant * points[:, 1]
        rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        strokes.append(points @ rotation)
    everything = np.concatenate(strokes)
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = (side * DIGIT_SIDE / IMAGE_SIDE - pen) / (high - low).max()
    fine = side * _OVERSAMPLING
    picture = Image.new("L", (fine, fine))
    brush = ImageDraw.Draw(picture)
    radius = pen * _OVERSAMPLING / 2
    for points in strokes:
        placed = ((points - (low + high) / 2) * scale + side / 2) * _OVERSAMPLING
        path = [(float(x), float(y)) for x, y in placed]
        brush.line(path, fill=255, width=round(2 * radius), joint="curve")
        for x, y in path:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return _in_mnists_form(picture, side)


def _in_mnists_form(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Ink in 20/28 of `side`, with its centre of mass in the middle: uint8 (side, side)."""
    ink = picture.crop(picture.getbbox())
    scale = round(side * DIGIT_SIDE / IMAGE_SIDE) / max(ink.size)
    size = (max(1, round(ink.width * scale)), max(1, round(ink.height * scale)))
    digit = np.asarray(ink.resize(size, Image.Resampling.BOX))
    mass = digit.astype(np.float64)
    centre = (
        mass.sum(axis=1) @ np.arange(size[1]) / mass.sum(),
        mass.sum(axis=0) @ np.arange(size[0]) / mass.sum(),
    )
    top, left = (round(side / 2 - each) for each in centre)
    canvas = np.zeros((side, side), np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = digit
    return canvas


def draw_digits(
    count: int, *, seed: int = 0, messiness: float = 1.0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw many digits, 0 to 9 in turn.

    Returns:
        images: uint8 (count, 1, 28, 28); 0 = background, 255 = full ink.
        digits: int64 (count,).
    """
    generator = np.random.default_rng(seed)
    digits = np.arange(count) % DIGITS
    images = [draw_digit(int(digit), generator, messiness=messiness) for digit in digits]
    return np.stack(images)[:, None], digits.astype(np.int64)


def photograph(ink: NDArray[np.uint8], generator: np.random.Generator) -> Image.Image:
    """A drawn digit as a picture of paper: blue ink on uneven, grainy, off-white.

    Args:
        ink: uint8 (height, width); 0 = background, 255 = full ink.
        generator: Source of the grain.
    """
    height, width = ink.shape
    light = np.linspace(1.0, 0.86, width)[None, :] * np.linspace(1.0, 0.94, height)[:, None]
    paper = np.array([244.0, 240, 228]) * light[:, :, None]
    grain = generator.normal(0, 3, (height, width, 1))
    cover = ink[:, :, None] / 255 * 0.9
    pixels = (paper + grain) * (1 - cover) + np.array([38.0, 52, 120]) * cover
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
