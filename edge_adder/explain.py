"""Why the network answered what it did: a picture for eyes, and the input in a terminal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge_adder.contract import DIGITS, SUMS
from edge_adder.evaluation.figures import write_text
from edge_adder.predictor import Prediction
from edge_adder.preprocessing.decode import MOST_PIXELS, ImageSource, encode_png, read_picture
from edge_adder.preprocessing.prepare import Preparation
from edge_adder.preprocessing.segment import segment

_PANEL, _GAP, _HEAD, _FOOT = 224, 24, 64, 16
_FAINT, _PAPER = (170, 170, 170), (255, 255, 255)
_BLUE, _RED, _AROUND = (31, 119, 180), (214, 39, 40), (235, 235, 240)

_SHADES, _ASCII_SHADES = " ░▒▓█", " .:*#"


def explanation(source: ImageSource, image: NDArray[np.uint8], prediction: Prediction) -> bytes:
    """One picture, as PNG: the original with its box, the found ink, the input, both outputs.

    Args:
        source: What was asked, in any form but an open file.
        image: uint8 (28, 28); what the network saw of it.
        prediction: What it answered.
    """
    told = prediction.preparation
    pixels = read_picture(source, max_pixels=MOST_PIXELS).pixels
    panels = [
        ("the picture", _with_box(pixels, told)),
        ("its ink", _ink(pixels, told)),
        ("what the network saw", Image.fromarray(image).convert("RGB")),
    ]
    outputs = [
        (f"digit {prediction.digit}", np.exp(prediction.digit_log_probabilities), DIGITS),
        (f"sum {prediction.sum}", np.exp(prediction.sum_log_probabilities), SUMS),
    ]
    columns = len(panels) + len(outputs)
    size = columns * (_PANEL + _GAP) + _GAP, _HEAD + _PANEL + _FOOT + _GAP
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    title = (
        f"{prediction.digit} + {prediction.number} = {prediction.sum}   "
        f"({100 * prediction.probability:.2f} %)"
    )
    write_text(draw, (size[0] / 2, 22), title, size=20)
    write_text(draw, (size[0] / 2, 48), describe(told), size=13, fill=(110, 110, 110))
    for index, (caption, panel) in enumerate(panels):
        left = _GAP + index * (_PANEL + _GAP)
        draw.rectangle((left, _HEAD, left + _PANEL - 1, _HEAD + _PANEL - 1), fill=_AROUND)
        scale = _PANEL / max(panel.size)
        shape = (max(1, round(panel.width * scale)), max(1, round(panel.height * scale)))
        place = left + (_PANEL - shape[0]) // 2, _HEAD + (_PANEL - shape[1]) // 2
        sheet.paste(panel.resize(shape, Image.Resampling.NEAREST), place)
        write_text(draw, (left + _PANEL / 2, _HEAD + _PANEL + 18), caption, size=14)
    for index, (caption, probabilities, count) in enumerate(outputs, start=len(panels)):
        left = _GAP + index * (_PANEL + _GAP)
        _bars(draw, left, probabilities, count)
        write_text(draw, (left + _PANEL / 2, _HEAD + _PANEL + 18), caption, size=14)
    return encode_png(np.asarray(sheet))


def describe(told: Preparation) -> str:
    """What was done to a picture, in a line."""
    if told.ready:
        return "in MNIST's form: unchanged"
    found = f"{told.ink} ink"
    found += ", shadows taken out" if told.paper == "uneven" else ""
    found += ", on a sheet cut from what lies around it" if told.sheet else ""
    if told.channel != "brightness":
        found += f", seen in {told.channel}"
    return f"{found}; strokes {told.stroke_width:.1f} pixels wide of 28"


def preview(image: NDArray[np.uint8], encoding: str | None) -> str:
    """An image as 28 lines of 56 characters, darker where there is more ink.

    Args:
        image: uint8 (28, 28).
        encoding: Of the terminal; where it has no blocks, other characters stand in.
    """
    shades = _SHADES
    try:
        shades.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        shades = _ASCII_SHADES
    levels = (image.astype(np.int64) * len(shades)) // 256
    return "\n".join("".join(shades[level] * 2 for level in row).rstrip() for row in levels)


def _with_box(pixels: NDArray[np.uint8], told: Preparation) -> Image.Image:
    picture = Image.fromarray(pixels).convert("RGB")
    if told.box is not None:
        left, top, right, bottom = told.box
        corners = (
            round(left * picture.width) - 1,
            round(top * picture.height) - 1,
            round(right * picture.width),
            round(bottom * picture.height),
        )
        ImageDraw.Draw(picture).rectangle(corners, outline=_RED)
    return picture


def _ink(pixels: NDArray[np.uint8], told: Preparation) -> Image.Image:
    """The ink in blue, in proportion to its contrast; all else white."""
    if told.ready:
        amount = pixels / 255
    else:
        found = segment(pixels, ink=told.ink)
        if found is None:
            return Image.fromarray(pixels).convert("RGB")
        amount = np.clip(found.contrast / found.full, 0.35, 1) * found.mask
    colours = np.array(_PAPER) + amount[:, :, None] * (np.array(_BLUE) - np.array(_PAPER))
    return Image.fromarray(np.rint(colours).astype(np.uint8))


def _bars(
    draw: ImageDraw.ImageDraw, left: int, probabilities: NDArray[np.float32], count: int
) -> None:
    """A bar for each class, from below; the most probable one in red."""
    bottom, width = _HEAD + _PANEL - 20, _PANEL / count
    best = int(probabilities.argmax())
    for index, probability in enumerate(probabilities.tolist()):
        start = left + index * width
        height = (bottom - _HEAD) * min(1.0, probability)
        colour = _RED if index == best else _BLUE
        draw.rectangle((start + 1, bottom - height, start + width - 2, bottom), fill=colour)
        if count == DIGITS or index % 2 == 0:
            write_text(draw, (start + width / 2, bottom + 11), str(index), size=11)
    draw.line((left, bottom, left + _PANEL, bottom), fill=_FAINT)
