"""Where a picture has digits, and how much ink each has.

The ink model says which pixels are written on and which of those are no digit's. A small picture is
cleaner than what that model is made for: there, ink is what differs from the background's colour.
Either way the model or a threshold decides the *place* alone; the *amount* of ink comes from the
picture.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.contract import FULL_INK
from edge_adder.preprocessing.background import fill_background, plain_background
from edge_adder.preprocessing.components import Components, find_components
from edge_adder.preprocessing.digits import (
    extent,
    in_reading_order,
    is_ink,
    select_all,
    select_digits,
)
from edge_adder.preprocessing.morphology import bounding_box, dilate
from edge_adder.preprocessing.pixels import FIRST_SIDE, SMALL_SIDE, shrink
from edge_adder.preprocessing.polarity import Ink, Polarity
from edge_adder.preprocessing.threshold import hysteresis_thresholds

_CERTAIN = 1.5
"""Log-odds above which a pixel is certainly written on: a probability of 0.82."""

_AROUND = -2.0
"""Log-odds below which a pixel may be background: a probability of 0.12."""

_DIGIT, _MARK = 0.25, 0.75
"""Share of a component's pixels that are a mark's, up to which all of it is a digit, and from which
none of it is. Between them a mark touches a digit, and each pixel counts for itself."""

_NO_INK, _FULL_INK = 0.15, 0.9
"""Contrast with the background, as a share of the mean contrast of a digit's strokes, up to which
there is no ink, and from which it is full."""

_FINE_LENGTH = 32
"""Digits shorter than this, in pixels, are searched again in a larger picture, if there is one."""

_MIN_CONTRAST = 12.0
"""Least contrast of ink with its background in one of the colours, of 255."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Where a picture has digits.

    Attributes:
        picture: uint8 (height, width, 3); the picture in the size that was searched.
        background: float32 (height, width, 3); its colour under the ink.
        certain: bool (height, width); what is certainly ink.
        components: All that may be ink of digits.
        digits: bool (components,) for each digit, its components; the first is the main one, which
            is most likely meant, the others follow from left to right.
    """

    picture: NDArray[np.uint8]
    background: NDArray[np.float32]
    certain: NDArray[np.bool_]
    components: Components
    digits: tuple[NDArray[np.bool_], ...] = ()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels of the main digit, bool (height, width)."""
        return self.components.mask(self.digits[0])

    @property
    def masks(self) -> list[NDArray[np.bool_]]:
        """Pixels of each digit in reading order, bool (height, width)."""
        boxed = [(extent(self.components, digit), digit) for digit in self.digits]
        return [self.components.mask(digit) for digit in in_reading_order(boxed)]

    @property
    def ink(self) -> Polarity:
        """Whether the main digit's ink is lighter or darker than its background."""
        contrast = (self.picture - self.background)[self.mask & self.certain]
        return "light" if contrast.mean() > 0 else "dark"

    def amount_of_ink(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return how much ink a digit has, in its bounding box and two pixels around that.

        It is the difference from the background in the direction of the ink's own colour.

        Args:
            mask: Pixels of the digit, bool (height, width).

        Returns:
            uint8 (height, width); 0 = none, 255 = full.
        """
        box = tuple(slice(max(0, side.start - 2), side.stop + 2) for side in bounding_box(mask))
        mask, contrast = mask[box], self.picture[box] - self.background[box]
        strokes = contrast[mask & self.certain[box]]
        if not len(strokes):
            strokes = contrast[mask]
        length = np.sqrt(np.square(strokes).sum(axis=1, keepdims=True))
        colour = (strokes * length).sum(axis=0) / max(float(length.sum()), 1e-6)
        share = (contrast * colour).sum(axis=2) / max(float(np.square(colour).sum()), 1e-6)
        amount = np.clip((share - _NO_INK) / (_FULL_INK - _NO_INK), 0, 1)
        with_edge = dilate(mask, 1)  # the faint edges of strokes belong to them
        ink: NDArray[np.uint8] = np.rint(FULL_INK * np.where(with_edge, amount, 0)).astype(np.uint8)
        return ink


def segment(
    pixels: NDArray[np.uint8], ink: Ink = "auto", *, each: bool = False
) -> Segmentation | None:
    """Find the digits in a picture.

    Args:
        pixels: uint8 (height, width), or (height, width, 3) for colour.
        ink: ``light`` or ``dark`` where it is known.
        each: Whether the picture shows many digits, of which each is wanted.

    Returns:
        None where there is no digit.
    """
    coloured = pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
    if max(pixels.shape[:2]) <= SMALL_SIDE:
        return _choose(_find_by_colour(coloured), ink, each)
    found = _choose(_find_by_model(shrink(coloured, FIRST_SIDE)), ink, each)
    if max(pixels.shape[:2]) > FIRST_SIDE and (found is None or _is_fine(found)):
        found = _choose(_find_by_model(coloured), ink, each) or found
    return found


def _is_fine(found: Segmentation) -> bool:
    """Check whether digits are so small that a larger picture shows them better."""
    boxes = [extent(found.components, digit) for digit in found.digits]
    lengths = [max(right - left, bottom - top) for left, top, right, bottom in boxes]
    return bool(np.median(lengths) < _FINE_LENGTH)


def _find_by_model(picture: NDArray[np.uint8]) -> Segmentation | None:
    """Return what the ink model finds, uint8 (height, width, 3); no digits chosen yet."""
    from edge_adder.ink_model import find_ink  # noqa: PLC0415  not for MNIST's format

    picture = _enlarge(picture)
    written, is_mark = find_ink(picture)
    components = find_components(written > 0)
    if not len(components):
        return None
    marked = components.total(is_mark > 0) / components.area
    digits = components.mask(marked < _DIGIT)
    mixed = (marked >= _DIGIT) & (marked <= _MARK)
    if mixed.any():
        digits |= components.mask(mixed) & (is_mark <= 0)
    paper = ~dilate(written > _AROUND, 2)
    background = fill_background(picture, paper)
    return Segmentation(picture, background, written > _CERTAIN, find_components(digits))


def _find_by_colour(picture: NDArray[np.uint8]) -> Segmentation | None:
    """Return what differs from the background of a small picture; no digits chosen yet."""
    colour = plain_background(picture)
    if colour is None:
        return None
    contrast = np.abs(picture - colour).max(axis=2) / FULL_INK
    thresholds = hysteresis_thresholds(contrast)
    if thresholds is None:
        return None
    low, high = thresholds
    background = np.broadcast_to(colour, picture.shape)
    return Segmentation(picture, background, contrast > high, find_components(contrast > low))


def _enlarge(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge a picture by a whole factor, so that its strokes are as thick as others'."""
    factor = FIRST_SIDE // max(picture.shape[:2])
    if factor < 2:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    size = (image.width * factor, image.height * factor)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _choose(found: Segmentation | None, ink: Ink, each: bool) -> Segmentation | None:
    """Choose which components are digits; None where none is."""
    if found is None or not len(found.components):
        return None
    components, contrast = found.components, found.picture - found.background
    usable = found.certain & (np.abs(contrast).max(axis=2) >= _MIN_CONTRAST)
    brighter = contrast.mean(axis=2)
    if ink != "auto":
        usable &= brighter > 0 if ink == "light" else brighter < 0
    seeds = is_ink(components, components.total(usable))
    choose = select_all if each else select_digits
    digits = choose(components, components.total(np.abs(brighter)), seeds)
    return replace(found, digits=digits) if digits else None
