"""Where a picture has digits, and how much ink each has.

The ink model says which pixels are written on and which of those are no digit's. A small picture is
cleaner than what that model is made for: there, ink is what differs from the background's colour.
Either way the model or a threshold decides the *place* alone; the *amount* of ink comes from the
picture.

Numbers without a source were set on real-world pictures (`python -m benchmarks.robustness.photos`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.contract import FULL_INK
from edge_adder.preprocessing.background import fill_background, plain_background
from edge_adder.preprocessing.components import Components, find_components
from edge_adder.preprocessing.digits import (
    Chosen,
    Extent,
    enclosing,
    extent,
    in_reading_order,
    is_ink,
    select_all,
    select_digits,
    shares_line,
    touching_rim,
)
from edge_adder.preprocessing.inks import are_one_ink, find_crossing, have_two_inks
from edge_adder.preprocessing.morphology import bounding_box, dilate, edge_contrast
from edge_adder.preprocessing.pixels import FIRST_SIDE, SMALL_SIDE, shrink
from edge_adder.preprocessing.polarity import Ink, Polarity
from edge_adder.preprocessing.threshold import hysteresis_thresholds

_CERTAIN, _WRITTEN, _FAINT = 2.5, -0.3, -2.0
"""Log-odds above which a pixel is certainly written on, above which it belongs to what is, and
above which it may be: probabilities of 0.92, 0.43 and 0.12."""

_DIGIT, _MARK = 0.25, 0.75
"""Share of a component's pixels that are a mark's, up to which all of it is a digit, and from which
none of it is. Between them a mark may touch a digit: where its colour is another, each pixel counts
for itself."""

_NO_INK, _FULL_INK = 0.15, 0.9
"""Contrast with the background, as a share of the mean contrast of a digit's strokes, up to which
there is no ink, and from which it is full."""

_FINE_LENGTH = 32
"""Digits shorter than this, in pixels, are searched again in a larger picture, if there is one."""

_DARKEST = np.float32(16)
"""Added to the background's brightness, of 255, before it divides: a black one has only noise."""

_UNEVEN, _LEAST_CERTAIN = 1.5, 0.7
"""Least ratio of the brightest to the darkest background under a digit that lies across the edge of
a shadow, and the least amount of certain ink there: at the edge, the background is a guess."""

_AS_HIGH = 0.75
"""Least ratio of the heights of a digit and of a mark beside it that may be another digit."""

_MIN_CONTRAST = 12.0
"""Least contrast of ink with its background in one of the colours, of 255."""

_PLAIN_NOISE, _MIN_PLAIN = 4, 0.7
"""Greatest difference of a drawing's background from its colour, of 255, and the least share of its
pixels that keep to it. No photograph is as even."""

_MIN_EDGE = 0.45
"""Least fall of the contrast across a digit's edge, as a share of its mean contrast."""

_MIN_UNREAD, _MAX_UNREAD = 0.3, 2.5
"""Least and greatest length of what is reported as not read among digits, as a share of their
median length."""

NOT_A_DIGIT, TOO_FAINT, TOO_SMALL = "not a digit", "too faint", "too small"
"""Why something among digits is not read."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Where a picture has digits.

    Attributes:
        picture: uint8 (height, width, 3); the picture in the size that was searched.
        background: float32 (height, width, 3); its colour under the ink.
        certain: bool (height, width); what is certainly ink.
        components: All that may be ink of digits.
        marks: What is written and no digit: signs, letters, what is drawn around a digit.
        faint: What may be written, and is too faint to be read.
        digits: The components of each digit; the first is the main one, which is most likely meant.
    """

    picture: NDArray[np.uint8]
    background: NDArray[np.float32]
    certain: NDArray[np.bool_]
    components: Components
    marks: Components
    faint: Components
    digits: tuple[Chosen, ...] = ()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Pixels of the main digit, bool (height, width)."""
        return self.components.mask(self.digits[0])

    @property
    def masks(self) -> list[NDArray[np.bool_]]:
        """Pixels of each digit in reading order, bool (height, width)."""
        boxed = [(extent(self.components, digit), digit) for digit in self.digits]
        return [self.components.mask(digit) for digit in in_reading_order(boxed)]

    def polarity(self, mask: NDArray[np.bool_]) -> Polarity:
        """Return whether a digit's ink is lighter or darker than its background."""
        contrast = self.picture[mask].mean() - self.background[mask].mean()
        return "light" if contrast > 0 else "dark"

    def others(self) -> Iterator[tuple[NDArray[np.bool_], str]]:
        """Yield the pixels of what stands among many digits and is none, and why it is not read."""
        boxes = [extent(self.components, digit) for digit in self.digits]
        usual = float(np.median([_length(box) for box in boxes]))
        left = ~np.any(self.digits, axis=0)
        firm = is_ink(self.components, self.components.total(self.certain))
        parts = [
            (self.marks, np.ones(len(self.marks), bool), NOT_A_DIGIT),
            (self.faint, np.ones(len(self.faint), bool), TOO_FAINT),
            (self.components, left & ~firm, TOO_FAINT),
            (self.components, left & firm, TOO_SMALL),
        ]
        for components, chosen, reason in parts:
            length = np.maximum(components.height, components.width)
            fits = chosen & (length >= _MIN_UNREAD * usual) & (length <= _MAX_UNREAD * usual)
            if reason == TOO_FAINT:
                fits &= ~touching_rim(components)  # the edge of a page
            for index in np.flatnonzero(fits).tolist():
                alone = _only(components, index)
                if any(shares_line(extent(components, alone), box) for box in boxes):
                    is_large = reason == TOO_SMALL and length[index] >= usual  # such as a ring
                    yield components.mask(alone), NOT_A_DIGIT if is_large else reason

    def is_enclosing(self, mask: NDArray[np.bool_]) -> bool:
        """Return whether some pixels are drawn around a digit."""
        rows, columns = bounding_box(mask)
        return any(
            rows.start < top
            and bottom < rows.stop
            and columns.start < left
            and right < columns.stop
            for left, top, right, bottom in (extent(self.components, each) for each in self.digits)
        )

    def amount_of_ink(self, mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return how much ink a digit has, in its bounding box and two pixels around that.

        It is the difference from the background in the direction of the ink's own colour, as a
        share of the background's brightness: a digit may lie half in a shadow.

        Args:
            mask: Pixels of the digit, bool (height, width).

        Returns:
            uint8 (height, width); 0 = none, 255 = full.
        """
        box = tuple(slice(max(0, side.start - 2), side.stop + 2) for side in bounding_box(mask))
        mask, brightness = mask[box], _brightness(self.background[box])
        contrast = (self.picture[box] - self.background[box]) / brightness[:, :, None]
        strokes = contrast[mask & self.certain[box]]
        if not len(strokes):
            strokes = contrast[mask]
        length = np.sqrt(np.square(strokes).sum(axis=1, keepdims=True))
        colour = (strokes * length).sum(axis=0) / max(float(length.sum()), 1e-9)
        share = (contrast * colour).sum(axis=2) / max(float(np.square(colour).sum()), 1e-9)
        amount = np.clip((share - _NO_INK) / (_FULL_INK - _NO_INK), 0, 1)
        under = brightness[mask]
        if under.max(initial=0) > _UNEVEN * under.min(initial=np.inf):
            amount = np.maximum(amount, _LEAST_CERTAIN * (mask & self.certain[box]))
        with_edge = dilate(mask, 1)  # the faint edges of strokes belong to them
        if not amount[with_edge].any():  # the strokes' colours cancel each other
            amount = mask.astype(np.float32)
        ink: NDArray[np.uint8] = np.rint(FULL_INK * np.where(with_edge, amount, 0)).astype(np.uint8)
        return ink


def segment(pixels: NDArray[np.uint8], ink: Ink = "auto", *, each: bool = False) -> Segmentation:
    """Find the digits in a picture; none may be found.

    Args:
        pixels: uint8 (height, width), or (height, width, 3) for colour.
        ink: ``light`` or ``dark`` where it is known.
        each: Whether the picture shows many digits, of which each is wanted.

    Raises:
        ModelError: The ink model cannot be loaded or run.
    """
    picture = _with_colours(shrink(pixels, FIRST_SIDE))
    if max(pixels.shape[:2]) <= SMALL_SIDE:
        found = _choose(_find_by_colour(picture), ink, each)
        return replace(found, digits=()) if found.digits and _is_shade(found) else found
    found = _choose(_find_by_model(picture, each), ink, each)
    if max(pixels.shape[:2]) > FIRST_SIDE and _is_fine(found):
        finer = _choose(_find_by_model(_with_colours(pixels), each), ink, each)
        found = finer if finer.digits else found
    if not found.digits and len(found.marks):  # a 0 may look like a ring
        found = _choose(replace(found, components=found.marks), ink, each)
    elif not each and len(found.marks):
        with_marks = _with_digits_like_marks(found)
        found = found if with_marks is found else _choose(with_marks, ink, each)
    if not found.digits:  # a drawing whose colours are equally bright
        drawn = _find_by_colour(picture)
        if _is_plain(drawn):
            drawn = _choose(drawn, ink, each)
            found = drawn if drawn.digits else found
    return found


def _brightness(background: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return by what the contrast with a background is divided, so that light has no part in it.

    In a shadow, ink and paper are darker by the same factor, and so is their difference.

    Args:
        background: float32 (height, width, 3); its colour under the ink.

    Returns:
        float32 (height, width).
    """
    red, green, blue = np.moveaxis(background, 2, 0)  # much faster than along the last axis
    brightness: NDArray[np.float32] = (red + green + blue) / 3 + _DARKEST
    return brightness


def _with_colours(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture as (height, width, 3)."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _is_shade(found: Segmentation) -> bool:
    """Check whether the main digit has no edge: shade on blank paper has none."""
    contrast = np.abs(found.picture - found.background).max(axis=2)
    return edge_contrast(contrast, found.mask, 1) < _MIN_EDGE * float(contrast[found.mask].mean())


def _is_fine(found: Segmentation) -> bool:
    """Check whether digits are so small that a larger picture shows them better."""
    lengths = [_length(extent(found.components, digit)) for digit in found.digits]
    return not lengths or bool(np.median(lengths) < _FINE_LENGTH)


def _only(components: Components, index: int) -> Chosen:
    """Return the choice of one component."""
    only: Chosen = np.arange(len(components)) == index
    return only


def _length(box: Extent) -> int:
    left, top, right, bottom = box
    return max(right - left, bottom - top)


def _find_by_model(picture: NDArray[np.uint8], each: bool) -> Segmentation:
    """Return what the ink model finds, uint8 (height, width, 3); no digits chosen yet."""
    from edge_adder.ink_model import find_ink  # noqa: PLC0415  not for MNIST's format

    picture = _enlarge(picture)
    written, is_mark = find_ink(picture)
    place, certain = written > _WRITTEN, written > _CERTAIN
    drawn = _find_by_colour(picture) if each else None
    if drawn is not None and _is_plain(drawn):  # rows as regular as a texture are writing too
        place = place | drawn.components.mask(drawn.components.area > 0)
        certain = certain | drawn.certain
    components = find_components(place)
    faint = np.zeros_like(place)
    if each or not len(components):
        maybe = find_components(written > _FAINT)
        faint = maybe.mask(maybe.total(place) == 0)
    background = fill_background(picture, ~dilate(place | (written > _FAINT), 2))
    marked = components.total((is_mark > 0) & (written > _WRITTEN)) / np.maximum(1, components.area)
    digits = components.mask(marked <= _MARK)
    mixed = (marked >= _DIGIT) & (marked <= _MARK)
    if mixed.any():
        mixed &= have_two_inks(components, picture - background, is_mark > 0)
        digits &= ~components.mask(mixed) | (is_mark <= 0)
    crossing = find_crossing(components, digits, picture - background, is_mark)
    digits &= ~crossing
    return Segmentation(
        picture=picture,
        background=background,
        certain=certain,
        components=components if (digits == place).all() else find_components(digits),
        marks=find_components(components.mask(marked > _MARK) | crossing),
        faint=find_components(faint),
    )


def _with_digits_like_marks(found: Segmentation) -> Segmentation:
    """Count a mark beside the main digit among the digits where it may be one, such as another 0.

    It is as high, and in the same ink. Without it, a picture of two digits would be read as one.
    """
    marks, contrast, digit = found.marks, found.picture - found.background, found.mask
    left, top, right, bottom = extent(found.components, found.digits[0])
    height = bottom - top
    alike = (marks.height <= height / _AS_HIGH) & (marks.height >= height * _AS_HIGH)
    alike &= (marks.right <= left) | (marks.left >= right)
    shared = np.minimum(marks.bottom, bottom) - np.maximum(marks.top, top)
    alike &= shared >= height * _AS_HIGH / 2
    for index in np.flatnonzero(alike).tolist():
        alike[index] = are_one_ink(contrast[digit], contrast[marks.mask(_only(marks, index))])
    if not alike.any():
        return found
    written = found.components.mask(found.components.area > 0) | marks.mask(alike)
    return replace(
        found, components=find_components(written), marks=find_components(marks.mask(~alike))
    )


def _is_plain(drawn: Segmentation) -> bool:
    """Check whether a picture is a drawing on one colour, such as a program makes."""
    distance = np.abs(drawn.picture - drawn.background).max(axis=2)
    return bool(np.mean(distance <= _PLAIN_NOISE) >= _MIN_PLAIN)


def _find_by_colour(picture: NDArray[np.uint8]) -> Segmentation:
    """Return what differs from a plain background; no digits chosen yet."""
    colour = plain_background(picture)
    contrast = np.abs(picture - colour).max(axis=2) / np.float32(FULL_INK)
    low, high = hysteresis_thresholds(contrast) or (np.inf, np.inf)
    nothing = find_components(np.zeros(contrast.shape, bool))
    return Segmentation(
        picture=picture,
        background=np.broadcast_to(colour, picture.shape),
        certain=contrast > high,
        components=find_components(contrast > low),
        marks=nothing,
        faint=nothing,
    )


def _enlarge(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge a picture by a whole factor, so that its strokes are as thick as others'."""
    factor = FIRST_SIDE // max(picture.shape[:2])
    if factor < 2:
        return picture
    image = Image.fromarray(np.ascontiguousarray(picture))
    size = (image.width * factor, image.height * factor)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _choose(found: Segmentation, ink: Ink, each: bool) -> Segmentation:
    """Choose which components are digits."""
    components, contrast = found.components, found.picture - found.background
    red, green, blue = np.moveaxis(contrast, 2, 0)  # much faster than along the last axis
    brighter = (red + green + blue) / 3
    largest = np.maximum(np.maximum(np.abs(red), np.abs(green)), np.abs(blue))
    usable = found.certain & (largest >= _MIN_CONTRAST)
    if ink != "auto":
        usable &= brighter > 0 if ink == "light" else brighter < 0
    seeds = is_ink(components, components.total(usable))
    seeds &= ~enclosing(components, seeds)
    choose = select_all if each else select_digits
    return replace(found, digits=choose(components, components.total(np.abs(brighter)), seeds))
