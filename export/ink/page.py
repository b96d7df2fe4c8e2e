"""The page of a scene, which is written on: its colours, and the answers of its pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .paper import Colour, Pixels, any_colour
from .writing import Mask

Generator = np.random.Generator


class Page:
    """What is written so far: amounts of ink in its colours, and the two answers."""

    def __init__(self, picture: Pixels) -> None:
        self.picture = picture
        self.digit = np.zeros(picture.shape[:2], np.float32)
        self.mark = np.zeros(picture.shape[:2], np.float32)

    def put(
        self,
        mask: Mask,
        top: float,
        left: float,
        colour: Colour,
        generator: Generator,
        *,
        look: Look,
        answer: str,
    ) -> None:
        """Put a mask on the page; what lies beyond the rim is cut."""
        y, x = round(top), round(left)
        height, width, _ = self.picture.shape
        y0, x0 = max(0, y), max(0, x)
        y1, x1 = min(height, y + mask.shape[0]), min(width, x + mask.shape[1])
        if y1 <= y0 or x1 <= x0:
            return
        part = mask[y0 - y : y1 - y, x0 - x : x1 - x]
        covered = part * look.texture((y1 - y0, x1 - x0), generator)
        place = self.picture[y0:y1, x0:x1]
        place += covered[:, :, None] * (colour - place)
        own, other = (self.digit, self.mark) if answer == "digit" else (self.mark, self.digit)
        area = own[y0:y1, x0:x1]
        np.maximum(area, part, out=area)
        if answer == "digit":
            other[y0:y1, x0:x1] *= 1 - part


class Look(NamedTuple):
    """How a pen's ink covers the paper: its strength, and how evenly."""

    strength: float
    grain: float
    specks: float

    def texture(self, shape: tuple[int, ...], generator: Generator) -> Mask:
        """Return how much of the paper full ink covers at each pixel, 0 to 1."""
        amount = np.full(shape, self.strength, np.float32)
        if self.grain:
            amount *= np.clip(generator.normal(1, self.grain, shape), 0.2, 1.2).astype(np.float32)
        if self.specks:
            amount *= generator.random(shape) > self.specks
        return np.minimum(amount, 1)


def pick_look(generator: Generator) -> Look:
    """Draw how the ink of a pen covers the paper: ink, pencil, or strokes broken into specks."""
    kind = generator.random()
    grain = float(generator.uniform(0, 0.35)) if generator.random() < 0.4 else 0.0
    if kind < 0.6:
        return Look(float(generator.uniform(0.85, 1)), grain, 0.0)
    if kind < 0.86:
        return Look(float(generator.uniform(0.3, 0.85)), grain, 0.0)
    return Look(1.0, grain, float(generator.uniform(0.15, 0.6)))


def pick_ink(generator: Generator, paper: Pixels, other: Colour | None = None) -> Colour:
    """Draw the colour of a pen that can be seen on a paper, and is not another pen's."""
    level = np.median(paper.reshape(-1, 3), axis=0)
    for _ in range(30):
        kind = generator.random()
        if level.mean() > 115:
            dark = any_colour(generator, 0, 110)
        else:
            dark = any_colour(generator, 150, 255)
        vivid = generator.permutation([generator.uniform(120, 255), *generator.uniform(0, 110, 2)])
        colour = (dark if kind < 0.7 else vivid).astype(np.float32)
        if other is not None and np.abs(colour - other).max() < 70:
            continue
        if np.abs(colour - level).max() > 90:
            return colour
    return np.full(3, 0.0 if level.mean() > 115 else 255.0, np.float32)
