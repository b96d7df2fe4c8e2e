"""Negatives: non-digits in MNIST's format, of many kinds, the same for a seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from edge_adder.preprocessing.mnist_format import are_mnist_format
from export.synthetic import negatives
from export.synthetic.negatives import SIGNS, axis_ratio, draw_negatives

Kind = Callable[[np.random.Generator], np.ndarray]


def test_a_seed_gives_the_same_and_another_gives_others() -> None:
    first, again, other = (draw_negatives(48, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (48, 1, 28, 28)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.mean((first != other).any(axis=(1, 2, 3))) > 0.9


def test_they_are_in_mnist_format_so_that_format_gives_nothing_away() -> None:
    assert are_mnist_format(draw_negatives(120, seed=3)[:, 0]).mean() > 0.9


def test_no_sign_looks_like_a_digit() -> None:
    assert not set(SIGNS) & set("OoDIlijJLSsZzBbGgqyYUu0123456789|/!?$&{}")
    assert len(set(SIGNS)) == len(SIGNS) >= 50


@pytest.mark.parametrize("kind", dict.fromkeys(negatives._KINDS), ids=lambda kind: kind.__name__)
def test_each_kind_is_cut_out_and_differs_each_time(kind: Kind) -> None:
    generator = np.random.default_rng(5)
    first, second = (negatives._draw_usable(kind, generator) for _ in range(2))
    assert first.shape != second.shape or (first != second).any()
    for edge in (first[0], first[-1], first[:, 0], first[:, -1]):
        assert edge.max() > 60


@pytest.mark.parametrize("kind", [negatives._blob, negatives._scribble])
def test_nothing_as_slender_as_a_1_is_drawn(kind: Kind) -> None:
    generator = np.random.default_rng(0)
    for _ in range(60):
        assert axis_ratio(negatives._draw_usable(kind, generator)) >= 0.5


def test_the_axis_ratio_is_width_over_length() -> None:
    bar = np.zeros((60, 60), np.uint8)
    bar[10:50, 25:35] = 255
    assert axis_ratio(bar) == pytest.approx(10 / 40, rel=0.02)
    diagonal = np.asarray(Image.fromarray(bar).rotate(30))
    assert axis_ratio(diagonal) == pytest.approx(10 / 40, rel=0.05)
