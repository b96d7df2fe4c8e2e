"""Any picture of a digit → uint8 (28, 28), light ink on black, as MNIST was made.

`prepare` runs the stages: `edge_adder.preprocessing.decode` (to pixels), `edge_adder.preprocessing.segment` (which of them are the
digit's), `edge_adder.preprocessing.normalize` (as MNIST has it). An image that is in MNIST's form already is
ready as it is.

Geometry only: scaling of values to the network's range is in the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import FULL_INK, IMAGE_SIDE
from edge_adder.errors import ImageError, InputError
from edge_adder.preprocessing.decode import MAX_PIXELS, ImageSource, name_of, read_picture
from edge_adder.preprocessing.morphology import dilate
from edge_adder.preprocessing.normalize import DIGIT_SIDE, bounding_box, normalize
from edge_adder.preprocessing.segment import (
    INKS,
    MAX_DIGITS,
    Channel,
    Ink,
    Segmentation,
    in_reading_order,
    segment,
)

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Preparation:
    """What was done to a picture before the network saw it.

    Attributes:
        ready: It was in MNIST's form and went to the network unchanged; then all else is as here.
        ink: Whether the ink was lighter or darker than its paper.
        channel: What of the colours showed it best.
        paper: ``plain``, or ``uneven``: shadows were taken out.
        sheet: It lay on something darker, which was left out.
        box: Left, top, right and bottom of the digit's ink, as shares of the picture's width and
            height after EXIF rotation.
        stroke_width: Mean width of the strokes, in pixels of 28×28, before it was changed.
        is_multi_frame: The file has further frames or pages; the first was used.
    """

    ready: bool = True
    ink: Ink = "light"
    channel: Channel = "brightness"
    paper: str = "plain"
    sheet: bool = False
    box: Box | None = None
    stroke_width: float | None = None
    is_multi_frame: bool = False


UNCHANGED, UNCHANGED_FIRST_FRAME = Preparation(), Preparation(is_multi_frame=True)
"""Of an image in MNIST's form; and of one that is the first of a file's."""


def prepare_image(
    source: ImageSource, *, ink: Ink = "auto", max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """Bring a picture of a digit into the form that the network was trained on.

    A 28×28 greyscale image in MNIST's form is returned unchanged: light ink on black, in a box of
    20×20 whose centre of mass is in the middle. Of any other the ink is found, brought to MNIST's
    stroke width, scaled to 20×20 keeping its aspect and centred by mass in 28×28.

    Args:
        source: The picture. Of several frames the first is used, of a PIL image its current one;
            EXIF rotation is applied; transparent parts get the colour of the paper.
        ink: Whether the ink is lighter or darker than its background; ``auto`` finds out.
        max_pixels: Largest image that is decoded, up to 89 million pixels.

    Returns:
        uint8 (28, 28); 0 = background, 255 = full ink. For an array in that form, the array itself.

    Raises:
        ImageError: Not an image, damaged, too large, without ink, or with several digits.
        InputError: Of an unknown type, or `ink` or `max_pixels` is out of its range.
        FileAccessError: The file exists and cannot be read.
    """
    return prepare(source, ink=ink, max_pixels=max_pixels)[0]


def prepare(
    source: ImageSource, *, ink: Ink = "auto", max_pixels: int = MAX_PIXELS
) -> tuple[NDArray[np.uint8], Preparation]:
    """As `prepare_image`, and what was done."""
    _check_ink(ink)
    pixels, is_multi_frame = read_picture(source, max_pixels=max_pixels)
    if ink != "dark" and is_mnist_format(pixels):
        return pixels, UNCHANGED_FIRST_FRAME if is_multi_frame else UNCHANGED
    found = _find(source, pixels, ink)
    if len(found.digits) > 1:
        raise ImageError(
            f"{name_of(source)}: found {len(found.digits)} things that may be digits, expected "
            "one: crop the picture, or ask for each (--each, predict_each)"
        )
    return _prepare(found, found.mask, is_multi_frame)


def prepare_each(
    source: ImageSource, *, ink: Ink = "auto", max_pixels: int = MAX_PIXELS
) -> list[tuple[NDArray[np.uint8], Preparation]]:
    """As `prepare`, for each digit in a picture, in the order of reading: by line, from the left.

    A digit is what is about as large as the one in the middle and stands beside it; more than 32
    of them are refused.
    """
    _check_ink(ink)
    pixels, is_multi_frame = read_picture(source, max_pixels=max_pixels)
    if ink != "dark" and is_mnist_format(pixels):
        return [(pixels, UNCHANGED_FIRST_FRAME if is_multi_frame else UNCHANGED)]
    found = _find(source, pixels, ink)
    if len(found.digits) > MAX_DIGITS:
        raise ImageError(
            f"{name_of(source)}: found more than {MAX_DIGITS} things that may be digits: crop it"
        )
    return [_prepare(found, mask, is_multi_frame) for mask in in_reading_order(found)]


def _check_ink(ink: str) -> None:
    if ink not in INKS:
        raise InputError(f"ink must be one of {', '.join(INKS)}, got {ink!r}")


def _find(source: ImageSource, pixels: NDArray[np.uint8], ink: Ink) -> Segmentation:
    found = segment(pixels, ink=ink)
    if found is None or found.is_blank:
        raise ImageError(f"{name_of(source)}: no ink found")
    return found


def _prepare(
    found: Segmentation, mask: NDArray[np.bool_], is_multi_frame: bool
) -> tuple[NDArray[np.uint8], Preparation]:
    """One digit, whose ink is at `mask`, bool (height, width)."""
    rows, columns = bounding_box(mask)
    image, stroke_width = normalize(_ink(found, mask, rows, columns))
    height, width = mask.shape
    return image, Preparation(
        ready=False,
        ink="dark" if found.dark else "light",
        channel=found.channel,
        paper="plain" if found.plain else "uneven",
        sheet=found.sheet,
        box=(
            columns.start / width,
            rows.start / height,
            columns.stop / width,
            rows.stop / height,
        ),
        stroke_width=stroke_width,
        is_multi_frame=is_multi_frame,
    )


def is_mnist_format(pixels: NDArray[np.uint8]) -> bool:
    """Whether an image is in MNIST's form: its ink is full, in a box of 20×20, and in the middle.

    The path of ready images, and so written for speed: numpy needs microseconds for a reduction of
    so small an array, and bytes know where they begin and end in less.

    Args:
        pixels: uint8, any shape.
    """
    if pixels.shape != (IMAGE_SIDE, IMAGE_SIDE):
        return False
    data = pixels.tobytes()
    if _BRIGHT(data) is None:
        return False
    side = max(_extent(data), _extent(pixels.tobytes("F")))
    if not _LEAST_SIDE <= side <= DIGIT_SIDE:
        return False
    total, right, down = _MOMENTS.dot(pixels.reshape(-1).astype(np.float32)).tolist()
    off = max(abs(right - _MIDDLE * total), abs(down - _MIDDLE * total))
    return bool(off <= _OFF_CENTRE * total)


def are_mnist_format(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """`is_mnist_format` of many, uint8 (count, 28, 28): bool (count,).

    By sums alone: BLAS would compute a product of matrices on threads, which a forked process does
    not have and a busy machine keeps waiting.
    """
    rows, columns = (images.sum(axis=axis, dtype=np.int32) for axis in (2, 1))
    totals = rows.sum(axis=1)
    side = np.maximum(_extents(rows != 0), _extents(columns != 0))
    ready: NDArray[np.bool_] = images.max(axis=(1, 2), initial=0) >= _FULL
    ready &= (side >= _LEAST_SIDE) & (side <= DIGIT_SIDE)
    for sums in (rows, columns):
        moments = (sums * np.arange(IMAGE_SIDE)).sum(axis=1)
        ready &= np.abs(moments - _MIDDLE * totals) <= _OFF_CENTRE * totals
    return ready


_LEAST_SIDE = DIGIT_SIDE - 2
"""Of the longer side of the box around the ink, in pixels: of MNIST's 70,000 images 16 have 19 and
all others 20 (`python -m benchmarks.robustness.mnist_form`), and one less is let pass."""

_FULL = 200
"""MNIST's brightest pixel is 254 or 255 (likewise)."""

_MIDDLE, _OFF_CENTRE = (IMAGE_SIDE - 1) / 2 + 0.5, 1.0
"""MNIST's centre of mass is at most 0.52 pixels from here, in both directions (likewise)."""

_BRIGHT = re.compile(b"[\\x%02x-\\xff]" % _FULL).search
_MOMENTS = np.stack(
    [
        np.ones(IMAGE_SIDE**2, np.float32),
        np.tile(np.arange(IMAGE_SIDE, dtype=np.float32), IMAGE_SIDE),
        np.repeat(np.arange(IMAGE_SIDE, dtype=np.float32), IMAGE_SIDE),
    ]
)
"""Of 784 pixels: their sum, and the moments to the right and down."""


def _extent(data: bytes) -> int:
    """Rows from the first with ink to the last, of 28×28 bytes with some ink."""
    first = len(data) - len(data.lstrip(b"\0"))
    last = len(data.rstrip(b"\0")) - 1
    return last // IMAGE_SIDE - first // IMAGE_SIDE + 1


def _extents(inked: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`_extent` of many, from which rows have ink, (count, 28); anything where none has."""
    extents: NDArray[np.int64] = IMAGE_SIDE - inked.argmax(axis=1) - inked[:, ::-1].argmax(axis=1)
    return extents


def _ink(
    found: Segmentation, mask: NDArray[np.bool_], rows: slice, columns: slice
) -> NDArray[np.uint8]:
    """Amount of ink in a box and a pixel around it: 0 = none, 255 = full."""
    around = tuple(slice(max(0, each.start - 1), each.stop + 1) for each in (rows, columns))
    mask, contrast = mask[around], found.contrast[around]
    edge = dilate(mask, 1)  # the faint rim of strokes belongs to them
    nothing = found.faintest / 2
    amount = np.clip((contrast - nothing) * (FULL_INK / (found.full - nothing)), 0, FULL_INK)
    ink: NDArray[np.uint8] = np.rint(np.where(edge, amount, 0)).astype(np.uint8)
    return ink
