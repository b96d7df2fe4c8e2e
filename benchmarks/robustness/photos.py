"""Strangers' pictures of digits, by kind: python -m benchmarks.robustness.photos FOLDER.

A folder with ``labels.csv`` (columns file, label and, if there is one, kind) or with pictures whose
folder or name is their label. Prints the accuracy of each kind; draws the wrong ones, each as it is
and as the network saw it.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.report import table
from edge_adder import EdgeAdder
from edge_adder.contract import IMAGE_SIDE
from edge_adder.errors import ImageError
from edge_adder.evaluation import datasets
from edge_adder.evaluation.figures import contact_sheet
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from edge_adder.preprocessing.decode import decode, read_file
from edge_adder.preprocessing.prepare import prepare

TILE = 112
"""Side of the original and of the prepared image on the contact sheet, in pixels."""


def main(
    folder: Annotated[Path, typer.Argument(help="Folder of labelled pictures.")],
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    out: Annotated[Path, typer.Option(help="The sheet of the wrong ones.")] = Path(
        "runs/photos.png"
    ),
) -> None:
    """Print accuracy by kind and draw what is wrong."""
    pictures = datasets.load(folder)
    kinds = read_kinds(folder, pictures)
    answers = answer(EdgeAdder(model), pictures)
    right = [each.digit == label for each, label in zip(answers, pictures.labels, strict=True)]
    rows = []
    for kind in (*sorted(set(kinds) - {""}), "all"):
        chosen = [r for r, own in zip(right, kinds, strict=True) if kind in (own, "all")]
        share = percent(sum(chosen) / len(chosen))
        rows.append((kind, f"{sum(chosen):,}", f"{len(chosen):,}", share))
    print(table(("kind", "right", "pictures", "accuracy"), rows))
    wrong = [index for index, good in enumerate(right) if not good]
    wrong.sort(key=lambda index: (kinds[index], -answers[index].probability))
    captions = []
    for index in wrong:
        read = "no digit" if answers[index].digit is None else str(answers[index].digit)
        sure = f"{pictures.labels[index]} as {read} ({answers[index].probability:.0%})"
        captions.append(f"{kinds[index]} {sure}".strip())
        print(f"{pictures.names[index]}: {sure}")
    if wrong:
        tiles = [beside(pictures.images[index], answers[index].seen) for index in wrong]
        title = f"{len(wrong):,} of {len(pictures):,} pictures answered wrongly"
        write_atomically(out, contact_sheet(np.stack(tiles), captions, title))
        print(out)


def read_kinds(folder: Path, pictures: datasets.LabelledPictures) -> list[str]:
    """The column ``kind`` of ``labels.csv``; elsewhere nothing."""
    path = folder / datasets.LABELS_FILE
    if not path.is_file():
        return [""] * len(pictures)
    with path.open(newline="", encoding="utf-8-sig") as file:
        found = {row["file"]: row.get("kind") or "" for row in csv.DictReader(file)}
    return [found.get(name, "") for name in pictures.names]


class Answer(NamedTuple):
    """What came of a picture.

    Attributes:
        seen: uint8 (28, 28); what the network saw, black where preparation refused the picture.
        digit: What it read; None where it was refused.
        probability: Of that digit, 0 to 1; 1 where there is none.
    """

    seen: NDArray[np.uint8]
    digit: int | None
    probability: float


def answer(adder: EdgeAdder, pictures: datasets.LabelledPictures) -> list[Answer]:
    """What the network says of each picture."""
    answers = []
    for picture in pictures.images:
        try:
            seen, preparation = prepare(picture)
        except ImageError:
            answers.append(Answer(np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8), None, 1.0))
        else:
            found = adder.predict_prepared(seen, preparation, 0)
            answers.append(Answer(seen, found.digit, found.digit_probability))
    return answers


def beside(picture: NDArray[np.uint8] | Path, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture and what the network saw of it: uint8 (`TILE`, 2 × `TILE`, 3)."""
    if isinstance(picture, np.ndarray):
        original = Image.fromarray(picture)
    else:
        original = decode(read_file(picture), picture.name)
    if original.mode != "RGB":
        original = original.convert("RGBA")
        paper = Image.new("RGBA", original.size, (255, 220, 220, 255))
        original = Image.alpha_composite(paper, original).convert("RGB")
    tile = Image.new("RGB", (2 * TILE, TILE), (128, 128, 160))
    original.thumbnail((TILE, TILE), Image.Resampling.BICUBIC)
    zoom = TILE // max(original.size)
    if zoom > 1:
        size = original.width * zoom, original.height * zoom
        original = original.resize(size, Image.Resampling.NEAREST)
    tile.paste(original, ((TILE - original.width) // 2, (TILE - original.height) // 2))
    tile.paste(Image.fromarray(seen).resize((TILE, TILE), Image.Resampling.NEAREST), (TILE, 0))
    return np.asarray(tile)


if __name__ == "__main__":
    typer.run(main)
