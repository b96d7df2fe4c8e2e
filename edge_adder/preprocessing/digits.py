"""Which components of a picture's ink make each digit.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.components import Components
from edge_adder.preprocessing.pixels import SMALL_SIDE

MAX_DIGITS = 32
"""Maximum number of digits in a picture. One more is returned at most, so that it can be refused:
merging the fragments of thousands would take long."""

_MIN_CERTAIN = 0.1
"""Minimum share of a component's pixels that are above the high threshold."""

_MIN_LENGTH = 0.08
"""Minimum length of the main digit, as a share of the picture's longer side."""

_MIN_ENCLOSING = 0.2
"""Minimum height of an enclosing box, as a share of the picture's height."""

_MIN_ENCLOSED = 0.3
"""Minimum height of what stands in an enclosing box, as a share of the box's height."""

_MAX_INSIDE = 0.05
"""Maximum share of an enclosing box's pixels that are further inside than an eighth of its side."""

_MIN_HEIGHT, _MIN_AREA = 0.5, 0.2
"""Minimum height and area of another digit, as shares of the main digit's."""

_MAX_OVERLAP = 0.2
"""Maximum overlap of two digits in a line, as a share of the narrower one's width."""

_MIN_FRAGMENT = 0.03
"""Minimum area of a fragment, as a share of its digit's largest component."""

_MAX_GAP = 0.15
"""Maximum distance between a fragment and its digit, as a share of the digit's length."""


def select_digits(
    components: Components, ink: NDArray[np.float64], certain: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], ...]:
    """Select the components that make each digit.

    Args:
        components: All that may be ink.
        ink: Amount of ink of each component: the sum of its pixels' contrast, (components,).
        certain: Number of each component's pixels that are certainly ink, (components,).

    Returns:
        bool (components,) for each digit: the main one, which has the most ink near the middle of
        the picture, then the others from left to right. Empty where nothing is certainly ink.
    """
    seeds = certain >= np.maximum(1, _MIN_CERTAIN * components.area)
    if not seeds.any():
        return ()
    seeds &= ~enclosing_boxes(components, seeds)
    touching = _touching_border(components)
    main = _main_seed(components, ink, seeds, touching)
    if not touching[main] and min(components.shape) > SMALL_SIDE:
        seeds &= ~touching  # the edge of the paper, a thumb
    others = seeds & candidates(components, main)
    fragments = seeds & ~others
    digits = []
    for index in (main, *_from_left(components, others)[:MAX_DIGITS]):
        digits.append(merge_fragments(components, int(index), fragments))
        fragments &= ~digits[-1]
    return tuple(digits)


def enclosing_boxes(components: Components, seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which components are boxes around others, as forms have them: bool (components,).

    All of a box is near its sides, and what stands in it is not small, as the dot in a 0 is.

    Args:
        components: All that may be ink.
        seeds: bool (components,); those that are ink.
    """
    boxes = np.zeros(len(components), bool)
    for index in np.flatnonzero(seeds & (components.height > _MIN_ENCLOSING * components.shape[0])):
        top, bottom = components.top[index], components.bottom[index]
        left, right = components.left[index], components.right[index]
        enclosed = seeds & (components.top > top) & (components.bottom < bottom)
        enclosed &= (components.left > left) & (components.right < right)
        if components.height[enclosed].max(initial=0) < _MIN_ENCLOSED * (bottom - top):
            continue
        down, along = round((bottom - top) / 8), round((right - left) / 8)
        mask = components.mask(np.arange(len(components)) == index)
        inside = mask[top + down : bottom - down, left + along : right - along]
        boxes[index] = np.count_nonzero(inside) < _MAX_INSIDE * components.area[index]
    return boxes


def _touching_border(components: Components) -> NDArray[np.bool_]:
    """Return which components reach the border of the picture: bool (components,)."""
    height, width = components.shape
    touching = (components.top <= 1) | (components.left <= 1)
    touching |= (components.bottom >= height - 1) | (components.right >= width - 1)
    return touching


def _main_seed(
    components: Components,
    ink: NDArray[np.float64],
    seeds: NDArray[np.bool_],
    touching: NDArray[np.bool_],
) -> int:
    """Return the index of the seed with the most ink near the middle of the picture."""
    height, width = components.shape
    off_centre = np.hypot(
        (components.left + components.right) / width - 1,
        (components.top + components.bottom) / height - 1,
    )
    weight = ink * np.where(touching, 0.1, 1)
    weight *= (1 - 0.8 * np.minimum(1, off_centre)) * seeds
    length = np.maximum(components.height, components.width)
    is_long = length > _MIN_LENGTH * max(height, width)
    return int(np.where(is_long, weight, weight * 1e-3).argmax())


def candidates(components: Components, main: int) -> NDArray[np.bool_]:
    """Return which components may be digits beside the main one: bool (components,).

    They are about as large, and stand beside it or apart from it.

    Args:
        components: All that may be ink.
        main: Index of the main digit's largest component.
    """
    large = components.height >= _MIN_HEIGHT * components.height[main]
    large &= components.area >= _MIN_AREA * components.area[main]
    overlap = np.minimum(components.right, components.right[main])
    overlap -= np.maximum(components.left, components.left[main])
    beside = overlap <= _MAX_OVERLAP * np.minimum(components.width, components.width[main])
    alone = np.arange(len(components)) == main
    apart = ~_near(components, alone, components.height[main])
    found: NDArray[np.bool_] = large & (beside | apart) & ~alone
    return found


def merge_fragments(
    components: Components, main: int, fragments: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which components make one digit: bool (components,).

    Args:
        components: All that may be ink.
        main: Index of the digit's largest component.
        fragments: bool (components,); those that may be parts of it where they are near.
    """
    digit: NDArray[np.bool_] = np.arange(len(components)) == main
    length = max(components.height[main], components.width[main])
    large = fragments & (components.area >= _MIN_FRAGMENT * components.area[main])
    for _ in range(2):  # a fragment may be near another fragment
        digit |= large & _near(components, digit, length)
    return digit


def _near(components: Components, digit: NDArray[np.bool_], length: np.int64) -> NDArray[np.bool_]:
    """Return which components are near the box around a digit: bool (components,)."""
    top, bottom = components.top[digit].min(), components.bottom[digit].max()
    left, right = components.left[digit].min(), components.right[digit].max()
    down = np.maximum(0, np.maximum(components.top - bottom, top - components.bottom))
    along = np.maximum(0, np.maximum(components.left - right, left - components.right))
    near: NDArray[np.bool_] = np.hypot(down, along) < _MAX_GAP * length
    return near


def _from_left(components: Components, chosen: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the indices of the chosen components, from left to right."""
    return np.flatnonzero(chosen)[components.left[chosen].argsort()]


def in_reading_order(
    components: Components, digits: Iterable[NDArray[np.bool_]]
) -> list[NDArray[np.bool_]]:
    """Sort digits by lines from top to bottom, and each line from left to right.

    A digit begins a new line where its top is below the middle of the digit before it.

    Args:
        components: All that may be ink.
        digits: bool (components,); the components of each digit.
    """
    lines: list[list[NDArray[np.bool_]]] = []
    middle = 0.0
    for digit in sorted(digits, key=lambda digit: int(components.top[digit].min())):
        top, bottom = int(components.top[digit].min()), int(components.bottom[digit].max())
        if not lines or top >= middle:
            lines.append([])
        middle = (top + bottom) / 2
        lines[-1].append(digit)
    return [
        digit
        for line in lines
        for digit in sorted(line, key=lambda digit: int(components.left[digit].min()))
    ]
