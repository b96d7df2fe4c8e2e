"""A pen that varies: trajectories as many hands and pens would have drawn them, to train on."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .trajectories import Lines, Trajectory

Generator = np.random.Generator

_MARGIN = 12
"""Least width of paper around the digit, in pixels."""

_OVERSAMPLING = 3

_LOST = 0.25
"""Share of the digits of several strokes that are drawn without their last one."""

_LEGIBLE_WITHOUT_LAST = (4, 5)
"""Digits that a reader often still recognizes when the last stroke, a stem or a bar, is missing."""

_LEAST_ASPECT = 0.35
"""Least ratio of the shorter to the longer side of what is left: a stem or a bar alone is none."""


def lose_stroke(trajectory: Trajectory, generator: Generator) -> Lines:
    """Return the strokes of a digit, of some without the last, as pens that skip leave them.

    Pendigits has many such digits: the tablet missed the stem of a 4 or the bar of a 5.

    Args:
        trajectory: The digit.
        generator: Source of the choice.
    """
    lines = trajectory.lines
    lost = generator.random() < _LOST
    if not lost or len(lines) == 1 or trajectory.digit not in _LEGIBLE_WITHOUT_LAST:
        return lines
    shorter, longer = sorted(np.ptp(np.concatenate(lines[:-1]), axis=0))
    return lines[:-1] if shorter >= _LEAST_ASPECT * longer else lines


def draw_varied(lines: Lines, generator: Generator) -> Image.Image:
    """Draw a trajectory with a random hand and pen on white paper.

    Args:
        lines: The strokes, in any unit; y grows downwards.
        generator: Source of size, slant, rotation, aspect, wobble; of the pen's thickness, pressure
            and ink; and of the blur.

    Returns:
        A greyscale picture, 60 to 160 pixels high or wide.
    """
    longer = generator.uniform(36, 110)
    pen = longer * generator.uniform(0.035, 0.14)
    placed = another_hand(lines, longer, generator)
    low = np.concatenate(placed).min(axis=0) - pen - _MARGIN
    size = np.ceil(np.concatenate(placed).max(axis=0) + pen + _MARGIN - low).astype(int)
    page = Image.new("L", (int(size[0]) * _OVERSAMPLING, int(size[1]) * _OVERSAMPLING), 255)
    brush = ImageDraw.Draw(page)
    ink = int(generator.integers(0, 90))
    pressure = generator.uniform(0, 0.45) if generator.random() < 0.7 else 0.0
    for line in placed:
        radii = pen / 2 * _pressure_along(line, pressure, generator)
        _draw_line(brush, (line - low) * _OVERSAMPLING, radii * _OVERSAMPLING, ink)
    page = page.resize((int(size[0]), int(size[1])), Image.Resampling.BOX)
    return page.filter(ImageFilter.GaussianBlur(generator.uniform(0, 0.02 * longer)))


def another_hand(lines: Lines, longer: float, generator: Generator) -> Lines:
    """Slant, turn, stretch and bend strokes, and scale their longer side to `longer` pixels."""
    points = np.concatenate(lines)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    unit = max(float(np.ptp(points, axis=0).max()), 1.0)
    slant, angle, widen = generator.normal(0, 1, 3) * (0.16, 0.08, 0.14)
    turned = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    phase, bend = generator.uniform(0, 2 * math.pi, 2), generator.uniform(0, 0.03)
    changed = []
    for line in lines:
        unbent = (line - middle) / unit * (math.exp(widen), math.exp(-widen))
        wave = np.stack([np.sin(5 * unbent[:, 1] + phase[0]), np.sin(5 * unbent[:, 0] + phase[1])])
        bent = unbent + bend * wave.T
        bent[:, 0] -= slant * bent[:, 1]
        changed.append(bent @ turned)
    scale = longer / max(float(np.ptp(np.concatenate(changed), axis=0).max()), 0.1)
    return [line * scale for line in changed]


def _pressure_along(
    line: NDArray[np.float64], pressure: float, generator: Generator
) -> NDArray[np.float64]:
    """Return a smooth wave along a stroke, 1 ± `pressure` at each point: float64 (count,)."""
    along = np.concatenate([[0.0], np.hypot(*np.diff(line, axis=0).T).cumsum()])
    wave = np.sin(along / (along[-1] + 1) * generator.uniform(1, 7) + generator.uniform(0, 7))
    factors: NDArray[np.float64] = 1 + pressure * wave
    return factors


def _draw_line(
    brush: ImageDraw.ImageDraw, line: NDArray[np.float64], radii: NDArray[np.float64], ink: int
) -> None:
    """Draw one stroke as a disc at each point and a bar between two."""
    for (x, y), radius in zip(line, radii, strict=True):
        brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    for index in range(len(line) - 1):
        width = max(1, round(radii[index] + radii[index + 1]))
        brush.line([*map(float, line[index]), *map(float, line[index + 1])], fill=ink, width=width)
