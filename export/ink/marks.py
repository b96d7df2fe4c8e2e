"""Marks around, across and beside a digit: rings, boxes, ticks, strikes, lines under it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import writing
from .page import Look, Page
from .paper import Colour
from .writing import Mask

Generator = np.random.Generator

_LOOK = Look(strength=0.95, grain=0.0, specks=0.0)


class Digit(NamedTuple):
    """Where a digit is written, in pixels."""

    top: float
    left: float
    height: int
    width: int

    @property
    def middle(self) -> tuple[float, float]:
        """Its middle, y and x."""
        return self.top + self.height / 2, self.left + self.width / 2


def _put(
    page: Page, mask: Mask, middle: tuple[float, float], ink: Colour, generator: Generator
) -> None:
    """Put a mark with its middle at a place, y and x."""
    top, left = middle[0] - mask.shape[0] / 2, middle[1] - mask.shape[1] / 2
    page.put(mask, top, left, ink, generator, look=_LOOK, answer="mark")


def mark_around(page: Page, generator: Generator, digit: Digit, pen: float, ink: Colour) -> None:
    """Draw a ring or a box around a digit."""
    kind = writing.AROUND[int(generator.integers(len(writing.AROUND)))]
    across = max(digit.width, 0.5 * digit.height) * generator.uniform(1.3, 2.2)
    down = digit.height * generator.uniform(1.2, 1.7)
    mask = writing.draw_mark(kind(generator), across, down, pen)
    y, x = digit.middle
    away = generator.normal(0, 0.03, 2) * digit.height
    _put(page, mask, (y + away[0], x + away[1]), ink, generator)


def mark_over(page: Page, generator: Generator, digit: Digit, pen: float, ink: Colour) -> None:
    """Draw a mark in another ink over a digit; what was the digit's stays the digit's.

    Either the whole digit is crossed, or the mark only meets it at some place of its strokes.
    """
    kind = writing.OVER[int(generator.integers(len(writing.OVER)))]
    y, x = digit.middle
    before = page.digit.copy()
    rows, columns = np.nonzero(before > 0.5)
    if generator.random() < 0.4 or not len(rows):
        across = digit.width * generator.uniform(0.8, 1.8)
        down = digit.height * generator.uniform(0.7, 1.3)
        mask = writing.draw_mark(kind(generator), across, down, pen)
        away = generator.normal(0, 0.2, 2) * digit.height
        middle = y + away[0], x + away[1]
    else:
        longer = max(digit.height, digit.width)
        across, down = longer * np.exp(generator.uniform(np.log(0.3), np.log(1.6), 2))
        if generator.random() < 0.5:  # as round as it is drawn
            across = down
        mask = writing.draw_mark(kind(generator), float(across), float(down), pen)
        strokes = np.argwhere(mask > 0.5)
        meeting = strokes[int(generator.integers(len(strokes)))] if len(strokes) else (0, 0)
        place = int(generator.integers(len(rows)))
        middle = (
            rows[place] - meeting[0] + mask.shape[0] / 2,
            columns[place] - meeting[1] + mask.shape[1] / 2,
        )
    _put(page, mask, middle, ink, generator)
    page.digit = before
    page.mark *= 1 - before


def mark_beside(page: Page, generator: Generator, digit: Digit, pen: float, ink: Colour) -> None:
    """Underline a digit, or draw a mark beside it."""
    y, x = digit.middle
    if generator.random() < 0.45:
        line = writing.line(generator)
        width = digit.width * generator.uniform(1, 2)
        mask = writing.draw_mark(line, width, digit.height * 0.05, pen)
        y += (0.5 + generator.uniform(0.04, 0.3)) * digit.height + mask.shape[0] / 2
    else:
        kind = writing.BESIDE[int(generator.integers(len(writing.BESIDE)))]
        size = digit.height * generator.uniform(0.25, 0.7)
        mask = writing.draw_mark(kind(generator), size * generator.uniform(0.7, 1.4), size, pen)
        away = max(digit.height, digit.width) * generator.uniform(0.65, 1.0)
        angle = generator.uniform(0, 2 * np.pi)
        y, x = y + np.sin(angle) * away, x + np.cos(angle) * away
    _put(page, mask, (y, x), ink, generator)
