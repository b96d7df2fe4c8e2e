"""The pure figures of an evaluation, against ones that are counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder.evaluation.metrics import UNREADABLE, Coverage, calibration_error, coverage


@pytest.mark.parametrize(
    ("probabilities", "correct", "error"),
    [
        pytest.param([0.9] * 10, [True] * 9 + [False], 0, id="as confident as correct"),
        pytest.param([1, 1, 0.5, 0.5], [True, False, True, True], 0.5, id="bins do not cancel"),
        pytest.param([0.94, 0.94, 0.96, 0.96], [True, True, True, False], 0.2, id="within one bin"),
        pytest.param([0.6, UNREADABLE], [True, False], 0.4, id="only answers count"),
        pytest.param([], [], 0, id="no answers"),
    ],
)
def test_calibration_error(probabilities: list[float], correct: list[bool], error: float) -> None:
    found = calibration_error(np.array(probabilities, float), np.array(correct, bool))
    assert found == pytest.approx(error)


def test_coverage_is_what_a_minimum_probability_keeps() -> None:
    probabilities = np.array([[0.3, 0.75, UNREADABLE, UNREADABLE], [0.9, 0.999, UNREADABLE, -1]])
    correct = np.array([[False, True, False, False], [False, True, False, False]])
    found = {each.min_probability: each for each in coverage(probabilities, correct)}
    assert found[0.0] == Coverage(0.0, answered=4 / 8, correct=2 / 4)
    assert found[0.5] == Coverage(0.5, answered=3 / 8, correct=2 / 3)
    assert found[0.9] == Coverage(0.9, answered=2 / 8, correct=1 / 2)  # 0.9 itself is kept
    assert found[0.999] == Coverage(0.999, answered=1 / 8, correct=1)
    first, *_ = coverage(np.zeros((0, 10)), np.zeros((0, 10), bool))
    assert first == Coverage(0.0, answered=0, correct=None)
