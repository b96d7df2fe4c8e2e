"""A mark that crosses a digit in another ink is told from it; one ink stays whole."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder.preprocessing.components import find_components
from edge_adder.preprocessing.inks import find_crossing

SIDE = 120
BLACK, RED = (-215, -213, -203), (-35, -203, -198)
"""Contrasts of two inks with white paper: red, green and blue."""


def drawn(width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A 1 and a ring that crosses it, bool (SIDE, SIDE) each."""
    one, ring = Image.new("1", (SIDE, SIDE)), Image.new("1", (SIDE, SIDE))
    ImageDraw.Draw(one).line((50, 15, 50, 90), 1, 7)
    ImageDraw.Draw(ring).ellipse((40, 50, 100, 110), outline=1, width=width)
    return np.asarray(one), np.asarray(ring)


def crossing(
    mark_ink: tuple[int, int, int] = RED, of_digit: float = -5.0, of_ring: float = -1.8
) -> np.ndarray:
    """What is found of the ring, whose ink lies over the digit's."""
    one, ring = drawn()
    contrast = np.zeros((SIDE, SIDE, 3), np.float32)
    contrast[one], contrast[ring] = BLACK, mark_ink
    contrast += np.random.default_rng(0).normal(0, 4, contrast.shape).astype(np.float32)
    odds = np.full((SIDE, SIDE), -9, np.float32)
    odds[one], odds[ring] = of_digit, of_ring
    written = one | ring
    return find_crossing(find_components(written), written, contrast, odds)


def test_a_ring_in_another_ink_is_found_but_for_where_it_crosses_the_digit() -> None:
    one, ring = drawn()
    found = crossing()
    away = ring.copy()
    away[:, 38:62] = False
    assert found[away].all()
    assert found[one & ring].mean() < 0.25  # the gap is closed
    assert not found[~ring].any()


@pytest.mark.parametrize(
    "how",
    [
        {"mark_ink": BLACK},
        {"mark_ink": tuple(channel // 2 for channel in BLACK)},  # the same ink, fainter
        {"of_ring": -5.2},  # the model does not say which of the inks is the mark's
    ],
)
def test_nothing_is_found_in_one_ink_or_where_the_model_cannot_tell(how: dict[str, object]) -> None:
    assert not crossing(**how).any()  # type: ignore[arg-type]


def test_what_is_no_digits_already_and_what_is_small_is_not_looked_at() -> None:
    one, ring = drawn()
    contrast = np.where(ring[:, :, None], RED, BLACK).astype(np.float32)
    odds = np.where(ring, 0, -5).astype(np.float32)
    components = find_components(one | ring)
    assert not find_crossing(components, np.zeros_like(one), contrast, odds).any()
    wide = [np.pad(each, ((0, 400), (0, 400))) for each in (one | ring, odds)]
    far = np.pad(contrast, ((0, 400), (0, 400), (0, 0)))
    assert not find_crossing(find_components(wide[0]), wide[0], far, wide[1]).any()
