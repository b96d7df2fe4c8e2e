"""Ruled lines are removed, and what crosses them stays."""

from __future__ import annotations

import numpy as np

from edge_adder.preprocessing.ruled_lines import remove_ruled_lines


def test_lines_leave_what_crosses_them() -> None:
    contrast = np.zeros((100, 100), np.float32)
    contrast[50:52] = contrast[10:12] = 0.5
    contrast[20:80, 40:46] = 0.9
    for left in (remove_ruled_lines(contrast, 0.2), remove_ruled_lines(contrast.T, 0.2).T):
        assert (left[20:80, 41:45] > 0).all()
        assert (left[50, :35] == 0).all()
        assert (left[50, 55:] == 0).all()


def test_a_single_bar_across_the_picture_is_no_line() -> None:
    contrast = np.zeros((100, 100), np.float32)
    contrast[10:14] = contrast[10:90, 50:54] = 0.9
    assert np.array_equal(remove_ruled_lines(contrast, 0.2), contrast)
