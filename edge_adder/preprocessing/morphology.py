"""Morphology of masks and grey values: dilation, edges, bounding boxes."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


def dilate(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Grow a mask, bool (height, width), by steps of one pixel up, down, left and right."""
    for _ in range(steps):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask


def dilate_grey(values: NDArray[_Scalar], steps: int) -> NDArray[_Scalar]:
    """Return the maximum of the square window around each value.

    Args:
        values: (height, width), of any dtype that can be compared.
        steps: Pixels from the middle of the window to its sides.
    """
    return _extreme(values, steps, np.maximum)


def erode_grey(values: NDArray[_Scalar], steps: int) -> NDArray[_Scalar]:
    """Return the minimum of the square window around each value; as `dilate_grey`."""
    return _extreme(values, steps, np.minimum)


def _extreme(values: NDArray[_Scalar], steps: int, extreme: np.ufunc) -> NDArray[_Scalar]:
    """Return the maximum or minimum of square windows, one axis after the other."""
    for axis in (0, 1):
        lines = np.swapaxes(values, 0, axis)
        found = lines.copy()
        for step in range(1, steps + 1):
            extreme(found[step:], lines[:-step], out=found[step:])
            extreme(found[:-step], lines[step:], out=found[:-step])
        values = np.swapaxes(found, 0, axis)
    return values


def edge_contrast(values: NDArray[Any], mask: NDArray[np.bool_], steps: int) -> float:
    """Return by how much values fall across the edge of a mask.

    Args:
        values: (height, width).
        mask: bool (height, width).
        steps: How far from the edge values are averaged, in pixels, on both sides.

    Returns:
        Mean inside minus mean outside; 0 for a mask without an edge.
    """
    inside, outside = mask & dilate(~mask, steps), dilate(mask, steps) & ~mask
    if not outside.any():
        return 0.0
    return float(values[inside].mean() - values[outside].mean())


def border(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the outermost pixels of (height, width), each at least once: (count,)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns of the box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def relative_box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Return the box around a mask: left, top, right, bottom, as shares of width and height."""
    height, width = mask.shape
    rows, columns = bounding_box(mask)
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height
