"""Marks that touch a digit: told from it by their ink.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`)
and on marks in a second ink (`python -m benchmarks.robustness.two_inks`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.components import Components
from edge_adder.preprocessing.digits import Chosen, extent
from edge_adder.preprocessing.morphology import dilate

_SAME_INK = 0.95
"""Least cosine between the contrasts of two strokes with the background, as vectors of red, green
and blue, if they are of the same ink."""

_ONE_INK = 0.997
"""The same of the pixels that are more, and that are less, likely a mark's than the mean is: above
it all are of one ink, and a second one is not looked for."""

_ROUNDS = 4
"""How often pixels are assigned to the nearer of two inks (k-means)."""

_MIN_CROSSED, _MIN_SHARE, _MIN_TOLD = 0.25, 0.1, 0.8
"""Least length of a component that is looked at for a mark that crosses a digit, as a share of the
picture's longer side; least share of its pixels that each of two inks has; and least difference of
their mean log-odds of being a mark's."""


def have_two_inks(
    components: Components, contrast: NDArray[np.float32], is_mark: NDArray[np.bool_]
) -> Chosen:
    """Return in which components the mark is of another colour than the rest, not only fainter."""
    mark, rest = (
        np.stack([components.total(contrast[:, :, channel] * part) for channel in range(3)])
        for part in (is_mark, ~is_mark)
    )
    lengths = np.sqrt(np.square(mark).sum(axis=0) * np.square(rest).sum(axis=0))
    two: Chosen = (mark * rest).sum(axis=0) < _SAME_INK * lengths
    return two


def are_one_ink(contrast: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Check whether two strokes are of the same ink.

    Args:
        contrast: Difference of the pixels of one stroke from the background, float32 (pixels, 3).
        other: That of the other.
    """
    one, two = contrast.sum(axis=0), other.sum(axis=0)
    lengths = float(np.sqrt(np.square(one).sum() * np.square(two).sum()))
    return float((one * two).sum()) >= _SAME_INK * lengths


def find_crossing(
    components: Components,
    digits: NDArray[np.bool_],
    contrast: NDArray[np.float32],
    is_mark: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return the pixels of marks that cross a digit in another ink, bool (height, width).

    The colour says which pixels are of the same ink, and the model which of two inks is the mark's.

    Args:
        components: What is written.
        digits: bool (height, width); what of that may be a digit's.
        contrast: float32 (height, width, 3); difference from the background.
        is_mark: float32 (height, width); log-odds that a pixel is a mark's.
    """
    found = np.zeros(components.shape, bool)
    length = np.maximum(components.height, components.width)
    for index in np.flatnonzero(length >= _MIN_CROSSED * max(components.shape)).tolist():
        alone = np.arange(len(components)) == index
        left, top, right, bottom = extent(components, alone)
        box = slice(top, bottom), slice(left, right)
        inside = (components.mask(alone) & digits)[box]
        of_mark = _tell_inks(contrast[box][inside], is_mark[box][inside])
        if of_mark is not None:
            mark = np.zeros_like(inside)
            mark[inside] = of_mark
            found[box] |= mark & ~_between(inside & ~mark, _stroke_width(mark) + 1)
    return found


def _tell_inks(
    contrast: NDArray[np.float32], is_mark: NDArray[np.float32]
) -> NDArray[np.bool_] | None:
    """Return which pixels are of the ink that is a mark's; None where there are no two inks.

    Args:
        contrast: float32 (pixels, 3).
        is_mark: float32 (pixels,); log-odds that a pixel is a mark's.
    """
    if not len(is_mark):
        return None
    of_mark = is_mark > is_mark.mean()
    mark, rest = _ink_colours(contrast, of_mark)
    if not of_mark.any() or float((mark * rest).sum()) > _ONE_INK:
        return None
    lengths = np.sqrt(np.square(contrast).sum(axis=1, keepdims=True))
    directions = contrast / np.maximum(lengths, np.float32(1e-6))
    for _ in range(_ROUNDS):
        of_mark = (directions * (mark - rest)).sum(axis=1) > 0
        if not _MIN_SHARE <= of_mark.mean() <= 1 - _MIN_SHARE:
            return None
        mark, rest = _ink_colours(contrast, of_mark)
    told = float(is_mark[of_mark].mean() - is_mark[~of_mark].mean())
    return of_mark if float((mark * rest).sum()) < _SAME_INK and told >= _MIN_TOLD else None


def _ink_colours(
    contrast: NDArray[np.float32], of_mark: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean contrasts of a mark's pixels and of the rest, as vectors of length 1."""
    mark = (contrast * of_mark[:, None]).sum(axis=0)
    rest = contrast.sum(axis=0) - mark
    mark, rest = (each / max(float(np.sqrt(np.square(each).sum())), 1e-6) for each in (mark, rest))
    return mark, rest


def _stroke_width(mask: NDArray[np.bool_]) -> int:
    """Return about how wide the strokes of a mask are, in pixels."""
    inner = ~dilate(~np.pad(mask, 1), 1)[1:-1, 1:-1]
    area, rim = int(mask.sum()), int((mask & ~inner).sum())
    return round(2 * area / max(1, rim))


def _between(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Return the pixels that have a mask's pixels on two opposite sides, some pixels away at most.

    Closing with a disc would not bridge a gap in a stroke that is not much wider than the gap.
    """
    height, width = mask.shape
    padded = np.pad(mask, reach)

    def moved(down: int, along: int) -> NDArray[np.bool_]:
        return padded[reach + down :, reach + along :][:height, :width]

    found = np.zeros_like(mask)
    for down, along in ((0, 1), (1, 0), (1, 1), (1, -1)):
        before, after = np.zeros_like(mask), np.zeros_like(mask)
        for step in range(1, reach + 1):
            before |= moved(-step * down, -step * along)
            after |= moved(step * down, step * along)
        found |= before & after
    return found
