"""A PIL image of any mode → the pixels that preparation works on: small, in 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WORKING_SIDE = 640
"""Maximum height and width of a picture that is searched for small digits, in pixels."""

FIRST_SIDE = 224
"""Maximum height and width of a picture as it is searched first, in pixels: eight pixels for each
of the result average out the grain of paper and sensor, and keep a hair-thin line."""

SMALL_SIDE = 64
"""Maximum side of a small picture, in pixels. It shows a digit alone, on a plain background."""

_FULL_SCALES = (1.0, *(float(2**bits - 1) for bits in (8, 10, 12, 14, 16)))
"""Full brightness of float images and of the bit depths that sensors have."""

_OVERSHOOT = 1.5
"""How far above full brightness a float image may be, as a factor: filters leave such values."""

_BAND_PIXELS = 250_000
"""Pixels that are shrunk together: a large picture needs no second copy then."""

_COLOUR_NOISE = 12
"""Maximum difference between the channels of a grey JPEG, of 255."""


def to_pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Convert an image of any of Pillow's modes, shrunk to at most `WORKING_SIDE`.

    A mostly transparent image, or one whose opaque part has one colour, is ink alone: it is laid on
    black or white, whichever contrasts more. Any other with transparent parts is laid on its own
    median colour, that of the paper.

    Returns:
        uint8 (height, width), or (height, width, 3) for an image with colours.
    """
    has_alpha = "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBA", "RGBa")
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel, single channel
        return shrink(_wide_to_uint8(image))
    mode = "RGBA" if has_alpha else "L" if image.mode in ("1", "L") else "RGB"
    factor = _factor(image.height, image.width)
    if factor > 1:
        image = _shrink_image(image, mode, factor)
    elif image.mode != mode:  # converting to the same mode would copy
        image = image.convert(mode)
    if mode == "L":  # numpy's own way to a PIL image takes a microsecond more
        return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width)
    pixels = np.asarray(image)
    if has_alpha:
        pixels = _fill_transparent(pixels)
    if int(np.ptp(pixels, axis=2).max()) <= _COLOUR_NOISE:
        return np.asarray(Image.fromarray(pixels).convert("L"))
    return pixels


def shrink(pixels: NDArray[np.uint8], side: int = WORKING_SIDE) -> NDArray[np.uint8]:
    """Average square blocks, so that neither height nor width is above `side`.

    Args:
        pixels: uint8 (height, width) or (height, width, 3).
        side: Maximum height and width, in pixels.

    Returns:
        The same, smaller by an integer factor; the array itself if it is small enough.
    """
    factor = -(-max(pixels.shape[:2]) // side)
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).reduce(factor))


def _shrink_image(image: Image.Image, mode: str, factor: int) -> Image.Image:
    """Return an image in another mode, averaged in square blocks.

    In bands, so that neither the conversion nor Pillow's premultiplied colours copy the whole.
    """
    width, height = image.size
    if image.mode == mode != "RGBA":
        return image.reduce(factor)
    if width * height <= _BAND_PIXELS:
        return image.convert(mode).reduce(factor)
    shrunk = Image.new(mode, (-(-width // factor), -(-height // factor)))
    rows = factor * max(1, _BAND_PIXELS // (width * factor))
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        shrunk.paste(band.convert(mode).reduce(factor), (0, top // factor))
    return shrunk


def _wide_to_uint8(image: Image.Image) -> NDArray[np.uint8]:
    """Return an image of 16 or 32 bits a pixel as `scale_to_uint8` does, without a copy of it."""
    width, height = image.size
    rows = max(1, _BAND_PIXELS // width)
    tops = range(0, height, rows)

    def band(top: int) -> NDArray[Any]:
        return np.asarray(image.crop((0, top, width, min(top + rows, height))))

    highest = max(_highest(band(top)) for top in tops)
    narrow = np.empty((height, width), np.uint8)
    for top in tops:
        narrow[top : top + rows] = scale_to_uint8(band(top), highest)
    return narrow


def scale_to_uint8(values: NDArray[Any], highest: float | None = None) -> NDArray[np.uint8]:
    """Scale 16-bit, 32-bit or float brightness to 8 bits, by the lowest bit depth that holds it.

    Args:
        values: (height, width) or (height, width, channels).
        highest: The highest brightness of the picture; that of the values if None.
    """
    highest = _highest(values) if highest is None else highest
    overshoot = _OVERSHOOT if values.dtype.kind == "f" else 1.0
    full = next((full for full in _FULL_SCALES if highest <= full * overshoot), highest)
    narrow = np.empty(values.shape, np.uint8)
    for row, wide in enumerate(values):  # so that no wider copy of the whole is made
        scaled = np.nan_to_num(wide.astype(np.float64)) * (255 / full)
        narrow[row] = np.clip(np.rint(scaled), 0, 255)
    return narrow


def _highest(values: NDArray[Any]) -> float:
    """Return the highest value that is finite, at least 0."""
    return float(np.nanmax(values, initial=0, where=np.isfinite(values)))


def _factor(height: int, width: int) -> int:
    """Return the integer factor by which a picture is shrunk."""
    return -(-max(height, width) // WORKING_SIDE)


def _fill_transparent(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay uint8 (height, width, 4) on a colour: (height, width, 3)."""
    colour, alpha = pixels[:, :, :3], pixels[:, :, 3]
    opaque = colour[alpha > alpha.max() // 2]
    if not opaque.size:
        return np.zeros_like(colour)
    if len(opaque) * 2 < alpha.size or int(np.ptp(opaque, axis=0).max()) <= _COLOUR_NOISE:
        paper = np.full(3, 255 if opaque.mean() < 128 else 0)
    else:
        paper = np.median(opaque, axis=0).astype(np.int64)
    weight = alpha[:, :, None].astype(np.uint32)
    filled = (colour * weight + paper.astype(np.uint32) * (255 - weight) + 127) // 255
    return filled.astype(np.uint8)
