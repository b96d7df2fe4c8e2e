"""Any picture of a digit → uint8 (28, 28), light ink on black, as MNIST was made.

`inspect` is the recipe; each step is a file of this package. Geometry only: scaling of values to
the network's range is in the model.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder.errors import ImageError, InputError
from edge_adder.limits import DEFAULT_MAX_PIXELS
from edge_adder.preprocessing.decode import ImageSource, name_of, read_picture
from edge_adder.preprocessing.digits import (
    MAX_DIGITS,
    Chosen,
    Extent,
    extent,
    in_reading_order,
)
from edge_adder.preprocessing.mnist_format import is_mnist_format
from edge_adder.preprocessing.morphology import bounding_box, relative_box
from edge_adder.preprocessing.normalize import normalize
from edge_adder.preprocessing.pixels import SMALL_SIDE
from edge_adder.preprocessing.polarity import INKS, Ink, Polarity
from edge_adder.preprocessing.segment import NOT_A_DIGIT, Segmentation, segment

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Preparation:
    """How a picture was prepared for the network.

    Attributes:
        unchanged: Whether it was in MNIST's format and went to the network unchanged; then all
            fields but the last have their defaults.
        ink: Whether the ink was lighter or darker than its background.
        box: Left, top, right and bottom of the digit's ink, as shares of the picture's width and
            height after EXIF rotation.
        stroke_width: Mean width of the strokes before it was changed, in pixels of 28×28.
        is_multi_frame: Whether the file has further frames or pages; the first was used.
        doubtful: Whether it looks like a sign or a letter more than like a digit.
    """

    unchanged: bool = True
    ink: Polarity = "light"
    box: Box | None = None
    stroke_width: float | None = None
    is_multi_frame: bool = False
    doubtful: bool = False


UNCHANGED = Preparation()
"""Preparation of an image that was in MNIST's format."""

Prepared = tuple[NDArray[np.uint8], Preparation]
"""A digit for the network, uint8 (28, 28); 0 = background, 255 = full ink. And how it was made."""


CROP_TO_ONE = "crop the picture to one digit"
"""End of the message about a picture of several digits, which `inspect_each` would read."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something among the digits of a picture that is seen and not read.

    Attributes:
        box: Left, top, right and bottom, as shares of the picture's width and height.
        reason: Why, in a few words.
    """

    box: Box
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return {"unread": self.reason, "box": list(self.box)}


NOT_ONE = "not a single digit"
"""Why something wide is not read: digits that touch each other, or a sign."""

_MIN_WIDE = 0.95
"""Least width of digits that may touch each other, as a share of their height."""

_MIDDLE = 0.25
"""Where digits are not parted: this share of their width on the left and on the right."""


class Inspection(NamedTuple):
    """What was found in a picture.

    Attributes:
        pixels: The picture, uint8 (height, width), or (height, width, 3) for one with colours.
        segmentation: Where its ink is; None for an image in MNIST's format.
        entries: Its digits, in reading order; where each digit is wanted also what is not read.
        refusal: Why there is no answer; None where there is one.
        parts: The components of each digit, by its box.
    """

    pixels: NDArray[np.uint8]
    segmentation: Segmentation | None
    entries: list[Prepared | Unread]
    refusal: str | None = None
    parts: Mapping[Box, Chosen] = MappingProxyType({})

    @property
    def digits(self) -> list[Prepared]:
        """The digits alone."""
        return [each for each in self.entries if not isinstance(each, Unread)]

    def is_wide(self, box: Box) -> bool:
        """Return whether a box is so wide that it may hold digits that touch each other."""
        height, width = self.pixels.shape[:2]
        left, top, right, bottom = box
        return bool((right - left) * width > _MIN_WIDE * (bottom - top) * height)

    def split(self, preparation: Preparation) -> list[Prepared]:
        """Part a digit where the least ink joins its left and its right.

        Args:
            preparation: That of the digit.

        Returns:
            Both halves; an empty list where they cannot be parted.
        """
        found, box = self.segmentation, preparation.box
        if found is None or box is None or box not in self.parts:
            return []
        mask = found.components.mask(self.parts[box])
        halves = [half for half in _halves(mask) if half.any()]
        multi = preparation.is_multi_frame
        return [_prepare(found, half, multi) for half in halves] if len(halves) > 1 else []

    def check(self, source: ImageSource) -> None:
        """Raise the refusal.

        Args:
            source: The picture, whose name begins the message.

        Raises:
            ImageError: There is one.
        """
        if self.refusal is not None:
            raise ImageError(f"{name_of(source)}: {self.refusal}")


def prepare_image(
    source: ImageSource, *, ink: Ink = "auto", max_pixels: int = DEFAULT_MAX_PIXELS
) -> NDArray[np.uint8]:
    """Convert a picture of a digit to the format that the network was trained on.

    A 28×28 greyscale image in MNIST's format is returned unchanged: light ink on black, in a box of
    20×20 whose centre of mass is in the middle. In any other picture the ink is found, given
    MNIST's stroke width, scaled to 20×20 keeping its aspect ratio and centred by mass in 28×28.

    Args:
        source: A path, an encoded file as bytes or as an open file, a PIL image, an array, a tensor
            or lists. If a file has several frames or pages, the first is used, and of a PIL image
            its current one; EXIF rotation is applied; transparent parts get the colour of the
            paper. Arrays are uint8, uint16, bool or other integers from 0 to 255; channels may be
            last or first.
        ink: Whether the ink is lighter or darker than its background; ``auto`` finds out.
        max_pixels: Maximum size of an image that is decoded, up to 89 million pixels.

    Returns:
        uint8 (28, 28); 0 = background, 255 = full ink. For an array in that format, the array
        itself.

    Raises:
        ImageError: Not an image, damaged, too large, without ink, or with several digits.
        InputError: An unknown type, an array that must be converted first, or `ink` or
            `max_pixels` is out of its range.
        FileAccessError: The file exists and cannot be read.
    """
    return prepare(source, ink=ink, max_pixels=max_pixels)[0]


def prepare(
    source: ImageSource, *, ink: Ink = "auto", max_pixels: int = DEFAULT_MAX_PIXELS
) -> Prepared:
    """Convert a picture of a digit as `prepare_image` does, and say how."""
    pixels, is_multi_frame = _read(source, ink, max_pixels)
    if ink != "dark" and is_mnist_format(pixels):  # the most frequent one: nothing to inspect
        return pixels, _unchanged(is_multi_frame)
    found = inspect_pixels(pixels, ink=ink, is_multi_frame=is_multi_frame)
    found.check(source)
    return found.digits[0]


def _read(source: ImageSource, ink: Ink, max_pixels: int) -> tuple[NDArray[np.uint8], bool]:
    """Check `ink`, and return what `read_picture` returns."""
    if ink not in INKS:
        raise InputError(f"ink must be one of {', '.join(INKS)}, got {ink!r}")
    return read_picture(source, max_pixels=max_pixels)


def _unchanged(is_multi_frame: bool) -> Preparation:
    return replace(UNCHANGED, is_multi_frame=True) if is_multi_frame else UNCHANGED


def inspect_each(
    source: ImageSource, *, ink: Ink = "auto", max_pixels: int = DEFAULT_MAX_PIXELS
) -> Inspection:
    """Convert each digit in a picture, in reading order: line by line, from left to right.

    What stands among the digits and is not read has an entry of its own.

    Raises:
        ImageError: As `prepare_image`, but several digits, up to 200, are no error.
        InputError: As `prepare_image`.
        FileAccessError: The file exists and cannot be read.
    """
    found = inspect(source, ink=ink, max_pixels=max_pixels, each=True)
    found.check(source)
    return found


def inspect(
    source: ImageSource,
    *,
    ink: Ink = "auto",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    each: bool = False,
) -> Inspection:
    """Find the digits in a picture and convert each; arguments and errors as `prepare_image`.

    A picture without a digit, or with too many, is not an error here: `Inspection.refusal` says why
    it has no answer.

    Args:
        source: The picture.
        ink: Whether the ink is lighter or darker than its background.
        max_pixels: Maximum size of an image that is decoded.
        each: Whether the picture shows up to 200 digits, of which each is wanted, instead of one.
    """
    pixels, is_multi_frame = _read(source, ink, max_pixels)
    return inspect_pixels(pixels, ink=ink, each=each, is_multi_frame=is_multi_frame)


def inspect_pixels(
    pixels: NDArray[np.uint8], *, ink: Ink, each: bool = False, is_multi_frame: bool = False
) -> Inspection:
    """Find the digits in pixels that `read_picture` returned, as `inspect`.

    Args:
        pixels: uint8 (height, width), or (height, width, 3) for a picture with colours.
        ink: As in `inspect`, where it is checked.
        each: As in `inspect`.
        is_multi_frame: Whether the file has further frames or pages.
    """
    if ink != "dark" and is_mnist_format(pixels):
        return Inspection(pixels, None, [(pixels, _unchanged(is_multi_frame))])
    found = segment(pixels, ink, each=each)
    max_digits = MAX_DIGITS if each else 1
    if not found.digits:
        return Inspection(pixels, found, [], _no_digit(found, pixels))
    if len(found.digits) > max_digits:
        return Inspection(pixels, found, [], _too_many(len(found.digits), max_digits))
    items: list[tuple[Extent, Prepared | Unread]] = []
    parts = {}
    for digit in found.digits:
        mask = found.components.mask(digit)
        parts[relative_box(mask)] = digit
        items.append((extent(found.components, digit), _prepare(found, mask, is_multi_frame)))
    if each:
        others = list(itertools.islice(_others(found, is_multi_frame), MAX_DIGITS + 1))
        if len(others) > MAX_DIGITS:
            return Inspection(pixels, found, [], _too_many(len(others), MAX_DIGITS))
        items += others
    return Inspection(pixels, found, in_reading_order(items), parts=parts)


def _others(
    found: Segmentation, is_multi_frame: bool
) -> Iterator[tuple[Extent, Prepared | Unread]]:
    """Yield what stands among the digits; what looks like a mark may still be a digit."""
    for mask, reason in found.others():
        rows, columns = bounding_box(mask)
        box = columns.start, rows.start, columns.stop, rows.stop
        is_mark = reason == NOT_A_DIGIT and not found.is_enclosing(mask)
        if is_mark and box[3] - box[1] >= (box[2] - box[0]) / 2:
            image, preparation = _prepare(found, mask, is_multi_frame)
            yield box, (image, replace(preparation, doubtful=True))
        else:
            yield box, Unread(relative_box(mask), reason)


def _prepare(found: Segmentation, mask: NDArray[np.bool_], is_multi_frame: bool) -> Prepared:
    """Convert the digit that some pixels show."""
    image, width = normalize(found.amount_of_ink(mask))
    preparation = Preparation(
        unchanged=False,
        ink=found.polarity(mask),
        box=relative_box(mask),
        stroke_width=width,
        is_multi_frame=is_multi_frame,
    )
    return image, preparation


def _halves(mask: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Part a mask at the column with the fewest pixels near its middle."""
    columns = bounding_box(mask)[1]
    margin = round(_MIDDLE * (columns.stop - columns.start))
    first, last = columns.start + margin, max(columns.start + margin + 1, columns.stop - margin)
    cut = first + int(mask[:, first:last].sum(axis=0).argmin())
    left, right = mask.copy(), mask.copy()
    left[:, cut:] = False
    right[:, : cut + 1] = False
    return left, right


def _no_digit(found: Segmentation, pixels: NDArray[np.uint8]) -> str:
    """Say that no digit was found, what was seen instead, and what to do."""
    if len(found.components):
        return "no digit found, only specks: crop the picture to the digit"
    if len(found.marks):
        return "no digit found: what is written looks like letters or marks"
    if len(found.faint):
        return "no digit found: what may be one is too faint or too blurred"
    if max(pixels.shape[:2]) <= SMALL_SIDE:
        return "no ink found"
    return "no ink found; if the digit is below 5 % of the picture's height: crop the picture"


def _too_many(count: int, max_digits: int) -> str:
    """Say that a picture has too many digits, and what to do."""
    expected = "one" if max_digits == 1 else f"at most {max_digits}"
    if count > MAX_DIGITS:
        return (
            f"found more than {MAX_DIGITS} possible digits, expected {expected}: crop the picture"
        )
    return f"found {count} possible digits, expected {expected}: {CROP_TO_ONE}"
