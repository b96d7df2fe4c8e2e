"""Pen trajectories: read as published, drawn by one plain pen."""

from __future__ import annotations

import numpy as np
import pytest

from edge_adder import prepare_image
from edge_adder.errors import InputError
from export.handwriting.plain_pen import draw_plain
from export.handwriting.trajectories import Lines, Trajectory, parse_unipen
from export.handwriting.varied_pen import lose_stroke

SEVEN_WITH_A_BAR = """\
.INCLUDE        dene.doc

.SEGMENT DIGIT    0 ? "7"
.COMMENT 7  6  138
.PEN_DOWN
 200  400
 300  400
 240  200
.PEN_UP
.DT 35
.PEN_DOWN
 210  300
 300  310
.PEN_UP
.DT 100

.SEGMENT DIGIT    1 ? "1"
.COMMENT 1 12  192
.PEN_DOWN
 276  337
 277  137
.PEN_UP
"""


def test_a_segment_is_a_digit_a_writer_and_strokes_with_y_downwards() -> None:
    seven, one = parse_unipen(SEVEN_WITH_A_BAR)
    assert (seven.digit, seven.writer, len(seven.lines)) == (7, 6, 2)
    assert seven.lines[0].tolist() == [[200, -400], [300, -400], [240, -200]]
    assert seven.lines[1].tolist() == [[210, -300], [300, -310]]
    assert (one.digit, one.writer, len(one.lines)) == (1, 12, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".SEGMENT DIGIT 0\n.PEN_DOWN\n1 2\n.PEN_UP", "has no digit and writer"),
        (".SEGMENT DIGIT 0\n.COMMENT 8 6 138\n.PEN_DOWN\n.PEN_UP", "has no points"),
        (".SEGMENT DIGIT 0\n.COMMENT 8 6 138\n.PEN_DOWN\n1 2 3\n.PEN_UP", "damaged"),
        (".SEGMENT DIGIT 0\n.COMMENT 8 6 138\n.PEN_DOWN\n1 x\n.PEN_UP", "damaged"),
    ],
)
def test_what_is_not_a_digit_is_named(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_unipen(text)


def test_the_plain_pen_draws_the_same_black_lines_whatever_the_unit() -> None:
    lines = parse_unipen(SEVEN_WITH_A_BAR)[0].lines
    picture = np.asarray(draw_plain(lines))
    assert picture.shape == (160, 160)
    assert picture[0].min() == 255
    assert picture.min() == 0
    again = np.asarray(draw_plain([line * 2 + 64 for line in lines]))  # exact in binary
    assert np.array_equal(picture, again)


def test_the_plain_pen_is_as_thick_for_a_dot_as_for_a_line() -> None:
    dot = np.asarray(draw_plain([np.array([[5.0, 5.0]])])) < 128
    assert dot.any(axis=0).sum() == dot.any(axis=1).sum() == 9


def test_a_drawn_trajectory_is_prepared_upright() -> None:
    image = prepare_image(draw_plain(parse_unipen(SEVEN_WITH_A_BAR)[0].lines))
    assert image[4:8].any(axis=0).sum() > 2 * image[20:24].any(axis=0).sum()  # wide at the top


def test_some_lose_the_last_stroke_and_stay_legible() -> None:
    bowl, stem = np.array([[0.0, 0], [0, 50], [60, 50]]), np.array([[40.0, 20], [40, 100]])
    generator = np.random.default_rng(0)

    def strokes(digit: int, lines: Lines) -> set[int]:
        trajectory = Trajectory(digit, 1, lines)
        return {len(lose_stroke(trajectory, generator)) for _ in range(60)}

    assert strokes(4, [bowl, stem]) == {1, 2}
    assert strokes(4, [stem, bowl]) == {2}  # a stem alone would be a 1
    assert strokes(8, [bowl, stem]) == {2}
    assert strokes(4, [bowl]) == {1}
