"""Every digit of a picture has an answer, or an entry that says why it has none."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder import EdgeAdder, ImageError, Prediction, Unread
from edge_adder.parity import bundled_vectors
from edge_adder.preprocessing.prepare import NOT_ONE, inspect, inspect_each
from edge_adder.preprocessing.segment import NOT_A_DIGIT, TOO_FAINT
from tests.conftest import Run

SIDE = 90


@functools.cache
def drawings() -> np.ndarray:
    """Drawn digits, 0 to 9 in turn, uint8 (300, 28, 28)."""
    return bundled_vectors()["image"][:, 0]


def draw_digit(digit: int, generator: np.random.Generator) -> np.ndarray:
    image = Image.fromarray(drawings()[digit + 10 * int(generator.integers(30))])
    large = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC), float)
    return np.clip(2.5 * large - 190, 0, 255).astype(np.uint8)  # with a sharper edge


def page(
    lines: list[str], *, tilt: float = 0.0, apart: int = SIDE, ink: int = 30, seed: int = 1
) -> Image.Image:
    """Digits in lines on white paper; + and - are signs, a space leaves room."""
    generator = np.random.default_rng(seed)
    width = max(map(len, lines)) * apart + 2 * SIDE
    height = len(lines) * round(1.5 * SIDE) + SIDE + round(abs(tilt) * width)
    cover = np.zeros((height, width), np.uint8)
    for row, line in enumerate(lines):
        for column, sign in enumerate(line):
            left = SIDE // 2 + column * apart
            top = SIDE // 2 + row * round(1.5 * SIDE) + round(tilt * left + max(0, -tilt * width))
            place = cover[top : top + SIDE, left : left + SIDE]
            if sign.isdigit():
                np.maximum(place, draw_digit(int(sign), generator), out=place)
            elif sign != " ":
                np.maximum(place, draw_sign(sign), out=place)
    pixels = 245 - cover.astype(float) / 255 * (245 - ink)
    grained = pixels + generator.normal(0, 2, pixels.shape)
    return Image.fromarray(np.clip(grained, 0, 255).astype(np.uint8))


def draw_sign(sign: str) -> np.ndarray:
    image = Image.new("L", (SIDE, SIDE))
    pen = ImageDraw.Draw(image)
    pen.line((25, 45, 65, 45), fill=255, width=7)
    if sign == "+":
        pen.line((45, 25, 45, 65), fill=255, width=7)
    return np.asarray(image)


def read(adder: EdgeAdder, picture: Image.Image) -> str:
    """The digits in reading order; what is not read is a question mark."""
    answers = adder.predict_each(picture, 0)
    return "".join("?" if isinstance(each, Unread) else str(each.digit) for each in answers)


@pytest.mark.parametrize("tilt", [0.0, 0.12, -0.12])
def test_lines_that_rise_and_fall_are_read_in_order(adder: EdgeAdder, tilt: float) -> None:
    assert read(adder, page(["40372", "61285"], tilt=tilt)) == "4037261285"


def test_a_sign_among_digits_has_an_entry_of_its_own(adder: EdgeAdder) -> None:
    answers = adder.predict_each(page(["7+2"]), 5)
    assert [type(each) for each in answers] == [Prediction, Unread, Prediction]
    sign = answers[1]
    assert isinstance(sign, Unread)
    assert sign.reason in {NOT_A_DIGIT, NOT_ONE}
    assert sign.box[0] == pytest.approx((SIDE / 2 + SIDE + 25) / (5 * SIDE), abs=0.05)
    assert sign.to_dict() == {"unread": sign.reason, "box": list(sign.box)}


def test_digits_that_touch_are_parted_or_refused(adder: EdgeAdder) -> None:
    answers = adder.predict_each(page(["28"], apart=44), 0)
    read_as = [each.digit for each in answers if isinstance(each, Prediction)]
    refused = [each.reason for each in answers if isinstance(each, Unread)]
    assert read_as == [2, 8] or NOT_ONE in refused


def test_a_faint_digit_is_not_left_out_in_silence(adder: EdgeAdder) -> None:
    pixels = np.asarray(page(["1234567"])).astype(float)
    last = slice(SIDE // 2 + 6 * SIDE, None)
    for strength in (0.6, 0.3, 0.15, 0.08):
        faint = pixels.copy()
        faint[:, last] = 245 - (245 - faint[:, last]) * strength
        picture = Image.fromarray(np.clip(faint, 0, 255).astype(np.uint8))
        assert len(adder.predict_each(picture, 0)) >= 7, strength


def test_a_full_page(adder: EdgeAdder) -> None:
    rows = ["0123456789" * 2] * 10
    picture = page(rows).resize((1100, 750))
    answers = adder.predict_each(picture, 0)
    right = sum(
        isinstance(each, Prediction) and each.digit == int(expected)
        for each, expected in zip(answers, "".join(rows), strict=True)
    )
    assert right >= 190


def test_more_than_200_are_refused_and_not_answered_in_part() -> None:
    with pytest.raises(ImageError, match="found more than 200 possible digits, expected at most"):
        inspect_each(page(["0123456789" * 3] * 8).resize((1500, 640)))


ROWS, COLUMNS = np.indices((640, 640))
SPECKS = {
    "noise": np.random.default_rng(0).integers(0, 256, (640, 640)),
    "salt": np.where(np.random.default_rng(0).random((640, 640)) < 0.03, 0, 255),
    "dots": np.where((COLUMNS % 4 < 2) & (ROWS % 4 < 2), 0, 255),
    "strokes": np.where((COLUMNS % 10 < 2) & (ROWS % 14 < 10), 0, 255),
    "specks around a stroke": np.where(
        (abs(COLUMNS - 320) < 12) & (abs(ROWS - 320) < 150),
        0,
        np.where((COLUMNS % 5 < 2) & (ROWS % 5 < 2), 60, 255),
    ),
}


@pytest.mark.parametrize("pixels", SPECKS.values(), ids=SPECKS)
@pytest.mark.parametrize("each", [False, True])
def test_thousands_of_specks_keep_no_processor_busy(pixels: np.ndarray, each: bool) -> None:
    began = time.process_time()
    inspect(pixels.astype(np.uint8), each=each)
    assert time.process_time() - began < 5  # as SECURITY.md promises; it takes half a second


def test_the_command_line_says_what_is_not_read(edge_adder: Run, tmp_path: Path) -> None:
    picture = tmp_path / "sum.png"
    page(["7+2"]).save(picture)
    done = edge_adder("predict", picture, 5, "--each")
    assert done.returncode == 6
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].startswith(f"{picture} #2: not read  (")
    done = edge_adder("predict", picture, 5, "--each", "--json", "--explain", tmp_path / "why.png")
    second = json.loads(done.stdout.splitlines()[1])
    assert (second["index"], len(second["box"])) == (2, 4)
    assert second["unread"]
    with Image.open(tmp_path / "why.png") as drawn:
        assert drawn.width > 1000


def test_a_refused_picture_is_explained(edge_adder: Run, tmp_path: Path) -> None:
    picture = tmp_path / "two.png"
    page(["72"]).save(picture)
    done = edge_adder("predict", picture, 5, "--explain", tmp_path / "why.png")
    assert done.returncode == 2
    assert "found 2 possible digits" in done.stderr
    with Image.open(tmp_path / "why.png") as opened:
        drawn = np.asarray(opened)
    assert ((drawn == (214, 39, 40)).all(2)).sum() > 200  # boxes around the candidates


def test_the_reasons_are_what_users_read() -> None:
    assert (NOT_A_DIGIT, TOO_FAINT, NOT_ONE) == (
        "not a digit",
        "too faint",
        "not a single digit",
    )
