"""Digits that this code draws: strokes with a random hand, for samples, tests and parity.

They stand in wherever real handwriting must not be shipped or is not at hand. Nothing is trained on
them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge_adder.contract import DIGITS, IMAGE_SIDE

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


# Each digit is a list of strokes in a box from (0, 0), top left, to (1, 1).
_STROKES: tuple[list[list[Point]], ...] = (
    [_arc((0.5, 0.5), (0.36, 0.5), -90, 270)],
    [[(0.3, 0.22), (0.52, 0.0), (0.52, 1.0)]],
    [[*_arc((0.5, 0.28), (0.34, 0.28), 190, 380), (0.14, 1.0), (0.9, 1.0)]],
    [[*_arc((0.46, 0.25), (0.34, 0.25), 215, 450), *_arc((0.46, 0.73), (0.38, 0.27), -90, 150)]],
    [[(0.62, 0.0), (0.1, 0.66), (0.92, 0.66)], [(0.68, 0.38), (0.66, 1.0)]],
    [
        [(0.84, 0.02), (0.28, 0.02), (0.22, 0.44), *_arc((0.46, 0.69), (0.36, 0.31), -115, 150)],
    ],
    [[*_arc((0.92, 0.62), (0.76, 0.64), 262, 180), *_arc((0.5, 0.7), (0.34, 0.3), 180, 540)]],
    [[(0.1, 0.03), (0.88, 0.03), (0.4, 1.0)]],
    [
        [
            *_arc((0.5, 0.26), (0.29, 0.26), 90, 450),
            *_arc((0.5, 0.76), (0.36, 0.24), -90, 270),
        ]
    ],
    [[*_arc((0.48, 0.3), (0.34, 0.3), 0, 360), (0.8, 0.36), (0.66, 1.0)]],
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
    slant, turn, widen = generator.normal(0, messiness, 3) * (0.12, 0.06, 0.08)
    pen = side * (0.085 + messiness * generator.uniform(-0.025, 0.03))
    width, height = 0.62 * math.exp(widen), 1.0
    box = side * 20 / 28 - pen
    strokes = []
    for stroke in _STROKES[digit]:
        points = (np.array(stroke) - 0.5) * (width, height)
        phase = generator.uniform(0, 2 * math.pi, 2)
        wave = np.stack([np.sin(4 * points[:, 1] + phase[0]), np.sin(4 * points[:, 0] + phase[1])])
        points = points + messiness * 0.03 * wave.T
        points[:, 0] -= slant * points[:, 1]
        rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        strokes.append(points @ rotation)
    everything = np.concatenate(strokes)
    low, high = everything.min(axis=0), everything.max(axis=0)
    scale = box / (high - low).max()
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
    ink = np.asarray(picture.resize((side, side), Image.Resampling.BOX), dtype=np.float64)
    columns, rows = ink.sum(axis=0) @ np.arange(side), ink.sum(axis=1) @ np.arange(side)
    centre = (side - 1) / 2
    move = (round(centre - rows / ink.sum()), round(centre - columns / ink.sum()))
    return np.roll(ink, move, axis=(0, 1)).astype(np.uint8)


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
