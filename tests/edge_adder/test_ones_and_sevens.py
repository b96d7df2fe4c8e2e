"""A 1 with a flag is not a 7, and a 7 is not a 1, as far as a reader could tell them apart."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from edge_adder import EdgeAdder, Prediction

SIDE, STEM, PEN = 400, 280, 16
TOP = (220, 60)
"""Where the flag or the top of the 7 meets the stem."""

Stroke = list[tuple[float, float]]


def draw(*strokes: Stroke) -> Image.Image:
    """Black strokes with round ends on white paper; points are shares of the stem, from its top."""
    picture = Image.new("L", (SIDE, SIDE), 250)
    brush = ImageDraw.Draw(picture)
    for stroke in strokes:
        points = [(TOP[0] + x * STEM, TOP[1] + y * STEM) for x, y in stroke]
        brush.line(points, fill=15, width=PEN, joint="curve")
        for x, y in points:
            box = (x - PEN / 2, y - PEN / 2, x + PEN / 2, y + PEN / 2)
            brush.ellipse(box, fill=15)
    return picture


def is_surely(answer: Prediction, digit: int) -> bool:
    return answer.digit == digit and not answer.uncertain


@pytest.mark.parametrize("width", [0.15, 0.2, 0.25, 0.3, 0.35])
@pytest.mark.parametrize("drop", [0.2, 0.25, 0.3, 0.4, 0.5, 0.6])
def test_a_1_with_a_flag_is_not_surely_a_7(adder: EdgeAdder, width: float, drop: float) -> None:
    one = draw([(-width, drop), (0, 0), (0, 1)])
    assert not is_surely(adder.predict(one, 0), 7)


@pytest.mark.parametrize("bar", [False, True], ids=["plain", "with a bar"])
@pytest.mark.parametrize("slant", [0.15, 0.25, 0.35, 0.45])
@pytest.mark.parametrize("width", [0.4, 0.5, 0.6])
@pytest.mark.parametrize("drop", [0.0, 0.04])
def test_a_7_is_not_surely_a_1(
    adder: EdgeAdder, width: float, slant: float, drop: float, bar: bool
) -> None:
    seven = [[(-width, drop), (0, 0), (-slant, 1)]]
    if bar:
        seven.append([(-0.5 * slant - 0.2, 0.5), (-0.5 * slant + 0.2, 0.48)])
    assert not is_surely(adder.predict(draw(*seven), 0), 1)
