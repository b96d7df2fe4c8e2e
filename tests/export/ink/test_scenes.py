"""Scenes are repeatable, their answers lie where the writing is, and they differ in kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from export.ink.light import _sharp_shadow, draw_light
from export.ink.marks import Digit, mark_over
from export.ink.page import Page
from export.ink.paper import clouds, draw_no_writing, draw_paper, lay_card
from export.ink.scenes import SIDE, Scene, compose
from export.ink.train import answers_of, loss_of
from export.ink.writing import Sources, draw, pen_width, write_digit, write_letter, write_sign

PEN_ALONE = Sources([], [], np.zeros((0, 28, 28), np.uint8))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    generator = np.random.default_rng(0)
    return [compose(PEN_ALONE, generator) for _ in range(80)]


def test_a_seed_gives_the_same_scenes(scenes: list[Scene]) -> None:
    generator = np.random.default_rng(0)
    for expected in scenes[:6]:
        for found, part in zip(compose(PEN_ALONE, generator), expected, strict=True):
            assert np.array_equal(found, part)


def test_their_form(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.picture.shape == (SIDE, SIDE, 3)
        assert scene.digit.shape == scene.mark.shape == (SIDE, SIDE)
        assert {part.dtype for part in scene} == {np.dtype(np.uint8)}


def test_most_have_digits_some_have_marks_and_some_neither(scenes: list[Scene]) -> None:
    digits = sum(bool(scene.digit.any()) for scene in scenes)
    marks = sum(bool(scene.mark.any()) for scene in scenes)
    neither = sum(not scene.digit.any() and not scene.mark.any() for scene in scenes)
    assert digits > 0.6 * len(scenes)
    assert marks > 0.2 * len(scenes)
    assert neither > 0


def test_writing_can_be_seen(scenes: list[Scene]) -> None:
    for scene in scenes:
        inside = scene.digit > 127
        if inside.sum() > 40:
            around = np.zeros_like(inside)
            rows, columns = np.nonzero(inside)
            around[
                max(0, rows.min() - 4) : rows.max() + 5,
                max(0, columns.min() - 4) : columns.max() + 5,
            ] = True
            around &= scene.digit == 0
            if around.any():
                difference = scene.picture[inside].mean(0) - scene.picture[around].mean(0)
                assert np.abs(difference).max() > 2


def test_a_pixel_is_no_digits_and_a_marks_at_once(scenes: list[Scene]) -> None:
    both = sum(int(((s.digit > 200) & (s.mark > 200)).sum()) for s in scenes)
    either = sum(int(((s.digit > 200) | (s.mark > 200)).sum()) for s in scenes)
    assert both < 0.01 * either


@pytest.mark.parametrize("length", [12.0, 40.0, 200.0])
def test_digits_signs_and_letters_have_the_length_that_is_wanted(length: float) -> None:
    generator = np.random.default_rng(1)
    for _ in range(8):
        for mask in (
            write_digit(PEN_ALONE, generator, length),
            write_letter(generator, length),
            write_sign(generator, length),
        ):
            assert mask.dtype == np.float32
            assert 0.4 * length <= max(mask.shape) <= 1.5 * length + 6
            assert mask.max() > 0.3
            assert 0 <= mask.min() <= mask.max() <= 1


def test_a_line_is_as_wide_as_its_pen() -> None:
    mask = draw([np.array([(0.0, 0.0), (0.0, 60.0)])], 6.0)
    assert mask[mask.shape[0] // 2].sum() == pytest.approx(6, abs=0.7)
    widths = [pen_width(100, np.random.default_rng(seed)) for seed in range(50)]
    assert min(widths) < 4
    assert max(widths) > 12


def test_papers_and_what_is_none_stay_pictures() -> None:
    generator = np.random.default_rng(2)
    for _ in range(30):
        for picture in (draw_paper(generator, (64, 96)), draw_no_writing(generator, (64, 96))):
            assert picture.shape == (64, 96, 3)
            assert np.isfinite(picture).all()
    assert clouds(generator, (40, 50), 5).shape == (40, 50)


def test_a_mark_over_a_digit_meets_it_and_leaves_it_whole() -> None:
    meeting = 0
    for seed in range(20):
        generator = np.random.default_rng(seed)
        page = Page(np.full((SIDE, SIDE, 3), 240, np.float32))
        page.digit[80:140, 100:112] = 1
        before = page.digit.copy()
        mark_over(page, generator, Digit(80, 100, 60, 12), 3.0, np.array([200, 30, 30], np.float32))
        assert np.array_equal(page.digit, before)
        assert page.mark.any()
        assert not page.mark[before > 0].any()
        meeting += bool(page.mark[79:141, 99:113].any())
    assert meeting >= 15


def test_light_is_a_factor_of_each_pixel() -> None:
    written = np.zeros((96, 128), bool)
    for seed in range(30):
        light = draw_light(np.random.default_rng(seed), written)
        assert (light.shape, light.dtype) == (written.shape, np.float32)
        assert 0 < light.min() <= light.max() < 3


def test_the_edges_of_sharp_shadows_run_through_the_writing_or_near_it() -> None:
    written = np.zeros((96, 128), bool)
    written[30:60, 50:70] = True
    crossed = 0
    for seed in range(60):
        near = _sharp_shadow(np.random.default_rng(seed), written)[22:68, 42:78]
        crossed += bool(near.max() > 1.1 * near.min())
    assert crossed > 40


@pytest.mark.parametrize("seed", range(12))
def test_a_card_covers_one_side_and_leaves_the_rest(seed: int) -> None:
    paper = np.full((120, 160, 3), 128, np.float32)
    box = (10, 20, 110, 150)
    left = lay_card(np.random.default_rng(seed), paper, box)
    assert sum(one != other for one, other in zip(left, box, strict=True)) == 1
    inside = paper[left[0] : left[2], left[1] : left[3]]
    assert np.median(np.abs(inside - 128)) < 1
    assert (np.abs(paper - 128).max(axis=2) > 5).mean() > 0.05


def test_a_pixel_that_is_half_covered_counts_as_written() -> None:
    batch = torch.zeros(1, 5, 2, 2, dtype=torch.uint8)
    batch[0, 3, 0, 0], batch[0, 4, 1, 1] = 127, 255
    written, mark = answers_of(batch)[0]
    assert written.tolist() == [[1, 0], [0, 1]]
    assert mark.tolist() == [[0, 0], [0, 1]]


def test_the_loss_is_least_for_the_right_answer_and_marks_count_on_writing_alone() -> None:
    answers = torch.zeros(1, 2, 4, 4)
    answers[0, :, 0, 0] = 1
    answers[0, 0, 1, 1] = 1
    right = torch.where(answers > 0, 8.0, -8.0)
    wrong_mark = right.clone()
    wrong_mark[0, 1, 1, 1] = 8.0
    elsewhere = right.clone()
    elsewhere[0, 1, 3, 3] = 8.0  # nothing is written there
    missed = right.clone()
    missed[0, 0, 0, 0] = -8.0
    best = float(loss_of(right, answers))
    assert best < float(loss_of(wrong_mark, answers))
    assert best == pytest.approx(float(loss_of(elsewhere, answers)))
    assert best < float(loss_of(missed, answers))
