"""A sheet of paper that lies on something darker: what is around it is left out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.preprocessing.components import find_components
from edge_adder.preprocessing.morphology import dilate, edge_contrast
from edge_adder.preprocessing.threshold import otsu

_LEAST_SHARE = 0.15
"""Of the picture, that a sheet takes up at least."""

_MOST_WRITTEN = 0.3
"""Of the sheet, that is ink at most: more is a bold digit, light on dark, with a hole."""

_LEAST_FILLED = 0.75
"""Of the smallest box around a sheet, that it fills; less than 1 as it is seen from the side."""

_LEAST_HEIGHT = 0.15
"""Of the side of a square sheet, that something written on it is high or wide."""

_STROKES, _RECTANGLE = 0.6, 0.86
"""What strokes fill of the box around them at most, and what a sheet fills of its own where they
fill more, as a 1 does. A bold 0, with a hole as slender, is an ellipse and fills π/4 of its box."""

_MOST_BETWEEN = 0.08
"""Share of the picture whose brightness is halfway between sheet and table."""

_LEAST_STEP = 0.6
"""Of the difference between the two, that lies within two pixels of the edge."""

_RIM = 0.02
"""Of the picture, that is left out along the edge of the sheet, where it casts a shadow."""


def crop_to_page(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Continue a sheet of paper over all that lies around it.

    Args:
        pixels: uint8 (height, width), or (height, width, 3) for colour.

    Returns:
        The same shape, a copy; None where no sheet with something written on it was found.
    """
    grey = pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))
    threshold = otsu(grey)
    if threshold is None:
        return None
    light = grey > threshold
    if light[[0, -1]].mean() + light[:, [0, -1]].mean() > 1:
        return None  # the paper goes to the edges of the picture
    parts = find_components(light)
    sheet = parts.mask(np.arange(len(parts)) == parts.area.argmax())
    top, first, last = _extents(sheet)
    bottom, column = top + len(first), np.arange(sheet.shape[1])
    whole = np.zeros_like(sheet)
    whole[top:bottom] = (column >= first[:, None]) & (column <= last[:, None])
    rim = round(_RIM * max(sheet.shape))
    if not _is_sheet(grey, whole, threshold, rim) or not _has_edge(grey, whole, threshold):
        return None
    row = np.clip(np.arange(len(sheet)), top + rim, bottom - 1 - rim)
    middle = (first + last) // 2
    left = np.minimum(first + rim, middle)[row - top]
    right = np.maximum(last - rim, middle)[row - top]
    return pixels[row[:, None], np.clip(column, left[:, None], right[:, None])]


def _extents(part: NDArray[np.bool_]) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """The top row of a connected part, and the first and last column of each row from there."""
    rows = np.flatnonzero(np.count_nonzero(part, axis=1))
    part = part[rows]
    return int(rows[0]), part.argmax(axis=1), part.shape[1] - 1 - part[:, ::-1].argmax(axis=1)


def _is_sheet(
    grey: NDArray[np.uint8], whole: NDArray[np.bool_], threshold: float, rim: int
) -> bool:
    """Whether a light part of a picture, without holes, is paper with ink on it."""
    area = np.count_nonzero(whole)
    if area < _LEAST_SHARE * whole.size:
        return False
    filled = area / _least_box(whole)
    if filled < _LEAST_FILLED:
        return False
    inside = ~dilate(~whole, rim)
    fainter = otsu(grey[inside])
    return any(
        each is not None and _is_written(inside & (grey <= each), int(area), filled)
        for each in (threshold, fainter)
    )


def _is_written(ink: NDArray[np.bool_], area: int, filled: float) -> bool:
    """Whether what is dark on a sheet may be written there.

    Args:
        ink: bool (height, width).
        area: Of the sheet, in pixels.
        filled: Share of the smallest box around the sheet that it fills.
    """
    if not ink.any() or np.count_nonzero(ink) > _MOST_WRITTEN * area:
        return False
    marks = find_components(ink)
    longest = np.maximum(marks.height, marks.width)
    largest = int(longest.argmax())
    if longest[largest] < _LEAST_HEIGHT * math.sqrt(area):
        return False
    strokes = marks.area[largest] / (marks.height[largest] * marks.width[largest])
    return bool(strokes <= _STROKES or filled >= _RECTANGLE)


def _has_edge(grey: NDArray[np.uint8], whole: NDArray[np.bool_], threshold: float) -> bool:
    """Whether brightness falls at once where a sheet ends, and not bit by bit as in a shadow."""
    light = grey > threshold
    sheet, table = float(np.median(grey[light])), float(np.median(grey[~light]))
    gap = sheet - table
    if np.mean(np.abs(grey - (sheet + table) / 2) < gap / 8) > _MOST_BETWEEN:
        return False
    return edge_contrast(grey, whole, 2) >= _LEAST_STEP * gap


def _least_box(whole: NDArray[np.bool_]) -> float:
    """Area of the smallest box around a shape, upright or turned in steps of 5 degrees."""
    top, first, last = _extents(whole)
    rows = np.arange(top, top + len(first))
    x, y = np.concatenate([first, last]), np.concatenate([rows, rows])
    turns = np.radians(np.arange(0, 90, 5))[:, None]
    along, across = np.cos(turns) * x + np.sin(turns) * y, np.cos(turns) * y - np.sin(turns) * x
    return float(((np.ptp(along, axis=1) + 1) * (np.ptp(across, axis=1) + 1)).min())
