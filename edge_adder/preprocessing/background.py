"""The brightness of the background, and how much ink differs from it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.preprocessing.morphology import dilate_grey, erode_grey

Background = Literal["plain", "uneven"]
"""Whether the background has one brightness, or shadows."""

_MIN_BRIGHTNESS = 32.0
"""Minimum brightness by which a contrast is divided: noise is a large share of a darker one."""


def background_contrast(
    values: NDArray[np.float32], background: NDArray[np.float32] | np.float32, *, dark: bool
) -> NDArray[np.float32]:
    """Return the difference between values and background as a share of the background, 0 to 1.

    Args:
        values: float32 (height, width), 0 to 255.
        background: Brightness of the background: one value, or one for each pixel.
        dark: Whether ink is darker than the background; for light ink both are inverted.
    """
    if not dark:
        values, background = 255 - values, 255 - background
    contrast: NDArray[np.float32] = np.clip(
        (background - values) / np.maximum(background, _MIN_BRIGHTNESS), 0, 1
    )
    return contrast


def estimate_background(values: NDArray[np.float32], *, dark: bool) -> NDArray[np.float32]:
    """Estimate the brightness of the background under each pixel.

    A grey closing removes dark ink, an opening light ink (Serra, "Image analysis and mathematical
    morphology", 1982): with a window of two fifths of the picture, on tiles of a thirty-second.

    Args:
        values: float32 (height, width), 0 to 255.
        dark: Whether ink is darker than the background.

    Returns:
        float32 (height, width).
    """
    height, width = values.shape
    tile = max(1, round(max(height, width) / 32))
    rows, columns = -(-height // tile), -(-width // tile)
    padded = np.pad(values, ((0, rows * tile - height), (0, columns * tile - width)), mode="edge")
    tiles = padded.reshape(rows, tile, columns, tile)
    steps = max(1, round(max(rows, columns) / 5))
    if dark:
        level = erode_grey(dilate_grey(tiles.max(axis=(1, 3)), steps), steps)
    else:
        level = dilate_grey(erode_grey(tiles.min(axis=(1, 3)), steps), steps)
    smooth = Image.fromarray(_blur(level))
    enlarged = smooth.resize((columns * tile, rows * tile), Image.Resampling.BILINEAR)
    return np.asarray(enlarged)[:height, :width]


def _blur(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average each value with its neighbours, in a window of 3×3."""
    for axis in (0, 1):
        around = [(1, 1) if each == axis else (0, 0) for each in (0, 1)]
        padded = np.pad(values, around, mode="edge")
        values = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=axis).mean(axis=-1)
    return values
