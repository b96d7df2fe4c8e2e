"""Ruled and squared paper: its lines are removed, and strokes that cross them stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.components import find_components, run_lengths
from edge_adder.preprocessing.pixels import SMALL_SIDE

_MIN_LINES = 2
"""Minimum number of ruled lines. A single one may be the bar of a 7 that fills the picture."""

_MIN_RUN = 0.2
"""Minimum length of a straight piece of a line, as a share of the picture's width."""

_RUN_EXTENT = 0.95
"""Minimum share of such a piece that is ink."""

_MAX_THICKNESS = 0.06
"""Maximum thickness of a line, as a share of the picture's height."""

_END = 0.04
"""Maximum distance between a line's end and the edge of the picture, as a share of its width."""


def remove_ruled_lines(contrast: NDArray[np.float32], low: float) -> NDArray[np.float32]:
    """Set the contrast of ruled lines to 0: several straight thin lines from edge to edge.

    Where ink is thicker than the lines, a stroke crosses them and stays. Small pictures are
    taken to have no lines.

    Args:
        contrast: float32 (height, width), 0 to 1.
        low: Contrast above which a pixel may be ink.

    Returns:
        float32 (height, width).
    """
    if min(contrast.shape) <= SMALL_SIDE:
        return contrast
    for _ in ("along rows", "along columns"):
        contrast = _remove_rows(contrast, low).T
    return contrast


def _remove_rows(contrast: NDArray[np.float32], low: float) -> NDArray[np.float32]:
    """Remove the lines that run from left to right."""
    height, width = contrast.shape
    mask = contrast > low
    thick = mask.copy()  # a pixel higher and lower, so that a slope does not break a line
    thick[1:] |= mask[:-1]
    thick[:-1] |= mask[1:]
    stretches = _full_stretches(thick, max(8, int(_MIN_RUN * width)))
    runs = find_components(stretches)
    thickness = runs.area / np.maximum(1, runs.width)
    # A line that slopes may end at the upper or lower edge.
    ends = (runs.top <= 2).astype(int) + (runs.bottom >= height - 2)
    ends += runs.left < _END * width
    ends += runs.right > (1 - _END) * width
    lines = (ends >= 2) & (thickness < max(4, _MAX_THICKNESS * height))
    if np.count_nonzero(lines) < _MIN_LINES:
        return contrast
    max_thickness = round(float(np.median(thickness[lines]))) + 1
    lengths = run_lengths(mask.T).T
    removed = runs.mask(lines) & (lengths <= max_thickness)
    return np.where(removed, np.float32(0), contrast)


def _full_stretches(mask: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Return the pixels of a mask that lie in a nearly full stretch of `length` along the row."""
    height, width = mask.shape
    sums = np.zeros((height, width + 1), np.int32)
    np.cumsum(mask, axis=1, out=sums[:, 1:])
    full = (sums[:, length:] - sums[:, :-length]) >= _RUN_EXTENT * length
    steps = np.zeros((height, width + 1), np.int32)
    steps[:, : full.shape[1]] += full
    steps[:, length:] -= full
    covered: NDArray[np.bool_] = (steps.cumsum(axis=1)[:, :-1] > 0) & mask
    return covered
