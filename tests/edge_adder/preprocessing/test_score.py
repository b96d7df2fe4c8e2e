"""What looks like the ink of a digit scores more."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder.preprocessing.morphology import dilate
from edge_adder.preprocessing.score import contrast_to_noise, score


@pytest.fixture
def mask() -> np.ndarray:
    return np.pad(np.ones((40, 8), bool), ((20, 20), (36, 36)))


def contrast_of(mask: np.ndarray, level: float = 0.8) -> np.ndarray:
    return (level * mask).astype(np.float32)


def test_strong_even_sharp_ink_in_the_picture_scores_more(mask: np.ndarray) -> None:
    best = score(contrast_of(mask), mask)
    uneven = contrast_of(mask) * np.where(np.arange(80) % 2, 1.25, 0.75)
    shadow = (0.4 * contrast_of(mask) + 0.4 * dilate(mask, 10)).astype(np.float32)
    assert score(contrast_of(mask, 0.4), mask) < best
    assert score(uneven.astype(np.float32), mask) < best - 0.1
    assert score(shadow, mask) < best - 0.4
    at_border, too_much = np.roll(mask, 20, axis=0), np.pad(np.ones((60, 60), bool), 10)
    for other in (at_border, too_much):
        assert score(contrast_of(other), other) < best - 0.02


def test_contrast_to_noise(mask: np.ndarray) -> None:
    contrast = contrast_of(mask) + np.where(mask, 0, 0.09).astype(np.float32)
    assert contrast_to_noise(contrast, mask) == pytest.approx(8)
    everything = np.ones_like(mask)
    assert contrast_to_noise(contrast_of(everything), everything) == pytest.approx(0.8 / 1.01)
