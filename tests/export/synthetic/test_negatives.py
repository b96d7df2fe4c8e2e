"""What is no digit is drawn in MNIST's form, of many kinds, and the same for a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from edge_adder.preprocessing.mnist_format import are_mnist_format
from export.synthetic import negatives as outliers
from export.synthetic.negatives import SIGNS, draw_negatives


def test_a_seed_gives_the_same_and_another_gives_others() -> None:
    first, again, other = (draw_negatives(48, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (48, 1, 28, 28)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.mean((first != other).any(axis=(1, 2, 3))) > 0.9


def test_they_are_in_mnists_form_so_that_form_gives_nothing_away() -> None:
    assert are_mnist_format(draw_negatives(120, seed=3)[:, 0]).mean() > 0.9


def test_none_is_asked_for() -> None:
    assert draw_negatives(0).shape == (0, 1, 28, 28)


def test_no_sign_is_a_digits_twin() -> None:
    assert not set(SIGNS) & set("OoDIlijJLSsZzBbGgqyYUu0123456789|/!?$&{}")
    assert len(set(SIGNS)) == len(SIGNS) >= 50


@pytest.mark.parametrize("kind", dict.fromkeys(outliers._KINDS), ids=lambda kind: kind.__name__)
def test_each_kind_is_cut_out_and_differs_each_time(kind: object) -> None:
    generator = np.random.default_rng(5)
    first, second = (outliers._drawn(kind, generator) for _ in range(2))  # type: ignore[arg-type]
    assert first.shape != second.shape or (first != second).any()
    for edge in (first[0], first[-1], first[:, 0], first[:, -1]):
        assert edge.max() > 60


@pytest.mark.parametrize("kind", [outliers._blob, outliers._scribble])
def test_what_might_be_a_1_is_not_drawn(kind: Callable[[np.random.Generator], object]) -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        assert outliers.roundness(outliers._drawn(kind, generator)) >= 0.5  # type: ignore[arg-type]


def test_roundness_is_width_over_length() -> None:
    bar = np.zeros((60, 60), np.uint8)
    bar[10:50, 25:35] = 255
    assert outliers.roundness(bar) == pytest.approx(10 / 40, rel=0.02)
    diagonal = np.asarray(Image.fromarray(bar).rotate(30))
    assert outliers.roundness(diagonal) == pytest.approx(10 / 40, rel=0.05)
