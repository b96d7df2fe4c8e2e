"""Synthetic 1s with flags and 7s: repeatable, told apart by the drop, and learned from."""

from __future__ import annotations

import numpy as np

from export.synthetic.ones_and_sevens import draw_ones_and_sevens


def test_ones_and_sevens_come_in_turn_and_a_seed_repeats_them() -> None:
    images, digits = draw_ones_and_sevens(41, seed=3)
    assert images.dtype == np.uint8
    assert images.shape == (41, 1, 28, 28)
    assert digits.tolist() == [1, 7] * 20 + [1]
    assert (images.max(axis=(1, 2, 3)) == 255).all()
    assert np.array_equal(images, draw_ones_and_sevens(41, seed=3)[0])
    assert not np.array_equal(images, draw_ones_and_sevens(41, seed=4)[0])


def test_the_top_of_a_7_is_wider_than_the_flag_of_a_1() -> None:
    images, digits = draw_ones_and_sevens(600)
    top = (images[:, 0, 4:8] > 100).any(1).sum(1)  # columns with ink in the first rows of the box
    assert np.median(top[digits == 7]) >= np.median(top[digits == 1]) + 3
