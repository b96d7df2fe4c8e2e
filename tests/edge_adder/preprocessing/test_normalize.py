"""Ink gets MNIST's stroke width, size and place."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder.preprocessing.morphology import bounding_box
from edge_adder.preprocessing.normalize import STROKE_WIDTHS, normalize, stroke_width


def zigzag(pen: int) -> np.ndarray:
    """A Z of a pen's width, cropped."""
    picture = Image.new("L", (200, 200))
    points = [(20, 20), (180, 20), (20, 180), (180, 180)]
    ImageDraw.Draw(picture).line(points, fill=255, width=pen)
    ink = np.asarray(picture)
    return ink[bounding_box(ink > 0)]


@pytest.mark.parametrize("pen", [4, 10, 20, 30])
def test_strokes_are_measured(pen: int) -> None:
    assert stroke_width(zigzag(pen) > 0) == pytest.approx(pen, rel=0.25)


def test_strokes_outside_mnists_range_become_wider_or_thinner_and_others_stay() -> None:
    least, most = STROKE_WIDTHS
    for pen in (1, 2, 4, 8):
        image, width = normalize(zigzag(pen))
        assert width < least
        assert image.max() == 255
        assert least - 0.5 < stroke_width(image >= 128) < 3.5
    for pen in (50, 60):
        image, width = normalize(zigzag(pen))
        assert width > most
        assert stroke_width(image >= 128) < width - 0.3
    image, width = normalize(zigzag(28))
    assert least < width < most
    assert stroke_width(image >= 128) == pytest.approx(width, rel=0.12)


def test_strokes_are_not_thinned_until_they_break() -> None:
    ink = np.full((100, 100), 255, np.uint8)
    ink[43:57, 43:57] = 0
    image, width = normalize(ink)
    assert width > STROKE_WIDTHS[1]
    assert (image >= 128).sum() > 350


def test_faint_ink_becomes_full() -> None:
    faint, _ = normalize((zigzag(20) // 8).astype(np.uint8))
    full, _ = normalize(zigzag(20))
    assert faint.max() == 255
    assert np.corrcoef(faint.ravel(), full.ravel())[0, 1] > 0.97


@pytest.mark.parametrize(("height", "width"), [(90, 30), (30, 90), (60, 60), (1, 40), (40, 1)])
def test_the_longer_side_is_20_and_the_mass_in_the_middle(height: int, width: int) -> None:
    image, _ = normalize(np.full((height, width), 255, np.uint8))
    rows, columns = bounding_box(image > 0)
    assert max(rows.stop - rows.start, columns.stop - columns.start) in (19, 20)
    mass = image.astype(float)
    for sums in (mass.sum(0), mass.sum(1)):
        assert 13.4 <= sums @ np.arange(28) / mass.sum() <= 14.6
