"""Thresholds: between two kinds of brightness, and from which contrast a pixel is ink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_CONTRAST = 16 / 255
"""Minimum contrast of ink. A picture with less is blank: the grain of paper and JPEG artefacts
reach about 10 of 255."""

_LOW, _HIGH = 0.25, 0.55
"""Low and high threshold as shares of the ink's mean contrast: strokes may fade to the low one, and
what nowhere reaches the high one is dust."""


def otsu(values: NDArray[np.float32] | NDArray[np.uint8]) -> float | None:
    """Return the threshold with the maximum variance between what is below and above it.

    Otsu, "A threshold selection method from gray-level histograms", 1979.

    Args:
        values: Any shape, 0 to 255.

    Returns:
        None where all values are the same.
    """
    counts = np.bincount(np.rint(values).astype(np.uint8).reshape(-1), minlength=256).astype(
        np.float64
    )
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * np.arange(256))
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (sums[-1] - sums) / above - sums / below
    between = np.where((below > 0) & (above > 0), below * above * distance**2, 0)
    best = int(between.argmax())
    return best + 0.5 if between[best] else None


def hysteresis_thresholds(contrast: NDArray[np.float32]) -> tuple[float, float] | None:
    """Return the low and the high threshold of ink.

    Connected pixels above the low threshold are ink where enough of them are above the high one
    (Canny, "A computational approach to edge detection", 1986).

    Args:
        contrast: float32 (height, width), 0 to 1.

    Returns:
        Two contrasts; None for a picture without ink.
    """
    positive = contrast[contrast > 0]
    threshold = (otsu(255 * positive) or 0.0) / 255 if positive.size else 0.0
    ink, background = contrast[contrast > threshold], contrast[contrast <= threshold]
    mean = float(ink.mean()) if ink.size else 0.0
    if mean < MIN_CONTRAST:
        return None
    noise = 0.0
    if background.size:
        median = np.median(background)
        deviation = np.median(np.abs(background - median))
        noise = float(median + 6 * deviation)  # about four standard deviations
    floor = max(MIN_CONTRAST, noise)
    return max(0.75 * floor, _LOW * mean), max(floor, _HIGH * mean)
