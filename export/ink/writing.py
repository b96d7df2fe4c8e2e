"""Strokes as masks: digits from four sources, marks, signs and letters.

A mask is float32 (height, width), 0 to 1: how much of each pixel the pen covers.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge_adder.contract import FULL_INK

from ..data import load_mnist, split_indices
from ..handwriting.sets import (
    NUMBERS,
    TRAINING_TRAJECTORIES,
    VALIDATION_TRAJECTORIES,
    find_folder,
    read_checked,
)
from ..handwriting.trajectories import Lines, load_trajectories
from ..handwriting.varied_pen import another_hand
from ..synthetic.digits import STYLES
from ..synthetic.negatives import SIGNS, font
from ..synthetic.strokes import arc

Generator = np.random.Generator
Mask = NDArray[np.float32]

_OVERSAMPLING = 3
_STYLE_ASPECT = 0.62
"""Width of the box of `export.synthetic.digits.STYLES`, as a share of its height."""

_MAX_ENLARGEMENT = 4.0
"""How many times as large an image of MNIST is drawn at most: its edge is soft."""


@dataclass(frozen=True)
class Sources:
    """What digits are drawn from.

    Attributes:
        lines: Pen trajectories of writers for training.
        scans: Masks of digits that were cut from scans.
        mnist: uint8 (count, 28, 28); MNIST's images to learn from.
    """

    lines: list[Lines]
    scans: list[NDArray[np.uint8]]
    mnist: NDArray[np.uint8]


def load_sources(
    scan_writers: Sequence[str], pen_writers: Sequence[int], *, validation: bool = False
) -> Sources:
    """Read the handwriting that scenes are made of.

    Args:
        scan_writers: Writers of Numbers.
        pen_writers: Writers of Pendigits' training file.
        validation: Take MNIST's validation images, and all writers of Pendigits' validation file.

    Raises:
        InputError: Data are missing or not as published.
        FileAccessError: A file cannot be read.
    """
    if validation:
        lines = [each.lines for each in load_trajectories(VALIDATION_TRAJECTORIES)]
    else:
        trajectories = load_trajectories(TRAINING_TRAJECTORIES)
        lines = [each.lines for each in trajectories if each.writer in set(pen_writers)]
    scans = [
        _scan_mask(data)
        for writer in scan_writers
        for data in read_checked(NUMBERS, writer, find_folder()).values()
    ]
    mnist = load_mnist(train=True)
    chosen = split_indices(len(mnist), "fixed", 0)[int(validation)]
    return Sources(lines, [s for s in scans if s is not None], mnist.images[chosen, 0].numpy())


def _scan_mask(data: bytes) -> NDArray[np.uint8] | None:
    """Return the ink of a scan, cut to its box; None where it touches the rim all around."""
    grey = np.asarray(Image.open(io.BytesIO(data)).convert("L"), np.float32)
    paper, ink = np.percentile(grey, 90), np.percentile(grey, 1)
    if paper - ink < 60:
        return None
    amount = np.clip((paper - 12 - grey) / (paper - 12 - ink) * 1.3, 0, 1)
    rows, columns = np.flatnonzero(amount.max(1) > 0.5), np.flatnonzero(amount.max(0) > 0.5)
    cut = amount[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    mask: NDArray[np.uint8] = np.rint(FULL_INK * cut).astype(np.uint8)
    return mask


def write_digit(sources: Sources, generator: Generator, length: float) -> Mask:
    """Draw a digit whose longer side is about `length` pixels, with some pen."""
    kind = generator.random()
    if kind < 0.12 and sources.scans:
        return _enlarge(sources.scans[int(generator.integers(len(sources.scans)))], length)
    if kind < 0.3 and length <= _MAX_ENLARGEMENT * 20 and len(sources.mnist):
        image = sources.mnist[int(generator.integers(len(sources.mnist)))]
        rows, columns = np.flatnonzero(image.max(1)), np.flatnonzero(image.max(0))
        cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        sharper: Mask = np.clip(2 * _enlarge(cut, length) - np.float32(0.5), 0, 1)
        return sharper
    lines = another_hand(pick_lines(sources, generator), length, generator)
    return draw(lines, pen_width(length, generator))


def pick_lines(sources: Sources, generator: Generator) -> Lines:
    """Pick the strokes of a digit: a trajectory, or a style of the synthetic pen."""
    if generator.random() < 0.5 and sources.lines:
        return sources.lines[int(generator.integers(len(sources.lines)))]
    styles = STYLES[int(generator.integers(len(STYLES)))]
    style = styles[int(generator.integers(len(styles)))]
    return [np.array(stroke) * (_STYLE_ASPECT, 1) for stroke in style]


def pen_width(length: float, generator: Generator) -> float:
    """Draw the width of a pen for strokes of some length, in pixels: hairline to brush."""
    share = math.exp(generator.uniform(math.log(0.018), math.log(0.24)))
    return max(0.7, share * length)


def _enlarge(mask: NDArray[np.uint8], length: float) -> Mask:
    scale = length / max(mask.shape)
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    resized = Image.fromarray(mask).resize(size, Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32) / np.float32(FULL_INK)


def draw(lines: Lines, pen: float) -> Mask:
    """Draw lines with a round pen.

    Args:
        lines: Points (x, y) of each stroke, in pixels.
        pen: Width, in pixels.
    """
    points = np.concatenate(lines)
    low = points.min(axis=0) - pen / 2 - 1
    width, height = np.ceil(points.max(axis=0) + pen / 2 + 1 - low).astype(int)
    zoom = _OVERSAMPLING if max(width, height) < 120 else 2
    page = Image.new("L", (int(width) * zoom, int(height) * zoom))
    brush = ImageDraw.Draw(page)
    radius = pen * zoom / 2
    for line in lines:
        path = [(float(x), float(y)) for x, y in (line - low) * zoom]
        brush.line(path, fill=FULL_INK, width=max(1, round(2 * radius)), joint="curve")
        for x, y in path if radius > 1 else ():
            brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=FULL_INK)
    small = page.resize((int(width), int(height)), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(FULL_INK)


def write_sign(generator: Generator, length: float) -> Mask:
    """Draw a sign of arithmetic: plus, minus, equals, times, a slash, a colon, a dot or a comma."""
    h = [(0.0, 0.5), (1.0, 0.5)]
    shapes = {
        "plus": [h, [(0.5, 0.0), (0.5, 1.0)]],
        "minus": [h],
        "equals": [[(0.0, 0.35), (1.0, 0.35)], [(0.0, 0.7), (1.0, 0.68)]],
        "times": [[(0.1, 0.1), (0.9, 0.9)], [(0.9, 0.1), (0.1, 0.9)]],
        "divided": [
            h,
            arc((0.5, 0.2), (0.04, 0.04), 0, 360),
            arc((0.5, 0.8), (0.04, 0.04), 0, 360),
        ],
        "colon": [arc((0.5, 0.2), (0.03, 0.03), 0, 360), arc((0.5, 0.8), (0.03, 0.03), 0, 360)],
    }
    names = list(shapes)
    chosen = shapes[names[int(generator.integers(len(names)))]]
    lines = another_hand([np.array(line) for line in chosen], length, generator)
    return draw(lines, max(0.8, length * generator.uniform(0.05, 0.16)))


def write_letter(generator: Generator, length: float) -> Mask:
    """Draw a letter or sign that is not written like a digit, in some font."""
    sign = SIGNS[int(generator.integers(len(SIGNS)))]
    face = font(generator)
    image = Image.new("L", (160, 160))
    ImageDraw.Draw(image).text((80, 80), sign, FULL_INK, face, anchor="mm")
    box = image.getbbox()
    turned = image.crop(box).rotate(generator.normal(0, 6), Image.Resampling.BILINEAR, expand=True)
    return _enlarge(np.asarray(turned), length)


def write_words(generator: Generator, width: int, height: int, size: float) -> Mask:
    """Draw lines of printed letters that fill a box of `width` × `height` pixels."""
    image = Image.new("L", (max(1, width), max(1, height)))
    brush = ImageDraw.Draw(image)
    face: ImageFont.FreeTypeFont = font(generator).font_variant(size=max(5, round(size)))
    letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHKLMNPRSTUVWXYZ"
    y = 0.0
    while y + size <= height:
        words = (
            "".join(letters[int(i)] for i in generator.integers(len(letters), size=int(n)))
            for n in generator.integers(1, 11, size=30)
        )
        brush.text((0, y), " ".join(words), FULL_INK, face)
        y += size * float(generator.uniform(1.2, 1.9))
    return np.asarray(image, np.float32) / np.float32(FULL_INK)


def _ring(generator: Generator) -> Lines:
    width, start = float(generator.uniform(0.35, 0.5)), float(generator.uniform(0, 360))
    return [np.array(arc((0.5, 0.5), (width, 0.5), start, start + generator.uniform(300, 420)))]


def _tick(generator: Generator) -> Lines:
    turn = generator.uniform(0.2, 0.45)
    return [np.array([(0.0, 0.6), (turn, 1.0), (1.0, generator.uniform(-0.1, 0.2))])]


def line(generator: Generator) -> Lines:
    """Return a line through the unit box from left to right."""
    return [np.array([(0.0, 0.5), (1.0, 0.5 + generator.normal(0, 0.08))])]


def _strike(generator: Generator) -> Lines:
    return [np.array([(0.0, generator.uniform(0.6, 1.0)), (1.0, generator.uniform(0.0, 0.4))])]


def _cross(generator: Generator) -> Lines:
    return [*_strike(generator), np.array([(0.05, 0.0), (0.95, 1.0)])]


def _box(_: Generator) -> Lines:
    return [np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], float)]


def _arrow(generator: Generator) -> Lines:
    return [
        np.array([(0.0, 0.5), (1.0, 0.5 + generator.normal(0, 0.1))]),
        np.array([(0.75, 0.3), (1.0, 0.5), (0.75, 0.7)]),
    ]


def scribble(generator: Generator) -> Lines:
    """Return a scribble in the unit box."""
    steps = generator.normal(0, 1, (60, 2)).cumsum(axis=0)
    smooth = np.stack([np.convolve(each, np.ones(7) / 7, "valid") for each in steps.T], 1)
    return [smooth / max(1e-6, float(np.ptp(smooth, axis=0).max()))]


AROUND: tuple[Callable[[Generator], Lines], ...] = (_ring, _ring, _box)
"""Marks around a digit."""

OVER: tuple[Callable[[Generator], Lines], ...] = (
    *(_strike, _cross, line),
    *(_ring, _ring, _ring),
    *(_tick, _box, _arrow, scribble),
)
"""Marks across a digit."""

BESIDE: tuple[Callable[[Generator], Lines], ...] = (_tick, _ring, _cross, _arrow, scribble, line)
"""Marks beside a digit."""


def draw_mark(lines: Lines, width: float, height: float, pen: float) -> Mask:
    """Draw a mark from the unit box in a box of `width` × `height` pixels."""
    return draw([line * (width, height) for line in lines], pen)
