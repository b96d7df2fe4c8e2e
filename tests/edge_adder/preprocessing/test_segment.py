"""Ink is found whatever paper, light and colour are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder.preprocessing.segment import (
    MIN_CONTRAST,
    estimate_background,
    in_reading_order,
    remove_ruled_lines,
    segment,
)
from edge_adder.preprocessing.threshold import otsu

SIDE = 160


def strokes(pen: int = 8) -> np.ndarray:
    """Amount of ink, 0 to 1: a 7 in the middle, float32 (SIDE, SIDE)."""
    picture = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(picture).line([(50, 45), (110, 45), (75, 120)], fill=255, width=pen)
    return np.asarray(picture, np.float32) / 255


def written(paper: np.ndarray | float, *, ink: float = 0.2, pen: int = 8) -> np.ndarray:
    """Dark ink on paper that is 0 to 1 bright: uint8 (SIDE, SIDE)."""
    amount = strokes(pen)
    bright = np.broadcast_to(np.asarray(paper, np.float32), amount.shape)
    return np.rint(255 * bright * (1 - (1 - ink) * amount)).astype(np.uint8)


def agreement(mask: np.ndarray, pen: int = 8) -> float:
    """Intersection over union with the strokes."""
    truth = strokes(pen) > 0.5
    return float((mask & truth).sum() / (mask | truth).sum())


def gradient() -> np.ndarray:
    return np.linspace(0.95, 0.35, SIDE)[None, :] * np.linspace(1, 0.8, SIDE)[:, None]


def ruled(levels: np.ndarray, slope: float = 0.0, depth: float = 0.6) -> np.ndarray:
    lines = np.ones_like(levels)
    for start in range(10, SIDE, 24):
        for column in range(SIDE):
            row = round(start + slope * column)
            if 0 <= row < SIDE:
                lines[row, column] = depth
    return levels * lines


class TestPaper:
    @pytest.mark.parametrize("brightness", [1.0, 0.6, 0.3])
    def test_plain(self, brightness: float) -> None:
        found = segment(written(brightness))
        assert found is not None
        assert found.dark
        assert found.plain
        assert agreement(found.mask) > 0.85

    def test_light_ink_on_dark(self) -> None:
        found = segment(255 - written(0.9))
        assert found is not None
        assert not found.dark
        assert agreement(found.mask) > 0.85

    def test_a_shadow(self) -> None:
        found = segment(written(gradient()))
        assert found is not None
        assert found.dark
        assert not found.plain
        assert agreement(found.mask) > 0.75

    def test_a_shadow_with_an_edge(self) -> None:
        paper = np.full((SIDE, SIDE), 0.9)
        paper[:, : SIDE // 2] = 0.45
        found = segment(written(paper))
        assert found is not None
        assert agreement(found.mask) > 0.6

    def test_grain(self) -> None:
        noise = np.random.default_rng(0).normal(0, 0.03, (SIDE, SIDE))
        found = segment(written(np.clip(0.8 + noise, 0, 1)))
        assert found is not None
        assert agreement(found.mask) > 0.8

    @pytest.mark.parametrize("slope", [0.0, 0.04, -0.06])
    def test_ruled_paper(self, slope: float) -> None:
        found = segment(written(ruled(np.full((SIDE, SIDE), 0.9), slope)))
        assert found is not None
        assert agreement(found.mask) > 0.7

    def test_squared_paper(self) -> None:
        lines = ruled(np.full((SIDE, SIDE), 0.9))
        found = segment(written(lines * ruled(np.ones((SIDE, SIDE))).T))
        assert found is not None
        assert agreement(found.mask) > 0.65

    def test_the_level_of_the_paper_is_without_ink(self) -> None:
        paper = 255 * gradient()
        ink = written(gradient()).astype(np.float32)
        assert np.abs(estimate_background(ink, dark=True) - paper)[8:-8, 8:-8].max() < 30
        assert (
            np.abs(estimate_background(255 - ink, dark=False) - (255 - paper))[8:-8, 8:-8].max()
            < 30
        )


class TestInk:
    def test_faint_pencil(self) -> None:
        found = segment(written(0.9, ink=0.88))
        assert found is not None
        assert agreement(found.mask) > 0.8

    def test_nothing_fainter_than_the_limit(self) -> None:
        assert segment(written(0.9, ink=1 - 0.8 * MIN_CONTRAST)) is None

    def test_a_stroke_that_fades_stays_whole(self) -> None:
        fading = strokes() * np.linspace(1, 0.35, SIDE, dtype=np.float32)[:, None]
        found = segment(np.rint(240 * (1 - 0.8 * fading)).astype(np.uint8))
        assert found is not None
        assert agreement(found.mask) > 0.8

    def test_a_hair(self) -> None:
        found = segment(written(1.0, pen=1))
        assert found is not None
        assert agreement(found.mask, pen=1) > 0.9

    @pytest.mark.parametrize("dark", [True, False])
    def test_bold_ink_on_more_than_half_of_the_picture(self, dark: bool) -> None:
        pixels = np.full((28, 28), 240, np.uint8)
        pixels[3:25, 4:24] = 10
        pixels[8:11, 11:17] = pixels[17:20, 11:17] = 240
        found = segment(pixels if dark else 255 - pixels)
        assert found is not None
        assert found.dark == dark
        assert found.mask.sum() == (pixels == 10).sum()

    def test_ink_of_a_colour_as_bright_as_the_paper(self) -> None:
        amount = strokes()[:, :, None]
        pixels = np.rint((1 - amount) * (150, 220, 235) + amount * (235, 190, 40))
        found = segment(pixels.astype(np.uint8))
        assert found is not None
        assert found.channel != "brightness"
        assert agreement(found.mask) > 0.85

    def test_forced(self) -> None:
        for ink in ("dark", "light"):
            found = segment(written(gradient()), ink=ink)
            assert found is None or found.dark == (ink == "dark")
            assert found is not None or ink == "light"


class TestWhatIsLeftOut:
    def test_dust(self) -> None:
        pixels = written(0.9)
        for row, column in np.random.default_rng(1).integers(3, SIDE - 3, (30, 2)):
            pixels[row, column] = 40
        found = segment(pixels)
        assert found is not None
        assert agreement(found.mask) > 0.8

    def test_what_hangs_in_from_the_edge(self) -> None:
        pixels = written(0.9)
        pixels[:, :9] = 20  # the table beside the paper
        pixels[-6:, 60:] = 20
        found = segment(pixels)
        assert found is not None
        assert agreement(found.mask) > 0.8

    def test_a_part_of_the_digit_stays(self) -> None:
        pixels = written(0.9)
        pixels[76:84, 40:58] = 40  # a bar of the 7, that does not touch it
        found = segment(pixels)
        assert found is not None
        assert found.mask[80, 50]

    def test_a_stroke_that_reaches_the_edge_is_no_line(self) -> None:
        picture = Image.fromarray(written(0.9))
        ImageDraw.Draw(picture).line([(75, 115), (60, SIDE)], fill=45, width=8)
        found = segment(np.asarray(picture))
        assert found is not None
        assert found.mask[SIDE - 3].any()

    def test_lines_leave_what_crosses_them(self) -> None:
        contrast = np.zeros((100, 100), np.float32)
        contrast[50:52] = contrast[10:12] = 0.5
        contrast[20:80, 40:46] = 0.9
        left = remove_ruled_lines(contrast, 0.2)
        assert (left[20:80, 41:45] > 0).all()
        assert (left[50, :35] == 0).all()
        assert (left[50, 55:] == 0).all()

    def test_a_single_bar_across_the_picture_is_no_line(self) -> None:
        contrast = np.zeros((100, 100), np.float32)
        contrast[10:14] = contrast[10:90, 50:54] = 0.9
        assert np.array_equal(remove_ruled_lines(contrast, 0.2), contrast)


class TestOtsu:
    def test_it_separates_two_levels(self) -> None:
        values = np.full((10, 10), 200, np.float32)
        values[4:6, 4:6] = 40
        found = otsu(values)
        assert found is not None
        assert 40 < found < 200

    @pytest.mark.parametrize("level", [20.4, 20.6])
    def test_levels_between_whole_ones_are_on_the_side_that_they_are_counted_on(
        self, level: float
    ) -> None:
        values = np.full((10, 10), level, np.float32)
        values[4:6, 4:6] = 200
        found = otsu(values)
        assert found is not None
        assert np.count_nonzero(values > found) == 4

    def test_one_level_has_no_threshold(self) -> None:
        assert otsu(np.full((3, 3), 7, np.float32)) is None


def page(*places: tuple[int, int], side: int = 60, height: int = 220) -> np.ndarray:
    """Sevens on white paper, each at its left and top: uint8 (height, 220)."""
    picture = Image.new("L", (220, height), 255)
    draw = ImageDraw.Draw(picture)
    for left, top in places:
        points = [(0.2, 0.1), (0.8, 0.1), (0.4, 0.95)]
        line = [(left + side * x, top + side * y) for x, y in points]
        draw.line(line, fill=20, width=6)
    return np.asarray(picture)


class TestHowManyDigits:
    def test_digits_beside_and_below_each_other_are_several(self) -> None:
        places = [(120, 20), (10, 30), (20, 140), (110, 130)]
        found = segment(page(*places))
        assert found is not None
        assert len(found.digits) == 4
        boxes = [np.argwhere(mask).min(axis=0).tolist() for mask in in_reading_order(found)]
        expected = [(10, 30), (120, 20), (20, 140), (110, 130)]
        for (top, left), (across, down) in zip(boxes, expected, strict=True):
            assert top == pytest.approx(down + 6, abs=5)
            assert left == pytest.approx(across + 10, abs=5)

    def test_a_line_that_rises_is_one_line(self) -> None:
        found = segment(page((5, 110), (80, 90), (150, 70)))
        assert found is not None
        lefts = [int(np.argwhere(mask).min(axis=0)[1]) for mask in in_reading_order(found)]
        assert lefts == sorted(lefts)

    def test_the_first_is_the_one_in_the_middle(self) -> None:
        found = segment(page((10, 80), (80, 80), (150, 80)))
        assert found is not None
        assert found.mask[80:140, 80:140].any()
        assert not found.mask[:, :75].any()

    def test_close_neighbours_are_not_parts(self) -> None:
        found = segment(page((60, 80), (110, 80)))
        assert found is not None
        assert len(found.digits) == 2

    def test_a_digit_in_pieces_is_one(self) -> None:
        picture = Image.new("L", (160, 160), 255)
        draw = ImageDraw.Draw(picture)
        draw.line([(60, 40), (55, 80)], fill=20, width=7)  # a 5 whose bar and bow were set anew
        draw.line([(68, 36), (105, 34)], fill=20, width=7)
        draw.arc((40, 84, 100, 140), -90, 150, fill=20, width=7)
        found = segment(np.asarray(picture))
        assert found is not None
        assert len(found.digits) == 1
        assert found.mask[30:40, 70:100].any()
        assert found.mask[120:140, 60:80].any()

    def test_dust_and_the_rim_are_no_digits(self) -> None:
        pixels = page((80, 80)).copy()
        pixels[20:26, 30:36] = 40
        pixels[:, :14] = 30  # a table beside the paper
        found = segment(pixels)
        assert found is not None
        assert len(found.digits) == 1
        assert found.mask[80:140, 80:140].any()


class TestBlank:
    @pytest.mark.parametrize("grain", [0.005, 0.02])
    def test_a_shadow_and_grain_are_no_ink(self, grain: float) -> None:
        noise = np.random.default_rng(1).normal(0, grain, (SIDE, SIDE))
        found = segment(np.rint(255 * np.clip(gradient() + noise, 0, 1)).astype(np.uint8))
        assert found is None or found.is_blank

    def test_blurred_faint_ink_on_a_shadow_is_ink(self) -> None:
        blurred = Image.fromarray(written(gradient(), ink=0.6)).resize((80, 80))
        found = segment(np.asarray(blurred.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
        assert found is not None
        assert not found.is_blank


class TestWhatIsNotTheDigit:
    def test_a_box_around_it(self) -> None:
        pixels = Image.fromarray(written(0.9))
        ImageDraw.Draw(pixels).rectangle((25, 20, 135, 145), outline=20, width=4)
        found = segment(np.asarray(pixels))
        assert found is not None
        assert agreement(found.mask) > 0.8

    def test_the_dot_in_a_0_makes_no_box_of_it(self) -> None:
        pixels = Image.new("L", (SIDE, SIDE), 230)
        draw = ImageDraw.Draw(pixels)
        draw.rounded_rectangle((50, 30, 110, 130), 25, outline=30, width=8)
        draw.rectangle((76, 74, 84, 86), fill=30)
        found = segment(np.asarray(pixels))
        assert found is not None
        rows, columns = np.nonzero(found.mask)
        assert (rows.min(), rows.max()) == (30, 130)
        assert (columns.min(), columns.max()) == (50, 110)

    def test_a_thumb_that_shows_best_in_another_channel(self) -> None:
        pixels = Image.fromarray(written(0.9)).convert("RGB")
        ImageDraw.Draw(pixels).ellipse((-30, 110, 35, 190), (205, 150, 120))
        found = segment(np.asarray(pixels))
        assert found is not None
        assert agreement(found.mask) > 0.8

    def test_a_soft_shadow_with_more_contrast(self) -> None:
        paper = np.broadcast_to(np.linspace(0.5, 0.95, SIDE), (SIDE, SIDE))
        found = segment(written(paper, ink=0.8))
        assert found is not None
        assert found.dark
        assert agreement(found.mask) > 0.6
