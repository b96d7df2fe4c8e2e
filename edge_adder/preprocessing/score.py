"""How much the selected pixels of a picture look like the ink of a digit.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.morphology import border, edge_contrast

_MAX_AREA = 0.3
"""Maximum share of the picture that ink covers without scoring less."""


def score(contrast: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Rate how much the pixels of a mask look like the ink of a digit.

    Args:
        contrast: float32 (height, width), 0 to 1.
        mask: bool (height, width), not empty.
    """
    ink = contrast[mask]
    mean = float(ink.mean())
    strength: float = mean**0.5
    unevenness = 0.5 * float(ink.std()) / mean
    at_border = float(border(mask).mean())
    excess = max(0.0, float(mask.mean()) - _MAX_AREA)
    edge = sharpness(contrast, mask) / mean
    return strength - unevenness - at_border - excess + edge


def contrast_to_noise(contrast: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Return the mean contrast of a mask over the root mean square of all else."""
    noise = float(np.sqrt(np.square(contrast[~mask]).mean())) if not mask.all() else 1.0
    return float(contrast[mask].mean()) / (noise + 0.01)


def sharpness(contrast: NDArray[np.float32], mask: NDArray[np.bool_]) -> float:
    """Return by how much the contrast falls across the edge of a mask; nearly 0 for shadows."""
    return edge_contrast(contrast, mask, steps=max(1, round(max(contrast.shape) / 40)))
