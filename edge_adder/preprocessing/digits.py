"""Which components of a picture's ink make each digit, and in which order they are read.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.components import Components

MAX_DIGITS = 200
"""Maximum number of digits in a picture; one with more is refused."""

Chosen = NDArray[np.bool_]
"""bool (components,): the components of a digit."""

Extent = tuple[int, int, int, int]
"""Left, top, right and bottom of something in a picture, in pixels."""

_MIN_CERTAIN = 0.1
"""Minimum share of a component's pixels that are certainly ink."""

_MIN_LENGTH = 0.08
"""Minimum length of the main digit, as a share of the picture's longer side."""

_MIN_ENCLOSING, _MIN_ENCLOSED = 0.2, 0.3
"""Minimum height of what encloses a digit, as a share of the picture's height, and of what stands
in it, as a share of its own."""

_RIM, _MAX_INSIDE = 6, 0.05
"""Maximum share of an enclosing component's pixels that are further inside than a sixth of its
side. A ring's are not: at 45 degrees it is (2 - √2) / 4 = 0.15 of its diameter inside its box."""

_MIN_HEIGHT, _MIN_AREA = 0.5, 0.2
"""Minimum height and area of another digit beside the main one, as shares of the main digit's."""

_MIN_BODY = 0.4
"""Minimum length of a digit among many, as a share of their usual length."""

_MAX_OVERLAP = 0.2
"""Maximum overlap of two digits in a line, as a share of the narrower one's width."""

_MIN_FRAGMENT = 0.03
"""Minimum area of a fragment, as a share of its digit's largest component."""

_MAX_GAP = 0.15
"""Maximum distance between a fragment and its digit, as a share of the digit's length."""

_MIN_GAP = 0.05
"""Minimum distance between two digits where one is wanted, as a share of the main one's length: the
strokes of an open 4 may be as near."""

_MIN_SHARED = 0.3
"""Minimum overlap of two neighbours in a line, as a share of the lower one's height."""


def is_ink(components: Components, certain: NDArray[np.float64]) -> Chosen:
    """Return which components are ink, and not a shadow or dust.

    Args:
        components: All that may be ink.
        certain: Number of each component's pixels that are certainly ink, (components,).
    """
    seeds: Chosen = certain >= np.maximum(1, _MIN_CERTAIN * components.area)
    return seeds


def enclosing(components: Components, seeds: Chosen) -> Chosen:
    """Return which components are boxes or rings around others, as forms and teachers have them.

    All of a box or a ring is near its sides, and what stands in it is not small, as the dot in a 0
    is.

    Args:
        components: All that may be ink.
        seeds: Those that are ink.
    """
    found = np.zeros(len(components), bool)
    for index in np.flatnonzero(seeds & (components.height > _MIN_ENCLOSING * components.shape[0])):
        left, top, right, bottom = extent(components, np.arange(len(components)) == index)
        enclosed = seeds & (components.top > top) & (components.bottom < bottom)
        enclosed &= (components.left > left) & (components.right < right)
        if components.height[enclosed].max(initial=0) < _MIN_ENCLOSED * (bottom - top):
            continue
        down, along = (bottom - top) // _RIM, (right - left) // _RIM
        mask = components.mask(np.arange(len(components)) == index)
        inside = mask[top + down : bottom - down, left + along : right - along]
        found[index] = np.count_nonzero(inside) < _MAX_INSIDE * components.area[index]
    return found


def select_digits(
    components: Components, ink: NDArray[np.float64], seeds: Chosen
) -> tuple[Chosen, ...]:
    """Select the digit that a picture of one digit shows, and others that are about as large.

    Args:
        components: All that may be ink.
        ink: Amount of ink of each component, (components,).
        seeds: Those that are ink.

    Returns:
        The main digit, which has the most ink near the middle of the picture, then the others.
        Empty where nothing is ink.
    """
    if not seeds.any():
        return ()
    main = _main_seed(components, ink, seeds)
    touching = touching_rim(components)
    bodies = seeds & candidates(components, main)
    if not touching[main]:
        bodies &= ~touching  # the edge of a page, a thumb
    bodies[main] = True
    others = np.flatnonzero(bodies & (np.arange(len(components)) != main))
    return _with_fragments(components, [main, *others[:MAX_DIGITS]], seeds & ~bodies)


def select_all(
    components: Components, ink: NDArray[np.float64], seeds: Chosen
) -> tuple[Chosen, ...]:
    """Select every digit of a picture of many, of whatever size.

    Args:
        components: All that may be ink.
        ink: Amount of ink of each component, (components,).
        seeds: Those that are ink.
    """
    if not seeds.any():
        return ()
    bodies = seeds & (_length(components) >= _MIN_BODY * usual_length(components, ink * seeds))
    found = np.flatnonzero(bodies)
    by_ink = found[np.argsort(-ink[found], kind="stable")]
    chosen: list[int] = []
    for index in by_ink[: 2 * MAX_DIGITS].tolist():  # a part of a larger digit is a fragment
        if not chosen or not _is_part(components, index, chosen):
            chosen.append(index)
        if len(chosen) > MAX_DIGITS:  # will be refused
            break
    bodies = np.isin(np.arange(len(components)), chosen)
    return _with_fragments(components, chosen, seeds & ~bodies)


def usual_length(components: Components, ink: NDArray[np.float64]) -> float:
    """Return the length of components of which half of all ink is made, the shorter ones first."""
    length = _length(components)
    order = np.argsort(length)
    total = ink[order].cumsum()
    return float(length[order][np.searchsorted(total, total[-1] / 2)])


def _length(components: Components) -> NDArray[np.int64]:
    return np.maximum(components.height, components.width)


def touching_rim(components: Components) -> Chosen:
    """Return which components reach the rim of the picture."""
    height, width = components.shape
    touching = (components.top <= 1) | (components.left <= 1)
    touching |= (components.bottom >= height - 1) | (components.right >= width - 1)
    return touching


def _main_seed(components: Components, ink: NDArray[np.float64], seeds: Chosen) -> int:
    """Return the index of the seed with the most ink near the middle of the picture."""
    height, width = components.shape
    off_centre = np.hypot(
        (components.left + components.right) / width - 1,
        (components.top + components.bottom) / height - 1,
    )
    weight = ink * (1 - 0.8 * np.minimum(1, off_centre)) * seeds
    is_long = _length(components) > _MIN_LENGTH * max(height, width)
    return int(np.where(is_long, weight, weight * 1e-3).argmax())


def candidates(components: Components, main: int) -> Chosen:
    """Return which components may be digits beside the main one.

    They are about as large, and stand beside it or apart from it.

    Args:
        components: All that may be ink.
        main: Index of the main digit's largest component.
    """
    large = components.height >= _MIN_HEIGHT * components.height[main]
    large &= components.area >= _MIN_AREA * components.area[main]
    alone = np.arange(len(components)) == main
    length = _length(components)[main]
    apart = ~_near(components, alone, _MAX_GAP * length)
    beside = _beside(components, main) & ~_near(components, alone, _MIN_GAP * length)
    found: Chosen = large & (beside | apart) & ~alone
    return found


def _beside(components: Components, body: int) -> Chosen:
    """Return which components stand to the left or to the right of a digit's body."""
    overlap = np.minimum(components.right, components.right[body])
    overlap = overlap - np.maximum(components.left, components.left[body])
    narrower = np.minimum(components.width, components.width[body])
    beside: Chosen = overlap <= _MAX_OVERLAP * narrower
    return beside


def _is_part(components: Components, index: int, bodies: Sequence[int]) -> bool:
    """Check whether a component is a part of a larger digit: near its body and not beside it."""
    alone = np.arange(len(components)) == index
    gaps = _gaps(components, alone)[bodies]
    near = gaps < _MAX_GAP * _length(components)[bodies]
    return bool((near & ~_beside(components, index)[bodies]).any())


def _with_fragments(
    components: Components, bodies: Sequence[int], fragments: Chosen
) -> tuple[Chosen, ...]:
    """Return the components of each digit: its body, and the fragments that are near it."""
    digits = []
    for body in bodies:
        digits.append(merge_fragments(components, int(body), fragments))
        fragments = fragments & ~digits[-1]
    return tuple(digits)


def merge_fragments(components: Components, main: int, fragments: Chosen) -> Chosen:
    """Return which components make one digit.

    Args:
        components: All that may be ink.
        main: Index of the digit's largest component.
        fragments: Those that may be parts of it where they are near.
    """
    digit: Chosen = np.arange(len(components)) == main
    length = _length(components)[main]
    large = fragments & (components.area >= _MIN_FRAGMENT * components.area[main])
    for _ in range(2):  # a fragment may be near another fragment
        digit |= large & _near(components, digit, _MAX_GAP * length)
    return digit


def _near(components: Components, digit: Chosen, gap: float) -> Chosen:
    """Return which components are nearer to the box around a digit than some pixels."""
    near: Chosen = _gaps(components, digit) < gap
    return near


def _gaps(components: Components, digit: Chosen) -> NDArray[np.float64]:
    """Return the distance of each component's box from the box around a digit, in pixels."""
    left, top, right, bottom = extent(components, digit)
    down = np.maximum(0, np.maximum(components.top - bottom, top - components.bottom))
    along = np.maximum(0, np.maximum(components.left - right, left - components.right))
    gaps: NDArray[np.float64] = np.hypot(down, along)
    return gaps


def extent(components: Components, chosen: Chosen) -> Extent:
    """Return the box around some components."""
    return (
        int(components.left[chosen].min()),
        int(components.top[chosen].min()),
        int(components.right[chosen].max()),
        int(components.bottom[chosen].max()),
    )


Item = TypeVar("Item")


def in_reading_order(items: Sequence[tuple[Extent, Item]]) -> list[Item]:
    """Sort what stands in lines: the lines from top to bottom, each from left to right.

    A line may rise, fall or bend: each of its items overlaps in height with the one before it.

    Args:
        items: Each with the box around it.
    """
    lines: list[list[tuple[Extent, Item]]] = []
    for box, item in sorted(items, key=lambda each: each[0][0]):
        fitting = [line for line in lines if shares_line(line[-1][0], box)]
        if fitting:  # the line that ends nearest
            min(fitting, key=lambda line: box[0] - line[-1][0][2]).append((box, item))
        else:
            lines.append([(box, item)])
    lines.sort(key=lambda line: sum(box[1] + box[3] for box, _ in line) / len(line))
    return [item for line in lines for _, item in line]


def shares_line(before: Extent, box: Extent) -> bool:
    """Check whether two boxes overlap in height, as neighbours in a line do."""
    overlap = min(before[3], box[3]) - max(before[1], box[1])
    return overlap >= _MIN_SHARED * min(before[3] - before[1], box[3] - box[1])
