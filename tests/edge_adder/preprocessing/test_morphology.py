"""Dilation, the edge of a mask, and the box around it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder.preprocessing.morphology import (
    border,
    bounding_box,
    dilate,
    dilate_grey,
    edge_contrast,
    erode_grey,
    relative_box,
)


@pytest.fixture
def square() -> np.ndarray:
    mask = np.zeros((20, 20), bool)
    mask[6:14, 6:14] = True
    return mask


@pytest.mark.parametrize("steps", range(4))
def test_a_point_grows_to_a_diamond_and_in_grey_to_a_square(steps: int) -> None:
    point = np.zeros((7, 7), bool)
    point[3, 3] = True
    y, x = np.abs(np.indices(point.shape) - 3)
    assert np.array_equal(dilate(point, steps), x + y <= steps)
    assert np.array_equal(dilate_grey(point * 9, steps), 9 * (np.maximum(x, y) <= steps))
    assert np.array_equal(erode_grey(9 - point * 9, steps), 9 * (np.maximum(x, y) > steps))


def test_a_window_larger_than_the_picture() -> None:
    values = np.array([[3, 1, 2]], np.float32)
    assert (dilate_grey(values, 9) == 3).all()
    assert (erode_grey(values, 9) == 1).all()


def test_a_sharp_edge_falls_at_once(square: np.ndarray) -> None:
    assert edge_contrast(square * 0.7, square, 2) == pytest.approx(0.7)


def test_a_slope_falls_little_near_the_edge() -> None:
    slope = np.broadcast_to(np.linspace(0, 1, 20), (20, 20))
    assert 0.05 < edge_contrast(slope, slope > 0.5, 2) < 0.2


@pytest.mark.parametrize("value", [True, False])
def test_without_an_edge_there_is_no_contrast(value: bool) -> None:
    assert edge_contrast(np.ones((5, 5)), np.full((5, 5), value), 2) == 0


def test_the_box_around_a_mask(square: np.ndarray) -> None:
    assert bounding_box(square[:, 2:]) == (slice(6, 14), slice(4, 12))
    assert relative_box(square[:, :16]) == (6 / 16, 6 / 20, 14 / 16, 14 / 20)


def test_the_border_is_the_outermost_pixels() -> None:
    pixels = np.ones((5, 6), bool)
    pixels[1:-1, 1:-1] = False
    assert border(pixels).all()
    assert not border(~pixels).any()
