"""Who says that there is no digit, and who is wrongly told so: python -m benchmarks.robustness.uncertain.

Asks pictures that show no single digit (`benchmarks.robustness.negatives`), by kind: refused by preparation,
answered with less than the probability below which an answer is uncertain, or answered. Beside them
digits in the folders that are named, which should be answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.report import table
from benchmarks.robustness.negatives import draw_negative_pictures
from benchmarks.robustness.photos import beside
from edge_adder import EdgeAdder
from edge_adder.errors import ImageError
from edge_adder.evaluation import datasets
from edge_adder.evaluation.figures import contact_sheet
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from edge_adder.prediction import MIN_CONFIDENCE
from edge_adder.preprocessing.decode import ImageSource
from edge_adder.preprocessing.prepare import prepare

COUNT = 200
"""Pictures of each kind, unless another count is named."""

SHOWN = 120
"""Most pictures on the sheet."""

REFUSED, UNCERTAIN, ANSWERED = range(3)


def main(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of labelled digits, to compare.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of each kind.")] = COUNT,
    limit: Annotated[
        float | None, typer.Option(help="Below it an answer is uncertain; else the product's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The sheet of what was answered.")] = Path(
        "runs/uncertain.png"
    ),
) -> None:
    """Print refused, uncertain and answered by kind; draw what was answered though it is no digit."""
    adder = EdgeAdder(model)
    least = MIN_CONFIDENCE if limit is None else limit
    found = measure(adder, count, least)
    rows = [_row(each.kind, each.counts) for each in found]
    rows.append(_row("all of these", sum((each.counts for each in found), np.zeros(3, np.int64))))
    for folder in folders or []:
        counts = np.zeros(3, np.int64)
        for source in datasets.load(folder).images:
            counts[ask(adder, source, least)[0]] += 1
        rows.append(_row(f"digits in {folder.name}", counts))
    print(table(("pictures", "count", "refused", "uncertain", "answered", "not answered"), rows))
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
        kind: A key of `draw_negative_pictures`.
        counts: int64 (3,); refused, uncertain, answered.
        answered: Of the answered ones the picture beside the network's input, and a caption.
    """

    kind: str
    counts: NDArray[np.int64]
    answered: list[tuple[NDArray[np.uint8], str]]

    @property
    def not_answered(self) -> float:
        """Share of those that were refused or uncertain."""
        return float(1 - self.counts[2] / self.counts.sum())


def measure(adder: EdgeAdder, count: int = COUNT, least: float = MIN_CONFIDENCE) -> list[Outcome]:
    """Ask `count` pictures of each kind that shows no single digit."""
    outcomes = []
    for kind, pictures in draw_negative_pictures(count).items():
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
    """`REFUSED`, `UNCERTAIN` or `ANSWERED`; the probability; what the network saw."""
    try:
        seen, preparation = prepare(source)
    except ImageError:
        return REFUSED, 0.0, None
    probability = adder.predict_prepared(seen, preparation, 0).probability
    return (UNCERTAIN if probability < least else ANSWERED), probability, seen


def _row(kind: str, counts: NDArray[np.int64]) -> tuple[str, ...]:
    whole = int(counts.sum())
    shares = (*(counts / whole), (counts[0] + counts[1]) / whole)
    return (kind, f"{whole:,}", *(percent(float(share)) for share in shares))


if __name__ == "__main__":
    typer.run(main)
