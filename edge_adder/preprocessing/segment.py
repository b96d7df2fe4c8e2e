"""Which pixels of a picture are the digit's ink.

Each channel of the picture (brightness; of a coloured one also red, green, blue and two
differences) is segmented under several hypotheses: dark or light ink, a plain or an uneven
background. A hypothesis gives each pixel its contrast with the background; ruled lines are removed,
and the components that make the digits are selected. The hypothesis with the best score is taken,
of the channel with the best contrast-to-noise ratio.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.contract import FULL_INK
from edge_adder.preprocessing.background import Background
from edge_adder.preprocessing.components import Components, find_components
from edge_adder.preprocessing.digits import in_reading_order, select_digits
from edge_adder.preprocessing.morphology import border, bounding_box, dilate
from edge_adder.preprocessing.normalize import stroke_width
from edge_adder.preprocessing.polarity import Hypothesis, Ink, Polarity, hypotheses
from edge_adder.preprocessing.ruled_lines import remove_ruled_lines
from edge_adder.preprocessing.score import contrast_to_noise, score, sharpness
from edge_adder.preprocessing.threshold import hysteresis_thresholds, otsu

Channel = Literal["brightness", "red", "green", "blue", "red-blue", "colour"]

_CLEAR = 40.0
"""Minimum contrast-to-noise ratio at which no further channel is tried."""

_BETTER = 1.25
"""How many times the best channel's contrast-to-noise ratio another one needs to replace it."""

_MIN_CONTRAST_TO_NOISE, _MIN_EDGE = 6.0, 0.45
"""Minimum contrast-to-noise ratio and minimum contrast across the edge, as a share of full ink. Ink
reaches one of them; 97.5 % of the blank paper that `benchmarks.robustness.negatives` draws reaches
neither."""

_BRIDGE = 0.5
"""Growth of specks to see which belong together, as a share of their mean width."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Where a picture has ink, and how that was found.

    Attributes:
        contrast: float32 (height, width); contrast of each pixel with the background, 0 to 1.
        components: All that may be ink.
        digits: bool (components,) for each digit, its components; the first is the main one, which
            is most likely meant, the others follow from left to right.
        low: Contrast above which a pixel may be ink.
        full: Contrast of full ink.
        ink: Whether the ink is lighter or darker than its background.
        channel: The channel that shows it best.
        background: Whether the background is plain or uneven.
        contrast_to_noise: Mean contrast of the main digit over the noise of all else.
        score: How much the main digit looks like ink, to compare hypotheses.
    """

    contrast: NDArray[np.float32]
    components: Components
    digits: tuple[NDArray[np.bool_], ...]
    low: float
    full: float
    ink: Polarity
    channel: Channel
    background: Background
    contrast_to_noise: float
    score: float

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels of the main digit, bool (height, width)."""
        return self.components.mask(self.digits[0])

    @property
    def masks(self) -> list[NDArray[np.bool_]]:
        """Pixels of each digit in reading order, bool (height, width)."""
        digits = in_reading_order(self.components, self.digits)
        return [self.components.mask(digit) for digit in digits]

    def amount_of_ink(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return how much ink a digit has, in its bounding box and a pixel around that.

        Args:
            mask: Pixels of the digit, bool (height, width).

        Returns:
            uint8 (height, width); 0 = none, 255 = full.
        """
        box = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in bounding_box(mask))
        mask, contrast = mask[box], self.contrast[box]
        none = self.low / 2
        amount = np.clip((contrast - none) * (FULL_INK / (self.full - none)), 0, FULL_INK)
        with_edge = dilate(mask, 1)  # the faint edges of strokes belong to them
        ink: NDArray[np.uint8] = np.rint(np.where(with_edge, amount, 0)).astype(np.uint8)
        return ink


def segment(pixels: NDArray[np.uint8], ink: Ink = "auto") -> Segmentation | None:
    """Separate the digits' ink from all else.

    Args:
        pixels: uint8 (height, width), or (height, width, 3) for colour.
        ink: ``light`` or ``dark`` where it is known.

    Returns:
        None where there is no ink, only the grain and the shadows of the background.
    """
    best: Segmentation | None = None
    for channel, values in _channels(pixels):
        found = _segment_channel(values, channel, ink)
        if found is not None and (best is None or _is_better(found, best)):
            best = found
        if best is not None and best.contrast_to_noise >= _CLEAR:
            break
    return None if best is None or _is_blank(best) else best


def _channels(pixels: NDArray[np.uint8]) -> Iterator[tuple[Channel, NDArray[np.float32]]]:
    """Yield the channels of a picture, each float32 (height, width), 0 to 255."""
    if pixels.ndim == 2:
        yield "brightness", pixels.astype(np.float32)
        return
    yield "brightness", np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    red, green, blue = (pixels[:, :, index].astype(np.float32) for index in range(3))
    yield "red", red
    yield "green", green
    yield "blue", blue
    yield "red-blue", np.clip(red - blue + 128, 0, 255)
    saturation = np.ptp(pixels, axis=2).astype(np.float32)
    yield "colour", np.clip(255 - 2 * saturation, 0, 255)


def _segment_channel(
    values: NDArray[np.float32], channel: Channel, ink: Ink
) -> Segmentation | None:
    """Return the segmentation with the best score of all hypotheses; None without ink."""
    threshold = otsu(values)
    if threshold is None:
        return None
    found = [_segment_under(each, channel) for each in hypotheses(values, threshold, ink)]
    return max(
        (each for each in found if each is not None), key=lambda each: each.score, default=None
    )


def _segment_under(hypothesis: Hypothesis, channel: Channel) -> Segmentation | None:
    """Return the segmentation under one hypothesis; None without ink."""
    thresholds = hysteresis_thresholds(hypothesis.contrast)
    if thresholds is None:
        return None
    low, high = thresholds
    contrast = remove_ruled_lines(hypothesis.contrast, low)
    components = _find_strokes(contrast > low)
    digits = select_digits(
        components, ink=components.total(contrast), certain=components.total(contrast > high)
    )
    if not digits:
        return None
    mask = components.mask(digits[0])
    return Segmentation(
        contrast=contrast,
        components=components,
        digits=digits,
        low=low,
        full=float(np.percentile(contrast[mask], 75)),
        ink=hypothesis.ink,
        channel=channel,
        background=hypothesis.background,
        contrast_to_noise=contrast_to_noise(contrast, mask),
        score=score(contrast, mask) + hypothesis.bonus,
    )


def _find_strokes(mask: NDArray[np.bool_]) -> Components:
    """Return a mask's components, with specks joined where that halves the number of large ones.

    A pencil on rough paper, or a scan that kept only black and white, breaks a stroke into specks
    that are closer to each other than the stroke is wide. Separate digits are further apart.
    """
    components = find_components(mask)
    count = _count_major(components)
    if count > 1:
        joined = find_components(mask, max(1, round(_BRIDGE * stroke_width(mask))))
        if _count_major(joined) <= count / 2:
            return joined
    return components


def _count_major(components: Components) -> int:
    """Return how few components have nine tenths of the area."""
    largest_first = np.sort(components.area)[::-1].cumsum()
    return int(np.searchsorted(largest_first, 0.9 * components.area.sum())) + 1


def _is_better(found: Segmentation, best: Segmentation) -> bool:
    """Check whether a channel shows ink better, and not something else at the picture's border."""
    if border(found.mask).any() and not border(best.mask).any():
        return False
    return found.contrast_to_noise > best.contrast_to_noise * _BETTER


def _is_blank(found: Segmentation) -> bool:
    """Check whether this is only grain and shadows, with neither contrast nor edges."""
    if found.contrast_to_noise >= _MIN_CONTRAST_TO_NOISE:
        return False
    return sharpness(found.contrast, found.mask) < _MIN_EDGE * found.full
