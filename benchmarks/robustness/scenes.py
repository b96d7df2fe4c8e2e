"""Scenes: synthetic digits with what a photograph may show around them.

A scene draws one digit, with a hand and a place of its own, and says which pixels the digit covers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from export.synthetic.digits import draw_digit

Generator = np.random.Generator
Colour: TypeAlias = tuple[int, int, int]
Cover: TypeAlias = NDArray[np.float64]
"""How much of each pixel is ink: float64 (height, width), 0 to 1."""

HEIGHT, WIDTH = 480, 640
"""Size of most pictures, in pixels."""

WHITE, MANILA, PINE, SLATE = (240, 238, 230), (240, 215, 110), (120, 80, 50), (45, 50, 48)
BLUE, BLACK, GREY, RED = (38, 52, 120), (30, 30, 30), (80, 80, 80), (200, 40, 40)

PAGE = ((90, 40), (560, 70), (590, 450), (60, 430))
"""Corners of a page that lies on a table."""


class Scene(NamedTuple):
    """A picture of a digit.

    Attributes:
        picture: Mode RGB.
        cover: Where the digit's ink is, in the size of the picture or of the picture before it was
            scaled down.
    """

    picture: Image.Image
    cover: Cover


DrawScene: TypeAlias = Callable[[int, Generator], Scene]


def write(
    digit: int,
    generator: Generator,
    *,
    side: int = 260,
    corner: tuple[int, int] | None = None,
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> Cover:
    """Draw a digit.

    Args:
        digit: 0 to 9.
        generator: Decides the hand and, without `corner`, the place.
        side: Side of the square that the digit is drawn in, in pixels.
        corner: Top and left of that square; if None, the square is near the middle.
        size: Height and width of the whole picture.
    """
    cover = np.zeros(size)
    if corner is None:
        down, along = generator.integers(-30, 31), generator.integers(-60, 61)
        corner = (size[0] - side) // 2 + int(down), (size[1] - side) // 2 + int(along)
    top, left = corner
    cover[top : top + side, left : left + side] = draw_digit(digit, generator, side=side) / 255
    return cover


def photograph(
    cover: Cover,
    paper: Colour | NDArray[np.float64],
    ink: Colour,
    generator: Generator,
    *,
    strength: float = 0.9,
    grain: float = 3.0,
    light: NDArray[np.float64] | float = 1.0,
) -> Scene:
    """Put ink on paper and light it.

    Args:
        cover: Where the ink is.
        paper: One colour, or float64 (height, width, 3), 0 to 255.
        ink: Its colour.
        generator: Decides the grain.
        strength: How much full ink hides of the paper, 0 to 1.
        grain: Standard deviation of the noise, in grey levels.
        light: Factor of the brightness, a number or (height, width).
    """
    share = (cover * strength)[:, :, None]
    pixels = np.asarray(paper) * (1 - share) + np.asarray(ink) * share
    pixels = pixels * np.broadcast_to(light, cover.shape)[:, :, None]
    pixels = pixels + generator.normal(0, grain, (*cover.shape, 1))
    return Scene(Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), cover)


def _blank(colour: Colour = WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    paper = Image.new("RGB", (WIDTH, HEIGHT), colour)
    return paper, ImageDraw.Draw(paper)


def _pixels(paper: Image.Image) -> NDArray[np.float64]:
    return np.asarray(paper, np.float64)


def _ramp(first: float, last: float) -> NDArray[np.float64]:
    """Return light that changes from left to right."""
    return np.broadcast_to(np.linspace(first, last, WIDTH), (HEIGHT, WIDTH))


def _on(paper: Colour, ink: Colour, **look: Any) -> DrawScene:
    """Return a scene on paper of one colour; `look` as in `photograph`."""

    def draw(digit: int, generator: Generator) -> Scene:
        return photograph(write(digit, generator), paper, ink, generator, **look)

    return draw


def _page_on(
    table: Colour,
    ink: Colour = BLUE,
    *,
    corners: Sequence[tuple[int, int]] = PAGE,
    page: Colour = WHITE,
    side: int = 240,
    corner: tuple[int, int] | None = None,
    **look: Any,
) -> DrawScene:
    """Return a scene with a page on a table; `side` and `corner` as in `write`."""

    def draw(digit: int, generator: Generator) -> Scene:
        paper, pen = _blank(table)
        pen.polygon(corners, page)
        cover = write(digit, generator, side=side, corner=corner)
        return photograph(cover, _pixels(paper), ink, generator, **look)

    return draw


def _small(digit: int, generator: Generator) -> Scene:
    cover = write(digit, generator, side=170, size=(1500, 2000))
    return photograph(cover, WHITE, BLUE, generator)


def _corner(digit: int, generator: Generator) -> Scene:
    corner = int(generator.choice([10, 320])), int(generator.choice([10, 480]))
    return photograph(write(digit, generator, side=150, corner=corner), WHITE, BLUE, generator)


def _hairline(digit: int, generator: Generator) -> Scene:
    thick = write(digit, generator, side=440, corner=(20, 100))
    image = Image.fromarray(np.uint8(255 * thick)).resize((2 * WIDTH, 2 * HEIGHT))
    for _ in range(14):  # the same as one filter 29 pixels wide, but faster
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


def _ruled(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank()
    margin = int(generator.integers(60, 200))
    pen.line((margin, 0, margin, HEIGHT), (220, 90, 90), 3)
    for y in range(20, HEIGHT, 40):
        pen.line((0, y, WIDTH, y), (150, 170, 220), 2)
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _squared(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank()
    for at in range(5, WIDTH, 25):
        pen.line((at, 0, at, HEIGHT), (170, 170, 170), 2)
        pen.line((0, at, WIDTH, at), (170, 170, 170), 2)
    return photograph(write(digit, generator), _pixels(paper), GREY, generator)


def _dotted(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank()
    for y in range(10, HEIGHT, 30):
        for x in range(10, WIDTH, 30):
            pen.rectangle((x, y, x + 3, y + 3), (140, 140, 140))
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _form(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank()
    pen.rectangle((130, 50, 510, 430), outline=(20, 20, 20), width=6)
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _caption(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank()
    pen.text((40, 440), "Name: ____________  Date: 12.04.", BLACK, font_size=24)
    cover = write(digit, generator, side=240, corner=(90, 200))
    return photograph(cover, _pixels(paper), BLUE, generator)


def _screenshot(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank((255, 255, 255))
    pen.rectangle((0, 0, WIDTH, 36), GREY)
    pen.rectangle((0, 36, WIDTH, 70), (230, 230, 235))
    pen.text((12, 8), "Untitled", (240, 240, 240), font_size=16)
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


def _bleed_through(digit: int, generator: Generator) -> Scene:
    """Draw a digit, and faintly another one from the back of the page, mirrored."""
    cover = write(digit, generator)
    back = write(int(generator.integers(10)), generator)[:, ::-1]
    scene = photograph(np.maximum(cover, 0.14 * back), WHITE, BLUE, generator)
    return Scene(scene.picture, cover)


def _out_of_focus(digit: int, generator: Generator) -> Scene:
    picture, cover = _on(WHITE, BLUE)(digit, generator)
    return Scene(picture.filter(ImageFilter.GaussianBlur(8)), cover)


def _jpeg(digit: int, generator: Generator) -> Scene:
    picture, cover = _on(WHITE, BLUE)(digit, generator)
    file = io.BytesIO()
    picture.resize((160, 120)).save(file, "JPEG", quality=15)
    return Scene(Image.open(file), cover)


def _thumb(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank()
    pen.ellipse((-80, 330, 130, 560), (200, 150, 120))
    return photograph(write(digit, generator), _pixels(paper), BLUE, generator)


def _on_wood(digit: int, generator: Generator) -> Scene:
    paper, pen = _blank(PINE)
    for _ in range(60):
        x, shift = int(generator.integers(0, WIDTH)), int(generator.integers(-40, 40))
        red, green, blue = (int(each) for each in np.array(PINE) + generator.integers(-35, 45))
        pen.line((x, 0, x + shift, HEIGHT), (red, green, blue), int(generator.integers(1, 9)))
    pen.polygon([(120, 20), (600, 110), (520, 470), (40, 380)], WHITE)
    cover = write(digit, generator, side=220)
    return photograph(cover, _pixels(paper), BLUE, generator)


def _lit(light: Callable[[Generator], NDArray[np.float64]], **look: Any) -> DrawScene:
    """Return a scene on white paper in some light; `look` as in `photograph`."""

    def draw(digit: int, generator: Generator) -> Scene:
        cover = write(digit, generator)
        return photograph(cover, WHITE, BLUE, generator, light=light(generator), **look)

    return draw


def _dark_corners(_: Generator) -> NDArray[np.float64]:
    y, x = np.indices((HEIGHT, WIDTH))
    away = np.hypot((y - HEIGHT / 2) / HEIGHT, (x - WIDTH / 2) / WIDTH)
    return 1 - 0.8 * np.clip(away / 0.7, 0, 1) ** 2


def _lamp(generator: Generator) -> NDArray[np.float64]:
    y, x = np.indices((HEIGHT, WIDTH))
    middle = generator.integers(100, 380), generator.integers(150, 490)
    patch = np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / (2 * 130**2))
    return 0.3 + 0.75 * patch


def _half_in_shadow(generator: Generator, *, blur: float = 1.0) -> NDArray[np.float64]:
    """Darken one side of a line through the middle of the picture."""
    plan = Image.new("L", (WIDTH, HEIGHT), 255)
    top, bottom = generator.integers(200, 440, 2)
    ImageDraw.Draw(plan).polygon([(0, 0), (top, 0), (bottom, HEIGHT), (0, HEIGHT)], fill=95)
    return np.asarray(plan.filter(ImageFilter.GaussianBlur(blur)), np.float64) / 255


def _soft_shadow(generator: Generator) -> NDArray[np.float64]:
    return _half_in_shadow(generator, blur=40)


def _blinds(generator: Generator) -> NDArray[np.float64]:
    """Light through a blind: soft stripes."""
    y = np.arange(HEIGHT)[:, None] + generator.integers(0, 90)
    stripes = 0.8 + 0.2 * np.tanh(3 * np.sin(2 * np.pi * y / 90))
    return np.broadcast_to(stripes, (HEIGHT, WIDTH))


def _hand(generator: Generator) -> NDArray[np.float64]:
    """The shadow of a hand and a telephone that comes from below."""
    plan = Image.new("L", (WIDTH, HEIGHT), 255)
    brush = ImageDraw.Draw(plan)
    x = int(generator.integers(120, 420))
    brush.rectangle((x, 250, x + 160, HEIGHT), fill=120)
    brush.ellipse((x + 110, 330, x + 330, 620), fill=110)
    return np.asarray(plan.filter(ImageFilter.GaussianBlur(12)), np.float64) / 255


def _dim(digit: int, generator: Generator) -> Scene:
    return photograph(write(digit, generator), WHITE, BLUE, generator, light=0.22, grain=7)


def _candle(digit: int, generator: Generator) -> Scene:
    """Warm light from one side, on which white paper is orange."""
    cover = write(digit, generator)
    scene = photograph(cover, (250, 190, 120), BLACK, generator, light=_ramp(0.35, 1))
    return Scene(scene.picture, cover)


def _soft_focus(digit: int, generator: Generator) -> Scene:
    picture, cover = _lit(lambda _: _ramp(0.5, 1))(digit, generator)
    return Scene(picture.filter(ImageFilter.GaussianBlur(11)), cover)


def _moved(digit: int, generator: Generator) -> Scene:
    picture, cover = _on(WHITE, BLUE)(digit, generator)
    pixels = np.asarray(picture, np.float64)
    moved = np.mean([np.roll(pixels, step, axis=1) for step in range(-7, 8)], axis=0)
    return Scene(Image.fromarray(moved.astype(np.uint8)), cover)


SCENES: dict[str, DrawScene] = {
    "plain paper": _on(WHITE, BLUE),
    "small in 3 megapixels": _small,
    "in a corner": _corner,
    "pencil": _on(WHITE, GREY, strength=0.22),
    "pencil in shade": _on(WHITE, GREY, strength=0.25, light=_ramp(0.55, 1)),
    "highlighter": _on(WHITE, (250, 240, 60), strength=0.8),
    "red on manila": _on(MANILA, RED),
    "hairline": _hairline,
    "marker": _marker,
    "blackboard": _blackboard,
    "green board": _on((30, 80, 60), (195, 195, 188), grain=5, light=_ramp(0.7, 1.2)),
    "red on black": _on((10, 10, 12), (170, 20, 20)),
    "ruled with margin": _ruled,
    "squared": _squared,
    "dotted": _dotted,
    "box of a form": _form,
    "printed caption": _caption,
    "screenshot": _screenshot,
    "crumpled": _crumpled,
    "glare": _glare,
    "bleed-through": _bleed_through,
    "out of focus": _out_of_focus,
    "low-quality JPEG": _jpeg,
    "thumb": _thumb,
    "page on wood": _on_wood,
    "page in shade": _page_on((90, 60, 40), light=_ramp(0.55, 1)),
    "page on light table": _page_on((185, 180, 172)),
    "pencil on a page": _page_on((60, 50, 45), GREY, strength=0.4),
    "edge of a table": _page_on(
        (60, 45, 40), corners=[(0, 0), (520, 0), (560, HEIGHT), (0, HEIGHT)]
    ),
    "sticky note": _page_on(
        (140, 110, 80),
        BLACK,
        corners=[(180, 90), (470, 100), (460, 400), (170, 390)],
        page=(250, 235, 120),
        side=200,
        corner=(140, 220),
    ),
    "deep shade": _lit(lambda _: _ramp(0.12, 0.9)),
    "dark corners": _lit(_dark_corners),
    "patch of a lamp": _lit(_lamp),
    "half in shadow": _lit(_half_in_shadow),
    "soft shadow": _lit(_soft_shadow),
    "through a blind": _lit(_blinds),
    "shadow of a hand": _lit(_hand),
    "dim": _dim,
    "candlelight": _candle,
    "soft focus in shade": _soft_focus,
    "moved": _moved,
}
"""Draws a digit in each scene, by the scene's name."""
