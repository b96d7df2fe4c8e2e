"""Synthetic 1s with flags and 7s, which only the drop of the first stroke tells apart.

MNIST has hardly a 1 with a wide flag, and the pages of `export.handwriting` have few writers of
one. The flags of `draw_ones_and_sevens` have every width and drop that a reader takes for a 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import IMAGE_SIDE

from .strokes import Strokes, draw_strokes

_FLAG_WIDTH, _FLAG_DROP = (0.12, 0.42), (0.17, 0.7)
"""Smallest and greatest width and drop of a flag, in heights of the stem."""

_TOP_WIDTH, _TOP_DROP = (0.38, 0.65), (-0.05, 0.07)
"""Smallest and greatest width and drop of the top stroke of a 7, in its heights."""

_ASPECT = 0.62
"""Width of `draw_strokes`' unit box, in its heights."""


def draw_ones_and_sevens(
    count: int, *, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw 1s and 7s in turn.

    Returns:
        images: uint8 (count, 1, 28, 28); 0 = background, 255 = full ink.
        digits: int64 (count,); 1 or 7.
    """
    generator = np.random.default_rng(seed)
    digits = np.where(np.arange(count) % 2, 7, 1).astype(np.int64)
    images = np.zeros((count, 1, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    for image, digit in zip(images, digits, strict=True):
        strokes = _one(generator) if digit == 1 else _seven(generator)
        image[0] = draw_strokes(strokes, generator)
    return images, digits


def _one(generator: np.random.Generator) -> Strokes:
    """A stem with a straight or bent flag; every fourth stands on a foot."""
    width, drop = generator.uniform(*_FLAG_WIDTH) / _ASPECT, generator.uniform(*_FLAG_DROP)
    sag = generator.uniform(-0.04, 0.04)
    strokes = [[(0.5 - width, drop), (0.5 - width / 2, drop / 2 + sag), (0.5, 0.0), (0.5, 1.0)]]
    if generator.random() < 0.25:
        reach = generator.uniform(0.2, 0.5)
        strokes.append([(0.5 - reach, 1.0), (0.5 + reach, 1.0)])
    return strokes


def _seven(generator: np.random.Generator) -> Strokes:
    """A top stroke and a slanted or bent foot; every second has a bar."""
    width, drop = generator.uniform(*_TOP_WIDTH) / _ASPECT, generator.uniform(*_TOP_DROP)
    slant = generator.uniform(0.15, 0.5) / _ASPECT
    bend = generator.uniform(-0.12, 0.04)
    right, foot, middle = 0.9, 0.9 - slant, 0.9 - slant / 2 + bend
    strokes = [[(right - width, drop), (right, 0.0), (middle, 0.5), (foot, 1.0)]]
    if generator.random() < 0.5:
        reach, rise = generator.uniform(0.2, 0.45), generator.uniform(-0.08, 0.04)
        strokes.append([(middle - reach, 0.5), (middle + reach, 0.5 + rise)])
    return strokes
