"""One image as an array, a tensor or nested lists → pixels, or what to convert first."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.contract import FULL_INK
from edge_adder.errors import InputError, one_line
from edge_adder.preprocessing.pixels import scale_to_uint8, shrink, to_pixels

_CHANNELS = (1, 2, 3, 4)
"""Numbers of channels of an array with channels last: grey, grey and alpha, RGB, RGBA."""

_CHANNELS_FIRST = (1, 3, 4)
"""Numbers of channels of an array with channels first; of 2 it would be two grey images."""


class SupportsArray(Protocol):
    """What numpy makes an array of, such as a tensor of PyTorch."""

    def __array__(self, *args: Any, **kwargs: Any) -> NDArray[Any]:
        """Return the values as an array."""


def array_to_pixels(source: Any) -> NDArray[np.uint8]:
    """Convert an array, a tensor or nested lists to pixels, as `to_pixels` does an image.

    Args:
        source: One image: uint8, uint16 or bool, or any other integers from 0 to 255. Its shape is
            (height, width), (height, width, 1 to 4), or channels first (1, 3 or 4, height, width);
            a batch of one is taken too.

    Returns:
        uint8 (height, width), or (height, width, 3) for an image with colours; maybe a view of the
        source.

    Raises:
        InputError: It is of another type, or has another dtype, other values or another shape.
    """
    if not isinstance(source, (list, tuple)) and not hasattr(source, "__array__"):
        raise InputError(
            "image must be a path, bytes, a binary file, a PIL image, an array or a tensor, "
            f"got {type(source).__name__}"
        )
    array = _as_array(source)
    array = _channels_last(array)
    array = _to_uint8(array)
    return shrink(array) if array.ndim == 2 else to_pixels(Image.fromarray(array))


def _as_array(source: Any) -> NDArray[Any]:
    """Return the array of an object; never a subclass, as a matrix stays two-dimensional."""
    try:
        return np.asarray(source)
    except Exception as error:  # tensors raise several types
        if hasattr(source, "__array__"):
            raise InputError(
                f"image {type(source).__name__} must be on the CPU and without gradient: call "
                f".detach().cpu().numpy() on it ({one_line(error)})"
            ) from error
        raise InputError(
            f"image {type(source).__name__} must have rows of the same length: {one_line(error)}"
        ) from error


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as (height, width) or (height, width, 2 to 4)."""
    image = array[0] if array.ndim == 4 and len(array) == 1 else array
    if image.ndim == 3 and image.shape[2] not in _CHANNELS and image.shape[0] in _CHANNELS_FIRST:
        image = np.moveaxis(image, 0, 2)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.size and (image.ndim == 2 or (image.ndim == 3 and image.shape[2] in _CHANNELS)):
        return image
    raise InputError(
        "image array must have shape (height, width), (height, width, 1 to 4) or "
        f"(1, 3 or 4, height, width), got {array.shape}"
    )


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an array's values as 0 to 255 in uint8."""
    dtype = array.dtype
    if dtype == np.uint8:
        return array
    if dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(FULL_INK)
    if dtype.kind == "u" and dtype.itemsize == 2:
        return scale_to_uint8(array)
    if dtype.kind in "iu":
        lowest, highest = int(array.min()), int(array.max())
        if lowest >= 0 and highest <= FULL_INK:
            return array.astype(np.uint8)
        raise InputError(
            f"image array of {dtype} must have values from 0 to {FULL_INK}, "
            f"got {lowest} to {highest}"
        )
    if dtype.kind == "f":
        raise InputError(
            f"image array must be uint8, uint16 or bool, got {dtype}: convert values from 0 to 1 "
            'by (x * 255).round().astype("uint8")'
        )
    raise InputError(f"image array must be uint8, uint16 or bool, got {dtype}")
