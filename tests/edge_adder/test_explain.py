"""The picture that explains a prediction."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.explain import describe, explanation
from edge_adder.preprocessing.prepare import UNCHANGED, Preparation, inspect

FIVE = Path(__file__).parents[2] / "examples" / "five.jpg"

BLUE, RED, WHITE = (31, 119, 180), (214, 39, 40), (255, 255, 255)


def explained(adder: EdgeAdder, source: Path | np.ndarray) -> list[np.ndarray]:
    """The five panels of an explanation, uint8 (224, 224, 3) each."""
    inspection = inspect(source)
    png = explanation(inspection, [adder.predict_prepared(*inspection.digits[0], 5)])
    whole = np.asarray(Image.open(io.BytesIO(png)))
    return [whole[64:288, left : left + 224] for left in range(24, 5 * 248, 248)]


def count(panel: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((panel == colour).all(2).sum())


def test_a_photograph(adder: EdgeAdder) -> None:
    picture, ink, seen, digits, sums = explained(adder, FIVE)
    assert count(picture, RED) > 100  # the box
    assert count(ink, BLUE) > 200
    assert count(ink, WHITE) > 10_000
    assert np.array_equal(seen[4::8, 4::8, 0], inspect(FIVE).digits[0][0])
    for bars, value, classes in ((digits, 5, 10), (sums, 10, 19)):
        rows, columns = np.nonzero((bars == RED).all(2))
        assert columns.mean() == pytest.approx((value + 0.5) * 224 / classes, abs=3)
        assert np.ptp(rows) > 150  # nearly certain
        assert count(bars, BLUE) == 0  # no bar stands for nothing


def test_an_image_in_mnists_format(adder: EdgeAdder, seven: np.ndarray) -> None:
    picture, ink, seen, *_ = explained(adder, seven)
    assert count(picture, RED) == 0
    assert np.array_equal(picture, seen)
    assert count(ink, BLUE) == count(seen, WHITE)


def test_a_picture_that_is_not_square_keeps_its_aspect(adder: EdgeAdder) -> None:
    pixels = np.full((100, 50), 250, np.uint8)
    pixels[20:80, 20:26] = 10
    picture, *_ = explained(adder, pixels)
    assert count(picture, (250, 250, 250)) > 0.8 * 224 * 112
    assert (picture[:, :50] == picture[0, 0]).all()  # beside the picture


def test_the_steps_in_words() -> None:
    assert describe(UNCHANGED) == "in MNIST's format: unchanged"
    steps = Preparation(unchanged=False, ink="dark", stroke_width=1.26)
    assert describe(steps) == "dark ink; strokes 1.3 pixels wide at 28x28"


def test_a_refusal_is_the_title(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(
        "edge_adder.explain.write_text", lambda _draw, _place, text, **_: written.append(text)
    )
    blank = inspect(np.full((90, 90), 200, np.uint8))
    assert blank.refusal is not None
    explanation(blank, [])
    assert written[:2] == [
        "no ink found",
        "if the digit is below 5 % of the picture's height: crop the picture",
    ]
