"""Who says that there is no digit, and who is wrongly told so: python -m benchmarks.unsure.

Asks pictures that show no single digit (`benchmarks.outliers`), by kind: refused by preparation,
answered with less than the probability below which an answer is unsure, or answered. Beside them
digits in the folders that are named, which should be answered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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

SHOWN = 120
"""Most pictures on the sheet."""


def main(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of labelled digits, to compare.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of each kind.")] = 200,
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
    rows = []
    kept: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    total = np.zeros(3, np.int64)
    for kind, pictures in draw_outlier_pictures(count).items():
        counts = np.zeros(3, np.int64)
        for picture in pictures:
            outcome, probability, seen = ask(adder, picture, least)
            counts[outcome] += 1
            if outcome == 2 and len(kept) < SHOWN and seen is not None:
                kept.append(beside(np.asarray(picture), seen))
                captions.append(f"{kind} ({probability:.0%})")
        total += counts
        rows.append(_row(kind, counts))
    rows.append(_row("all of these", total))
    for folder in folders or []:
        counts = np.zeros(3, np.int64)
        for source in datasets.load(folder).images:
            counts[ask(adder, source, least)[0]] += 1
        rows.append(_row(f"digits in {folder.name}", counts))
    print(table(("pictures", "count", "refused", "unsure", "answered", "not answered"), rows))
    if kept:
        title = f"Answered with {least:.0%} or more, though no digit"
        write_atomically(out, contact_sheet(np.stack(kept), captions, title))
        print(out)


def ask(
    adder: EdgeAdder, source: ImageSource, least: float
) -> tuple[int, float, NDArray[np.uint8] | None]:
    """0 for refused, 1 for unsure, 2 for answered; the probability; what the network saw."""
    try:
        seen, preparation = prepare(source)
    except ImageError:
        return 0, 0.0, None
    probability = adder.predict_prepared(seen, preparation, 0).probability
    return (1 if probability < least else 2), probability, seen


def _row(kind: str, counts: NDArray[np.int64]) -> tuple[str, ...]:
    whole = int(counts.sum())
    shares = (*(counts / whole), (counts[0] + counts[1]) / whole)
    return (kind, f"{whole:,}", *(percent(float(share)) for share in shares))


if __name__ == "__main__":
    typer.run(main)
