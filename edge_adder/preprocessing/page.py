"""A page that lies on something darker: its surroundings are left out.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.preprocessing.components import find_components
from edge_adder.preprocessing.morphology import dilate, edge_contrast
from edge_adder.preprocessing.pixels import SMALL_SIDE
from edge_adder.preprocessing.threshold import otsu

_MIN_AREA = 0.15
"""Minimum share of the picture that a page covers."""

_MAX_INK = 0.3
"""Maximum share of the page that is ink; more is a bold light digit with a hole."""

_MIN_EXTENT = 0.75
"""Minimum share of its smallest bounding box that a page fills: below 1, as it may be photographed
at an angle."""

_MIN_INK_LENGTH = 0.15
"""Minimum height or width of something written, as a share of the side of a square page."""

_MAX_STROKE_EXTENT, _MIN_RECTANGLE_EXTENT = 0.6, 0.86
"""Maximum share of their bounding box that strokes fill; where they fill more, as a 1 does, the
minimum share that the page must fill of its own. A bold 0, with a hole as slender, is an ellipse
and fills π/4 of its box."""

_MAX_HALFWAY = 0.08
"""Maximum share of the picture whose brightness is halfway between page and surroundings."""

_MIN_EDGE = 0.6
"""Minimum share of the difference between page and surroundings that lies at the page's edge."""

_EDGE_STEPS = 2
"""Width of the strips on both sides of the edge where brightness is averaged, in pixels."""

_MARGIN = 0.02
"""Width of the margin along the page's edge that is left out, since the page may cast a shadow or
bend there, as a share of the picture's longer side."""


def crop_to_page(pixels: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Continue a page over its surroundings, so that only the page is left.

    Args:
        pixels: uint8 (height, width), or (height, width, 3) for colour.

    Returns:
        The same shape, a copy; None where there is no page with something written on it, or the
        page fills the picture.
    """
    if min(pixels.shape[:2]) <= SMALL_SIDE:
        return None
    grey = pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L"))
    threshold = otsu(grey)
    if threshold is None:
        return None
    light = grey > threshold
    if light[[0, -1]].mean() + light[:, [0, -1]].mean() > 1:
        return None  # the page goes to the edges of the picture
    components = find_components(light)
    top, first, last = _row_ends(
        components.mask(np.arange(len(components)) == components.area.argmax())
    )
    bottom, column = top + len(first), np.arange(light.shape[1])
    page = np.zeros_like(light)
    page[top:bottom] = (column >= first[:, None]) & (column <= last[:, None])
    margin = round(_MARGIN * max(page.shape))
    if not _is_page(grey, page, threshold, margin) or not _has_edge(grey, page, threshold):
        return None
    row = np.clip(np.arange(len(page)), top + margin, bottom - 1 - margin)
    middle = (first + last) // 2
    left = np.minimum(first + margin, middle)[row - top]
    right = np.maximum(last - margin, middle)[row - top]
    return pixels[row[:, None], np.clip(column, left[:, None], right[:, None])]


def _row_ends(mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Return the top row of a connected mask, and the first and last column of each of its rows."""
    rows = np.flatnonzero(np.count_nonzero(mask, axis=1))
    mask = mask[rows]
    return int(rows[0]), mask.argmax(axis=1), mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)


def _is_page(
    grey: NDArray[np.uint8], page: NDArray[np.bool_], threshold: float, margin: int
) -> bool:
    """Check whether a light part of a picture, without holes, is a page with ink on it."""
    area = np.count_nonzero(page)
    if area < _MIN_AREA * page.size:
        return False
    extent = area / _min_box_area(page)
    if extent < _MIN_EXTENT:
        return False
    inside = ~dilate(~page, margin)
    fainter = otsu(grey[inside])
    return any(
        level is not None and _is_writing(inside & (grey <= level), int(area), extent)
        for level in (threshold, fainter)
    )


def _is_writing(ink: NDArray[np.bool_], area: int, extent: float) -> bool:
    """Check whether the dark part of a page may be writing.

    Args:
        ink: bool (height, width).
        area: Area of the page, in pixels.
        extent: Share of its smallest bounding box that the page fills.
    """
    if not ink.any() or np.count_nonzero(ink) > _MAX_INK * area:
        return False
    marks = find_components(ink)
    length = np.maximum(marks.height, marks.width)
    longest = int(length.argmax())
    if length[longest] < _MIN_INK_LENGTH * math.sqrt(area):
        return False
    stroke_extent = marks.area[longest] / (marks.height[longest] * marks.width[longest])
    return bool(stroke_extent <= _MAX_STROKE_EXTENT or extent >= _MIN_RECTANGLE_EXTENT)


def _has_edge(grey: NDArray[np.uint8], page: NDArray[np.bool_], threshold: float) -> bool:
    """Check whether brightness falls at once where a page ends, and not slowly as in a shadow."""
    light = grey > threshold
    paper, surroundings = float(np.median(grey[light])), float(np.median(grey[~light]))
    gap = paper - surroundings
    if np.mean(np.abs(grey - (paper + surroundings) / 2) < gap / 8) > _MAX_HALFWAY:
        return False
    return edge_contrast(grey, page, _EDGE_STEPS) >= _MIN_EDGE * gap


def _min_box_area(mask: NDArray[np.bool_]) -> float:
    """Return the area of the smallest box around a mask, rotated in steps of 5 degrees."""
    top, first, last = _row_ends(mask)
    rows = np.arange(top, top + len(first))
    x, y = np.concatenate([first, last]), np.concatenate([rows, rows])
    angle = np.radians(np.arange(0, 90, 5))[:, None]
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return float(((np.ptp(along, axis=1) + 1) * (np.ptp(across, axis=1) + 1)).min())
