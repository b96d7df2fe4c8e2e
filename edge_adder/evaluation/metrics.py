"""The figures of an evaluation, and how each follows from the answers; arrays only, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGITS

CALIBRATION_BINS = 15
"""Bins of equal width in the expected calibration error (Guo et al. 2017, "On Calibration of Modern
Neural Networks", section 2)."""

MIN_PROBABILITIES = (0.0, 0.5, 0.6, 0.75, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
"""Values of `--min-probability` at which coverage is reported."""

UNREADABLE = -1
"""Stands for the answer to an image that could not be read: no digit, no sum, no probability."""

NUMBERS = np.arange(DIGITS)
"""The numbers that are added to every image: int64 (10,)."""


class Answers(NamedTuple):
    """A model's most probable answers to each image with each number, all (images, 10).

    Attributes:
        digit: int64; 0 to 9, or `UNREADABLE`.
        sum: int64; 0 to 18, or `UNREADABLE`.
        digit_probability: float64; 0 to 1, or `UNREADABLE`.
        sum_probability: float64; 0 to 1, or `UNREADABLE`.
    """

    digit: NDArray[np.int64]
    sum: NDArray[np.int64]
    digit_probability: NDArray[np.float64]
    sum_probability: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rate:
    """Accuracy over the pairs of image and number that have one property in common.

    Attributes:
        value: The digit, number or sum in common.
        pairs: Number of such pairs.
        digit: Fraction with the correct digit; None without pairs.
        sum: Fraction with the correct sum; None without pairs.
    """

    value: int
    pairs: int
    digit: float | None
    sum: float | None


@dataclass(frozen=True, slots=True)
class GroupRate:
    """Accuracy over the images with the same value in a column of the table.

    Attributes:
        value: The value, such as a writer.
        images: Number of such images.
        digit: Fraction of their pairs with the correct digit.
        sum: Fraction of their pairs with the correct sum.
    """

    value: str
    images: int
    digit: float
    sum: float


@dataclass(frozen=True, slots=True)
class WrongImage:
    """An image with a wrong answer for at least one number.

    Attributes:
        name: As in `LabelledPictures.names`.
        label: Its digit.
        wrong_digits: Numbers for which the digit was wrong.
        wrong_sums: Numbers for which the sum was wrong.
        example: The most confident wrong answer: ``4 as 9`` or, if only sums are wrong,
            ``4 + 7 = 12``.
        probability: Probability of that answer, 0 to 1.
    """

    name: str
    label: int
    wrong_digits: list[int]
    wrong_sums: list[int]
    example: str
    probability: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many answers a minimum probability keeps, and how good they are.

    Attributes:
        min_probability: Answers below it are `uncertain`.
        answered: Fraction of all pairs whose answer is not uncertain.
        correct: Fraction of those with both digit and sum correct; None if there are none.
    """

    min_probability: float
    answered: float
    correct: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model's answers to all pairs of image and number, in figures.

    Unless stated otherwise, a fraction is of all pairs, and an image that could not be read counts
    as ten wrong pairs.

    Attributes:
        model: As `EdgeAdder.model`.
        network: Name of the network in the model's provenance; None if it names none.
        model_sha256: SHA-256 of the model file, in hexadecimal.
        provider: The execution provider, ``requested`` and ``active``.
        data: Path of the images.
        images: Number of images.
        pairs: Number of pairs: each image with all ten numbers.
        digit: Fraction of pairs with the correct digit.
        sum: Fraction of pairs with the correct sum.
        agreement: Fraction of the answers whose sum is the answered digit + number.
        digit_calibration_error: Expected calibration error of the digit's answers, 0 to 1.
        sum_calibration_error: Expected calibration error of the sum's answers, 0 to 1.
        coverage: One entry for each of `MIN_PROBABILITIES`.
        by_digit: Accuracy for each true digit.
        by_number: Accuracy for each number.
        by_sum: Accuracy for each true sum.
        by_group: By name of a column in the table: accuracy for each of its values.
        confusion: Answered pairs by true digit and answered digit, 10 × 10.
        wrong: Images with a wrong answer, the most confident first.
        unreadable: Name (``image``) and ``error`` of each image that could not be read.
        unlabelled: Number of pictures that were skipped because they have no label.
    """

    model: str
    network: str | None
    model_sha256: str
    provider: dict[str, str]
    data: str
    images: int
    pairs: int
    digit: float
    sum: float
    agreement: float
    digit_calibration_error: float
    sum_calibration_error: float
    coverage: list[Coverage]
    by_digit: list[Rate]
    by_number: list[Rate]
    by_sum: list[Rate]
    by_group: dict[str, list[GroupRate]]
    confusion: list[list[int]]
    wrong: list[WrongImage]
    unreadable: list[dict[str, str]]
    unlabelled: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures in JSON's types."""
        return asdict(self)


def agreement(answers: Answers) -> float:
    """Return the fraction of the answers whose sum is the digit + number; 0 without answers."""
    answered = answers.digit != UNREADABLE
    return _mean((answers.sum == answers.digit + NUMBERS)[answered]) or 0.0


def calibration_error(probabilities: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: how far confidence is from accuracy.

    The sum over `CALIBRATION_BINS` bins of confidence of
    share of the answers · |accuracy - mean confidence|.

    Args:
        probabilities: Probabilities of the answers, 0 to 1, or `UNREADABLE`; any shape.
        correct: Whether each answer was correct; same shape.

    Returns:
        0 to 1; 0 without answers.
    """
    answered = probabilities != UNREADABLE
    confidence = probabilities[answered]
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, correct[answered] - confidence, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / max(1, confidence.size))


def coverage(probabilities: NDArray[np.float64], correct: NDArray[np.bool_]) -> list[Coverage]:
    """Return the share of the answers that each of `MIN_PROBABILITIES` keeps, and their accuracy.

    Args:
        probabilities: Probabilities of the answers, 0 to 1, or `UNREADABLE`; any shape.
        correct: Whether each answer was correct; same shape.
    """
    kept = [(least, probabilities >= least) for least in MIN_PROBABILITIES]
    return [Coverage(least, _mean(mask) or 0.0, _mean(correct[mask])) for least, mask in kept]


def rates(
    values: NDArray[np.int64],
    count: int,
    correct_digits: NDArray[np.bool_],
    correct_sums: NDArray[np.bool_],
) -> list[Rate]:
    """Return the accuracy of the pairs that have each value.

    Args:
        values: Value of each pair, 0 to count - 1: its digit, number or sum; any shape.
        count: Number of values.
        correct_digits: Whether the digit of each pair was correct; same shape.
        correct_sums: Whether the sum of each pair was correct; same shape.
    """
    return [
        Rate(value, int(mask.sum()), _mean(correct_digits[mask]), _mean(correct_sums[mask]))
        for value, mask in ((value, values == value) for value in range(count))
    ]


def group_rates(
    values: Sequence[str], correct_digits: NDArray[np.bool_], correct_sums: NDArray[np.bool_]
) -> list[GroupRate]:
    """Return the accuracy of the images that have each value, sorted by value.

    Args:
        values: Value of each image.
        correct_digits: Whether the digit was correct, (images, 10).
        correct_sums: Whether the sum was correct, (images, 10).
    """
    of_image = np.array(values)
    return [
        GroupRate(
            value,
            int(chosen.sum()),
            float(correct_digits[chosen].mean()),
            float(correct_sums[chosen].mean()),
        )
        for value, chosen in ((value, of_image == value) for value in sorted(set(values)))
    ]


def confusion(answers: Answers, labels: NDArray[np.int64]) -> list[list[int]]:
    """Count the answered pairs by true digit and answered digit.

    Args:
        answers: The model's answers.
        labels: int64 (images,); the true digits.

    Returns:
        10 × 10 counts: ``[true digit][answered digit]``.
    """
    answered = answers.digit != UNREADABLE
    counts = np.zeros((DIGITS, DIGITS), np.int64)
    truth = np.broadcast_to(labels[:, None], answered.shape)
    np.add.at(counts, (truth[answered], answers.digit[answered]), 1)
    return [list(row) for row in counts.tolist()]


def wrong_images(
    answers: Answers, labels: NDArray[np.int64], names: Sequence[str]
) -> dict[int, WrongImage]:
    """Return the images with a wrong answer by index, the most confident first.

    Args:
        answers: The model's answers; images that could not be read are passed over.
        labels: int64 (images,); the true digits.
        names: One for each image.
    """
    wrong_digits = answers.digit != labels[:, None]
    wrong_sums = answers.sum != labels[:, None] + NUMBERS
    answered = answers.digit[:, 0] != UNREADABLE
    found = {}
    for index in np.flatnonzero((wrong_digits | wrong_sums).any(1) & answered).tolist():
        label = int(labels[index])
        digits, sums = np.flatnonzero(wrong_digits[index]), np.flatnonzero(wrong_sums[index])
        if len(digits):
            number = digits[answers.digit_probability[index, digits].argmax()]
            example = f"{label} as {answers.digit[index, number]}"
            probability = answers.digit_probability[index, number]
        else:
            number = sums[answers.sum_probability[index, sums].argmax()]
            example = f"{label} + {number} = {answers.sum[index, number]}"
            probability = answers.sum_probability[index, number]
        found[index] = WrongImage(
            names[index], label, digits.tolist(), sums.tolist(), example, float(probability)
        )
    return dict(sorted(found.items(), key=lambda item: -item[1].probability))


def _mean(correct: NDArray[np.bool_]) -> float | None:
    return float(correct.mean()) if correct.size else None
