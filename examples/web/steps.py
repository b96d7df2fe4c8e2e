"""Draws docs/preparation/, what a drawing becomes step by step: python examples/web/steps.py.

canvas.png is what was drawn; the others are made of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.preprocessing.background import plain_background
from edge_adder.preprocessing.components import find_components
from edge_adder.preprocessing.normalize import adjust_strokes, centre, fit, normalize, zoom
from edge_adder.preprocessing.pixels import FIRST_SIDE, shrink
from edge_adder.preprocessing.segment import Segmentation
from edge_adder.preprocessing.threshold import hysteresis_thresholds

FOLDER = Path(__file__).parents[2] / "docs" / "preparation"


def find_ink(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the amount of ink of a clean drawing, cropped to it; uint8 (height, width) both."""
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    background = np.broadcast_to(plain_background(picture), picture.shape)
    contrast = np.abs(picture - background).max(axis=2) / np.float32(255)
    thresholds = hysteresis_thresholds(contrast)
    if thresholds is None:
        raise SystemExit("nothing is drawn")
    low, high = thresholds
    nothing = find_components(np.zeros(grey.shape, bool))
    found = Segmentation(picture, background, contrast > high, nothing, nothing, nothing)
    return found.amount_of_ink(contrast > low)


def steps(canvas: NDArray[np.uint8]) -> dict[str, NDArray[np.uint8]]:
    """Return what a clean drawing becomes, by the name of the step that makes it.

    Args:
        canvas: uint8 (height, width).

    Returns:
        uint8 (height, width) each; the last is (28, 28).
    """
    shrunk = shrink(canvas, FIRST_SIDE)
    ink = find_ink(shrunk)
    zoomed = zoom(ink)
    strokes = adjust_strokes(zoomed, normalize(ink)[1])
    digit = fit(strokes)
    return {
        "canvas": canvas,
        "shrunk": shrunk,
        "ink": ink,
        "zoomed": zoomed,
        "strokes": strokes,
        "digit": digit,
        "image": centre(digit),
    }


if __name__ == "__main__":
    for name, pixels in steps(np.asarray(Image.open(FOLDER / "canvas.png"))).items():
        Image.fromarray(pixels).save(FOLDER / f"{name}.png", optimize=True)
