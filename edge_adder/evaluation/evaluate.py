"""Run a model on labelled images, each with all ten numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_adder.batching import BATCH_SIZE
from edge_adder.contract import DIGITS, SUMS
from edge_adder.evaluation import metrics
from edge_adder.evaluation.datasets import LabelledPictures, prepare_all
from edge_adder.evaluation.drawings import confusion_matrix, contact_sheet
from edge_adder.evaluation.metrics import NUMBERS, UNREADABLE, Answers, Evaluation, WrongImage
from edge_adder.evaluation.report import percent
from edge_adder.files import make_folder, write_atomically
from edge_adder.prediction import check_answers
from edge_adder.predictor import EdgeAdder

CONFUSION_FILE = "confusion.png"
"""The confusion matrix, in the folder `out`."""

WRONG_FILE = "wrong.png"
"""A contact sheet of the images with a wrong answer, in the folder `out`."""


def evaluate(
    adder: EdgeAdder,
    pictures: LabelledPictures,
    *,
    out: Path | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Evaluation:
    """Run a model on every image with all ten numbers.

    Args:
        adder: The model.
        pictures: The images; each is prepared as in `EdgeAdder.predict`.
        out: Folder to write `CONFUSION_FILE` and `WRONG_FILE` to; None to write neither.
        progress: Called repeatedly with the number of images done since the last call.

    Raises:
        FileAccessError: `out` cannot be written.
        ModelError: The model's answers are not log-probabilities.
    """
    if out is not None:
        make_folder(out)
    images, unreadable = prepare_all(pictures)
    progress(len(unreadable))
    readable = np.array([i for i in range(len(pictures)) if i not in unreadable], np.intp)
    answers = _run_all_numbers(adder, images, readable, progress)
    wrong = metrics.wrong_images(answers, pictures.labels, pictures.names)
    evaluation = _evaluation(adder, pictures, answers, wrong, unreadable)
    if out is not None:
        _draw(evaluation, images[list(wrong)], out)
    return evaluation


def _run_all_numbers(
    adder: EdgeAdder,
    images: NDArray[np.uint8],
    readable: NDArray[np.intp],
    progress: Callable[[int], object],
) -> Answers:
    """Run the model on the readable images, in batches, one number at a time.

    Args:
        adder: The model.
        images: uint8 (images, 28, 28).
        readable: Indices of the images that could be prepared.
        progress: As in `evaluate`.
    """
    digit, total = np.full((2, len(images), DIGITS), UNREADABLE, np.int64)
    digit_probability, sum_probability = np.full((2, len(images), DIGITS), float(UNREADABLE))
    size = adder.batch or BATCH_SIZE
    for start in range(0, len(readable), size):
        rows = readable[start : start + size]
        batch = images[rows, None]
        if adder.batch is not None:
            batch = np.resize(batch, (size, *batch.shape[1:]))  # fills up the last batch
        for number in NUMBERS:
            outputs = adder.run(batch, np.full(len(batch), number))
            digits, sums = (output[: len(rows)] for output in outputs)
            digit[rows, number], total[rows, number] = digits.argmax(1), sums.argmax(1)
            best_digits, best_sums = digits.max(1), sums.max(1)
            check_answers(best_digits)
            check_answers(best_sums)
            digit_probability[rows, number] = np.exp(best_digits.clip(max=0))
            sum_probability[rows, number] = np.exp(best_sums.clip(max=0))
        progress(len(rows))
    return Answers(digit, total, digit_probability, sum_probability)


def _evaluation(
    adder: EdgeAdder,
    pictures: LabelledPictures,
    answers: Answers,
    wrong: Mapping[int, WrongImage],
    unreadable: Mapping[int, str],
) -> Evaluation:
    numbers = np.broadcast_to(NUMBERS, answers.digit.shape)
    truth = np.broadcast_to(pictures.labels[:, None], answers.digit.shape)
    digits, sums = answers.digit == truth, answers.sum == truth + numbers
    confidence = np.minimum(answers.digit_probability, answers.sum_probability)
    return Evaluation(
        model=adder.model,
        network=adder.provenance.get("network"),
        model_sha256=adder.model_sha256,
        provider={"requested": adder.requested_provider, "active": adder.provider},
        data=str(pictures.source),
        images=len(pictures),
        pairs=truth.size,
        digit=float(digits.mean()),
        sum=float(sums.mean()),
        agreement=metrics.agreement(answers),
        digit_calibration_error=metrics.calibration_error(answers.digit_probability, digits),
        sum_calibration_error=metrics.calibration_error(answers.sum_probability, sums),
        coverage=metrics.coverage(confidence, digits & sums),
        by_digit=metrics.rates(truth, DIGITS, digits, sums),
        by_number=metrics.rates(numbers, DIGITS, digits, sums),
        by_sum=metrics.rates(truth + numbers, SUMS, digits, sums),
        by_group={
            column: metrics.group_rates(values, digits, sums)
            for column, values in pictures.groups.items()
        },
        confusion=metrics.confusion(answers, pictures.labels),
        wrong=list(wrong.values()),
        unreadable=[
            {"image": pictures.names[index], "error": error} for index, error in unreadable.items()
        ],
        unlabelled=pictures.unlabelled,
    )


def _draw(evaluation: Evaluation, wrong: NDArray[np.uint8], out: Path) -> None:
    """Write both pictures; `wrong` has the images of `evaluation.wrong`, uint8 (count, 28, 28)."""
    digit, total = percent(evaluation.digit), percent(evaluation.sum)
    title = f"digit {digit}, sum {total} of {evaluation.pairs:,} pairs"
    write_atomically(out / CONFUSION_FILE, confusion_matrix(evaluation.confusion, title))
    captions = [f"{each.example} ({percent(each.probability, 0)})" for each in evaluation.wrong]
    title = f"{len(wrong):,} of {evaluation.images:,} images answered wrongly, most confident first"
    write_atomically(out / WRONG_FILE, contact_sheet(wrong, captions, title))
