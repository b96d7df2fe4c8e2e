"""The same drawn digits on paper of all sorts, to see what preparation stumbles over.

python -m benchmarks.robustness.conditions draws digits as `export.synthetic.digits` does and puts them on boards, squared
paper, tables, in shadow and under glare. It prints, by condition, how many were found where they
stand and how many were read, and draws a sheet of examples with the network's input.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.report import table
from benchmarks.robustness.photos import beside
from edge_adder import EdgeAdder
from edge_adder.errors import ImageError
from edge_adder.evaluation.figures import contact_sheet
from edge_adder.evaluation.report import percent
from edge_adder.files import write_atomically
from edge_adder.preprocessing.normalize import bounding_box
from edge_adder.preprocessing.prepare import Box, prepare
from export.synthetic.digits import draw_digit

Generator = np.random.Generator
Cover = NDArray[np.float64]
"""How much of each pixel is ink, float64 (height, width), 0 to 1."""

HEIGHT, WIDTH = 480, 640
COUNT = 20
"""Digits for each condition, unless another count is named."""

FOUND = 0.7
"""Least share of the area of two boxes together that both cover, to be the same."""

WHITE, MANILA, PINE, SLATE = (240, 238, 230), (240, 215, 110), (120, 80, 50), (45, 50, 48)
BLUE, BLACK, GREY, RED = (38, 52, 120), (30, 30, 30), (80, 80, 80), (200, 40, 40)


class Scene(NamedTuple):
    """A picture and where its digit stands: `Cover` of the whole picture."""

    picture: Image.Image
    cover: Cover


def write(
    digit: int,
    generator: Generator,
    *,
    side: int = 260,
    corner: tuple[int, int] | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Cover:
    """A digit near the middle of a sheet, or in a square whose top and left are named."""
    cover = np.zeros(size)
    if corner is None:
        down, along = generator.integers(-30, 31), generator.integers(-60, 61)
        corner = (size[0] - side) // 2 + int(down), (size[1] - side) // 2 + int(along)
    top, left = corner
    cover[top : top + side, left : left + side] = draw_digit(digit, generator, side=side) / 255
    return cover


def photograph(
    cover: Cover,
    paper: tuple[int, int, int] | NDArray[np.float64],
    ink: tuple[int, int, int],
    generator: Generator,
    *,
    strength: float = 0.9,
    grain: float = 3.0,
    light: NDArray[np.float64] | float = 1.0,
) -> Scene:
    """Ink on paper, with grain, under a light: (height, width), or 1 for an even one."""
    share = (cover * strength)[:, :, None]
    pixels = np.asarray(paper) * (1 - share) + np.asarray(ink) * share
    pixels = pixels * np.broadcast_to(light, cover.shape)[:, :, None]
    pixels = pixels + generator.normal(0, grain, (*cover.shape, 1))
    return Scene(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), cover)


def _blank(colour: tuple[int, int, int] = WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    paper = Image.new("RGB", (WIDTH, HEIGHT), colour)
    return paper, ImageDraw.Draw(paper)


def _pixels(paper: Image.Image) -> NDArray[np.float64]:
    return np.asarray(paper, np.float64)


def _ramp(first: float, last: float) -> NDArray[np.float64]:
    """Light that changes from left to right."""
    return np.broadcast_to(np.linspace(first, last, WIDTH), (HEIGHT, WIDTH))


def _plain(digit: int, generator: Generator) -> Scene:
    return photograph(write(digit, generator), WHITE, BLUE, generator)


def _small(digit: int, generator: Generator) -> Scene:
    cover = write(digit, generator, side=170, size=(1500, 2000))
    return photograph(cover, WHITE, BLUE, generator)


def _corner(digit: int, generator: Generator) -> Scene:
    corner = int(generator.choice([10, 320])), int(generator.choice([10, 480]))
    return photograph(write(digit, generator, side=150, corner=corner), WHITE, BLUE, generator)


def _pencil(digit: int, generator: Generator) -> Scene:
    return photograph(write(digit, generator), WHITE, GREY, generator, strength=0.22)


def _pencil_in_shade(digit: int, generator: Generator) -> Scene:
    light = _ramp(0.55, 1)
    return photograph(write(digit, generator), WHITE, GREY, generator, strength=0.25, light=light)


def _pencil_on_table(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank((60, 50, 45))
    draw.polygon([(90, 40), (560, 70), (590, 450), (60, 430)], WHITE)
    cover = write(digit, generator, side=240)
    return photograph(cover, _pixels(paper), GREY, generator, strength=0.4)


def _highlighter(digit: int, generator: Generator) -> Scene:
    return photograph(write(digit, generator), WHITE, (250, 240, 60), generator, strength=0.8)


def _red_on_manila(digit: int, generator: Generator) -> Scene:
    return photograph(write(digit, generator), MANILA, RED, generator)


def _hairline(digit: int, generator: Generator) -> Scene:
    thick = write(digit, generator, side=440, corner=(20, 100))
    image = Image.fromarray(np.uint8(255 * thick)).resize((2 * WIDTH, 2 * HEIGHT))
    for _ in range(14):  # as one filter of 29, but quicker
        image = image.filter(ImageFilter.MinFilter(3))
    thin = np.asarray(image.resize((WIDTH, HEIGHT)))
    return photograph(thin / 255, WHITE, BLACK, generator, strength=1)


def _marker(digit: int, generator: Generator) -> Scene:
    cover = write(digit, generator, side=300, corner=(80, 160))
    bold = Image.fromarray(np.uint8(255 * cover)).filter(ImageFilter.MaxFilter(13))
    return photograph(np.asarray(bold) / 255, WHITE, BLACK, generator, strength=1)


def _blackboard(digit: int, generator: Generator) -> Scene:
    cover = write(digit, generator)
    chalk = cover * np.clip(generator.normal(0.75, 0.2, cover.shape), 0, 1)
    scene = photograph(chalk, SLATE, (225, 225, 220), generator, strength=1, grain=6)
    return Scene(scene.picture, cover)


def _green_board(digit: int, generator: Generator) -> Scene:
    cover, light = write(digit, generator), _ramp(0.7, 1.2)
    return photograph(cover, (30, 80, 60), (195, 195, 188), generator, grain=5, light=light)


def _red_on_black(digit: int, generator: Generator) -> Scene:
    return photograph(write(digit, generator), (10, 10, 12), (170, 20, 20), generator)


def _ruled(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank()
    margin = int(generator.integers(60, 200))
    draw.line((margin, 0, margin, HEIGHT), (220, 90, 90), 3)
    for y in range(20, HEIGHT, 40):
        draw.line((0, y, WIDTH, y), (150, 170, 220), 2)
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _squared(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank()
    for at in range(5, WIDTH, 25):
        draw.line((at, 0, at, HEIGHT), (170, 170, 170), 2)
        draw.line((0, at, WIDTH, at), (170, 170, 170), 2)
    return photograph(write(digit, generator), _pixels(paper), GREY, generator)


def _dotted(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank()
    for y in range(10, HEIGHT, 30):
        for x in range(10, WIDTH, 30):
            draw.rectangle((x, y, x + 3, y + 3), (140, 140, 140))
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _form(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank()
    draw.rectangle((130, 50, 510, 430), outline=(20, 20, 20), width=6)
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _caption(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank()
    draw.text((40, 440), "Name: ____________  Date: 12.04.", BLACK, font_size=24)
    cover = write(digit, generator, side=240, corner=(90, 200))
    return photograph(cover, _pixels(paper), BLUE, generator)


def _screenshot(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank((255, 255, 255))
    draw.rectangle((0, 0, WIDTH, 36), GREY)
    draw.rectangle((0, 36, WIDTH, 70), (230, 230, 235))
    draw.text((12, 8), "Untitled", (240, 240, 240), font_size=16)
    cover = write(digit, generator, side=300, corner=(120, 170))
    return photograph(cover, _pixels(paper), BLACK, generator, strength=1, grain=0)


def _crumpled(digit: int, generator: Generator) -> Scene:
    folds = Image.fromarray(generator.integers(0, 256, (10, 13)).astype(np.uint8))
    light = 0.7 + 0.3 * np.asarray(folds.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)) / 255
    return photograph(write(digit, generator), WHITE, BLUE, generator, light=light)


def _glare(digit: int, generator: Generator) -> Scene:
    y, x = np.indices((HEIGHT, WIDTH))
    down, along = y - generator.integers(0, HEIGHT), x - generator.integers(0, WIDTH)
    light = 0.8 + 0.45 * np.exp(-(down**2 + along**2) / (2 * 110**2))
    return photograph(write(digit, generator), (215, 218, 220), BLUE, generator, light=light)


def _other_side(digit: int, generator: Generator) -> Scene:
    cover = write(digit, generator)
    through = write(int(generator.integers(10)), generator)[:, ::-1]
    scene = photograph(np.maximum(cover, 0.14 * through), WHITE, BLUE, generator)
    return Scene(scene.picture, cover)


def _blurred(digit: int, generator: Generator) -> Scene:
    picture, cover = _plain(digit, generator)
    return Scene(picture.filter(ImageFilter.GaussianBlur(8)), cover)


def _compressed(digit: int, generator: Generator) -> Scene:
    picture, cover = _plain(digit, generator)
    file = io.BytesIO()
    picture.resize((160, 120)).save(file, "JPEG", quality=15)
    return Scene(Image.open(file), cover)


def _thumb(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank()
    draw.ellipse((-80, 330, 130, 560), (200, 150, 120))
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _on_wood(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank(PINE)
    for _ in range(60):
        x, shift = int(generator.integers(0, WIDTH)), int(generator.integers(-40, 40))
        red, green, blue = (int(each) for each in np.array(PINE) + generator.integers(-35, 45))
        draw.line((x, 0, x + shift, HEIGHT), (red, green, blue), int(generator.integers(1, 9)))
    draw.polygon([(120, 20), (600, 110), (520, 470), (40, 380)], WHITE)
    cover = write(digit, generator, side=220)
    return photograph(cover, _pixels(paper), BLUE, generator)


def _on_table_in_shade(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank((90, 60, 40))
    draw.polygon([(90, 40), (560, 70), (590, 450), (60, 430)], WHITE)
    cover = write(digit, generator, side=240)
    return photograph(cover, _pixels(paper), BLUE, generator, light=_ramp(0.55, 1))


def _on_light_table(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank((185, 180, 172))
    draw.polygon([(90, 40), (560, 70), (590, 450), (60, 430)], WHITE)
    return photograph(write(digit, generator, side=240), _pixels(paper), BLUE, generator)


def _table_at_the_side(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank((60, 45, 40))
    draw.polygon([(0, 0), (520, 0), (560, HEIGHT), (0, HEIGHT)], WHITE)
    return photograph(write(digit, generator, side=240), _pixels(paper), BLUE, generator)


def _sticky_note(digit: int, generator: Generator) -> Scene:
    paper, draw = _blank((140, 110, 80))
    draw.polygon([(180, 90), (470, 100), (460, 400), (170, 390)], (250, 235, 120))
    cover = write(digit, generator, side=200, corner=(140, 220))
    return photograph(cover, _pixels(paper), BLACK, generator)


CONDITIONS: dict[str, Callable[[int, Generator], Scene]] = {
    "plain paper": _plain,
    "small, of 3 megapixels": _small,
    "in a corner": _corner,
    "pencil": _pencil,
    "pencil in shade": _pencil_in_shade,
    "highlighter": _highlighter,
    "red on manila": _red_on_manila,
    "hairline": _hairline,
    "marker": _marker,
    "blackboard": _blackboard,
    "green board": _green_board,
    "red on black": _red_on_black,
    "ruled, with margin": _ruled,
    "squared": _squared,
    "dotted": _dotted,
    "box of a form": _form,
    "printed caption": _caption,
    "screenshot": _screenshot,
    "crumpled": _crumpled,
    "glare": _glare,
    "other side shows": _other_side,
    "out of focus": _blurred,
    "bad JPEG": _compressed,
    "thumb": _thumb,
    "sheet on wood": _on_wood,
    "sheet in shade": _on_table_in_shade,
    "sheet on light table": _on_light_table,
    "pencil on a table": _pencil_on_table,
    "table at the side": _table_at_the_side,
    "sticky note": _sticky_note,
}
"""Name → how a digit looks there."""


def main(
    model: Annotated[Path | None, typer.Option(help="The ONNX file; else the bundled one.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Digits for each condition.")] = COUNT,
    out: Annotated[Path, typer.Option(help="The sheet of examples.")] = Path("runs/conditions.png"),
) -> None:
    """Print how many digits are found and read, by condition, and draw an example of each."""
    outcomes = measure_all(EdgeAdder(model), count)
    rows = [
        (name, percent(each.found / count), percent(each.read / count))
        for name, each in outcomes.items()
    ]
    print(table(("condition", "found", "read"), rows))
    write_atomically(out, sheet(outcomes, count))
    print(out)


class Outcome(NamedTuple):
    """What came of the digits under a condition.

    Attributes:
        found: How many had a box where the digit stands.
        read: How many were read.
        example: One that was not read, or else the first, beside the network's input.
    """

    found: int
    read: int
    example: NDArray[np.uint8]


def measure_all(adder: EdgeAdder, count: int) -> dict[str, Outcome]:
    """`measure` of each condition, beginning with another digit each, so that examples differ."""
    return {
        name: measure(adder, name, count, first_digit=index % 10)
        for index, name in enumerate(CONDITIONS)
    }


def sheet(outcomes: dict[str, Outcome], count: int) -> bytes:
    """A picture of an example of each condition: PNG."""
    captions = [f"{name}: {each.read} of {count}" for name, each in outcomes.items()]
    tiles = np.stack([each.example for each in outcomes.values()])
    return contact_sheet(tiles, captions, "Digits read, and one example of each")


def measure(
    adder: EdgeAdder, condition: str, count: int, *, first_digit: int = 0, seed: int = 5
) -> Outcome:
    """Draw digits under a condition of `CONDITIONS`, in turn, and ask for them."""
    generator = np.random.default_rng(seed)
    found = read = 0
    first = wrong = None
    for index in range(count):
        digit = (first_digit + index) % 10
        scene = CONDITIONS[condition](digit, generator)
        try:
            seen, told = prepare(scene.picture)
        except ImageError:
            seen, right = np.zeros((28, 28), np.uint8), False
        else:
            found += told.box is not None and _overlap(told.box, _box(scene.cover)) >= FOUND
            right = adder.predict_prepared(seen, told, 0).digit == digit
            read += right
        if first is None or (wrong is None and not right):
            tile = beside(np.asarray(scene.picture), seen)
            first, wrong = first if first is not None else tile, None if right else tile
    assert first is not None  # noqa: S101  count is at least 1
    return Outcome(found, read, first if wrong is None else wrong)


def _box(cover: Cover) -> Box:
    rows, columns = bounding_box(cover > 0.5)
    height, width = cover.shape
    return columns.start / width, rows.start / height, columns.stop / width, rows.stop / height


def _overlap(one: Box, other: Box) -> float:
    """Area of two boxes' intersection over that of their union."""
    both = _area((*np.maximum(one[:2], other[:2]), *np.minimum(one[2:], other[2:])))
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> float:
    left, top, right, bottom = box
    return float(max(0.0, right - left) * max(0.0, bottom - top))


if __name__ == "__main__":
    typer.run(main)
