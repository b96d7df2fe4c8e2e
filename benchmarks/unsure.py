"""Who says that there is no digit, and who is wrongly told so: python -m benchmarks.unsure.

Asks pictures that show no single digit (`benchmarks.outliers`), by kind: refused by preparation,
answered with less than the probability below which an answer is unsure, or answered. Beside them
digits in the folders that are named, which should be answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.outliers import draw_outlier_pictures
from benchmarks.photos import beside
from benchmarks.report import percent, table
from edge_adder import EdgeAdder, datasets
from edge_adder.decode import ImageSource
from edge_adder.errors import ImageError
from edge_adder.files import write_atomically
from edge_adder.image import prepare
from edge_adder.pictures import contact_sheet
from edge_adder.predictor import UNSURE_BELOW

COUNT = 200
"""Pictures of each kind, unless another count is named."""

SHOWN = 120
"""Most pictures on the sheet."""

REFUSED, UNSURE, ANSWERED = range(3)


def main(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of labelled digits, to compare.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of each kind.")] = COUNT,
    limit: Annotated[
        float | None, typer.Option(help="Below it an answer is unsure; else the product's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The sheet of what was answered.")] = Path(
        "runs/unsure.png"
    ),
) -> None:
    """Print refused, unsure and answered by kind; draw what was answered though it is no digit."""
    adder = EdgeAdder(model)
    least = UNSURE_BELOW if limit is None else limit
    found = measure(adder, count, least)
    rows = [_row(each.kind, each.counts) for each in found]
    rows.append(_row("all of these", sum((each.counts for each in found), np.zeros(3, np.int64))))
    for folder in folders or []:
        counts = np.zeros(3, np.int64)
        for source in datasets.load(folder).images:
            counts[ask(adder, source, least)[0]] += 1
        rows.append(_row(f"digits in {folder.name}", counts))
    print(table(("pictures", "count", "refused", "unsure", "answered", "not answered"), rows))
    answered = [tile for each in found for tile in each.answered][:SHOWN]
    if answered:
        title = f"Answered with {least:.0%} or more, though no digit"
        sheet = contact_sheet(
            np.stack([tile for tile, _ in answered]), [caption for _, caption in answered], title
        )
        write_atomically(out, sheet)
        print(out)


class Outcome(NamedTuple):
    """What came of the pictures of a kind.

    Attributes:
        kind: A key of `draw_outlier_pictures`.
        counts: int64 (3,); refused, unsure, answered.
        answered: Of the answered ones the picture beside the network's input, and a caption.
    """

    kind: str
    counts: NDArray[np.int64]
    answered: list[tuple[NDArray[np.uint8], str]]

    @property
    def not_answered(self) -> float:
        """Share of those that were refused or unsure."""
        return float(1 - self.counts[2] / self.counts.sum())


def measure(adder: EdgeAdder, count: int = COUNT, least: float = UNSURE_BELOW) -> list[Outcome]:
    """Ask `count` pictures of each kind that shows no single digit."""
    outcomes = []
    for kind, pictures in draw_outlier_pictures(count).items():
        outcome = Outcome(kind, np.zeros(3, np.int64), [])
        for picture in pictures:
            index, probability, seen = ask(adder, picture, least)
            outcome.counts[index] += 1
            if seen is not None and index == ANSWERED:
                tile = beside(np.asarray(picture), seen)
                outcome.answered.append((tile, f"{kind} ({probability:.0%})"))
        outcomes.append(outcome)
    return outcomes


def ask(
    adder: EdgeAdder, source: ImageSource, least: float
) -> tuple[int, float, NDArray[np.uint8] | None]:
    """`REFUSED`, `UNSURE` or `ANSWERED`; the probability; what the network saw."""
    try:
        seen, preparation = prepare(source)
    except ImageError:
        return REFUSED, 0.0, None
    probability = adder.predict_prepared(seen, preparation, 0).probability
    return (UNSURE if probability < least else ANSWERED), probability, seen


def _row(kind: str, counts: NDArray[np.int64]) -> tuple[str, ...]:
    whole = int(counts.sum())
    shares = (*(counts / whole), (counts[0] + counts[1]) / whole)
    return (kind, f"{whole:,}", *(percent(float(share)) for share in shares))


if __name__ == "__main__":
    typer.run(main)
