"""One picture read by a model, and how a contact sheet shows it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.contract import IMAGE_SIDE
from edge_adder.errors import ImageError
from edge_adder.preprocessing.decode import ImageSource, decode
from edge_adder.preprocessing.prepare import Preparation, prepare

TILE = 112
"""Side of the picture and of the network's input on a contact sheet, in pixels."""


class Reading(NamedTuple):
    """How a model read a picture.

    Attributes:
        image: uint8 (28, 28); the network's input, black where the picture was refused.
        preparation: How the picture was prepared; None where it was refused.
        digit: The answered digit; None where the picture was refused.
        probability: Probability of the answer, 0 to 1; 0 where the picture was refused.
    """

    image: NDArray[np.uint8]
    preparation: Preparation | None
    digit: int | None
    probability: float


def read_digit(adder: EdgeAdder, picture: ImageSource) -> Reading:
    """Read the digit in a picture that preparation may refuse."""
    try:
        image, preparation = prepare(picture)
    except ImageError:
        return Reading(np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8), None, None, 0.0)
    found = adder.predict_prepared(image, preparation, 0)
    return Reading(image, preparation, found.digit, found.probability)


def side_by_side(
    picture: Image.Image | NDArray[np.uint8] | Path | bytes, image: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Return a picture beside what the network saw of it: uint8 (`TILE`, 2 × `TILE`, 3)."""
    if isinstance(picture, Path):
        picture = picture.read_bytes()
    if isinstance(picture, bytes):
        picture = decode(picture)
    original = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    if original.mode != "RGB":
        original = original.convert("RGBA")
        background = Image.new("RGBA", original.size, (255, 220, 220, 255))
        original = Image.alpha_composite(background, original).convert("RGB")
    else:
        original = original.copy()  # `thumbnail` changes it
    original.thumbnail((TILE, TILE), Image.Resampling.BICUBIC)
    zoom = TILE // max(original.size)
    if zoom > 1:
        size = original.width * zoom, original.height * zoom
        original = original.resize(size, Image.Resampling.NEAREST)
    tile = Image.new("RGB", (2 * TILE, TILE), (128, 128, 160))
    tile.paste(original, ((TILE - original.width) // 2, (TILE - original.height) // 2))
    tile.paste(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.NEAREST), (TILE, 0))
    return np.asarray(tile)
