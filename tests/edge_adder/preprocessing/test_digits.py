"""How many digits are in a picture, which components make each, and in which order they stand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder.preprocessing.segment import Segmentation, segment


@pytest.fixture
def paper() -> Image.Image:
    return Image.new("L", (220, 220), 255)


def segmented(*places: tuple[int, int]) -> Segmentation:
    """Sevens on white paper, each at its left and top."""
    picture = Image.new("L", (220, 220), 255)
    for left, top in places:
        line = [(left + 12, top + 6), (left + 48, top + 6), (left + 24, top + 57)]
        ImageDraw.Draw(picture).line(line, fill=20, width=6)
    return segment(np.asarray(picture), each=True)


def corners(found: Segmentation) -> list[tuple[int, int]]:
    """Left and top of each digit."""
    tops_and_lefts = (np.argwhere(mask).min(axis=0) for mask in found.masks)
    return [(int(left), int(top)) for top, left in tops_and_lefts]


@pytest.mark.parametrize(
    "places",
    [
        pytest.param([(10, 30), (120, 20), (20, 140), (110, 130)], id="two lines"),
        pytest.param([(5, 110), (80, 90), (150, 70)], id="a line that rises"),
        pytest.param([(5, 10), (80, 45), (150, 80), (10, 90), (80, 125)], id="lines that fall"),
        pytest.param([(5, 40), (55, 70), (105, 70), (155, 40), (60, 150)], id="a line that bends"),
    ],
)
def test_digits_are_in_reading_order(places: list[tuple[int, int]]) -> None:
    found = corners(segmented(*reversed(places)))
    for place, (left, top) in zip(found, places, strict=True):
        assert place == pytest.approx((left + 10, top + 6), abs=5)


def test_the_main_digit_is_the_one_in_the_middle(paper: Image.Image) -> None:
    for left in (10, 80, 150):
        line = [(left + 12, 86), (left + 48, 86), (left + 24, 137)]
        ImageDraw.Draw(paper).line(line, fill=20, width=6)
    mask = segment(np.asarray(paper)).mask
    assert mask[80:140, 80:140].any()
    assert not mask[:, :75].any()


def test_close_neighbours_are_not_parts() -> None:
    assert len(segmented((60, 80), (110, 80)).digits) == 2


def test_a_digit_in_pieces_is_one(paper: Image.Image) -> None:
    draw = ImageDraw.Draw(paper)
    draw.line([(60, 40), (55, 80)], fill=20, width=7)  # a 5 whose bar and bow were set anew
    draw.line([(68, 36), (105, 34)], fill=20, width=7)
    draw.arc((40, 84, 100, 140), -90, 150, fill=20, width=7)
    found = segment(np.asarray(paper))
    assert len(found.digits) == 1
    assert found.mask[30:40, 70:100].any()
    assert found.mask[120:140, 60:80].any()


def test_dust_and_the_edge_of_the_paper_are_no_digits(paper: Image.Image) -> None:
    draw = ImageDraw.Draw(paper)
    draw.line([(92, 86), (128, 86), (104, 137)], fill=20, width=6)
    draw.rectangle((30, 20, 35, 25), fill=40)
    draw.rectangle((0, 0, 13, 219), fill=30)  # a table beside the paper
    found = segment(np.asarray(paper))
    assert len(found.digits) == 1
    assert found.mask[80:140, 80:140].any()
