"""Images of any mode become small pictures in 8 bits, with colours only where there are some."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from edge_adder import prepare_image
from edge_adder.preprocessing.decode import read_picture
from edge_adder.preprocessing.pixels import WORKING_SIDE, shrink


def to_pixels(source: Any) -> np.ndarray:
    return read_picture(source)[0]


def test_colour_stays_where_there_is_some() -> None:
    red = np.zeros((30, 20, 3), np.uint8)
    red[5:9, :, 0] = 200
    assert np.array_equal(to_pixels(red), red)


def test_grey_in_three_channels_is_grey(seven: np.ndarray) -> None:
    grey = np.repeat(seven[:, :, None], 3, axis=2)
    assert np.array_equal(to_pixels(grey), seven)
    grey[3, 3, 1] += 12  # as JPEG leaves it
    assert to_pixels(grey).ndim == 2
    grey[3, 3, 1] += 1
    assert to_pixels(grey).ndim == 3


def test_a_picture_is_averaged_until_it_is_small() -> None:
    small = np.zeros((WORKING_SIDE, 5), np.uint8)
    assert shrink(small) is small
    checks = np.indices((2000, 1200)).sum(0) % 2 * np.uint8(255)
    shrunk = shrink(checks.astype(np.uint8))
    assert shrunk.shape == (500, 300)
    assert abs(shrunk[:-1, :-1].astype(int) - 127).max() <= 17


def test_a_wide_picture_needs_no_wide_copies() -> None:
    array = np.zeros((3000, 4000), np.uint16)
    array[1000:2000, 1900:2000] = 2**12
    tracemalloc.start()
    read_picture(array)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * array.size


def test_float_images_are_read_by_their_range_also_where_a_filter_overshoots() -> None:
    values = np.array([[0, 1], [0.5, 0]], np.float32)
    assert to_pixels(Image.fromarray(values)).tolist() == [[0, 255], [128, 0]]
    values[0, 1] = 1.04
    assert to_pixels(Image.fromarray(values)).tolist() == [[0, 255], [128, 0]]


def test_ink_on_nothing_is_seen_whatever_its_colour(
    drawing: Image.Image, prepared: np.ndarray, encode: Callable[..., bytes]
) -> None:
    palette = drawing.convert("1").convert("P")
    sources = [encode(palette, "PNG", transparency=palette.getpixel((0, 0)))]
    for ink in (0, 255):
        layer = Image.new("L", drawing.size, ink).convert("RGBA")
        layer.putalpha(ImageOps.invert(drawing))
        sources.append(layer)
    for source in sources:
        difference = np.abs(prepare_image(source).astype(int) - prepared)
        assert difference.mean() <= 2


def test_transparent_corners_get_the_colour_of_the_paper(
    drawing: Image.Image, prepared: np.ndarray
) -> None:
    hidden = np.dstack([np.asarray(drawing)] * 3 + [np.full((300, 200), 255, np.uint8)])
    hidden[:20, :20] = 0  # black where nothing is seen
    assert np.array_equal(prepare_image(hidden), prepared)
    pixels = np.zeros((40, 40, 4), np.uint8)
    pixels[5:, :] = (250, 240, 100, 255)
    pixels[10:20, 10] = (20, 20, 20, 255)
    assert (to_pixels(pixels)[:5] == (250, 240, 100)).all()


def test_bold_ink_on_nothing_that_is_cropped_tightly() -> None:
    ink = Image.new("RGBA", (60, 100))
    ImageDraw.Draw(ink).ellipse((0, 0, 59, 99), (0, 0, 0, 255))
    ImageDraw.Draw(ink).ellipse((25, 30, 35, 70), (0, 0, 0, 0))
    pixels = to_pixels(np.asarray(ink))
    assert pixels.max() == 255
    assert np.array_equal(pixels < 128, np.asarray(ink)[:, :, 3] > 128)
