"""The threshold between two kinds of brightness, and those of ink."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder.preprocessing.threshold import MIN_CONTRAST, hysteresis_thresholds, otsu


def two_levels(background: float, ink: float) -> np.ndarray:
    values = np.full((10, 10), background, np.float32)
    values[4:6, 4:6] = ink
    return values


def test_otsu_separates_two_levels_and_one_has_no_threshold() -> None:
    for background in (20.4, 20.6, 40):
        values = two_levels(background, 200)
        assert np.count_nonzero(values > otsu(values)) == 4
    assert otsu(two_levels(7, 7)) is None


def test_thresholds_follow_the_ink_and_a_blank_picture_has_none() -> None:
    assert hysteresis_thresholds(two_levels(0, 0.8)) == pytest.approx((0.25 * 0.8, 0.55 * 0.8))
    for contrast in (0, 0.9 * MIN_CONTRAST):
        assert hysteresis_thresholds(two_levels(0, contrast)) is None


def test_thresholds_are_above_the_noise() -> None:
    noise = np.abs(np.random.default_rng(0).normal(0, 0.05, (100, 100))).astype(np.float32)
    noise[40:60, 40:60] = 0.8
    low, high = hysteresis_thresholds(noise)
    assert 0.15 < low < high
    assert np.mean(noise[:40] > low) < 0.01
