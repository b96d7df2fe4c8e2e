"""Writers that nothing was trained on: figures by writer and set."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="needs the development tools")

from benchmarks.robustness import writers
from benchmarks.robustness.writers import Answers, WrittenDigit, figures
from edge_adder import EdgeAdder
from edge_adder.evaluation.metrics import UNREADABLE
from export.synthetic.digits import draw_digits


def digit(origin: str, writer: str, label: int) -> WrittenDigit:
    image, _ = draw_digits(label + 1)
    return WrittenDigit(origin, writer, label, Image.fromarray(image[label, 0]), image[label, 0])


DIGITS = [
    *(digit("numbers", "b", label) for label in range(4)),
    *(digit("numbers", "a", label) for label in range(4)),
    digit("pendigits", "01", 7),
]
ANSWERS = Answers(
    digits=np.array([0, 1, 7, 3, 0, -1, 2, 5, 7]),
    probabilities=np.array([1, 1, 0.9, 0.5, 1, UNREADABLE, 1, 0.4, 1]),
)


def test_refused_digits_are_wrong_and_neither_sure_nor_uncertain() -> None:
    found = {(each.origin, each.writer): each for each in figures(DIGITS, ANSWERS)}
    assert [*found] == [
        ("numbers", "all"),
        ("numbers", "a"),
        ("numbers", "b"),
        ("pendigits", "all"),
        ("pendigits", "01"),
    ]
    whole, a, b = (found["numbers", writer] for writer in ("all", "a", "b"))
    assert (whole.count, whole.correct, whole.refused) == (8, 5 / 8, 1 / 8)
    assert (whole.surely_wrong, whole.uncertain) == (1 / 8, 2 / 8)
    assert (a.count, a.correct, a.surely_wrong, a.uncertain, a.refused) == (4, 0.5, 0, 0.25, 0.25)
    assert (b.correct, b.surely_wrong, b.uncertain, b.refused) == (0.75, 0.25, 0.25, 0)
    assert found["pendigits", "all"].calibration_error == 0


def test_answers_are_those_of_predict(adder: EdgeAdder) -> None:
    refused = DIGITS[0]._replace(image=None)
    answers = writers.answer(adder, [refused, *DIGITS[1:]])
    assert (answers.digits[0], answers.probabilities[0]) == (-1, UNREADABLE)
    for each, answer, probability in zip(DIGITS[1:], *(part[1:] for part in answers), strict=True):
        found = adder.predict(each.image, 0)
        assert found.digit == answer
        assert found.probability == pytest.approx(probability, abs=1e-5)


def test_the_sheet_shows_what_was_read_wrongly() -> None:
    shown = writers.draw_wrong(DIGITS, ANSWERS)
    none = writers.draw_wrong(DIGITS, ANSWERS._replace(digits=np.array([d.label for d in DIGITS])))
    assert shown.startswith(b"\x89PNG")
    assert len(none) < len(shown)
