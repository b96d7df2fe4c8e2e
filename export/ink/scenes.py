"""A scene: a picture as people take them, and which of its pixels are digits or other writing."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from edge_adder.contract import FULL_INK

from ..handwriting.varied_pen import another_hand
from . import paper as papers
from . import writing
from .light import draw_light, photograph
from .marks import Digit, mark_around, mark_beside, mark_over
from .page import Look, Page, pick_ink, pick_look
from .writing import Mask, Sources

Generator = np.random.Generator

SIDE = 224
"""Height and width of a scene, in pixels: those of a picture as it is searched first."""

_MIN_VISIBLE = 9.0
"""Least difference of writing from what is around it in one of the colours, of 255; below that a
scene has no answer but blank."""


class Scene(NamedTuple):
    """A picture with its answer.

    Attributes:
        picture: uint8 (SIDE, SIDE, 3).
        digit: uint8 (SIDE, SIDE); how much of each pixel is a digit's stroke, 255 for all of it.
        mark: uint8 (SIDE, SIDE); how much is a sign, a letter or a mark.
    """

    picture: NDArray[np.uint8]
    digit: NDArray[np.uint8]
    mark: NDArray[np.uint8]


def compose(sources: Sources, generator: Generator) -> Scene:
    """Draw a scene of any kind."""
    shape = (SIDE, SIDE)
    kind = generator.random()
    if kind < 0.06:
        picture = papers.draw_no_writing(generator, shape)
        return _finish(Page(picture), generator, size=60.0, lit=generator.random() < 0.3)
    paper = papers.draw_paper(generator, shape)
    box = (0, 0, SIDE, SIDE)
    flat = bool(np.ptp(paper.reshape(-1, 3), axis=0).max() == 0)
    if not flat and generator.random() < 0.32:
        paper, box = papers.draw_table(generator, paper)
    if not flat and generator.random() < 0.1:
        box = papers.lay_card(generator, paper, box)
    if min(box[2] - box[0], box[3] - box[1]) < 60:
        paper, box = papers.draw_paper(generator, shape), (0, 0, SIDE, SIDE)
    page = Page(paper)
    if kind < 0.60:
        size = _write_one(page, sources, generator, box)
    elif kind < 0.76:
        size = _write_row(page, sources, generator, box)
    elif kind < 0.90:
        size = _write_lines(page, sources, generator, box)
    else:
        size = _write_no_digits(page, generator, box)
    return _finish(page, generator, size=size, lit=not flat or generator.random() < 0.15)


def _paper_in(page: Page, box: tuple[int, int, int, int]) -> papers.Pixels:
    return page.picture[box[0] : box[2], box[1] : box[3]]


def _write_one(
    page: Page, sources: Sources, generator: Generator, box: tuple[int, int, int, int]
) -> float:
    """Write one digit, and sometimes a mark around, over or beside it."""
    height, width = box[2] - box[0], box[3] - box[1]
    side = min(height, width)
    share = math.exp(generator.uniform(math.log(0.1), math.log(1.0)))
    length = max(15.0, share * side * 0.98)
    ink, look = pick_ink(generator, _paper_in(page, box)), pick_look(generator)
    mask = writing.write_digit(sources, generator, length)
    mask = mask[: SIDE + 20, : SIDE + 20]
    spread = 0.5 if generator.random() < 0.25 else 0.18
    top = box[0] + (height - mask.shape[0]) / 2 + generator.normal(0, 0.5) * spread * height
    left = box[1] + (width - mask.shape[1]) / 2 + generator.normal(0, 0.5) * spread * width
    if share < 0.9:
        top = float(np.clip(top, box[0], max(box[0], box[2] - mask.shape[0])))
        left = float(np.clip(left, box[1], max(box[1], box[3] - mask.shape[1])))
    around = generator.random()
    pen = writing.pen_width(min(length, 80), generator) * 0.8
    other = pick_ink(generator, _paper_in(page, box), ink)
    mark_ink = other if generator.random() < 0.75 else ink
    high, wide = mask.shape
    digit = Digit(top, left, high, wide)
    if around < 0.12:
        mark_around(page, generator, digit, pen, mark_ink)
    page.put(mask, top, left, ink, generator, look=look, answer="digit")
    if 0.12 <= around < 0.34:
        mark_over(page, generator, digit, pen * 0.7, other)
    elif 0.34 <= around < 0.44:
        mark_beside(page, generator, digit, pen, mark_ink)
    elif 0.44 <= around < 0.48:
        words = writing.write_words(
            generator, int(wide * 1.2) + 10, 12, float(generator.uniform(7, 12))
        )
        down = top + high + generator.uniform(3, 12)
        page.put(words, down, left, ink, generator, look=Look(0.9, 0, 0), answer="mark")
    return float(max(mask.shape))


def _write_line(
    page: Page,
    sources: Sources,
    generator: Generator,
    *,
    start: tuple[float, float],
    end: float,
    length: float,
    ink: papers.Colour,
    look: Look,
    other: float,
) -> None:
    """Write digits, some signs and letters, from a start (y, x) to a right end."""
    y, x = start
    slope, bend = generator.normal(0, 0.05), generator.normal(0, 0.0006)
    gap = generator.uniform(0.12, 0.9) * length
    uneven = generator.uniform(0.03, 0.3)
    pen = writing.pen_width(length, generator)
    begin = x
    while True:
        size = length * float(np.clip(generator.normal(1, uneven), 0.45, 1.6))
        kind = generator.random()
        if kind < other * 0.6:
            mask, answer = writing.write_sign(generator, 0.6 * size), "mark"
        elif kind < other:
            mask, answer = writing.write_letter(generator, size), "mark"
        else:
            mask, answer = _digit_with(pen, sources, generator, size), "digit"
        if x + mask.shape[1] > end:
            return
        along = x - begin
        middle = y + slope * along + bend * along**2 + generator.normal(0, 0.07) * length
        page.put(mask, middle - mask.shape[0] / 2, x, ink, generator, look=look, answer=answer)
        x += mask.shape[1] + gap * generator.uniform(0.6, 1.4) + 1


def _digit_with(pen: float, sources: Sources, generator: Generator, size: float) -> Mask:
    """Draw a digit with a pen that is as wide as its neighbours' have it, mostly."""
    if generator.random() < 0.25:
        return writing.write_digit(sources, generator, size)
    lines = writing.pick_lines(sources, generator)
    varied = another_hand(lines, size, generator)
    return writing.draw(varied, pen * generator.uniform(0.8, 1.25))


def _write_row(
    page: Page, sources: Sources, generator: Generator, box: tuple[int, int, int, int]
) -> float:
    """Write a row of digits across the paper."""
    height, width = box[2] - box[0], box[3] - box[1]
    longest = min(0.6 * height, width / 2)
    length = math.exp(generator.uniform(math.log(12), math.log(max(14, longest))))
    ink, look = pick_ink(generator, _paper_in(page, box)), pick_look(generator)
    start = (
        box[0] + generator.uniform(0.3, 0.7) * height,
        box[1] + generator.uniform(0.01, 0.25) * width,
    )
    other = 0.3 if generator.random() < 0.3 else 0.0
    end = box[3] - generator.uniform(0, 0.15) * width
    _write_line(page, sources, generator, start=start, end=end, length=length, ink=ink, look=look,
                other=other)  # fmt: skip
    return length


def _write_lines(
    page: Page, sources: Sources, generator: Generator, box: tuple[int, int, int, int]
) -> float:
    """Fill the paper with rows of small digits, or of anything."""
    width = box[3] - box[1]
    length = math.exp(generator.uniform(math.log(10), math.log(40)))
    ink, look = pick_ink(generator, _paper_in(page, box)), pick_look(generator)
    other = generator.choice([0.0, 0.2, 0.5], p=[0.6, 0.3, 0.1])
    y = box[0] + length * generator.uniform(0.6, 1.5)
    while y < box[2] - 0.5 * length:
        if generator.random() < 0.9:
            start = (y, box[1] + generator.uniform(0.02, 0.2) * width)
            end = box[3] - generator.uniform(0, 0.4) * width
            _write_line(page, sources, generator, start=start, end=end, length=length, ink=ink,
                        look=look, other=float(other))  # fmt: skip
        y += length * generator.uniform(1.3, 2.6)
    return length


def _write_no_digits(page: Page, generator: Generator, box: tuple[int, int, int, int]) -> float:
    """Leave the paper blank, or put marks, letters or print on it."""
    height, width = box[2] - box[0], box[3] - box[1]
    kind = generator.random()
    ink, look = pick_ink(generator, _paper_in(page, box)), pick_look(generator)
    if kind < 0.35:
        return 60.0
    if kind < 0.6:
        size = float(generator.uniform(8, 30))
        mask = writing.write_words(generator, width - 8, height - 8, size)
        page.put(mask, box[0] + 4, box[1] + 4, ink, generator, look=look, answer="mark")
        return size
    for _ in range(int(generator.integers(1, 5))):
        size = float(generator.uniform(0.1, 0.7)) * min(height, width)
        if generator.random() < 0.6:
            mask = writing.write_letter(generator, size)
        else:
            mask = writing.draw_mark(writing.scribble(generator), size, size, max(1, 0.04 * size))
        top = box[0] + generator.random() * max(0, height - mask.shape[0])
        left = box[1] + generator.random() * max(0, width - mask.shape[1])
        page.put(mask, top, left, ink, generator, look=look, answer="mark")
    return 60.0


def _finish(page: Page, generator: Generator, *, size: float, lit: bool) -> Scene:
    """Light a page, photograph it, and let it be small or seen from an angle."""
    picture = page.picture
    if lit:
        written = np.maximum(page.digit, page.mark) > 0.5
        picture = picture * draw_light(generator, written)[:, :, None]
        if generator.random() < 0.05:
            papers.add_finger(picture, generator)
        picture = picture * generator.uniform(0.6, 1.1)
        image = photograph(picture, generator, size)
    else:
        image = np.clip(picture, 0, 255).astype(np.uint8)
        if generator.random() < 0.3:
            image = photograph(picture, generator, size)
    answers = [np.rint(FULL_INK * each).astype(np.uint8) for each in (page.digit, page.mark)]
    if generator.random() < 0.35:
        image, *answers = _seen_from(image, answers, generator)
    if size > 70 and generator.random() < 0.3:
        image = _small(image, generator)
    digit, mark = (each if _is_visible(image, each) else np.zeros_like(each) for each in answers)
    return Scene(image, digit, mark)


def _is_visible(image: NDArray[np.uint8], answer: NDArray[np.uint8]) -> bool:
    """Check whether writing differs from what is around it."""
    inside = answer > FULL_INK // 2
    around = np.asarray(Image.fromarray(answer).filter(ImageFilter.MaxFilter(9))) > 0
    around &= answer == 0
    if not inside.any() or not around.any():
        return bool(inside.any())
    difference = np.median(image[inside], axis=0) - np.median(image[around], axis=0)
    return float(np.abs(difference).max()) >= _MIN_VISIBLE


def _seen_from(
    image: NDArray[np.uint8], answers: list[NDArray[np.uint8]], generator: Generator
) -> list[NDArray[np.uint8]]:
    """Turn and tilt a scene; what comes in from beyond its rim has the colour of its corner."""
    angle, tilt = generator.normal(0, 0.1), generator.normal(0, 0.0004, 2)
    cos, sin = math.cos(angle), math.sin(angle)
    c = SIDE / 2
    data = (cos, sin, c - c * cos - c * sin, -sin, cos, c + c * sin - c * cos, *map(float, tilt))
    fill = tuple(int(v) for v in np.median(image[:8].reshape(-1, 3), axis=0))
    turned = [
        Image.fromarray(each).transform(
            (SIDE, SIDE),
            Image.Transform.PERSPECTIVE,
            data,
            Image.Resampling.BILINEAR,
            fillcolor=fill if each.ndim == 3 else 0,
        )
        for each in (image, *answers)
    ]
    return [np.asarray(each) for each in turned]


def _small(image: NDArray[np.uint8], generator: Generator) -> NDArray[np.uint8]:
    """Shrink a scene to few pixels and enlarge it again, as a small picture is for the network."""
    side = int(generator.integers(24, 100))
    method = Image.Resampling.BOX if generator.random() < 0.7 else Image.Resampling.NEAREST
    small = Image.fromarray(image).resize((side, side), method)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
