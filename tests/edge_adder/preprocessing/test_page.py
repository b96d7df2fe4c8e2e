"""A page on something darker is found, and nothing else is taken for one."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder.preprocessing.page import crop_to_page
from edge_adder.preprocessing.prepare import prepare

HEIGHT, WIDTH = 150, 200
UPRIGHT = [(30, 15), (175, 20), (180, 140), (25, 135)]
ROTATED = [(45, 8), (190, 45), (160, 142), (15, 105)]


def scene(
    corners: list[tuple[int, int]] = UPRIGHT, *, paper: int = 230, table: int = 60, ink: int = 40
) -> np.ndarray:
    """A 2 on a page on a table: uint8 (150, 200)."""
    picture = Image.new("L", (WIDTH, HEIGHT), table)
    draw = ImageDraw.Draw(picture)
    draw.polygon(corners, paper)
    strokes = [(80, 50), (120, 45), (118, 70), (85, 105), (122, 105)]
    draw.line(strokes, fill=ink, width=7, joint="curve")
    return np.asarray(picture)


@pytest.mark.parametrize("corners", [UPRIGHT, ROTATED])
@pytest.mark.parametrize(
    ("paper", "table", "ink"), [(230, 60, 10), (230, 150, 10), (150, 30, 10), (230, 20, 130)]
)
def test_paper_goes_on_where_the_table_was(
    corners: list[tuple[int, int]], paper: int, table: int, ink: int
) -> None:
    pixels = scene(corners, paper=paper, table=table, ink=ink)
    found = crop_to_page(pixels)
    assert found.shape == pixels.shape
    assert not (found == table).any()
    assert np.array_equal(found == ink, pixels == ink)
    assert (found[[0, -1]] == paper).all()


def test_a_light_line_from_the_page_along_the_edge_of_the_picture() -> None:
    pixels = scene([(40, 30), (WIDTH, 30), (WIDTH, 135), (35, 130)]).copy()
    pixels[10:40, -1] = 230
    assert not (crop_to_page(pixels) == 60).any()


def test_a_page_may_lie_in_shade() -> None:
    light = np.linspace(0.3, 1, WIDTH)
    assert crop_to_page((scene(table=20, ink=10) * light).astype(np.uint8)) is not None


def test_colours_stay() -> None:
    grey = scene()
    found = crop_to_page(np.stack([grey, grey // 2 + 100, grey], axis=2))
    assert {tuple(each) for each in found.reshape(-1, 3)} == {(230, 215, 230), (40, 120, 40)}


def test_the_network_sees_the_same_as_without_the_table() -> None:
    image, preparation = prepare(scene())
    alone, other = prepare(scene([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)]))
    assert preparation.cropped_to_page
    assert not other.cropped_to_page
    assert np.abs(image.astype(int) - alone).max() <= 8
    assert preparation.box == other.box


def test_no_page_is_looked_for_with_light_ink() -> None:
    _, preparation = prepare(scene(), ink="light")
    assert not preparation.cropped_to_page
    assert preparation.box is not None
    left, top, right, bottom = preparation.box  # of the page, which is the ink
    assert (right - left) * (bottom - top) > 0.5


def bold(shape: str) -> np.ndarray:
    """A light digit on black with a hole, as wide as a brush makes it."""
    picture = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(picture)
    if shape == "0":
        draw.ellipse((50, 5, 150, 145), 255)
        draw.ellipse((92, 45, 108, 105), 0)
    else:
        draw.polygon([(40, 95), (110, 5), (140, 5), (140, 145), (105, 145), (105, 110)], 255)
        draw.polygon([(75, 82), (105, 45), (105, 82)], 0)
    return np.asarray(picture)


def fading_light() -> np.ndarray:
    y, x = np.indices((HEIGHT, WIDTH))
    light = np.exp(-(((x - 100) / 60) ** 2 + ((y - 75) / 45) ** 2))
    return (np.uint8(60 + 180 * light) * (scene() != 40)).astype(np.uint8)


@pytest.mark.parametrize(
    "pixels",
    [
        bold("0"),
        bold("4"),
        scene([(0, 0), (150, 0), (160, HEIGHT), (0, HEIGHT)]),  # paper along three edges
        np.full((HEIGHT, WIDTH), 200, np.uint8),
        np.random.default_rng(0).integers(50, 70, (HEIGHT, WIDTH)).astype(np.uint8),
        scene(ink=230),  # nothing is written on it
        fading_light(),
        np.asarray(Image.fromarray(scene()).resize((80, 60))),
    ],
    ids=["bold 0", "bold 4", "edges", "blank", "table", "unwritten", "fading", "small"],
)
def test_what_is_no_page(pixels: np.ndarray) -> None:
    assert crop_to_page(pixels) is None
