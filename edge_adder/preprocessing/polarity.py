"""Whether ink is dark or light, on which background: hypotheses that segmentation tries.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge_adder.preprocessing.background import (
    Background,
    background_contrast,
    estimate_background,
)
from edge_adder.preprocessing.morphology import border
from edge_adder.preprocessing.pixels import SMALL_SIDE

Ink = Literal["auto", "light", "dark"]
INKS: tuple[Ink, ...] = get_args(Ink)
Polarity = Literal["light", "dark"]

_BORDER_WEIGHT = 0.6
"""Weight of the picture's border in the decision what is background; the rest is the weight of the
whole picture."""

_MAX_SPREAD, _MAX_SPREAD_SMALL = 0.25, 0.5
"""Maximum spread of a plain background, from its 10th to its 90th percentile, as a share of the
difference between background and ink."""

_SHADOW = 0.3
"""Minimum share of the picture's border where what seems to be ink may be a shadow."""

_POLARITY_BONUS = 0.15
"""Bonus of the likelier polarity on an uneven background."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One way to see a channel.

    Attributes:
        ink: Whether the ink is lighter or darker than its background.
        background: Whether the background is plain or uneven.
        contrast: float32 (height, width); contrast of each pixel with the background, 0 to 1.
        bonus: Added to its score.
    """

    ink: Polarity
    background: Background
    contrast: NDArray[np.float32]
    bonus: float = 0.0


def hypotheses(values: NDArray[np.float32], threshold: float, ink: Ink) -> Iterator[Hypothesis]:
    """Yield the ways to see a channel.

    An uneven background is tried where there is no plain one, or where its ink may be a shadow.

    Args:
        values: float32 (height, width), 0 to 255.
        threshold: Separates ink from background.
        ink: Whether the ink is lighter or darker than its background; ``auto`` for both.
    """
    light = values > threshold
    likely = _polarity(light) if ink == "auto" else ink
    is_ink = light if likely == "light" else ~light
    level = _plain_level(values, is_ink)
    if level is not None:
        contrast = background_contrast(values, level, dark=likely == "dark")
        yield Hypothesis(likely, "plain", contrast)
        if max(values.shape) <= SMALL_SIDE or float(border(is_ink).mean()) < _SHADOW:
            return
        likely = "dark"  # shadows fall on paper, and what is written there is dark
    polarities: tuple[Polarity, ...] = ("dark", "light") if ink == "auto" else (ink,)
    for each in polarities:
        dark = each == "dark"
        contrast = background_contrast(values, estimate_background(values, dark=dark), dark=dark)
        yield Hypothesis(each, "uneven", contrast, _POLARITY_BONUS * (each == likely))


def _polarity(light: NDArray[np.bool_]) -> Polarity:
    """Decide whether ink is dark: the background is most of the picture, above all of its border.

    Args:
        light: bool (height, width); the lighter part of the picture.
    """
    share = _BORDER_WEIGHT * float(border(light).mean())
    share += (1 - _BORDER_WEIGHT) * float(light.mean())
    return "dark" if share > 0.5 else "light"


def _plain_level(values: NDArray[np.float32], is_ink: NDArray[np.bool_]) -> np.float32 | None:
    """Return the brightness of a plain background; None for an uneven one."""
    background, ink = values[~is_ink], values[is_ink]
    if not background.size or not ink.size:
        return None
    low, level, high = np.percentile(background, [10, 50, 90])
    gap = abs(float(np.median(ink)) - level)
    small = max(values.shape) <= SMALL_SIDE
    is_plain = high - low < gap * (_MAX_SPREAD_SMALL if small else _MAX_SPREAD)
    return np.float32(level) if is_plain else None
