"""Ink → uint8 (28, 28), as MNIST was made: stroke width, a box of 20×20, centred by mass."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.contract import FULL_INK, IMAGE_SIDE
from edge_adder.preprocessing.morphology import bounding_box, dilate_grey, erode_grey

DIGIT_SIDE = 20
"""Longer side of the digit, in pixels: MNIST fits its ink into a box of 20×20
(yann.lecun.com/exdb/mnist)."""

CENTRE = 14.5
"""Where the ink's centre of mass is put, in pixels from the image's edge, as near as whole pixels
allow. In all of MNIST's 70,000 images it is 13.98 to 15.00
(`python -m benchmarks.robustness.mnist_format`)."""

STROKE_WIDTHS = (1.9, 4.2)
"""Minimum and maximum mean width of strokes, in pixels of 28×28; thinner strokes are widened, wider
ones are thinned. Of MNIST's images 1 % are below 1.3, half are below 2.4 and 1 % are above 4.4
(`python -m benchmarks.robustness.mnist_format`); its thinnest are the ones that are misread."""

_ZOOM = 6
"""Pixels per pixel of the result where strokes are measured and changed."""

_STROKE = 128
"""Minimum amount of ink of a pixel that belongs to a stroke."""

_MIN_LEFT = 0.2
"""Minimum share of the strokes' area that thinning leaves; where less is left, they have broken."""


def normalize(ink: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Give ink MNIST's stroke width, size and place.

    Args:
        ink: uint8 (height, width), cropped to the digit and not empty; 0 = none, 255 = full.

    Returns:
        uint8 (28, 28); 0 = background, 255 = full ink. And the mean width that the strokes had, in
        its pixels.
    """
    zoomed = zoom(ink)
    width = float(stroke_width(zoomed >= _STROKE)) / _ZOOM
    return centre(fit(adjust_strokes(zoomed, width))), width


def zoom(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Make ink six times as large as in the result, with a margin in which strokes can grow."""
    zoomed = _resize(ink, _ZOOM * DIGIT_SIDE, Image.Resampling.BICUBIC)
    return np.pad(_stretch(zoomed), 2 * _ZOOM)


def stroke_width(mask: NDArray[np.bool_]) -> float:
    """Return the mean width of strokes in pixels: twice the area over the length of the outline.

    The outline of pixels is 4/π as long as that of the shape, averaged over all directions.

    Args:
        mask: bool (height, width).
    """
    padded = np.pad(mask, 1)
    outline = np.count_nonzero(padded[1:] != padded[:-1])
    outline += np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    return 2.0 * np.count_nonzero(mask) / max(1.0, outline * math.pi / 4)


def adjust_strokes(zoomed: NDArray[np.uint8], width: float) -> NDArray[np.uint8]:
    """Widen or thin strokes of a width, in pixels of the result, to MNIST's range."""
    thinnest, widest = STROKE_WIDTHS
    if width < thinnest:
        return dilate_grey(zoomed, _steps(thinnest - width))
    if width > widest:
        thinned = erode_grey(zoomed, _steps(width - widest))
        left = np.count_nonzero(thinned >= _STROKE)
        if left > _MIN_LEFT * np.count_nonzero(zoomed >= _STROKE):
            return thinned
    return zoomed


def fit(zoomed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crop to the digit, and resize to a longer side of 20 pixels."""
    cropped = np.ascontiguousarray(zoomed[bounding_box(zoomed >= _STROKE // 2)])
    return _stretch(_resize(cropped, DIGIT_SIDE, Image.Resampling.BOX))


def _steps(change: float) -> int:
    """Return how far the outline moves for a change of the width, in zoomed pixels."""
    return max(1, round(change * _ZOOM / 2))


def _stretch(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale the values so that the maximum is full ink."""
    most = max(1, int(ink.max()))
    return ink if most == FULL_INK else np.rint(ink * np.float32(FULL_INK / most)).astype(np.uint8)


def _resize(pixels: NDArray[np.uint8], side: int, resample: Image.Resampling) -> NDArray[np.uint8]:
    """Resize to a longer side of `side`, keeping the aspect ratio.

    `ImageOps.contain` would make the shorter side of a hairline 0 pixels long.
    """
    image = Image.fromarray(pixels)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, resample))


def centre(digit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the centre of mass at `CENTRE` of a black 28×28, as near as whole pixels allow."""
    mass = digit.astype(np.float64)
    middle = (
        float((sums * (np.arange(len(sums)) + 0.5)).sum() / mass.sum())
        for sums in (mass.sum(axis=1), mass.sum(axis=0))
    )
    top, left = (
        min(max(round(CENTRE - c), 0), IMAGE_SIDE - length)
        for c, length in zip(middle, digit.shape, strict=True)
    )
    canvas = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas
