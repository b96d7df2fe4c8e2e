"""The drawings of an evaluation show its figures."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from edge_adder.evaluation.drawings import MAX_TILES, confusion_matrix, contact_sheet


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def redness(png: bytes, true: int, answer: int) -> int:
    """How much redder than grey the upper left corner of a cell is."""
    red, green, _ = pixels(png)[44 + 52 * true + 4, 64 + 52 * answer + 4]
    return int(red - green)


def test_confusion_reddens_mistakes_by_how_often_they_were_made() -> None:
    matrix = [[0] * 10 for _ in range(10)]
    matrix[2][2], matrix[2][7], matrix[9][4] = 1000, 40, 4
    png = confusion_matrix(matrix, "title")
    assert redness(png, 2, 2) == redness(png, 0, 0) == 0
    assert redness(png, 2, 7) > redness(png, 9, 4) > 20
    without_one = confusion_matrix((10 * np.eye(10, dtype=int)).tolist(), "title")
    assert np.ptp(pixels(without_one), axis=2).max() == 0


@pytest.mark.parametrize(("count", "rows"), [(0, 0), (10, 1), (11, 2), (MAX_TILES + 5, 40)])
def test_a_contact_sheet_has_a_place_for_each_image(count: int, rows: int) -> None:
    images = np.full((count, 28, 28), 7, np.uint8)
    sheet = pixels(contact_sheet(images, ["4 as 9"] * count, "title"))
    assert sheet.shape == (rows * 108 + 56, 10 * 108 + 24, 3)
    shown = (sheet == 7).all(axis=2).sum() / 84**2
    assert shown == pytest.approx(min(count, MAX_TILES))


def test_captions_are_written() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    one, other = (pixels(contact_sheet(images, ["4 as 9", c], "title")) for c in ("a", "b"))
    assert (one != other).any()
