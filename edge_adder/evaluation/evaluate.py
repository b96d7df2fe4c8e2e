"""How often a model is right, where it is wrong, and whether its probabilities mean something."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGITS, IMAGE_SIDE, SUMS
from edge_adder.errors import EdgeAdderError
from edge_adder.evaluation.datasets import LabelledPictures
from edge_adder.evaluation.figures import confusion_matrix, contact_sheet
from edge_adder.files import make_folder, write_atomically
from edge_adder.predictor import BATCH_SIZE, EdgeAdder
from edge_adder.preprocessing.decode import name_of
from edge_adder.preprocessing.prepare import prepare_image

CALIBRATION_BINS = 15
"""Bins of equal width in the expected calibration error (Guo et al. 2017, "On Calibration of Modern
Neural Networks", section 2)."""

LEAST_PROBABILITIES = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
"""Where the accuracy of the answers that are left is told; as `--min-probability` of predict."""

CONFUSION_FILE = "confusion.png"
WRONG_FILE = "wrong.png"


@dataclass(frozen=True, slots=True)
class Rate:
    """How many pairs with one property were answered rightly.

    Attributes:
        value: The digit, the number or the sum that they have in common.
        pairs: How many there are.
        digit: Fraction with the right digit; None where there is none.
        sum: Fraction with the right sum, likewise.
    """

    value: int
    pairs: int
    digit: float | None
    sum: float | None


@dataclass(frozen=True, slots=True)
class WrongImage:
    """An image that was answered wrongly for at least one number.

    Attributes:
        name: As in `LabelledPictures.names`.
        label: Its digit.
        wrong_digits: Numbers for which the digit was wrong.
        wrong_sums: Numbers for which the sum was wrong.
        example: The most confident wrong answer: ``4 as 9``, or, where only sums are wrong,
            ``4 + 7 = 12``.
        probability: Of that answer.
    """

    name: str
    label: int
    wrong_digits: list[int]
    wrong_sums: list[int]
    example: str
    probability: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a least probability leaves of the answers, and how good that is.

    Attributes:
        min_probability: Answers below it are `uncertain`.
        answered: Fraction of all pairs that are not.
        right: Fraction of those whose digit and sum are both right; None where there are none.
    """

    min_probability: float
    answered: float
    right: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model answered for all pairs of image and number. Fractions are of all pairs.

    Attributes:
        model: As `EdgeAdder.model`.
        network: As the model's provenance names it; None where it does not.
        model_sha256: Of the file.
        provider: Where it was ``asked`` to run, and where it ``got`` to run.
        data: Where the images come from.
        images: How many; each is asked with all ten numbers.
        pairs: Ten times as many.
        digit: Fraction of pairs with the right digit.
        sum: Fraction of pairs with the right sum.
        agreement: Fraction of answered pairs whose sum is the answered digit + number.
        digit_calibration_error: Expected calibration error of the digit, 0 to 1.
        sum_calibration_error: Of the sum.
        coverage: For each of `LEAST_PROBABILITIES`.
        by_digit: For each true digit.
        by_number: For each number.
        by_sum: For each true sum.
        confusion: True digit × answered digit, in pairs.
        wrong: Images with a wrong answer, the most confident first.
        unreadable: Name and error of images that could not be prepared; all their pairs count as
            wrong.
        unlabelled: Pictures without a label.
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
    confusion: list[list[int]]
    wrong: list[WrongImage]
    unreadable: list[dict[str, str]]
    unlabelled: int

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return asdict(self)


class _Answers(NamedTuple):
    """The most probable answers, each (images, 10): image × number."""

    digit: NDArray[np.int64]
    sum: NDArray[np.int64]
    digit_probability: NDArray[np.float64]
    sum_probability: NDArray[np.float64]


def evaluate(
    adder: EdgeAdder,
    pictures: LabelledPictures,
    *,
    out: Path | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Evaluation:
    """Ask a model for every image with all ten numbers.

    Args:
        adder: The model.
        pictures: What to ask; each goes through `prepare_image`, as in `EdgeAdder.predict`.
        out: A folder for ``confusion.png`` and ``wrong.png``, a contact sheet of the images that
            were answered wrongly; None for neither.
        progress: Is called now and then with the number of images that were answered since.

    Raises:
        FileAccessError: `out` cannot be written.
    """
    if out is not None:
        make_folder(out)
    images, readable, unreadable = _prepare(pictures)
    progress(len(unreadable))
    answers = _ask(adder, images, progress)
    labels = pictures.labels[readable]
    wrong = _wrong_images(answers, labels)
    order = [index for index, _ in wrong]
    right_digits, right_sums = _right(answers, labels)
    numbers = np.arange(DIGITS)
    all_pairs = np.broadcast_to(numbers, (len(pictures), DIGITS))
    digits, sums = (np.zeros(all_pairs.shape, bool) for _ in range(2))
    digits[readable], sums[readable] = right_digits, right_sums
    truth = np.broadcast_to(pictures.labels[:, None], all_pairs.shape)
    confusion = np.zeros((DIGITS, DIGITS), np.int64)
    np.add.at(confusion, (np.repeat(labels, DIGITS), answers.digit.ravel()), 1)
    found = Evaluation(
        model=adder.model,
        network=adder.provenance.get("network"),
        model_sha256=adder.model_sha256,
        provider={"requested": adder.requested_provider, "active": adder.provider},
        data=str(pictures.source),
        images=len(pictures),
        pairs=truth.size,
        digit=float(digits.mean()),
        sum=float(sums.mean()),
        agreement=_mean(answers.sum == answers.digit + numbers) or 0.0,
        digit_calibration_error=calibration_error(answers.digit_probability, right_digits),
        sum_calibration_error=calibration_error(answers.sum_probability, right_sums),
        coverage=coverage(
            np.minimum(answers.digit_probability, answers.sum_probability),
            right_digits & right_sums,
            truth.size,
        ),
        by_digit=_rates(truth, DIGITS, digits, sums),
        by_number=_rates(all_pairs, DIGITS, digits, sums),
        by_sum=_rates(truth + numbers, SUMS, digits, sums),
        confusion=confusion.tolist(),
        wrong=[WrongImage(pictures.names[readable[index]], **facts) for index, facts in wrong],
        unreadable=unreadable,
        unlabelled=pictures.unlabelled,
    )
    if out is not None:
        title = f"digit {found.digit:.2%}, sum {found.sum:.2%} of {found.pairs:,} pairs"
        write_atomically(out / CONFUSION_FILE, confusion_matrix(found.confusion, title))
        captions = [f"{each.example} ({each.probability:.0%})" for each in found.wrong]
        title = f"{len(wrong):,} of {len(pictures):,} images answered wrongly, by confidence"
        write_atomically(out / WRONG_FILE, contact_sheet(images[order], captions, title))
    return found


def calibration_error(probabilities: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Expected calibration error: how far confidence is from accuracy, over bins of confidence.

    The sum over `CALIBRATION_BINS` bins of share of pairs · |accuracy - mean confidence|.

    Args:
        probabilities: Of the answers given, 0 to 1, any shape.
        right: Whether each was right, same shape.

    Returns:
        0 to 1; 0 for no answers.
    """
    bins = np.minimum((probabilities * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1).ravel()
    gaps = np.bincount(bins, weights=(right - probabilities).ravel(), minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / max(1, probabilities.size))


def coverage(
    probabilities: NDArray[np.float64], right: NDArray[np.bool_], pairs: int
) -> list[Coverage]:
    """How many answers are left, and right, where those below a probability are left out.

    Args:
        probabilities: Of the answers given, 0 to 1, any shape.
        right: Whether each was right, same shape.
        pairs: That were asked; those without an answer are never sure.
    """
    kept = [(least, probabilities >= least) for least in LEAST_PROBABILITIES]
    return [
        Coverage(least, float(mask.sum()) / max(1, pairs), _mean(right[mask]))
        for least, mask in kept
    ]


def _prepare(
    pictures: LabelledPictures,
) -> tuple[NDArray[np.uint8], NDArray[np.intp], list[dict[str, str]]]:
    """The images in MNIST's form, uint8 (read, 28, 28); their indices; what could not be read."""
    ready, readable, unreadable = [], [], []
    for index, image in enumerate(pictures.images):
        try:
            ready.append(prepare_image(image))  # as `predict` does
            readable.append(index)
        except EdgeAdderError as error:
            why = str(error).removeprefix(f"{name_of(image)}: ")
            unreadable.append({"image": pictures.names[index], "error": why})
    images = np.array(ready, np.uint8).reshape(-1, IMAGE_SIDE, IMAGE_SIDE)
    return images, np.array(readable, np.intp), unreadable


def _ask(
    adder: EdgeAdder, images: NDArray[np.uint8], progress: Callable[[int], object]
) -> _Answers:
    count, size = len(images), adder.batch or BATCH_SIZE
    digit, total = np.zeros((2, count, DIGITS), np.int64)
    digit_probability, sum_probability = np.zeros((2, count, DIGITS))
    for start in range(0, count, size):
        batch = images[start : start + size, None]
        part, used = slice(start, start + len(batch)), len(batch)
        if adder.batch is not None:
            batch = np.resize(batch, (size, *batch.shape[1:]))  # fill the last one up
        for number in range(DIGITS):
            outputs = adder.run(batch, np.full(len(batch), number))
            digits, sums = (output[:used] for output in outputs)
            digit[part, number], total[part, number] = digits.argmax(1), sums.argmax(1)
            digit_probability[part, number] = np.exp(digits.max(1).clip(max=0))
            sum_probability[part, number] = np.exp(sums.max(1).clip(max=0))
        progress(used)
    return _Answers(digit, total, digit_probability, sum_probability)


def _right(
    answers: _Answers, labels: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    truth = labels[:, None]
    return answers.digit == truth, answers.sum == truth + np.arange(DIGITS)


def _wrong_images(answers: _Answers, labels: NDArray[np.int64]) -> list[tuple[int, dict[str, Any]]]:
    """Index and facts of each image with a wrong answer, the most confident first."""
    right_digits, right_sums = _right(answers, labels)
    wrong = []
    for index in np.flatnonzero(~(right_digits & right_sums).all(1)).tolist():
        label = int(labels[index])
        digits = np.flatnonzero(~right_digits[index])
        sums = np.flatnonzero(~right_sums[index])
        if len(digits):
            number = digits[answers.digit_probability[index, digits].argmax()]
            example = f"{label} as {answers.digit[index, number]}"
            probability = answers.digit_probability[index, number]
        else:
            number = sums[answers.sum_probability[index, sums].argmax()]
            example = f"{label} + {number} = {answers.sum[index, number]}"
            probability = answers.sum_probability[index, number]
        facts = {
            "label": label,
            "wrong_digits": digits.tolist(),
            "wrong_sums": sums.tolist(),
            "example": example,
            "probability": float(probability),
        }
        wrong.append((index, facts))
    return sorted(wrong, key=lambda item: -item[1]["probability"])


def _rates(
    values: NDArray[np.int64],
    count: int,
    digits: NDArray[np.bool_],
    sums: NDArray[np.bool_],
) -> list[Rate]:
    """For each value 0 to count - 1: accuracy of the pairs that have it."""
    rates = []
    for value in range(count):
        having = values == value
        rates.append(Rate(value, int(having.sum()), _mean(digits[having]), _mean(sums[having])))
    return rates


def _mean(right: NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if right.size else None


def report(found: Evaluation) -> str:
    """The figures as text, for a person."""
    network = "" if found.network is None else f" ({found.network})"
    lines = [
        f"{found.model}{network} on {found.data}: {found.images:,} images x 10 numbers",
        "",
        f"digit  {found.digit:8.2%}   calibration error {found.digit_calibration_error:.2%}",
        f"sum    {found.sum:8.2%}   calibration error {found.sum_calibration_error:.2%}",
        f"the sum is the digit + number in {found.agreement:.2%} of the answers",
        "",
        *_coverage_lines(found.coverage),
        "",
        "         with this digit      with this number        with this sum",
        "        digit       sum       digit       sum       digit       sum     pairs",
    ]
    for by_sum in found.by_sum:
        value = by_sum.value
        parts = [f"{value:4}  "]
        for rates in (found.by_digit, found.by_number, found.by_sum):
            rate = rates[value] if value < len(rates) else None
            parts += [_cell(rate.digit if rate else None), _cell(rate.sum if rate else None), "  "]
        lines.append("".join([*parts[:-1], f"{by_sum.pairs:10,}"]))
    lines += ["", f"{len(found.wrong):,} images were answered wrongly for at least one number"]
    if found.unreadable:
        lines.append(f"{len(found.unreadable):,} images could not be read; they count as wrong")
    if found.unlabelled:
        lines.append(f"{found.unlabelled:,} pictures have no label and were left out")
    return "\n".join(lines)


def _coverage_lines(coverage: list[Coverage]) -> list[str]:
    """A column for each least probability."""
    columns = [
        (f"{each.min_probability:g}", f"{each.answered:.2%}", _cell(each.right).strip() or "-")
        for each in coverage
    ]
    names = ("--min-probability", "answered", "of them right")
    return [
        f"{name:18}" + "".join(f"{value:>9}" for value in row)
        for name, row in zip(names, zip(*columns, strict=True), strict=True)
    ]


def _cell(fraction: float | None) -> str:
    return f"{'':10}" if fraction is None else f"{fraction:10.2%}"
