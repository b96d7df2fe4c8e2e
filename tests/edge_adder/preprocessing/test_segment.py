"""Ink is found whatever paper, light and colour are, and nothing else is taken for it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder.preprocessing.background import fill_background
from edge_adder.preprocessing.components import find_components
from edge_adder.preprocessing.morphology import dilate
from edge_adder.preprocessing.polarity import Ink
from edge_adder.preprocessing.segment import (
    TOO_FAINT,
    TOO_SMALL,
    Segmentation,
    _choose,
    _with_digits_like_marks,
    segment,
)

SIDE = 160


def strokes(pen: int = 8) -> np.ndarray:
    """Amount of ink, 0 to 1: a 7 in the middle, float32 (SIDE, SIDE)."""
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).line([(50, 45), (110, 45), (75, 120)], fill=255, width=pen)
    return np.asarray(picture, np.float32) / 255


def written(paper: np.ndarray | float = 0.9, *, ink: float = 0.2, pen: int = 8) -> np.ndarray:
    """Dark ink on paper that is 0 to 1 bright: uint8 (SIDE, SIDE)."""
    return np.rint(255 * paper * (1 - (1 - ink) * strokes(pen))).astype(np.uint8)


def segmented(pixels: np.ndarray | Image.Image, ink: Ink = "auto") -> Segmentation:
    found = segment(np.asarray(pixels), ink)
    assert len(found.digits) == 1
    return found


def agreement(found: Segmentation, pen: int = 8) -> float:
    """Intersection over union with the strokes."""
    truth = strokes(pen) > 0.5
    return float((found.mask & truth).sum() / (found.mask | truth).sum())


def in_shade() -> np.ndarray:
    """Paper in a shadow, 0 to 1 bright."""
    return np.linspace(0.95, 0.35, SIDE)[None, :] * np.linspace(1, 0.8, SIDE)[:, None]


def ruled(slope: float = 0.0) -> np.ndarray:
    """Paper with ruled lines, 0 to 1 bright."""
    paper = np.ones((SIDE, SIDE))
    column = np.arange(SIDE)
    for start in range(10, SIDE, 24):
        row = np.rint(start + slope * column).astype(int)
        inside = (row >= 0) & (row < SIDE)
        paper[row[inside], column[inside]] = 0.6
    return paper


def grain(spread: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, spread, (SIDE, SIDE))


def fading() -> np.ndarray:
    amount = strokes() * np.linspace(1, 0.35, SIDE, dtype=np.float32)[:, None]
    return np.rint(240 * (1 - 0.8 * amount)).astype(np.uint8)


def dusty() -> np.ndarray:
    pixels = written()
    rows, columns = np.random.default_rng(1).integers(3, SIDE - 3, (30, 2)).T
    pixels[rows, columns] = 40
    return pixels


def beside_a_table() -> np.ndarray:
    pixels = written()
    pixels[:, :9] = pixels[-6:, 60:] = 20
    return pixels


def boxed() -> Image.Image:
    picture = Image.fromarray(written())
    ImageDraw.Draw(picture).rectangle((25, 20, 135, 145), outline=20, width=4)
    return picture


def held_by_a_thumb() -> Image.Image:
    """A thumb that shows best in another channel than brightness."""
    picture = Image.fromarray(written()).convert("RGB")
    ImageDraw.Draw(picture).ellipse((-30, 110, 35, 190), (205, 150, 120))
    return picture


PICTURES = {
    "faint pencil": (written(0.9, ink=0.88), 0.8),
    "a stroke that fades": (fading(), 0.8),
    "soft shadow": (written(np.linspace(0.5, 0.95, SIDE), ink=0.8), 0.6),
    "shadow with an edge": (written(np.where(np.arange(SIDE) < SIDE // 2, 0.45, 0.9)), 0.6),
    "grain": (written(np.clip(0.8 + grain(0.03, 0), 0, 1)), 0.8),
    **{f"ruled, {slope}": (written(0.9 * ruled(slope)), 0.7) for slope in (0, 0.04, -0.06)},
    "squared": (written(0.9 * ruled() * ruled().T), 0.65),
    "dust": (dusty(), 0.8),
    "what hangs in from the edge": (beside_a_table(), 0.8),
    "a box around the digit": (boxed(), 0.5),
    "a thumb": (held_by_a_thumb(), 0.8),
}


@pytest.mark.parametrize(("pixels", "least"), PICTURES.values(), ids=PICTURES)
def test_the_digit_is_found(pixels: np.ndarray | Image.Image, least: float) -> None:
    assert agreement(segmented(pixels)) > least


@pytest.mark.parametrize(
    ("pixels", "ink"),
    [
        *((written(brightness), "dark") for brightness in (1.0, 0.6, 0.3)),
        (255 - written(), "light"),
        (written(in_shade()), "dark"),
    ],
)
def test_what_it_says_of_the_ink(pixels: np.ndarray, ink: str) -> None:
    found = segmented(pixels)
    assert found.polarity(found.mask) == ink
    assert agreement(found) > 0.6


def test_a_hair_and_blurred_ink_in_shade_are_found() -> None:
    hair = segmented(written(1.0, pen=1))
    assert hair.mask[strokes(1) > 0.5].mean() > 0.9
    blurred = Image.fromarray(written(in_shade(), ink=0.6)).resize((80, 80))
    segmented(blurred.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def test_bold_ink_on_more_than_half_of_the_picture() -> None:
    pixels = np.full((28, 28), 240, np.uint8)
    pixels[3:25, 4:24] = 10
    pixels[8:11, 11:17] = pixels[17:20, 11:17] = 240
    for found, ink in ((segmented(pixels), "dark"), (segmented(255 - pixels), "light")):
        assert found.polarity(found.mask) == ink
        assert found.mask.sum() == (pixels == 10).sum()


def test_ink_of_a_colour_as_bright_as_the_paper() -> None:
    amount = strokes()[:, :, None]
    pixels = np.rint((1 - amount) * (150, 220, 235) + amount * (235, 190, 40))
    assert agreement(segmented(pixels.astype(np.uint8))) > 0.6


def test_the_polarity_can_be_forced() -> None:
    dark = segmented(written(in_shade()), ink="dark")
    assert dark.polarity(dark.mask) == "dark"
    assert segment(written(in_shade()), ink="light").digits == ()


def test_the_amount_of_ink_is_the_pictures_cropped_to_the_digit() -> None:
    for paper in (1.0, 0.6, in_shade()):
        found = segmented(written(paper))
        amount = found.amount_of_ink(found.mask)
        rows, columns = np.nonzero(found.mask)
        assert amount.shape == (np.ptp(rows) + 5, np.ptp(columns) + 5)
        assert (amount.max(), amount.dtype) == (255, np.uint8)
        around = slice(rows.min() - 2, rows.max() + 3), slice(columns.min() - 2, columns.max() + 3)
        assert np.abs(amount / 255 - strokes()[around]).mean() < 0.06


@pytest.mark.parametrize("dark_side", [slice(0, 80), slice(80, SIDE)])
def test_ink_in_a_shadow_is_as_much_as_beside_it(dark_side: slice) -> None:
    light = np.full((SIDE, SIDE), 0.9)
    light[:, dark_side] = 0.25
    picture = np.repeat(written(light)[:, :, None], 3, axis=2)
    found = segmented(picture)
    background = np.repeat((255 * light).astype(np.float32)[:, :, None], 3, axis=2)
    truth = strokes() > 0.99
    exact = dataclasses.replace(found, background=background, certain=truth)
    amount = exact.amount_of_ink(truth)
    rows, columns = np.nonzero(truth)
    inside = amount[rows - rows.min() + 2, columns - columns.min() + 2]
    assert inside.min() > 230


def test_blank_paper_and_grain_in_shade_are_not_ink() -> None:
    for spread in (0.0, 0.005, 0.02):
        blank = np.rint(255 * np.clip(in_shade() + grain(spread, 1), 0, 1)).astype(np.uint8)
        assert segment(blank).digits == ()


def test_the_background_is_continued_under_the_ink() -> None:
    shaded = np.repeat(written(in_shade())[:, :, None], 3, axis=2)
    paper = ~dilate(strokes() > 0, 2)
    filled = fill_background(shaded, paper)
    assert np.array_equal(filled[paper], shaded[paper])
    assert np.abs(filled - 255 * in_shade()[:, :, None])[~paper].max() < 25


def test_a_part_of_the_digit_stays() -> None:
    pixels = written()
    pixels[76:84, 40:58] = 40  # a bar of the 7, that does not touch it
    assert segmented(pixels).mask[80, 44]


def test_a_stroke_that_reaches_the_edge_stays() -> None:
    picture = Image.fromarray(written())
    ImageDraw.Draw(picture).line([(75, 115), (60, SIDE)], fill=45, width=8)
    assert segmented(picture).mask[SIDE - 3].any()


@pytest.mark.parametrize("seed", range(4))
def test_a_stroke_of_specks_is_one_digit(seed: int) -> None:
    generator = np.random.default_rng(seed)
    kept = Image.fromarray(generator.random((SIDE // 2, SIDE // 2)) < 0.55).resize((SIDE, SIDE))
    pixels = written(1.0, ink=0.0)
    pixels[~np.asarray(kept)] = 255
    found = segmented(pixels)
    assert len(found.digits) == 1
    inked = pixels < 128
    assert (found.mask & inked).sum() > 0.95 * inked.sum()


@pytest.mark.parametrize(("share", "reason"), [(0.0, TOO_FAINT), (1.0, TOO_SMALL)])
def test_what_is_left_out_of_a_row_is_too_faint_or_too_small(share: float, reason: str) -> None:
    place = np.zeros((SIDE, SIDE), bool)
    place[40:80, 30:40] = place[60:80, 80:90] = True
    certain = place.copy()
    certain[60 : 80 - round(20 * share), 80:90] = False
    nothing = find_components(np.zeros_like(place))
    components = find_components(place)
    found = Segmentation(
        picture=np.where(place[:, :, None], np.uint8(0), np.uint8(255)).repeat(3, axis=2),
        background=np.full((SIDE, SIDE, 3), 255, np.float32),
        certain=certain,
        components=components,
        marks=nothing,
        faint=nothing,
        digits=(components.height == 40,),
    )
    assert [each[1] for each in found.others()] == [reason]


@pytest.mark.parametrize(("ink", "digits"), [((0, 0, 0), 2), ((220, 30, 30), 1)])
def test_a_mark_like_a_digit_is_one_in_the_ink_of_the_digit(
    ink: tuple[int, int, int], digits: int
) -> None:
    """Of two 0s side by side, one looks like a ring."""
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 50, 63, 110), outline="black", width=4)
    draw.ellipse((71, 52, 94, 112), outline=ink, width=4)
    pixels = np.asarray(picture)
    contrast = pixels.astype(np.float32) - 255
    written = contrast.min(axis=2) < -30
    left = np.arange(SIDE)[None, :] < 67
    found = Segmentation(
        picture=pixels,
        background=np.full(pixels.shape, 255, np.float32),
        certain=written,
        components=find_components(written & left),
        marks=find_components(written & ~left),
        faint=find_components(np.zeros_like(written)),
    )
    chosen = _choose(found, "auto", each=False)
    assert len(chosen.digits) == 1
    again = _choose(_with_digits_like_marks(chosen), "auto", each=False)
    assert len(again.digits) == digits


@pytest.mark.parametrize("gap", [5, 7, 30])
def test_digits_further_apart_than_the_stroke_is_wide_stay_apart(gap: int) -> None:
    picture = Image.new("L", (SIDE, SIDE), 255)
    draw = ImageDraw.Draw(picture)
    for left in (40, 40 + 24 + gap):
        draw.ellipse((left, 50, left + 23, 110), outline=0, width=4)
    assert len(segment(np.asarray(picture)).digits) == 2
