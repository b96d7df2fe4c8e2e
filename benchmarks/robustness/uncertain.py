"""How many non-digits are answered: python -m benchmarks.robustness.uncertain.

Counts pictures that show no single digit (`benchmarks.robustness.negatives`), by kind: refused by
preparation, answered with a probability below the limit (uncertain), or answered. Digits in folders
that are named are counted beside them: they should be answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.markdown import table
from benchmarks.robustness.negatives import draw_negative_pictures
from benchmarks.robustness.reading import Reading, read_digit, side_by_side
from edge_adder import EdgeAdder
from edge_adder.evaluation import datasets
from edge_adder.evaluation.drawings import contact_sheet
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from edge_adder.limits import MIN_CONFIDENCE

COUNT = 200
"""Default number of pictures of each kind."""

MAX_SHOWN = 120
"""Largest number of pictures on the contact sheet."""

REFUSED, UNCERTAIN, ANSWERED = range(3)


class Outcome(NamedTuple):
    """How the pictures of a kind were answered.

    Attributes:
        kind: Key of `draw_negative_pictures`.
        counts: int64 (3,); pictures refused, uncertain, answered.
        answered: The answered pictures beside the network's input, each with a caption.
    """

    kind: str
    counts: NDArray[np.int64]
    answered: list[tuple[NDArray[np.uint8], str]]

    @property
    def not_answered(self) -> float:
        """Fraction of the pictures that were refused or uncertain."""
        return float(1 - self.counts[ANSWERED] / self.counts.sum())


def main(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of labelled digits, to compare.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of each kind.")] = COUNT,
    limit: Annotated[
        float, typer.Option(help="Probability below which an answer is uncertain.")
    ] = MIN_CONFIDENCE,
    out: Annotated[
        Path, typer.Option(help="The contact sheet of answered non-digits to write.")
    ] = Path("runs/uncertain.png"),
) -> None:
    """Print how many are refused, uncertain and answered, and draw the answered non-digits."""
    adder = EdgeAdder(model)
    outcomes = measure(adder, count, limit)
    rows = [_row(each.kind, each.counts) for each in outcomes]
    rows.append(_row("all of these", np.sum([each.counts for each in outcomes], axis=0)))
    for folder in folders or []:
        counts = np.zeros(3, np.int64)
        for picture in datasets.load(folder).images:
            counts[_classify(read_digit(adder, picture), limit)] += 1
        rows.append(_row(f"digits in {folder.name}", counts))
    print(table(("pictures", "count", "refused", "uncertain", "answered", "not answered"), rows))
    answered = [tile for each in outcomes for tile in each.answered][:MAX_SHOWN]
    if answered:
        tiles, captions = zip(*answered, strict=True)
        title = f"Non-digits answered with a probability of {limit:g} or more"
        write_atomically(out, contact_sheet(np.stack(tiles), captions, title))
        print(out)


def measure(
    adder: EdgeAdder, count: int = COUNT, min_probability: float = MIN_CONFIDENCE
) -> list[Outcome]:
    """Draw `count` pictures of each kind that shows no single digit, and read them.

    Args:
        adder: The model.
        count: Pictures of each kind.
        min_probability: Probability below which an answer is uncertain.
    """
    outcomes = []
    for kind, pictures in draw_negative_pictures(count).items():
        outcome = Outcome(kind, np.zeros(3, np.int64), [])
        for picture in pictures:
            reading = read_digit(adder, picture)
            state = _classify(reading, min_probability)
            outcome.counts[state] += 1
            if state == ANSWERED:
                caption = f"{kind} ({percent(reading.probability, 0)})"
                outcome.answered.append((side_by_side(picture, reading.image), caption))
        outcomes.append(outcome)
    return outcomes


def _classify(reading: Reading, min_probability: float) -> int:
    if reading.digit is None:
        return REFUSED
    return UNCERTAIN if reading.probability < min_probability else ANSWERED


def _row(kind: str, counts: NDArray[np.int64]) -> tuple[str, ...]:
    whole = int(counts.sum())
    shares = (*(counts / whole), (counts[REFUSED] + counts[UNCERTAIN]) / whole)
    return (kind, f"{whole:,}", *(percent(float(share)) for share in shares))


if __name__ == "__main__":
    typer.run(main)
