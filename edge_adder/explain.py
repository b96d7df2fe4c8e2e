"""A picture that shows why an image was answered as it was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from edge_adder.contract import DIGITS, FULL_INK
from edge_adder.evaluation.drawings import write_text
from edge_adder.evaluation.report import percent
from edge_adder.prediction import Prediction
from edge_adder.preprocessing.decode import encode_png
from edge_adder.preprocessing.prepare import Inspection, Preparation

_PANEL, _GAP, _HEAD, _FOOT = 224, 24, 64, 40  # in pixels
_WHITE, _GREY, _AROUND = (255, 255, 255), (170, 170, 170), (235, 235, 240)
_TEXT, _BLUE, _RED = (110, 110, 110), (31, 119, 180), (214, 39, 40)

_FAINTEST = 0.35
"""Minimum strength of the colour of ink, so that faint ink can be seen."""


def explanation(inspection: Inspection, prediction: Prediction) -> bytes:
    """Draw how a picture was prepared and answered.

    From the left: the picture with the box of its digit, the digit's ink, the network's input, the
    probabilities of all digits and of all sums.

    Args:
        inspection: What `edge_adder.preprocessing.prepare.inspect` found in the picture.
        prediction: The answer for its first digit.

    Returns:
        Content of a PNG file.
    """
    image, preparation = inspection.digits[0]
    panels = [
        ("the picture", _with_box(inspection.pixels, preparation)),
        ("its ink", _ink(inspection)),
        ("what the network saw", Image.fromarray(image).convert("RGB")),
        (f"digit {prediction.digit}", _bars(np.exp(prediction.digit_log_probabilities))),
        (f"sum {prediction.sum}", _bars(np.exp(prediction.sum_log_probabilities))),
    ]
    width = _GAP + len(panels) * (_PANEL + _GAP)
    drawn = Image.new("RGB", (width, _HEAD + _PANEL + _FOOT), _WHITE)
    draw = ImageDraw.Draw(drawn)
    answer = f"{prediction.digit} + {prediction.number} = {prediction.sum}"
    title = f"{answer}   ({percent(prediction.probability)})"
    write_text(draw, (width / 2, 22), title, size=20)
    write_text(draw, (width / 2, 48), describe(preparation), size=13, fill=_TEXT)
    for index, (caption, panel) in enumerate(panels):
        left = _GAP + index * (_PANEL + _GAP)
        size, method = (_PANEL, _PANEL), Image.Resampling.NEAREST
        drawn.paste(ImageOps.pad(panel, size, method, color=_AROUND), (left, _HEAD))
        write_text(draw, (left + _PANEL / 2, _HEAD + _PANEL + 18), caption, size=14)
    return encode_png(np.asarray(drawn))


def describe(preparation: Preparation) -> str:
    """Say in one line how a picture was prepared."""
    if preparation.unchanged:
        return "in MNIST's format: unchanged"
    steps = [f"{preparation.ink} ink"]
    if preparation.background == "uneven":
        steps.append("shadows removed")
    if preparation.cropped_to_page:
        steps.append("cropped to the page")
    if preparation.channel != "brightness":
        steps.append(f"clearest in {preparation.channel.replace('-', ' minus ')}")
    return f"{', '.join(steps)}; strokes {preparation.stroke_width:.1f} pixels wide at 28x28"


def _with_box(pixels: NDArray[np.uint8], preparation: Preparation) -> Image.Image:
    """Draw the digit's box on a picture, in red."""
    picture = Image.fromarray(pixels).convert("RGB")
    if preparation.box is not None:
        left, top, right, bottom = preparation.box
        corners = (
            round(left * picture.width) - 1,
            round(top * picture.height) - 1,
            round(right * picture.width),
            round(bottom * picture.height),
        )
        ImageDraw.Draw(picture).rectangle(corners, outline=_RED)
    return picture


def _ink(inspection: Inspection) -> Image.Image:
    """Draw the digit's ink in blue, in proportion to its contrast, on white."""
    found = inspection.segmentation
    if found is None:
        amount = inspection.pixels / FULL_INK
    else:
        amount = np.clip(found.contrast / found.full, _FAINTEST, 1) * found.mask
    colours = np.array(_WHITE) + amount[:, :, None] * (np.array(_BLUE) - np.array(_WHITE))
    return Image.fromarray(np.rint(colours).astype(np.uint8))


def _bars(probabilities: NDArray[np.float32]) -> Image.Image:
    """Draw a bar for each class, if it is half a pixel high; the most probable one in red."""
    panel = Image.new("RGB", (_PANEL, _PANEL), _WHITE)
    draw = ImageDraw.Draw(panel)
    bottom, width = _PANEL - 20, _PANEL / len(probabilities)
    best = int(probabilities.argmax())
    for index, probability in enumerate(probabilities.tolist()):
        left, height = index * width, bottom * min(1.0, probability)
        if height >= 0.5:
            bar = (left + 1, bottom - height, left + width - 2, bottom)
            draw.rectangle(bar, fill=_RED if index == best else _BLUE)
        if len(probabilities) == DIGITS or index % 2 == 0:  # more labels would overlap
            write_text(draw, (left + width / 2, bottom + 11), str(index), size=11)
    draw.line((0, bottom, _PANEL, bottom), fill=_GREY)
    return panel
