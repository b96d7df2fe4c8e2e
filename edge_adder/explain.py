"""A picture that shows why an image was answered as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from edge_adder.contract import DIGITS, FULL_INK
from edge_adder.evaluation.drawings import write_text
from edge_adder.evaluation.report import percent
from edge_adder.prediction import Prediction
from edge_adder.preprocessing.decode import encode_png
from edge_adder.preprocessing.morphology import bounding_box, relative_box
from edge_adder.preprocessing.prepare import Box, Inspection, Preparation, Unread

_PANEL, _GAP, _HEAD, _FOOT = 224, 24, 64, 40  # in pixels
_WHITE, _GREY, _AROUND = (255, 255, 255), (170, 170, 170), (235, 235, 240)
_TEXT, _BLUE, _RED = (110, 110, 110), (31, 119, 180), (214, 39, 40)

_LARGE_PANEL = 560
"""Side of the panels for a picture of many digits, in pixels."""

_PALE = (190, 210, 230)
"""Colour of what may be ink and belongs to no digit."""

_MAX_CANDIDATES = 40
"""Number of boxes that are drawn of a picture with too many digits."""

_LabelledBox: TypeAlias = tuple[Box, str, tuple[int, int, int]]
"""A box, as shares of width and height, its label and its colour."""

_FAINTEST = 0.35
"""Minimum strength of the colour of ink, so that faint ink can be seen."""


def explanation(inspection: Inspection, answers: Sequence[Prediction | Unread]) -> bytes:
    """Draw how a picture was read.

    With one answer for one digit, from the left: the picture with the box of its digit, its ink,
    the network's input, the probabilities of all digits and of all sums. Otherwise, of a picture
    that was refused or of which each digit is wanted: the picture with a box around each answer,
    and what was taken for ink.

    Args:
        inspection: What `edge_adder.preprocessing.prepare.inspect` found in the picture.
        answers: The answers; none where the picture was refused.

    Returns:
        Content of a PNG file.
    """
    if len(answers) == len(inspection.entries) == 1 and not isinstance(answers[0], Unread):
        return _explain_one(inspection, answers[0])
    return _explain_many(inspection, answers)


def _explain_one(inspection: Inspection, prediction: Prediction) -> bytes:
    image, preparation = inspection.digits[0]
    boxes = [] if preparation.box is None else [(preparation.box, "", _RED)]
    panels = [
        ("the picture", _with_boxes(inspection.pixels, boxes)),
        ("its ink", _ink(inspection)),
        ("what the network saw", Image.fromarray(image).convert("RGB")),
        (f"digit {prediction.digit}", _bars(np.exp(prediction.digit_log_probabilities))),
        (f"sum {prediction.sum}", _bars(np.exp(prediction.sum_log_probabilities))),
    ]
    answer = f"{prediction.digit} + {prediction.number} = {prediction.sum}"
    title = f"{answer}   ({percent(prediction.probability)})"
    return _draw(title, describe(preparation), panels, _PANEL)


def _explain_many(inspection: Inspection, answers: Sequence[Prediction | Unread]) -> bytes:
    boxes = [_labelled_box(answer) for answer in answers]
    if inspection.refusal is not None:
        boxes = _candidate_boxes(inspection)
        title, *rest = re.split("[:;] ", inspection.refusal, maxsplit=1)
        note = "".join(rest)
    else:
        unread = sum(isinstance(each, Unread) for each in answers)
        title, note = f"{len(answers) - unread} digits", f"{unread} not read" if unread else ""
    panels = [
        ("the picture", _with_boxes(inspection.pixels, boxes, _LARGE_PANEL)),
        ("digits blue, other marks red, too faint grey", _ink(inspection)),
    ]
    return _draw(title, note, panels, _LARGE_PANEL)


def _draw(title: str, note: str, panels: list[tuple[str, Image.Image]], side: int) -> bytes:
    """Draw panels side by side, with a title above and a caption below each."""
    width = _GAP + len(panels) * (side + _GAP)
    drawn = Image.new("RGB", (width, _HEAD + side + _FOOT), _WHITE)
    draw = ImageDraw.Draw(drawn)
    write_text(draw, (width / 2, 22), title, size=20)
    write_text(draw, (width / 2, 48), note, size=13, fill=_TEXT)
    for index, (caption, panel) in enumerate(panels):
        left = _GAP + index * (side + _GAP)
        padded = ImageOps.pad(panel, (side, side), Image.Resampling.NEAREST, color=_AROUND)
        drawn.paste(padded, (left, _HEAD))
        write_text(draw, (left + side / 2, _HEAD + side + 18), caption, size=14)
    return encode_png(np.asarray(drawn))


def describe(preparation: Preparation) -> str:
    """Say in one line how a picture was prepared."""
    if preparation.unchanged:
        return "in MNIST's format: unchanged"
    width = preparation.stroke_width
    return f"{preparation.ink} ink; strokes {width:.1f} pixels wide at 28x28"


def _labelled_box(answer: Prediction | Unread) -> _LabelledBox:
    if isinstance(answer, Unread):
        return answer.box, answer.reason, _RED
    box = answer.preparation.box or (0.0, 0.0, 1.0, 1.0)
    return box, str(answer.digit), _RED if answer.uncertain else _BLUE


def _candidate_boxes(inspection: Inspection) -> list[_LabelledBox]:
    """Return the boxes of what may be digits in a picture that was refused."""
    found = inspection.segmentation
    masks = [] if found is None else found.masks[:_MAX_CANDIDATES]
    return [(relative_box(mask), "", _RED) for mask in masks]


def _with_boxes(
    pixels: NDArray[np.uint8], boxes: Sequence[_LabelledBox], side: int = 0
) -> Image.Image:
    """Draw labelled boxes on a picture, which is brought to a longer side of `side` first."""
    picture = Image.fromarray(pixels).convert("RGB")
    if side:
        scale = side / max(picture.size)
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        method = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.BOX
        picture = picture.resize(size, method)
    draw = ImageDraw.Draw(picture)
    for (left, top, right, bottom), label, colour in boxes:
        corners = (
            round(left * picture.width) - 1,
            round(top * picture.height) - 1,
            round(right * picture.width),
            round(bottom * picture.height),
        )
        draw.rectangle(corners, outline=colour)
        if label:
            above = max(6.0, corners[1] - 7.0)
            write_text(draw, ((corners[0] + corners[2]) / 2, above), label, size=12, fill=colour)
    return picture


def _ink(inspection: Inspection) -> Image.Image:
    """Draw ink on white: the digits' in blue, in proportion to its amount, all else by its kind."""
    found = inspection.segmentation
    if found is None:
        return _tint(inspection.pixels / FULL_INK, _BLUE)
    drawn = np.full(found.picture.shape, _WHITE, np.uint8)
    for components, colour in (
        (found.faint, _GREY),
        (found.components, _PALE),
        (found.marks, _RED),
    ):
        drawn[components.mask(np.ones(len(components), bool))] = colour
    for mask in found.masks:
        rows, columns = (
            slice(max(0, side.start - 2), side.stop + 2) for side in bounding_box(mask)
        )
        amount = np.maximum(found.amount_of_ink(mask) / FULL_INK, _FAINTEST)
        inside = mask[rows, columns]
        drawn[rows, columns][inside] = np.asarray(_tint(amount, _BLUE))[inside]
    return Image.fromarray(drawn)


def _tint(amount: NDArray[np.float64], colour: tuple[int, int, int]) -> Image.Image:
    """Return an amount from 0 to 1, (height, width), as white to a colour."""
    mixed = np.array(_WHITE) + amount[:, :, None] * (np.array(colour) - np.array(_WHITE))
    return Image.fromarray(np.rint(mixed).astype(np.uint8))


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
