"""Connected components, against a flood fill that a child could check."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_adder.preprocessing.components import find_components, run_lengths
from edge_adder.preprocessing.morphology import dilate


def flood(mask: np.ndarray) -> list[frozenset[tuple[int, int]]]:
    """Each component as the set of its pixels."""
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found = []
    while left:
        waiting, reached = [left.pop()], set()
        while waiting:
            y, x = waiting.pop()
            reached.add((y, x))
            around = {(y + down, x + along) for down in (-1, 0, 1) for along in (-1, 0, 1)}
            waiting += around & left
            left -= around
        found.append(frozenset(reached))
    return found


@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_they_are_those_of_a_flood_fill(mask: np.ndarray) -> None:
    found = find_components(mask)
    pixels = []
    for index in range(len(found)):
        where = np.argwhere(found.mask(np.arange(len(found)) == index))
        pixels.append(frozenset((int(y), int(x)) for y, x in where))
        (top, left), (bottom, right) = where.min(0), where.max(0) + 1
        assert (found.top[index], found.bottom[index]) == (top, bottom)
        assert (found.left[index], found.right[index]) == (left, right)
        assert (found.height[index], found.width[index]) == (bottom - top, right - left)
        assert found.area[index] == len(where)
    assert set(pixels) == set(flood(mask))
    assert len(pixels) == len(set(pixels))


def test_a_snake_is_one_and_leaves_four() -> None:
    mask = np.zeros((9, 9), bool)
    mask[::2] = True
    mask[1::4, -1] = mask[3::4, 0] = True
    assert len(find_components(mask)) == 1
    assert len(find_components(~mask)) == 4


def test_totals_are_sums_over_the_pixels() -> None:
    mask = np.array([[1, 1, 0, 1], [0, 0, 0, 1]], bool)
    values = np.arange(8, dtype=np.float32).reshape(2, 4)
    assert find_components(mask).total(values).tolist() == [1, 10]
    assert find_components(mask).total(values > 2).tolist() == [0, 2]


def test_each_pixel_has_the_length_of_its_run() -> None:
    mask = np.array([[1, 1, 0, 1], [0, 1, 1, 1]], bool)
    assert run_lengths(mask).tolist() == [[2, 2, 0, 1], [0, 3, 3, 3]]


def test_an_empty_mask_has_none() -> None:
    for shape in ((1, 1), (5, 3)):
        found = find_components(np.zeros(shape, bool))
        assert len(found) == 0
        assert not found.mask(np.zeros(0, bool)).any()
        assert found.total(np.ones(shape, np.float32)).size == 0


@given(arrays(np.bool_, st.tuples(st.integers(1, 14), st.integers(1, 14))), st.integers(1, 2))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_bridge_joins_what_the_grown_mask_joins(mask: np.ndarray, bridge: int) -> None:
    found = find_components(mask, bridge)
    parts = {
        frozenset((y, x) for y, x in part if mask[y, x]) for part in flood(dilate(mask, bridge))
    }
    each = [found.mask(np.arange(len(found)) == index) for index in range(len(found))]
    pixels = [frozenset((int(y), int(x)) for y, x in np.argwhere(part)) for part in each]
    assert set(pixels) == parts
    assert found.area.tolist() == [len(part) for part in pixels]
