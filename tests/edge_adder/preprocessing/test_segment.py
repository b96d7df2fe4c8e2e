"""Ink is found whatever paper, light and colour are, and nothing else is taken for it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder.preprocessing.background import estimate_background
from edge_adder.preprocessing.polarity import Ink
from edge_adder.preprocessing.segment import Segmentation, segment
from edge_adder.preprocessing.threshold import MIN_CONTRAST

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
    assert found is not None
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


class TestPaper:
    @pytest.mark.parametrize("brightness", [1.0, 0.6, 0.3])
    def test_plain(self, brightness: float) -> None:
        found = segmented(written(brightness))
        assert (found.ink, found.background) == ("dark", "plain")
        assert agreement(found) > 0.85

    def test_light_ink_on_dark(self) -> None:
        found = segmented(255 - written())
        assert found.ink == "light"
        assert agreement(found) > 0.85

    def test_a_shadow(self) -> None:
        found = segmented(written(in_shade()))
        assert (found.ink, found.background) == ("dark", "uneven")
        assert agreement(found) > 0.75

    def test_a_soft_shadow_with_more_contrast(self) -> None:
        found = segmented(written(np.linspace(0.5, 0.95, SIDE), ink=0.8))
        assert found.ink == "dark"
        assert agreement(found) > 0.6

    def test_a_shadow_with_an_edge(self) -> None:
        paper = np.full((SIDE, SIDE), 0.9)
        paper[:, : SIDE // 2] = 0.45
        assert agreement(segmented(written(paper))) > 0.6

    def test_grain(self) -> None:
        noise = np.random.default_rng(0).normal(0, 0.03, (SIDE, SIDE))
        assert agreement(segmented(written(np.clip(0.8 + noise, 0, 1)))) > 0.8

    @pytest.mark.parametrize("slope", [0.0, 0.04, -0.06])
    def test_ruled(self, slope: float) -> None:
        assert agreement(segmented(written(0.9 * ruled(slope)))) > 0.7

    def test_squared(self) -> None:
        assert agreement(segmented(written(0.9 * ruled() * ruled().T))) > 0.65

    @pytest.mark.parametrize("grain", [0.005, 0.02])
    def test_blank_in_shade(self, grain: float) -> None:
        noise = np.random.default_rng(1).normal(0, grain, (SIDE, SIDE))
        blank = np.rint(255 * np.clip(in_shade() + noise, 0, 1)).astype(np.uint8)
        assert segment(blank) is None

    @pytest.mark.parametrize("dark", [True, False])
    def test_the_background_is_without_ink(self, dark: bool) -> None:
        paper, pixels = 255 * in_shade(), written(in_shade()).astype(np.float32)
        if not dark:
            paper, pixels = 255 - paper, 255 - pixels
        difference = np.abs(estimate_background(pixels, dark=dark) - paper)
        assert difference[8:-8, 8:-8].max() < 30


class TestInk:
    def test_faint_pencil(self) -> None:
        assert agreement(segmented(written(ink=0.88))) > 0.8

    def test_nothing_fainter_than_the_limit(self) -> None:
        assert segment(written(ink=1 - 0.8 * MIN_CONTRAST)) is None

    def test_a_stroke_that_fades_stays_whole(self) -> None:
        fading = strokes() * np.linspace(1, 0.35, SIDE, dtype=np.float32)[:, None]
        found = segmented(np.rint(240 * (1 - 0.8 * fading)).astype(np.uint8))
        assert agreement(found) > 0.8

    def test_blurred_faint_ink_in_shade(self) -> None:
        blurred = Image.fromarray(written(in_shade(), ink=0.6)).resize((80, 80))
        segmented(blurred.resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    def test_a_hair(self) -> None:
        assert agreement(segmented(written(1.0, pen=1)), pen=1) > 0.9

    @pytest.mark.parametrize("ink", ["dark", "light"])
    def test_bold_ink_on_more_than_half_of_the_picture(self, ink: str) -> None:
        pixels = np.full((28, 28), 240, np.uint8)
        pixels[3:25, 4:24] = 10
        pixels[8:11, 11:17] = pixels[17:20, 11:17] = 240
        found = segmented(pixels if ink == "dark" else 255 - pixels)
        assert found.ink == ink
        assert found.mask.sum() == (pixels == 10).sum()

    def test_of_a_colour_as_bright_as_the_paper(self) -> None:
        amount = strokes()[:, :, None]
        pixels = np.rint((1 - amount) * (150, 220, 235) + amount * (235, 190, 40))
        found = segmented(pixels.astype(np.uint8))
        assert found.channel != "brightness"
        assert agreement(found) > 0.85

    def test_the_polarity_can_be_forced(self) -> None:
        assert segmented(written(in_shade()), ink="dark").ink == "dark"
        light = segment(written(in_shade()), ink="light")
        assert light is None or light.ink == "light"

    def test_the_amount_of_ink(self) -> None:
        found = segmented(written(1.0))
        amount = found.amount_of_ink(found.mask)
        assert (amount.max(), amount.dtype) == (255, np.uint8)
        rows, columns = np.nonzero(found.mask)
        assert amount.shape == (np.ptp(rows) + 3, np.ptp(columns) + 3)


class TestWhatIsLeftOut:
    def test_dust(self) -> None:
        pixels = written()
        for row, column in np.random.default_rng(1).integers(3, SIDE - 3, (30, 2)):
            pixels[row, column] = 40
        assert agreement(segmented(pixels)) > 0.8

    def test_what_hangs_in_from_the_edge(self) -> None:
        pixels = written()
        pixels[:, :9] = pixels[-6:, 60:] = 20  # the table beside the paper
        assert agreement(segmented(pixels)) > 0.8

    def test_a_box_around_the_digit(self) -> None:
        picture = Image.fromarray(written())
        ImageDraw.Draw(picture).rectangle((25, 20, 135, 145), outline=20, width=4)
        assert agreement(segmented(picture)) > 0.8

    def test_a_thumb_that_shows_best_in_another_channel(self) -> None:
        picture = Image.fromarray(written()).convert("RGB")
        ImageDraw.Draw(picture).ellipse((-30, 110, 35, 190), (205, 150, 120))
        assert agreement(segmented(picture)) > 0.8


class TestWhatStays:
    def test_a_part_of_the_digit(self) -> None:
        pixels = written()
        pixels[76:84, 40:58] = 40  # a bar of the 7, that does not touch it
        assert segmented(pixels).mask[80, 50]

    def test_a_stroke_that_reaches_the_edge(self) -> None:
        picture = Image.fromarray(written())
        ImageDraw.Draw(picture).line([(75, 115), (60, SIDE)], fill=45, width=8)
        assert segmented(picture).mask[SIDE - 3].any()

    def test_a_0_around_a_dot(self) -> None:
        picture = Image.new("L", (SIDE, SIDE), 230)
        draw = ImageDraw.Draw(picture)
        draw.rounded_rectangle((50, 30, 110, 130), 25, outline=30, width=8)
        draw.rectangle((76, 74, 84, 86), fill=30)
        rows, columns = np.nonzero(segmented(picture).mask)
        assert (rows.min(), rows.max()) == (30, 130)
        assert (columns.min(), columns.max()) == (50, 110)
