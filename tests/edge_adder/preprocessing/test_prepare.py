"""Any picture of a digit becomes MNIST's form; what is in that form already stays as it is."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from edge_adder import ImageError, InputError, prepare_image
from edge_adder.preprocessing.prepare import (
    UNCHANGED,
    are_mnist_format,
    is_mnist_format,
    prepare,
    prepare_each,
)
from edge_adder.preprocessing.segment import INKS


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def mass_centre(image: np.ndarray) -> tuple[float, float]:
    ink = image.astype(float)
    steps = np.arange(28)
    return ink.sum(1) @ steps / ink.sum(), ink.sum(0) @ steps / ink.sum()


class TestReadyImages:
    def test_an_array_in_mnists_form_is_returned_itself(self, seven: np.ndarray) -> None:
        assert prepare_image(seven) is seven

    @pytest.mark.parametrize(
        ("file_format", "mode"),
        [
            *(("PNG", mode) for mode in ("L", "LA", "P", "RGB", "RGBA")),
            *(("TIFF", mode) for mode in ("L", "LA", "P", "RGB", "RGBA", "CMYK")),
            *(("BMP", mode) for mode in ("L", "P", "RGB", "RGBA")),
            *(("WEBP", mode) for mode in ("L", "RGB", "RGBA")),
            *(("GIF", mode) for mode in ("L", "P", "RGB")),
        ],
    )
    def test_light_ink_passes_unchanged_in_every_mode_a_format_has(
        self, seven: np.ndarray, file_format: str, mode: str
    ) -> None:
        image = Image.fromarray(seven).convert(mode)
        options = {"lossless": True} if file_format == "WEBP" else {}
        data = encode(image, file_format, **options)
        assert np.array_equal(prepare_image(data), seven)

    def test_16_bits_pass_unchanged(self, seven: np.ndarray) -> None:
        wide = seven.astype(np.uint16) * 257
        assert np.array_equal(prepare_image(encode(Image.fromarray(wide), "PNG")), seven)
        assert np.array_equal(prepare_image(encode(Image.fromarray(wide), "TIFF")), seven)
        assert np.array_equal(prepare_image(wide), seven)

    def test_one_bit_passes_unchanged(self, seven: np.ndarray) -> None:
        bits = seven > 127
        assert np.array_equal(prepare_image(encode(Image.fromarray(bits), "PNG")), bits * 255)
        assert np.array_equal(prepare_image(bits), bits * 255)

    @pytest.mark.parametrize(
        "change",
        [
            lambda im: 100 + im // 2,
            lambda im: np.roll(im, 3, axis=1),
            lambda im: np.roll(im, -3, axis=0),
            lambda im: im // 2,
            lambda im: np.asarray(Image.fromarray(im[3:25, 3:25]).resize((28, 28))),
        ],
        ids=["lifted", "right", "up", "faint", "large"],
    )
    def test_what_is_nearly_in_mnists_form_is_brought_to_it(
        self, seven: np.ndarray, change: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        image, preparation = prepare(change(seven))
        assert not preparation.ready
        assert is_mnist_format(image)
        assert np.corrcoef(image.ravel(), seven.ravel())[0, 1] > 0.8

    def test_one_and_many_agree(self, seven: np.ndarray) -> None:
        generator = np.random.default_rng(0)
        images = [seven, seven // 2, 255 - seven, np.zeros_like(seven), np.full_like(seven, 255)]
        for move in range(-3, 4):
            images += [np.roll(seven, move, axis=0), np.roll(seven, move, axis=1)]
        for cut in range(1, 9):
            images.append(seven * (np.arange(28) >= 4 + cut)[:, None])
        images += list(generator.integers(0, 256, (5, 28, 28), np.uint8))
        images = [image.astype(np.uint8) for image in images]
        found = are_mnist_format(np.stack(images))
        assert found.tolist() == [is_mnist_format(image) for image in images]
        assert 3 <= found.sum() < len(images) / 2

    @pytest.mark.mnist
    @pytest.mark.parametrize("name", ["train", "t10k"])
    def test_all_of_mnist_is_ready(self, name: str) -> None:
        folder = Path(os.environ["EDGE_ADDER_DATA"], "MNIST", "raw")
        data = (folder / f"{name}-images-idx3-ubyte").read_bytes()
        assert are_mnist_format(np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)).all()

    def test_a_coloured_image_is_normalised(self, seven: np.ndarray) -> None:
        red = np.dstack([seven, seven // 8, seven // 8])
        assert prepare_image(red).max() == 255
        assert not np.array_equal(prepare_image(red), np.asarray(Image.fromarray(red).convert("L")))

    @pytest.mark.parametrize("highest", [255, 1023, 4095, 65535])
    def test_16_bits_are_read_alike_as_array_and_file(
        self, drawing: Image.Image, prepared: np.ndarray, highest: int
    ) -> None:
        wide = (np.asarray(drawing) / 255 * highest).astype(np.uint16)
        for source in (wide, Image.fromarray(wide), encode(Image.fromarray(wide), "PNG")):
            assert np.abs(prepare_image(source).astype(int) - prepared).max() <= 2

    def test_faint_ink_is_ink(self, drawing: Image.Image, prepared: np.ndarray) -> None:
        faint = drawing.point(lambda value: 200 + value // 10)  # 25 levels of contrast
        assert np.abs(prepare_image(faint).astype(int) - prepared).max() <= 20

    def test_dark_on_light_is_turned_round(self, seven: np.ndarray) -> None:
        turned = prepare_image(255 - seven)
        assert turned[0].max() == 0
        assert turned.max() == 255
        assert np.corrcoef(turned.ravel(), seven.ravel())[0, 1] > 0.9

    def test_the_callers_array_is_not_written_to(self, seven: np.ndarray) -> None:
        dark = np.ascontiguousarray(255 - seven)
        dark.flags.writeable = False
        before = dark.copy()
        prepare_image(dark)
        assert np.array_equal(dark, before)


class TestThePath:
    def test_the_longer_side_fills_20_pixels_and_the_aspect_stays(
        self, prepared: np.ndarray
    ) -> None:
        rows, columns = np.flatnonzero(prepared.any(1)), np.flatnonzero(prepared.any(0))
        assert rows[-1] - rows[0] + 1 == 20
        assert columns[-1] - columns[0] + 1 == pytest.approx(10, abs=1)  # 100 of 200 pixels

    def test_the_mass_is_centred(self, prepared: np.ndarray) -> None:
        assert mass_centre(prepared) == pytest.approx((14, 14), abs=0.51)

    def test_it_is_light_on_black(self, prepared: np.ndarray) -> None:
        assert prepared.dtype == np.uint8
        assert prepared.shape == (28, 28)
        assert prepared[[0, -1]].max() == 0
        assert prepared.max() == 255

    def test_heavy_ink_at_one_end_stays_inside(self) -> None:
        pixels = np.zeros((200, 200), np.uint8)
        pixels[20:180, 20:24] = 255
        pixels[150:180, 20:180] = 255
        image = prepare_image(pixels)
        assert image[:, 0].max() == 0 or image[-1].max() == 0
        assert (image > 128).sum() > 60

    @pytest.mark.parametrize("shape", [(1, 300), (300, 1), (2, 2), (1, 2), (5000, 3)])
    def test_odd_shapes_give_a_28x28_image(self, shape: tuple[int, int]) -> None:
        pixels = np.zeros(shape, np.uint8)
        pixels.reshape(-1)[pixels.size // 2 :] = 255
        assert prepare_image(pixels).shape == (28, 28)

    @pytest.mark.parametrize(
        "make",
        [
            lambda im: im,
            ImageOps.invert,
            lambda im: im.convert("RGB"),
            lambda im: im.convert("CMYK"),
            lambda im: im.convert("P"),
            lambda im: im.convert("1"),
            lambda im: im.point(lambda v: 90 + v // 4),
        ],
        ids=["grey", "inverted", "RGB", "CMYK", "palette", "1 bit", "pale"],
    )
    def test_the_same_drawing_gives_the_same_image(
        self, drawing: Image.Image, prepared: np.ndarray, make: object
    ) -> None:
        assert np.abs(prepare_image(make(drawing)).astype(int) - prepared).max() <= 8

    def test_blue_ink_on_yellow_paper(self, drawing: Image.Image, prepared: np.ndarray) -> None:
        coloured = ImageOps.colorize(drawing, (20, 30, 160), (250, 240, 190))
        assert np.abs(prepare_image(coloured).astype(int) - prepared).max() <= 8

    def test_ink_can_be_forced(self, drawing: Image.Image, prepared: np.ndarray) -> None:
        assert np.array_equal(prepare_image(drawing, ink="dark"), prepared)
        assert not np.array_equal(prepare_image(drawing, ink="light"), prepared)
        framed = ImageOps.expand(drawing, 20, fill=0)
        assert np.corrcoef(prepare_image(framed).ravel(), prepared.ravel())[0, 1] > 0.99
        light = prepare_image(framed, ink="light")
        assert np.corrcoef(light.ravel(), prepared.ravel())[0, 1] < 0.9


class TestWhatIsTold:
    def test_of_an_image_in_mnists_form(self, seven: np.ndarray) -> None:
        assert prepare(seven)[1] is UNCHANGED

    def test_of_a_drawing(self, drawing: Image.Image) -> None:
        _, told = prepare(drawing)
        assert (told.ready, told.ink, told.channel, told.paper) == (
            False,
            "dark",
            "brightness",
            "plain",
        )
        assert told.box == pytest.approx((30 / 200, 40 / 300, 130 / 200, 240 / 300), abs=0.02)
        assert told.stroke_width == pytest.approx(3, abs=0.5)  # 30 of 200 pixels, of 20

    def test_of_coloured_ink(self) -> None:
        pixels = np.full((120, 90, 3), (150, 220, 235), np.uint8)
        pixels[30:90, 40:48] = (235, 190, 40)  # as bright as the paper
        _, told = prepare(pixels)
        assert told.channel != "brightness"
        assert told.box == pytest.approx((40 / 90, 30 / 120, 48 / 90, 90 / 120), abs=0.02)


class TestAnyArray:
    """Whatever the pixels are: an image in MNIST's form, or a refusal by name."""

    @given(
        arrays(
            st.sampled_from([np.uint8, np.uint16, np.bool_]),
            st.tuples(st.integers(1, 150), st.integers(1, 150)),
        ),
        st.sampled_from(INKS),
    )
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_grey(self, pixels: np.ndarray, ink: str) -> None:
        self.check(pixels, ink)

    @given(
        arrays(
            np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 3, 4]))
        ),
        st.sampled_from(INKS),
    )
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_colour_and_transparency(self, pixels: np.ndarray, ink: str) -> None:
        self.check(pixels, ink)

    @given(
        st.sampled_from([(10_000, 1), (1, 10_000), (10_000, 40), (40, 10_000), (3, 3_000)]),
        st.sampled_from([np.uint8, np.uint16, np.bool_]),
        st.sampled_from(["noise", "dark on light", "light on dark"]),
        st.sampled_from(INKS),
    )
    @settings(max_examples=100, deadline=None, derandomize=True)
    def test_long_and_narrow(
        self, shape: tuple[int, int], dtype: type, kind: str, ink: str
    ) -> None:
        highest = 1 if dtype is np.bool_ else np.iinfo(dtype).max
        if kind == "noise":
            pixels = np.random.default_rng(0).integers(0, highest, shape, endpoint=True)
        else:
            pixels = np.full(shape, highest)
            pixels[tuple(slice(side // 3, 2 * side // 3 + 1) for side in shape)] = 0
            pixels = pixels if kind == "dark on light" else highest - pixels
        refused = self.check(pixels.astype(dtype), ink)
        if kind != "noise" and ink == "auto":
            assert refused is None or "things that may be digits" in refused

    @staticmethod
    def check(pixels: np.ndarray, ink: str) -> str | None:
        before, told = pixels.copy(), None
        try:
            prepared = prepare_image(pixels, ink=ink)
        except ImageError as error:
            told = str(error)
            refused = told.startswith(("image: no ink found", "image: found "))
            assert refused
        else:
            assert prepared.shape == (28, 28)
            assert prepared.dtype == np.uint8
            assert prepared.max() > 0
        assert np.array_equal(pixels, before)
        return told


class TestRefused:
    @pytest.mark.parametrize(
        "blank",
        [
            np.zeros((28, 28), np.uint8),
            np.full((28, 28), 255, np.uint8),
            np.full((300, 300), 128, np.uint8),
            np.random.default_rng(0).integers(120, 130, (90, 90), np.uint8),
            np.random.default_rng(0).integers(0, 9, (28, 28), np.uint8),
        ],
        ids=["black", "white", "grey", "grain", "dark grain"],
    )
    def test_a_blank_picture(self, blank: np.ndarray) -> None:
        with pytest.raises(ImageError, match="no ink found"):
            prepare_image(blank)

    def test_several_digits_but_not_where_each_is_asked_for(self, seven: np.ndarray) -> None:
        three = np.hstack([seven, seven, seven])
        told = "found 3 things that may be digits, expected one: crop the picture, or ask for each"
        with pytest.raises(ImageError, match=told):
            prepare_image(three)
        each = prepare_each(three)
        assert len(each) == 3
        assert [round(told.box[0], 1) for _, told in each if told.box] == [0.1, 0.4, 0.8]
        for image, told in each:
            assert np.array_equal(image, each[0][0])
            assert not told.ready

    def test_a_page_of_more_digits_than_are_looked_at(self, seven: np.ndarray) -> None:
        assert len(prepare_each(np.tile(seven, (4, 8)))) == 32
        with pytest.raises(ImageError, match="found more than 32 things that may be digits"):
            prepare_each(np.tile(seven, (4, 9)))

    def test_one_digit_of_each(self, seven: np.ndarray) -> None:
        [(image, told)] = prepare_each(seven)
        assert image is seven
        assert told.ready
        [(image, told)] = prepare_each(255 - seven)
        assert np.array_equal(image, prepare_image(255 - seven))
        with pytest.raises(InputError, match="ink must be one of"):
            prepare_each(seven, ink="blue")
        with pytest.raises(ImageError, match="no ink found"):
            prepare_each(np.zeros((28, 28), np.uint8))

    def test_an_unknown_ink(self, seven: np.ndarray) -> None:
        with pytest.raises(InputError, match="ink must be one of auto, light, dark, got 'blue'"):
            prepare_image(seven, ink="blue")
