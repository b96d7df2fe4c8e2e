"""Drawings of an evaluation as PNG: the confusion matrix and a contact sheet of images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edge_adder.contract import DIGITS, IMAGE_SIDE
from edge_adder.preprocessing.decode import encode_png

MAX_TILES = 400
"""Maximum number of images on a contact sheet."""

_BLACK, _GREY, _WHITE, _RED = (20, 20, 20), (150, 150, 150), (255, 255, 255), (214, 39, 40)
_CELL, _MARGIN = 52, 64  # of the confusion matrix, in pixels
_ZOOM = 3  # of images in MNIST's format
_GAP, _SHEET_WIDTH = 12, 1080  # of the contact sheet, in pixels


def confusion_matrix(matrix: Sequence[Sequence[int]], title: str) -> bytes:
    """Draw a confusion matrix; wrong answers are the redder, the more there are.

    Args:
        matrix: 10 × 10 counts: ``[true digit][answered digit]``.
        title: Text above it.

    Returns:
        Content of a PNG file.
    """
    side = _MARGIN + DIGITS * _CELL
    picture = Image.new("RGB", (side + 16, side + 56), _WHITE)
    draw = ImageDraw.Draw(picture)
    mistakes = [matrix[t][a] for t in range(DIGITS) for a in range(DIGITS) if t != a]
    most = max(1, *mistakes)
    write_text(draw, (side / 2 + 8, 20), title, size=15)
    write_text(draw, (_MARGIN + DIGITS * _CELL / 2, side + 40), "answered digit", size=14)
    sideways = Image.new("RGB", (120, 20), _WHITE)
    write_text(ImageDraw.Draw(sideways), (60, 10), "true digit", size=14)
    picture.paste(sideways.rotate(90, expand=True), (8, side // 2 - 20))
    for true in range(DIGITS):
        top = 44 + true * _CELL
        write_text(draw, (_MARGIN - 14, top + _CELL / 2), str(true), size=14)
        write_text(draw, (_MARGIN + (true + 0.5) * _CELL, side - 8), str(true), size=14)
        for answer in range(DIGITS):
            left, count = _MARGIN + answer * _CELL, matrix[true][answer]
            share = 0.15 + 0.6 * count / most if count and true != answer else 0.0
            colour = tuple(round(w + (r - w) * share) for w, r in zip(_WHITE, _RED, strict=True))
            box = (left, top, left + _CELL - 2, top + _CELL - 2)
            draw.rectangle(box, fill=colour, outline=(235, 235, 235))
            if count:
                centre = (left + _CELL / 2 - 1, top + _CELL / 2 - 1)
                shade = _GREY if true == answer else _BLACK
                write_text(draw, centre, f"{count:,}", size=13, fill=shade)
    return encode_png(np.asarray(picture))


def contact_sheet(images: NDArray[np.uint8], captions: Sequence[str], title: str) -> bytes:
    """Draw images side by side, each with a caption below it.

    Args:
        images: uint8 (count, height, width), or (count, height, width, 3) for colour; the first
            `MAX_TILES` are shown. Images of 28×28 are enlarged threefold.
        captions: One for each image.
        title: Text above them.

    Returns:
        Content of a PNG file.
    """
    shown = min(len(images), MAX_TILES)
    if shown < len(images):
        title += f"; the first {shown} are shown"
    zoom = _ZOOM if images.shape[1] == IMAGE_SIDE else 1
    tile = images.shape[2] * zoom, images.shape[1] * zoom
    width, height = tile[0] + 2 * _GAP, tile[1] + 24
    columns = max(1, _SHEET_WIDTH // width)
    rows = -(-shown // columns)
    picture = Image.new("RGB", (columns * width + 2 * _GAP, rows * height + 56), _WHITE)
    draw = ImageDraw.Draw(picture)
    write_text(draw, (picture.width / 2, 24), title, size=15)
    for index, (image, caption) in enumerate(zip(images[:shown], captions, strict=False)):
        row, column = divmod(index, columns)
        left, top = 2 * _GAP + column * width, 48 + row * height
        picture.paste(Image.fromarray(image).resize(tile, Image.Resampling.NEAREST), (left, top))
        write_text(draw, (left + tile[0] / 2, top + tile[1] + 10), caption, size=12)
    return encode_png(np.asarray(picture))


def write_text(
    draw: ImageDraw.ImageDraw,
    centre: tuple[float, float],
    text: str,
    *,
    size: int,
    fill: tuple[int, int, int] = _BLACK,
) -> None:
    """Write a line of text centred on a point."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    draw.text((centre[0] - (left + right) / 2, centre[1] - (top + bottom) / 2), text, fill, font)
