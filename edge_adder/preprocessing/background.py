"""The colour of the background, also under the ink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.morphology import border
from edge_adder.preprocessing.threshold import otsu

_BORDER_WEIGHT = 0.6
"""Weight of the picture's border in the decision what is background; the rest is the weight of the
whole picture."""


def plain_background(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the colour of a background that has only one, float32 (3,).

    It is the median of the lighter or the darker part, whichever has most of the picture, above all
    of its border.

    Args:
        picture: uint8 (height, width, 3).
    """
    brightness = picture.mean(axis=2)
    threshold = otsu(brightness)
    light = brightness > (-1 if threshold is None else threshold)
    share = _BORDER_WEIGHT * border(light).mean() + (1 - _BORDER_WEIGHT) * light.mean()
    chosen = light if share > 0.5 else ~light
    colour: NDArray[np.float32] = np.median(picture[chosen], axis=0).astype(np.float32)
    return colour


def fill_background(picture: NDArray[np.uint8], paper: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Continue the background under all else: from its surroundings, the nearer the more.

    Averages of blocks, each twice as wide as those before, fill what they do not reach (Gortler et
    al., "The lumigraph", 1996: pull and push).

    Args:
        picture: uint8 (height, width, 3).
        paper: bool (height, width); pixels that show the background.

    Returns:
        float32 (height, width, 3).
    """
    weights = paper[:, :, None].astype(np.float32)
    return _fill(picture * weights, weights)


def _fill(known: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add to what is known, weighted from 0 to 1, what coarser blocks say of the rest."""
    if max(weights.shape) == 1:
        mean: NDArray[np.float32] = np.divide(known, np.maximum(weights, 1e-6))
        return mean
    blocks, total = _add_blocks(known), _add_blocks(weights)
    share: NDArray[np.float32] = np.reciprocal(np.maximum(total, 1))
    coarse = _fill(blocks * share, total * share)
    around = coarse.repeat(2, axis=0).repeat(2, axis=1)[: weights.shape[0], : weights.shape[1]]
    filled: NDArray[np.float32] = known + (1 - weights) * around
    return filled


def _add_blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add blocks of 2×2 of (height, width, channels)."""
    padded = np.pad(values, ((0, values.shape[0] % 2), (0, values.shape[1] % 2), (0, 0)))
    columns = padded[:, ::2] + padded[:, 1::2]
    return columns[::2] + columns[1::2]
