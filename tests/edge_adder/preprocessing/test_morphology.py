"""The outline of a mask, and what lies on both sides of it."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder.preprocessing.morphology import dilate, edge_contrast


def square(side: int = 20) -> np.ndarray:
    mask = np.zeros((side, side), bool)
    mask[6:14, 6:14] = True
    return mask


def test_a_mask_spreads_by_steps_along_rows_and_columns() -> None:
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    y, x = np.indices(mask.shape)
    for reach in range(4):
        assert np.array_equal(dilate(mask, reach), np.abs(y - 3) + np.abs(x - 3) <= reach)


def test_a_sharp_edge_falls_at_once() -> None:
    mask = square()
    assert edge_contrast(mask * 0.7, mask, 2) == pytest.approx(0.7)


def test_a_slope_falls_little_near_the_outline() -> None:
    slope = np.broadcast_to(np.linspace(0, 1, 20), (20, 20))
    mask = slope > 0.5
    assert 0.05 < edge_contrast(slope, mask, 2) < 0.2


@pytest.mark.parametrize("value", [True, False])
def test_without_an_outline_there_is_no_step(value: bool) -> None:
    assert edge_contrast(np.ones((5, 5)), np.full((5, 5), value), 2) == 0
