"""Draws docs/samples.png: python examples/picture.py NUMBER.

Each sample as it is, as the network sees it, and what it answers; by the bundled model, unless
`--model` names another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from edge_adder import EdgeAdder, prepare_image

FOLDER = Path(__file__).parent
PICTURE = FOLDER.parent / "docs" / "samples.png"
SAMPLES = ("seven.png", "three.png", "four.png", "five.jpg")
CHECKS = 8  # side of the squares that stand for transparency, in pixels


def on_checks(image: Image.Image) -> Image.Image:
    """An image over a grey checkerboard, so that transparency shows."""
    y, x = np.indices((image.height, image.width)) // CHECKS
    checks = Image.fromarray(np.where((x + y) % 2, 200, 240).astype(np.uint8)).convert("RGBA")
    checks.alpha_composite(image.convert("RGBA"))
    return checks


def main(number: int, model: Path | None, out: Path) -> None:
    """Write the picture.

    Args:
        number: Is added to each sample, 0 to 9.
        model: The ONNX file that answers; None for the bundled one.
        out: The file to write, PNG.
    """
    adder = EdgeAdder(model)
    figure = Figure(figsize=(10, 7.6), layout="constrained")
    for row, name in zip(figure.subplots(4, 4), SAMPLES, strict=True):
        picture, seen, digits, sums = row
        prediction = adder.predict(FOLDER / name, number)
        picture.imshow(on_checks(Image.open(FOLDER / name)))
        picture.set_title(f"{name} and {number}")
        seen.imshow(prepare_image(FOLDER / name), cmap="gray", vmin=0, vmax=255)
        seen.set_title("what the network sees")
        digits.bar(range(10), np.exp(prediction.digit_log_probabilities), color="tab:blue")
        digits.set_title(f"digit: {prediction.digit}")
        sums.bar(range(19), np.exp(prediction.sum_log_probabilities), color="tab:green")
        sums.set_title(f"sum: {prediction.sum}")
        for axes in (picture, seen):
            axes.set_axis_off()
        for axes, ticks in ((digits, range(10)), (sums, range(0, 19, 2))):
            axes.set(ylim=(0, 1), xticks=ticks)
    figure.savefig(out, format="png", dpi=80, metadata={"Software": None})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int, help="is added to each sample, 0 to 9")
    parser.add_argument("--model", type=Path, help="the ONNX file; else the bundled one")
    parser.add_argument("--out", type=Path, default=PICTURE, help="the PNG file to write")
    main(**vars(parser.parse_args()))
