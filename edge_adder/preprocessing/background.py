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
    known = np.empty((*paper.shape, 4), np.float32)
    known[:, :, 3] = paper
    known[:, :, :3] = picture * known[:, :, 3:]
    return _fill(known)


def _fill(known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Complete colours, weighted from 0 to 1, by what coarser blocks say of them.

    Args:
        known: (height, width, 4); weighted red, green and blue, and the weight.

    Returns:
        float32 (height, width, 3).
    """
    height, width = known.shape[:2]
    colours, weights = known[:, :, :3], known[:, :, 3:]
    if max(height, width) == 1:
        mean: NDArray[np.float32] = np.divide(colours, np.maximum(weights, 1e-6))
        return mean
    blocks = known
    if height % 2 or width % 2:
        blocks = np.pad(known, ((0, height % 2), (0, width % 2), (0, 0)))
    blocks = blocks[:, ::2] + blocks[:, 1::2]
    blocks = blocks[::2] + blocks[1::2]
    blocks /= np.maximum(blocks[:, :, 3:], 1)
    coarse = _fill(blocks).repeat(2, axis=0).repeat(2, axis=1)
    filled: NDArray[np.float32] = colours + (1 - weights) * coarse[:height, :width]
    return filled
