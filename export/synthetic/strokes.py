"""Strokes in a unit box, drawn with a random hand; pictures of paper."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge_adder.contract import IMAGE_SIDE
from edge_adder.preprocessing.normalize import DIGIT_SIDE

Point = tuple[float, float]
Strokes = list[list[Point]]
"""Lines of points (x, y) in a box from (0, 0), top left, to (1, 1)."""

_OVERSAMPLING = 8
"""Each pixel is the mean of this many squared."""

_CURVE_POINTS = 24
"""Points on a full ellipse; a finer polygon looks the same at any size used here."""


def arc(centre: Point, radii: Point, start: float, end: float) -> list[Point]:
    """Return points of an ellipse between two angles, in degrees clockwise from the right."""
    count = max(2, math.ceil(abs(end - start) / 360 * _CURVE_POINTS) + 1)
    angles = np.radians(np.linspace(start, end, count))
    return [
        (centre[0] + radii[0] * math.cos(a), centre[1] + radii[1] * math.sin(a)) for a in angles
    ]


def draw_strokes(
    strokes: Strokes, generator: np.random.Generator, *, side: int = IMAGE_SIDE
) -> NDArray[np.uint8]:
    """Draw strokes as a pen would, in MNIST's format: in 20/28 of the side, centred by mass.

    Args:
        strokes: What to draw.
        generator: Source of slant, rotation, width, thickness and wobble.
        side: Height and width, in pixels.

    Returns:
        uint8 (side, side); 0 = background, 255 = full ink.
    """
    slant, angle, widen = generator.normal(0, 1, 3) * (0.15, 0.06, 0.16)
    pen = side * (0.085 + generator.uniform(-0.025, 0.03))
    width, height = 0.62 * math.exp(widen), 1.0
    rotation = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    varied = []
    for stroke in strokes:
        points = (np.array(stroke) - 0.5) * (width, height)
        phase = generator.uniform(0, 2 * math.pi, 2)
        wave = np.stack([np.sin(4 * points[:, 1] + phase[0]), np.sin(4 * points[:, 0] + phase[1])])
        points = points + 0.03 * wave.T
        points[:, 0] -= slant * points[:, 1]
        varied.append(points @ rotation)
    return _in_mnist_format(_draw_lines(varied, pen, side), side)


def _draw_lines(lines: list[NDArray[np.float64]], pen: float, side: int) -> Image.Image:
    """Draw lines with round ends, scaled to 20/28 of `side`, on an image `_OVERSAMPLING` as large.

    Args:
        lines: Points (x, y), each float64 (count, 2), in any unit.
        pen: Thickness, in pixels of `side`.
        side: Height and width of the image that it stands for, in pixels.
    """
    points = np.concatenate(lines)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (side * DIGIT_SIDE / IMAGE_SIDE - pen) / (high - low).max()
    picture = Image.new("L", (side * _OVERSAMPLING, side * _OVERSAMPLING))
    brush = ImageDraw.Draw(picture)
    radius = pen * _OVERSAMPLING / 2
    for line in lines:
        placed = ((line - (low + high) / 2) * scale + side / 2) * _OVERSAMPLING
        path = [(float(x), float(y)) for x, y in placed]
        brush.line(path, fill=255, width=round(2 * radius), joint="curve")
        for x, y in path:
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return picture


def _in_mnist_format(picture: Image.Image, side: int) -> NDArray[np.uint8]:
    """Bring ink into 20/28 of `side`, its centre of mass into the middle: uint8 (side, side)."""
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


def photograph(ink: NDArray[np.uint8], generator: np.random.Generator) -> Image.Image:
    """Return ink as a picture of paper: blue on grainy off-white in uneven light.

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
