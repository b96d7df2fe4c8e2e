"""Dilation, the edge of a mask, and the box around it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder.preprocessing import morphology


@pytest.fixture
def square() -> np.ndarray:
    return np.pad(np.ones((8, 8), bool), 6)


@pytest.mark.parametrize("steps", range(4))
def test_a_point_grows_to_a_diamond_and_in_grey_to_a_square(steps: int) -> None:
    point = np.zeros((7, 7), bool)
    point[3, 3] = True
    y, x = np.abs(np.indices(point.shape) - 3)
    square = np.maximum(x, y) <= steps
    assert np.array_equal(morphology.dilate(point, steps), x + y <= steps)
    assert np.array_equal(morphology.dilate_grey(point * 9, steps), 9 * square)
    assert np.array_equal(morphology.erode_grey(9 - point * 9, steps), 9 - 9 * square)


def test_a_window_larger_than_the_picture() -> None:
    values = np.array([[3, 1, 2]], np.float32)
    assert (morphology.dilate_grey(values, 9) == 3).all()
    assert (morphology.erode_grey(values, 9) == 1).all()


def test_a_sharp_edge_falls_at_once_and_a_slope_little(square: np.ndarray) -> None:
    assert morphology.edge_contrast(square * 0.7, square, 2) == pytest.approx(0.7)
    slope = np.broadcast_to(np.linspace(0, 1, 20), (20, 20))
    assert 0.05 < morphology.edge_contrast(slope, slope > 0.5, 2) < 0.2
    for everywhere in (True, False):  # without an edge there is no contrast
        assert morphology.edge_contrast(np.ones((5, 5)), np.full((5, 5), everywhere), 2) == 0


def test_the_box_around_a_mask(square: np.ndarray) -> None:
    assert morphology.bounding_box(square[:, 2:]) == (slice(6, 14), slice(4, 12))
    assert morphology.relative_box(square[:, :16]) == (6 / 16, 6 / 20, 14 / 16, 14 / 20)


def test_the_border_is_the_outermost_pixels() -> None:
    inside = np.pad(np.ones((3, 4), bool), 1)
    assert morphology.border(~inside).all()
    assert not morphology.border(inside).any()
