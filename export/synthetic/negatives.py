"""Negatives: synthetic images of non-digits, such as letters, several digits, scribbles, textures.

The network learns to give every digit the same probability here (Hendrycks, Mazeika, Dietterich,
"Deep anomaly detection with outlier exposure", 2019), so that its answer to a non-digit is
uncertain. `benchmarks.robustness.uncertain` measures it on other pictures, which other code draws.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from edge_adder.contract import FULL_INK, IMAGE_SIDE
from edge_adder.errors import InputError
from edge_adder.preprocessing.morphology import bounding_box
from edge_adder.preprocessing.normalize import normalize

from .digits import draw_digit
from .strokes import arc, draw_strokes

NON_DIGIT = -1
"""Label of an image that shows no digit."""

SIGNS = "ACEFHKMNPQRTVWXacdefhkmnprtvwxΓΔΞΠΣΦΨΩαημξπφψωДЖЙФШЩЮЯ#%@+=*<>±"
"""Letters and signs, without those that may be written like a digit: O is 0, I and l are 1, Z is 2,
S is 5, G and b are 6, B is 8, g and q are 9."""

_FONTS = (
    "DejaVuSans",
    "DejaVuSans-Oblique",
    "DejaVuSerif",
    "DejaVuSerif-Italic",
    "DejaVuSansMono",
    "STIXGeneral",
    "STIXGeneralItalic",
)
"""Fonts that matplotlib carries, with all of `SIGNS`."""

_MIN_AXIS_RATIO = 0.5
"""Smallest `axis_ratio` of filled shapes and scribbles; of MNIST's digits 1 nineteen in twenty are
below 0.3, and of each other digit nineteen in twenty above."""

_SIDE = 96
"""Height and width of the images before they are brought into MNIST's format, in pixels."""

Generator = np.random.Generator
Ink = NDArray[np.uint8]


def _sign(generator: Generator) -> Ink:
    """Draw a letter or a sign of a font."""
    face = font(generator)
    sign = SIGNS[int(generator.integers(len(SIGNS)))]
    image = Image.new("L", (_SIDE, _SIDE))
    ImageDraw.Draw(image).text((_SIDE / 2, _SIDE / 2), sign, 255, face, anchor="mm")
    return np.asarray(image)


def font(generator: Generator) -> ImageFont.FreeTypeFont:
    """Return one of the fonts, at two thirds of the images' height.

    Raises:
        InputError: matplotlib, whose fonts they are, is not installed.
    """
    return _font(_FONTS[int(generator.integers(len(_FONTS)))])


@functools.cache
def _font(name: str) -> ImageFont.FreeTypeFont:
    package = importlib.util.find_spec("matplotlib")  # importing it would write to HOME
    if package is None or package.origin is None:
        raise InputError("negatives are drawn with matplotlib's fonts: pip install matplotlib")
    path = Path(package.origin).parent / "mpl-data" / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(path), _SIDE * 2 // 3)


def _several(generator: Generator) -> Ink:
    """Draw two or three digits beside each other, some of them touching."""
    count = 2 if generator.random() < 0.7 else 3
    apart = generator.uniform(0.5, 0.8)
    canvas = np.zeros((_SIDE * 2, _SIDE * 4), np.uint8)
    for index in range(count):
        digit = draw_digit(int(generator.integers(10)), generator, side=_SIDE)
        top = _SIDE // 2 + int(generator.integers(-_SIDE // 6, _SIDE // 6 + 1))
        left = round(index * apart * _SIDE)
        part = canvas[top : top + _SIDE, left : left + _SIDE]
        np.maximum(part, digit, out=part)
    return canvas


def _scribble(generator: Generator) -> Ink:
    """Draw four to six strokes from anywhere to anywhere, straight or bent."""
    strokes = []
    for _ in range(int(generator.integers(4, 7))):
        kind = generator.random()
        if kind < 0.4:
            points = generator.random((int(generator.integers(3, 7)), 2))
            strokes.append([(float(x), float(y)) for x, y in points])
        elif kind < 0.7:
            centre, radii = generator.random(2), generator.uniform(0.1, 0.5, 2)
            start = generator.uniform(0, 360)
            strokes.append(
                arc(
                    (float(centre[0]), float(centre[1])),
                    (float(radii[0]), float(radii[1])),
                    start,
                    start + generator.uniform(60, 720),
                )
            )
        else:
            steps = generator.normal(0, 1, (40, 2)).cumsum(axis=0)
            steps = np.stack([np.convolve(each, np.ones(6) / 6, "valid") for each in steps.T], 1)
            strokes.append([(float(x), float(y)) for x, y in steps / 8])
    return draw_strokes(strokes, generator, side=_SIDE)


def _texture(generator: Generator) -> Ink:
    """Fill the image with stripes, dots or clouds."""
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / _SIDE
    kind, angle = generator.random(), generator.uniform(0, np.pi)
    waves = generator.uniform(3, 12)
    along = np.cos(angle) * x + np.sin(angle) * y
    across = np.sin(angle) * x - np.cos(angle) * y
    if kind < 0.35:
        values = np.sin(2 * np.pi * waves * along)
    elif kind < 0.65:
        values = np.sin(2 * np.pi * waves * along) * np.sin(2 * np.pi * waves * across)
    else:
        values = _clouds(generator, round(waves))
    return _as_ink(values > generator.uniform(-0.3, 0.6), generator)


def _clouds(generator: Generator, cells: int) -> NDArray[np.float64]:
    noise = Image.fromarray(generator.normal(0, 1, (cells, cells)).astype(np.float32))
    return np.asarray(noise.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), np.float64)


def _noise(generator: Generator) -> Ink:
    """Draw random pixels, large or small."""
    side = int(generator.integers(8, 40))
    dots = generator.random((side, side)) < generator.uniform(0.05, 0.6)
    image = Image.fromarray(dots.astype(np.uint8) * np.uint8(FULL_INK))
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.NEAREST))


def _blob(generator: Generator) -> Ink:
    """Draw a filled shape: a box, a disc, a polygon or a cloud, some with two or three holes."""
    image = Image.new("L", (_SIDE, _SIDE))
    draw = ImageDraw.Draw(image)
    kind = generator.random()
    if kind < 0.3:
        half = generator.uniform(0.15, 0.48, 2) * _SIDE
        middle = _SIDE / 2
        box = (middle - half[0], middle - half[1], middle + half[0], middle + half[1])
        if generator.random() < 0.5:
            draw.rectangle(box, fill=255)
        else:
            draw.ellipse(box, fill=255)
    elif kind < 0.6:
        corners = generator.random((int(generator.integers(3, 9)), 2)) * _SIDE
        draw.polygon([(float(px), float(py)) for px, py in corners], fill=255)
    else:
        clouds = _clouds(generator, 5) > generator.uniform(-0.2, 0.4)
        image = Image.fromarray(clouds.astype(np.uint8) * np.uint8(FULL_INK))
        draw = ImageDraw.Draw(image)
    for _ in range(int(generator.choice([0, 2, 3]))):  # with one hole it may be a 0
        px, py = generator.random(2) * _SIDE
        size = generator.uniform(3, 14)
        draw.ellipse((px - size, py - size, px + size, py + size), fill=0)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(generator.uniform(0.5, 3))))


def _face(generator: Generator) -> Ink:
    """Draw an outline with eyes and a mouth."""
    strokes = [arc((0.5, 0.5), (0.5, float(generator.uniform(0.4, 0.65))), 0, 360)]
    for px in (0.3, 0.7):
        size = float(generator.uniform(0.02, 0.1))
        strokes.append(arc((px, float(generator.uniform(0.3, 0.45))), (size, size), 0, 360))
    width, height = float(generator.uniform(0.1, 0.25)), float(generator.uniform(0.02, 0.15))
    strokes.append(arc((0.5, 0.7), (width, height), 10, float(generator.uniform(170, 380))))
    return draw_strokes(strokes, generator, side=_SIDE)


def _as_ink(mask: NDArray[np.bool_], generator: Generator) -> Ink:
    """Return a mask as ink within a random window, with soft edges."""
    low, high = generator.integers(0, _SIDE // 4, 2), generator.integers(3 * _SIDE // 4, _SIDE, 2)
    window = np.zeros_like(mask)
    window[low[0] : high[0], low[1] : high[1]] = True
    image = Image.fromarray((mask & window).astype(np.uint8) * np.uint8(FULL_INK))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)))


_KINDS: tuple[Callable[[Generator], Ink], ...] = (
    _sign,
    _several,
    _scribble,
    _sign,
    _texture,
    _blob,
    _sign,
    _noise,
    _scribble,
    _sign,
    _several,
    _face,
)


def draw_negatives(count: int, *, seed: int = 0) -> Ink:
    """Draw images of non-digits, each kind in turn.

    Returns:
        uint8 (count, 1, 28, 28), in MNIST's format as `edge_adder.preprocessing.normalize` makes
        it; 0 = background, 255 = full ink.

    Raises:
        InputError: matplotlib, whose fonts are used, is not installed.
    """
    generator = np.random.default_rng(seed)
    images = np.zeros((count, 1, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    for index, image in enumerate(images):
        image[0] = normalize(_draw_usable(_KINDS[index % len(_KINDS)], generator))[0]
    return images


def _draw_usable(draw: Callable[[Generator], Ink], generator: Generator) -> Ink:
    """Draw until the image is visible and not as slender as a 1; return its bounding box."""
    while True:
        ink = draw(generator)
        if ink.max() < FULL_INK // 2:
            continue
        cut = np.ascontiguousarray(ink[bounding_box(ink >= FULL_INK // 4)])
        if draw not in (_blob, _scribble) or axis_ratio(cut) >= _MIN_AXIS_RATIO:
            return cut


def axis_ratio(ink: Ink) -> float:
    """Return the ratio of ink's minor to its major axis: 1 for a disc, near 0 for a line.

    The axes are standard deviations: roots of the eigenvalues of the covariance of the ink's
    positions.

    Args:
        ink: uint8 (height, width).
    """
    y, x = np.indices(ink.shape)
    minor, major = np.linalg.eigvalsh(np.cov(y.ravel(), x.ravel(), aweights=ink.ravel()))
    return math.sqrt(max(0.0, minor) / major)
