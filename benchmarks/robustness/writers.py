"""Accuracy on writers that nothing was trained on: python -m benchmarks.robustness.writers.

The scans of three writers of Numbers and the trajectories of fourteen of Pendigits, drawn with the
plain pen, go through the device's own preparation. A digit that preparation refuses counts as read
wrongly. Prints a line for each writer and set, and draws a contact sheet of what was read wrongly.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.markdown import table
from benchmarks.robustness.reading import TILE, side_by_side
from edge_adder import EdgeAdder
from edge_adder.contract import IMAGE_SIDE
from edge_adder.errors import ImageError
from edge_adder.evaluation.drawings import contact_sheet
from edge_adder.evaluation.metrics import UNREADABLE, calibration_error
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from edge_adder.limits import MIN_CONFIDENCE
from edge_adder.preprocessing.prepare import prepare_image
from export.commands import as_onnx
from export.handwriting.plain_pen import draw_plain
from export.handwriting.sets import (
    NUMBERS,
    PENDIGITS,
    VALIDATION_TRAJECTORIES,
    VALIDATION_WRITERS,
    find_folder,
    read_checked,
)
from export.handwriting.trajectories import load_trajectories

ALL = "all"
"""Stands for all writers of a set."""

MAX_SHOWN = 120
"""Largest number of pictures on the contact sheet."""


class WrittenDigit(NamedTuple):
    """A digit of a writer.

    Attributes:
        origin: Name of the set.
        writer: The writer's name or number in it.
        label: 0 to 9.
        picture: The scan or the drawing.
        image: uint8 (28, 28), as prepared; None where preparation refused the picture.
    """

    origin: str
    writer: str
    label: int
    picture: Image.Image
    image: NDArray[np.uint8] | None


class Answers(NamedTuple):
    """What a model answered to each digit.

    Attributes:
        digits: int64 (count,); -1 where preparation refused the picture.
        probabilities: float64 (count,); 0 to 1, or `UNREADABLE` there.
    """

    digits: NDArray[np.int64]
    probabilities: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class WriterFigures:
    """How the digits of one writer or set were read; shares are fractions of all its digits.

    Attributes:
        origin: Name of the set.
        writer: The writer, or `ALL`.
        count: Number of digits.
        correct: Share read correctly.
        surely_wrong: Share answered wrongly with `MIN_CONFIDENCE` or more.
        uncertain: Share answered with less than `MIN_CONFIDENCE`.
        refused: Share that preparation refused.
        calibration_error: Expected calibration error of the answers.
    """

    origin: str
    writer: str
    count: int
    correct: float
    surely_wrong: float
    uncertain: float
    refused: float
    calibration_error: float


def main(
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    network: Annotated[
        str | None, typer.Option(help="Instead a network's committed checkpoint.")
    ] = None,
    out: Annotated[
        Path, typer.Option(help="The contact sheet of wrongly read digits to write.")
    ] = Path("runs/writers.png"),
) -> None:
    """Print the figures of each writer and draw what was read wrongly."""
    adder = EdgeAdder(model if network is None else as_onnx(None, network))
    digits = list(read_digits())
    answers = answer(adder, digits)
    head = ("set", "writer", "digits", "correct", "surely wrong", "uncertain", "refused", "ECE")
    print(table(head, [_row(each) for each in figures(digits, answers)]))
    write_atomically(out, draw_wrong(digits, answers))
    print(out)


def read_digits() -> Iterator[WrittenDigit]:
    """Yield every digit of the validation writers, prepared.

    Raises:
        InputError: A set is missing, or is not what was published.
        FileAccessError: A file cannot be read.
    """
    for writer in VALIDATION_WRITERS:
        for path, data in read_checked(NUMBERS, writer, find_folder()).items():
            scan = Image.open(io.BytesIO(data))
            yield _prepared(NUMBERS.name, writer, int(path.split("/")[1]), scan)
    for each in load_trajectories(VALIDATION_TRAJECTORIES):
        drawing = draw_plain(each.lines)
        yield _prepared(PENDIGITS.name, f"{each.writer:02}", each.digit, drawing)


def _prepared(origin: str, writer: str, label: int, picture: Image.Image) -> WrittenDigit:
    try:
        image = prepare_image(picture)
    except ImageError:
        return WrittenDigit(origin, writer, label, picture, None)
    return WrittenDigit(origin, writer, label, picture, image)


def answer(adder: EdgeAdder, digits: Sequence[WrittenDigit]) -> Answers:
    """Return a model's answers, with the number 0 for each digit."""
    blank = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    images = np.stack([blank if each.image is None else each.image for each in digits])
    outputs = adder.run(images[:, None], np.zeros(len(digits), np.int64))
    probabilities = np.exp(np.minimum(outputs.digit.max(1), outputs.sum.max(1)), dtype=np.float64)
    refused = np.array([each.image is None for each in digits])
    return Answers(
        np.where(refused, -1, outputs.digit.argmax(1)),
        np.where(refused, UNREADABLE, np.minimum(1, probabilities)),
    )


def figures(digits: Sequence[WrittenDigit], answers: Answers) -> list[WriterFigures]:
    """Return the figures of each set as a whole, followed by those of its writers."""
    origins = np.array([each.origin for each in digits])
    writers = np.array([each.writer for each in digits])
    labels = np.array([each.label for each in digits])
    found = []
    for origin in dict.fromkeys(origins.tolist()):
        for writer in (ALL, *sorted(set(writers[origins == origin].tolist()))):
            chosen = (origins == origin) & ((writers == writer) | (writer == ALL))
            correct = answers.digits[chosen] == labels[chosen]
            probabilities = answers.probabilities[chosen]
            refused = probabilities == UNREADABLE
            sure = probabilities >= MIN_CONFIDENCE
            found.append(
                WriterFigures(
                    origin=origin,
                    writer=writer,
                    count=int(chosen.sum()),
                    correct=float(correct.mean()),
                    surely_wrong=float((sure & ~correct).mean()),
                    uncertain=float((~sure & ~refused).mean()),
                    refused=float(refused.mean()),
                    calibration_error=calibration_error(probabilities, correct),
                )
            )
    return found


def draw_wrong(digits: Sequence[WrittenDigit], answers: Answers) -> bytes:
    """Return a contact sheet, as PNG: what was read wrongly, the surest first.

    Each picture stands beside the network's input.
    """
    labels = np.array([digit.label for digit in digits])
    wrong = np.flatnonzero(answers.digits != labels)
    wrong = wrong[np.argsort(-answers.probabilities[wrong], kind="stable")]
    tiles = [np.zeros((TILE, 2 * TILE, 3), np.uint8)]  # stays where nothing was read wrongly
    captions = [""]
    for place, index in enumerate(wrong[:MAX_SHOWN].tolist()):
        digit, blank = digits[index], np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
        tile = side_by_side(digit.picture, blank if digit.image is None else digit.image)
        said = f"as {answers.digits[index]} ({percent(answers.probabilities[index], 0)})"
        tiles[place:] = [tile]
        captions[place:] = [f"{digit.label} {'refused' if digit.image is None else said}"]
    title = f"{len(wrong):,} of {len(digits):,} digits of writers not trained on, read wrongly"
    return contact_sheet(np.stack(tiles), captions, title)


def _row(each: WriterFigures) -> tuple[str, ...]:
    shares = (
        each.correct,
        each.surely_wrong,
        each.uncertain,
        each.refused,
        each.calibration_error,
    )
    return (each.origin, each.writer, f"{each.count:,}", *(percent(share) for share in shares))


if __name__ == "__main__":
    typer.run(main)
