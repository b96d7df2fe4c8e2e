"""Found ink → uint8 (28, 28), as MNIST was made: strokes as wide, 20×20, centred by mass."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.contract import FULL_INK, IMAGE_SIDE

DIGIT_SIDE = 20
"""MNIST fits the digit's ink into a box of 20×20 pixels (yann.lecun.com/exdb/mnist)."""

CENTRE = 14.5
"""Where the ink's centre of mass comes to lie, from the image's edge, as near as whole pixels
allow. In all of MNIST's 70,000 images it is 13.98 to 15.00 (`python -m benchmarks.robustness.mnist_form`)."""

STROKES = (1.9, 4.2)
"""Least and greatest mean width of strokes, in pixels of the result; thinner ones are made wider,
wider ones thinner. Of MNIST's images 1 % are below 1.3 and 1 % above 4.4, and half below 2.4
(likewise); its thinnest are left out, since they are those that are read wrongly."""

_ZOOM = 6
"""Pixels for each of the result's where strokes are measured and changed."""

_SOLID = 128
"""Amount of ink from which a pixel belongs to a stroke."""


def normalize(ink: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Bring ink to MNIST's size, place and width of strokes.

    Args:
        ink: uint8 (height, width), cut out and not empty; 0 = none, 255 = full.

    Returns:
        uint8 (28, 28); 0 = background, 255 = full ink. And the mean width that the strokes had, in
        its pixels.
    """
    zoomed = _resize(ink, _ZOOM * DIGIT_SIDE, Image.Resampling.BICUBIC)
    zoomed = np.pad(_to_full_ink(zoomed), 2 * _ZOOM)
    width = float(stroke_width(zoomed >= _SOLID)) / _ZOOM
    least, most = STROKES
    if width < least:
        zoomed = _spread(zoomed, _steps(least - width))
    elif width > most:
        thinner = ~_spread(~zoomed, _steps(width - most))
        if 5 * np.count_nonzero(thinner >= _SOLID) > np.count_nonzero(
            zoomed >= _SOLID
        ):  # else strokes have broken
            zoomed = thinner
    digit = _resize(
        np.ascontiguousarray(zoomed[bounding_box(zoomed >= _SOLID // 2)]),
        DIGIT_SIDE,
        Image.Resampling.BOX,
    )
    return _centre(_to_full_ink(digit)), width


def stroke_width(mask: NDArray[np.bool_]) -> float:
    """Mean width of strokes in pixels: twice the area over the outline.

    The outline of pixels is 4/π as long as that of the shape, in the mean over all directions.
    """
    padded = np.pad(mask, 1)
    outline = np.count_nonzero(padded[1:] != padded[:-1])
    outline += np.count_nonzero(padded[:, 1:] != padded[:, :-1])
    return 2.0 * np.count_nonzero(mask) / max(1.0, outline * math.pi / 4)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _resize(pixels: NDArray[np.uint8], side: int, resample: Image.Resampling) -> NDArray[np.uint8]:
    """To a longer side of `side`, keeping the aspect."""
    image = Image.fromarray(pixels)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return np.asarray(image.resize(size, resample))


def _to_full_ink(ink: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stretched, so that the most ink is all there can be."""
    most = max(1, int(ink.max()))
    return ink if most == FULL_INK else np.rint(ink * np.float32(FULL_INK / most)).astype(np.uint8)


def _steps(difference: float) -> int:
    """How far the outline moves for a change of the width, in enlarged pixels."""
    return max(1, round(difference * _ZOOM / 2))


def _spread(pixels: NDArray[np.uint8], steps: int) -> NDArray[np.uint8]:
    """The greatest of all neighbours up to `steps` away; in a square window, an axis at a time."""
    for axis in (0, 1):
        values = np.swapaxes(pixels, 0, axis)
        spread = values.copy()
        for step in range(1, steps + 1):
            np.maximum(spread[step:], values[:-step], out=spread[step:])
            np.maximum(spread[:-step], values[step:], out=spread[:-step])
        pixels = np.swapaxes(spread, 0, axis)
    return pixels


def _centre(digit: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Put the centre of mass at `CENTRE` of a black 28×28, as near as whole pixels allow."""
    mass = digit.astype(np.float64)
    centre = (
        float((sums * (np.arange(len(sums)) + 0.5)).sum() / mass.sum())
        for sums in (mass.sum(axis=1), mass.sum(axis=0))
    )
    top, left = (
        min(max(round(CENTRE - c), 0), IMAGE_SIDE - length)
        for c, length in zip(centre, digit.shape, strict=True)
    )
    canvas = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas
