"""The threshold between two kinds of brightness, and those of ink."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder.preprocessing.threshold import MIN_CONTRAST, hysteresis_thresholds, otsu


def two_levels(background: float, ink: float) -> np.ndarray:
    values = np.full((10, 10), background, np.float32)
    values[4:6, 4:6] = ink
    return values


@pytest.mark.parametrize("background", [20.4, 20.6, 40])
def test_otsu_separates_two_levels(background: float) -> None:
    values = two_levels(background, 200)
    threshold = otsu(values)
    assert threshold is not None
    assert np.count_nonzero(values > threshold) == 4


def test_one_level_has_no_threshold() -> None:
    assert otsu(two_levels(7, 7)) is None


def test_thresholds_follow_the_ink() -> None:
    assert hysteresis_thresholds(two_levels(0, 0.8)) == pytest.approx((0.25 * 0.8, 0.55 * 0.8))


def test_thresholds_are_above_the_noise() -> None:
    noise = np.abs(np.random.default_rng(0).normal(0, 0.05, (100, 100))).astype(np.float32)
    noise[40:60, 40:60] = 0.8
    thresholds = hysteresis_thresholds(noise)
    assert thresholds is not None
    low, high = thresholds
    assert 0.15 < low < high
    assert np.mean(noise[:40] > low) < 0.01


@pytest.mark.parametrize("contrast", [0, 0.9 * MIN_CONTRAST])
def test_a_blank_picture_has_no_thresholds(contrast: float) -> None:
    assert hysteresis_thresholds(two_levels(0, contrast)) is None
