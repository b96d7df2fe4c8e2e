"""Accuracy on real-world pictures, by kind: python -m benchmarks.robustness.photos FOLDER.

The folder holds ``labels.csv`` (columns file, label and optionally kind), or pictures whose folder
or name is their label. Prints the accuracy of each kind, and draws a contact sheet of the pictures
that were read wrongly.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.markdown import table
from benchmarks.robustness.reading import Reading, read_digit, side_by_side
from edge_adder import EdgeAdder
from edge_adder.evaluation import datasets
from edge_adder.evaluation.drawings import contact_sheet
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of labelled pictures.")],
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    out: Annotated[
        Path, typer.Option(help="The contact sheet of wrongly read pictures to write.")
    ] = Path("runs/photos.png"),
) -> None:
    """Print the accuracy by kind and draw what was read wrongly."""
    pictures = datasets.load(folder)
    kinds = read_kinds(folder, pictures)
    adder = EdgeAdder(model)
    readings = [read_digit(adder, picture) for picture in pictures.images]
    correct = [each.digit == label for each, label in zip(readings, pictures.labels, strict=True)]
    rows = []
    for kind in (*sorted(set(kinds) - {""}), "all"):
        chosen = [good for good, own in zip(correct, kinds, strict=True) if kind in (own, "all")]
        share = percent(sum(chosen) / len(chosen))
        rows.append((kind, f"{sum(chosen):,}", f"{len(chosen):,}", share))
    print(table(("kind", "correct", "pictures", "accuracy"), rows))
    wrong = [index for index, good in enumerate(correct) if not good]
    wrong.sort(key=lambda index: (kinds[index], -readings[index].probability))
    if wrong:
        draw_wrong(pictures, kinds, readings, wrong, out)
        print(out)


def draw_wrong(
    pictures: datasets.LabelledPictures,
    kinds: list[str],
    readings: list[Reading],
    wrong: list[int],
    out: Path,
) -> None:
    """Write a contact sheet of some pictures, and print a line for each.

    Args:
        pictures: All pictures.
        kinds: Kind of each.
        readings: How each was read.
        wrong: Indices of the pictures to show, in their order.
        out: The PNG file.
    """
    captions, tiles = [], []
    for index in wrong:
        reading, label = readings[index], pictures.labels[index]
        answer = f"as {reading.digit} ({percent(reading.probability, 0)})"
        caption = f"{label} {'refused' if reading.digit is None else answer}"
        print(f"{pictures.names[index]}: {caption}")
        captions.append(f"{kinds[index]} {caption}".strip())
        tiles.append(side_by_side(pictures.images[index], reading.image))
    title = f"{len(wrong):,} of {len(pictures):,} pictures read wrongly"
    write_atomically(out, contact_sheet(np.stack(tiles), captions, title))


def read_kinds(folder: Path, pictures: datasets.LabelledPictures) -> list[str]:
    """Return the kind of each picture from ``labels.csv``, empty where it names none."""
    path = folder / datasets.LABELS_FILE
    if not path.is_file():
        return [""] * len(pictures)
    with path.open(newline="", encoding="utf-8-sig") as file:
        found = {row["file"]: row.get("kind") or "" for row in csv.DictReader(file)}
    return [found.get(name, "") for name in pictures.names]


if __name__ == "__main__":
    typer.run(main)
