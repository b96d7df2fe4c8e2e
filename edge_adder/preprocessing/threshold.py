"""The threshold between two kinds of brightness, such as paper and ink."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def otsu(values: NDArray[np.float32] | NDArray[np.uint8]) -> float | None:
    """The threshold with the greatest variance between what is below and above it.

    Otsu, "A threshold selection method from gray-level histograms", 1979.

    Args:
        values: Any shape, 0 to 255.

    Returns:
        None where all are alike.
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
