"""What a user sees of a prediction: a picture, and the input in a terminal."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder, explain
from edge_adder.preprocessing.prepare import UNCHANGED, Preparation, prepare

EXAMPLES = Path(__file__).parents[2] / "examples"

BLUE, RED = (31, 119, 180), (214, 39, 40)


def panels(png: bytes) -> list[np.ndarray]:
    """The five parts of an explanation, uint8 (224, 224, 3) each."""
    whole = np.asarray(Image.open(io.BytesIO(png)))
    return [whole[64:288, left : left + 224] for left in range(24, 5 * 248, 248)]


def has(panel: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have a colour."""
    return int((panel == colour).all(2).sum())


def explained(adder: EdgeAdder, source: Path | np.ndarray) -> list[np.ndarray]:
    image, preparation = prepare(source)
    prediction = adder.predict_prepared(image, preparation, 5)
    return panels(explain.explanation(source, image, prediction))


def test_a_photograph(adder: EdgeAdder) -> None:
    picture, ink, seen, digits, sums = explained(adder, EXAMPLES / "five.jpg")
    assert has(picture, RED) > 100  # the box
    assert has(ink, BLUE) > 200
    assert has(ink, (255, 255, 255)) > 10_000
    image, _ = prepare(EXAMPLES / "five.jpg")
    assert np.array_equal(seen[4::8, 4::8, 0], image)
    for bars, value, count in ((digits, 5, 10), (sums, 10, 19)):
        rows, columns = np.nonzero((bars == RED).all(2))
        assert columns.mean() == pytest.approx((value + 0.5) * 224 / count, abs=3)
        assert np.ptp(rows) > 150  # nearly certain


def test_an_image_in_mnists_form(adder: EdgeAdder, seven: np.ndarray) -> None:
    picture, ink, seen, *_ = explained(adder, seven)
    assert has(picture, RED) == 0
    assert np.array_equal(picture, seen)
    assert has(ink, BLUE) == has(seen, (255, 255, 255))


def test_what_was_done_in_words() -> None:
    assert explain.describe(UNCHANGED) == "in MNIST's form: unchanged"
    told = Preparation(
        ready=False, ink="dark", channel="blue", paper="uneven", box=(0, 0, 1, 1), stroke_width=1.26
    )
    line = "dark ink, shadows taken out, seen in blue; strokes 1.3 pixels wide of 28"
    assert explain.describe(told) == line
    told = dataclasses.replace(told, channel="brightness", paper="plain", sheet=True)
    line = "dark ink, on a sheet cut from what lies around it; strokes 1.3 pixels wide of 28"
    assert explain.describe(told) == line


@pytest.mark.parametrize(
    ("encoding", "characters"), [("utf-8", " ░▒▓█"), ("ascii", " .:*#"), (None, " .:*#")]
)
def test_a_preview_has_a_line_for_each_row(
    seven: np.ndarray, encoding: str | None, characters: str
) -> None:
    lines = explain.preview(seven, encoding).split("\n")
    assert len(lines) == 28
    assert set("".join(lines)) <= set(characters)
    for line, row in zip(lines, seven, strict=True):
        shown = [characters.index(each) for each in line.ljust(56)]
        assert shown[::2] == shown[1::2]
        assert shown[::2] == [int(value) * 5 // 256 for value in row]
