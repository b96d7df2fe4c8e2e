"""In which scenes preparation fails: python -m benchmarks.robustness.conditions.

Draws digits in every scene of `benchmarks.robustness.scenes`. Prints, for each scene, how many were
found at their place and how many were read, and draws a contact sheet with an example of each.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.markdown import table
from benchmarks.robustness.reading import read_digit, side_by_side
from benchmarks.robustness.scenes import SCENES
from edge_adder import EdgeAdder
from edge_adder.contract import DIGITS
from edge_adder.evaluation.drawings import contact_sheet
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from edge_adder.preprocessing.morphology import relative_box
from edge_adder.preprocessing.prepare import Box

COUNT = 20
"""Default number of digits in each scene."""

SEED = 5
"""Default seed. The preparation was developed on what it draws: other seeds show what is new."""

MIN_OVERLAP = 0.7
"""Least intersection over union of the prepared box and the digit's own for a digit to be found."""


class Outcome(NamedTuple):
    """How the digits in a scene were read.

    Attributes:
        found: Number of digits whose box was found.
        read: Number of digits that were read correctly.
        example: The first that was not read, else the first, beside the network's input.
    """

    found: int
    read: int
    example: NDArray[np.uint8]


def main(
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Digits in each scene.")] = COUNT,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawing.")] = SEED,
    out: Annotated[Path, typer.Option(help="The contact sheet to write.")] = Path(
        "runs/conditions.png"
    ),
) -> None:
    """Print how many digits are found and read in each scene, and draw an example of each."""
    outcomes = measure_all(EdgeAdder(model), count, seed=seed)
    rows = [
        (name, percent(each.found / count), percent(each.read / count))
        for name, each in outcomes.items()
    ]
    print(table(("scene", "found", "read"), rows))
    write_atomically(out, draw_examples(outcomes, count))
    print(out)


def measure_all(adder: EdgeAdder, count: int, *, seed: int = SEED) -> dict[str, Outcome]:
    """Measure every scene; each starts with another digit, so that the examples differ."""
    return {
        name: measure(adder, name, count, first_digit=index % DIGITS, seed=seed)
        for index, name in enumerate(SCENES)
    }


def measure(
    adder: EdgeAdder, scene: str, count: int, *, first_digit: int = 0, seed: int = SEED
) -> Outcome:
    """Draw digits in a scene and read them.

    Args:
        adder: The model.
        scene: Key of `SCENES`.
        count: Number of digits, at least 1.
        first_digit: The first digit; the others follow in ascending order, 0 after 9.
        seed: Seed of the drawing.
    """
    generator = np.random.default_rng(seed)
    found = read = 0
    for index in range(count):
        digit = (first_digit + index) % DIGITS
        drawn = SCENES[scene](digit, generator)
        reading = read_digit(adder, drawn.picture)
        box = None if reading.preparation is None else reading.preparation.box
        found += box is not None and _overlap(box, relative_box(drawn.cover > 0.5)) >= MIN_OVERLAP
        correct = reading.digit == digit
        if index == 0 or (read == index and not correct):  # the first, or the first that is wrong
            example = side_by_side(drawn.picture, reading.image)
        read += correct
    return Outcome(found, read, example)


def draw_examples(outcomes: dict[str, Outcome], count: int) -> bytes:
    """Return a contact sheet with the example of each scene, as PNG."""
    captions = [f"{name}: {each.read} of {count}" for name, each in outcomes.items()]
    tiles = np.stack([each.example for each in outcomes.values()])
    title = (
        f"Digits read, of {count} in each scene. "
        "Each example is a failure where there was one; all black: no ink found"
    )
    return contact_sheet(tiles, captions, title)


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes."""
    both = _area((*np.maximum(one[:2], other[:2]), *np.minimum(one[2:], other[2:])))
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> float:
    left, top, right, bottom = box
    return float(max(0.0, right - left) * max(0.0, bottom - top))


if __name__ == "__main__":
    typer.run(main)
