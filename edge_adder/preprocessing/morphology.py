"""The outline of a part of a picture: what lies on both sides of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def dilate(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """A mask and its neighbours up to `reach` steps up, down, left or right."""
    for _ in range(reach):
        wider = mask.copy()
        wider[1:] |= mask[:-1]
        wider[:-1] |= mask[1:]
        wider[:, 1:] |= mask[:, :-1]
        wider[:, :-1] |= mask[:, 1:]
        mask = wider
    return mask


def edge_contrast(values: NDArray[Any], mask: NDArray[np.bool_], reach: int) -> float:
    """How far values fall from inside a mask to outside it, within `reach` steps of the outline.

    Args:
        values: (height, width).
        mask: bool (height, width).
        reach: As in `spread`.

    Returns:
        0 where all or nothing is in the mask.
    """
    inside, outside = mask & dilate(~mask, reach), dilate(mask, reach) & ~mask
    if not outside.any():
        return 0.0
    return float(values[inside].mean() - values[outside].mean())
