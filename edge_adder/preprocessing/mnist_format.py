"""Whether an image is in MNIST's format: full ink on black, in a box of 20×20, in the middle."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import FULL_INK, IMAGE_SIDE
from edge_adder.preprocessing.normalize import DIGIT_SIDE

_MIN_SIDE = DIGIT_SIDE - 2
"""Minimum of the longer side of the box around the ink, in pixels. Of MNIST's 70,000 images 16 have
19 and all others 20 (`python -m benchmarks.robustness.mnist_format`); one less is accepted."""

_FULL = 200
"""Minimum value of the brightest pixel; MNIST's is 254 or 255 (from the same command)."""

_MIDDLE, _MAX_OFF_CENTRE = (IMAGE_SIDE - 1) / 2 + 0.5, 1.0
"""Middle of the image, counted from 0 at the first pixel, and the maximum distance of the centre of
mass from there in both directions, in pixels; MNIST's is 0.52 (from the same command)."""

_find_full = re.compile(b"[\\x%02x-\\xff]" % _FULL).search
_MOMENTS = np.stack(
    [
        np.ones(IMAGE_SIDE**2, np.float32),
        np.tile(np.arange(IMAGE_SIDE, dtype=np.float32), IMAGE_SIDE),
        np.repeat(np.arange(IMAGE_SIDE, dtype=np.float32), IMAGE_SIDE),
    ]
)
"""Weights of the 784 pixels for their sum, and for their moments to the right and down."""
_POSITIONS = np.arange(IMAGE_SIDE, dtype=np.int32)  # wide enough for the moment of a white image


def is_mnist_format(pixels: NDArray[np.uint8]) -> bool:
    """Check whether an image is in MNIST's format.

    Written for speed, since such an image needs no other preparation: numpy takes microseconds to
    reduce so small an array, searching bytes takes less.

    Args:
        pixels: uint8, any shape.
    """
    if pixels.shape != (IMAGE_SIDE, IMAGE_SIDE):
        return False
    data = pixels.tobytes()
    if FULL_INK not in data and _find_full(data) is None:
        return False
    side = max(_extent(data), _extent(pixels.tobytes("F")))
    if not _MIN_SIDE <= side <= DIGIT_SIDE:
        return False
    # not `dot`: BLAS takes a lock, which may be held for ever in a process that was forked
    total, right, down = np.einsum("ip,p->i", _MOMENTS, np.float32(pixels.reshape(-1))).tolist()
    off_centre = max(abs(right - _MIDDLE * total), abs(down - _MIDDLE * total))
    return bool(off_centre <= _MAX_OFF_CENTRE * total)


def are_mnist_format(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Check which images are in MNIST's format, as `is_mnist_format`.

    Without BLAS, which would compute a matrix product on threads, which a forked process does not
    have and a busy machine keeps waiting. `einsum` takes a third of the time that `sum` takes along
    axes as short as these.

    Args:
        images: uint8 (count, 28, 28).

    Returns:
        bool (count,).
    """
    pixels = images.astype(np.uint16)  # which holds the sum of a row
    rows, columns = np.einsum("irc->ir", pixels), _column_sums(pixels)
    totals = rows.sum(axis=1, dtype=np.int64)
    side = np.maximum(_extents(rows != 0), _extents(columns != 0))
    matching: NDArray[np.bool_] = images.reshape(len(images), -1).max(axis=1, initial=0) >= _FULL
    matching &= (side >= _MIN_SIDE) & (side <= DIGIT_SIDE)
    for sums in (rows, columns):
        moments = np.einsum("ir->i", sums * _POSITIONS)
        matching &= np.abs(moments - _MIDDLE * totals) <= _MAX_OFF_CENTRE * totals
    return matching


def _column_sums(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the sum of each column, uint16 (count, 28); long rows add fastest, so four at once."""
    sums = np.einsum("irc->ic", pixels.reshape(-1, IMAGE_SIDE // 4, 4 * IMAGE_SIDE))
    folded: NDArray[np.uint16] = np.einsum("irc->ic", sums.reshape(-1, 4, IMAGE_SIDE))
    return folded


def _extent(data: bytes) -> int:
    """Return the rows from the first with ink to the last, of 28×28 bytes that are not all 0."""
    first = len(data) - len(data.lstrip(b"\0"))
    last = len(data.rstrip(b"\0")) - 1
    return last // IMAGE_SIDE - first // IMAGE_SIDE + 1


def _extents(has_ink: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return `_extent` of many images.

    Args:
        has_ink: bool (count, 28); which rows have ink.

    Returns:
        int64 (count,); without meaning for an image without ink.
    """
    return np.asarray(IMAGE_SIDE - has_ink.argmax(axis=1) - has_ink[:, ::-1].argmax(axis=1))
