"""Any picture of a digit becomes an image in MNIST's format, or is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw, ImageOps

from edge_adder import ImageError, InputError, prepare_image
from edge_adder.preprocessing.morphology import bounding_box
from edge_adder.preprocessing.polarity import INKS
from edge_adder.preprocessing.prepare import inspect, inspect_each, prepare


class TestTheImage:
    def test_it_is_as_mnists(self, prepared: np.ndarray) -> None:
        assert (prepared.dtype, prepared.shape, prepared.max()) == (np.uint8, (28, 28), 255)
        rows, columns = bounding_box(prepared > 0)
        assert rows.stop - rows.start == 20
        assert columns.stop - columns.start == pytest.approx(10, abs=1)  # 100 of 200 pixels
        ink, steps = prepared.astype(float), np.arange(28)
        for sums in (ink.sum(0), ink.sum(1)):
            assert sums @ steps / ink.sum() == pytest.approx(14, abs=0.51)

    def test_heavy_ink_at_one_end_stays_inside(self) -> None:
        pixels = np.zeros((200, 200), np.uint8)
        pixels[20:180, 20:24] = pixels[150:180, 20:180] = 255
        image = prepare_image(pixels)
        assert image[:, 0].max() == 0 or image[-1].max() == 0
        assert (image > 128).sum() > 40

    def test_odd_shapes_give_a_28x28_image(self) -> None:
        for shape in ((1, 60), (60, 1), (2, 2), (1, 2), (50, 3)):
            pixels = np.zeros(shape, np.uint8)
            pixels.reshape(-1)[pixels.size // 2 :] = 255
            assert prepare_image(pixels).shape == (28, 28)

    def test_the_same_drawing_gives_the_same_image(
        self, drawing: Image.Image, prepared: np.ndarray
    ) -> None:
        for other in (
            *(drawing.convert(mode) for mode in ("RGB", "CMYK", "P", "1")),
            ImageOps.invert(drawing),
            ImageOps.colorize(drawing, (20, 30, 160), (250, 240, 190)),
            drawing.point(lambda value: 90 + value // 4),
            drawing.point(lambda value: 200 + value // 10),  # 25 levels of contrast
        ):
            difference = np.abs(prepare_image(other).astype(int) - prepared)
            assert difference.mean() <= 2, other
            # but for a few pixels: of wide strokes on black, the ink model may miss a corner
            assert np.percentile(difference, 99.5) <= 80, other

    def test_the_polarity_can_be_forced(self, drawing: Image.Image, prepared: np.ndarray) -> None:
        assert np.array_equal(prepare_image(drawing, ink="dark"), prepared)
        with pytest.raises(ImageError, match="no digit found"):
            prepare_image(drawing, ink="light")
        seven = Image.new("L", drawing.size, 255)
        ImageDraw.Draw(seven).line([(50, 70), (150, 70), (90, 240)], fill=0, width=20)
        framed = ImageOps.expand(seven, 20, fill=0)
        alike = np.corrcoef(prepare_image(framed).ravel(), prepare_image(seven).ravel())
        assert alike[0, 1] > 0.8

    def test_the_callers_array_is_not_written_to(self, seven: np.ndarray) -> None:
        dark = np.ascontiguousarray(255 - seven)
        dark.flags.writeable = False
        before = dark.copy()
        prepare_image(dark)
        assert np.array_equal(dark, before)


class TestPreparation:
    def test_of_a_drawing(self, drawing: Image.Image) -> None:
        _, found = prepare(drawing)
        assert not found.unchanged
        assert found.ink == "dark"
        assert found.box == pytest.approx((30 / 200, 40 / 300, 130 / 200, 240 / 300), abs=0.02)
        assert found.stroke_width == pytest.approx(3, abs=0.5)  # 30 of 200 pixels, of 20

    @pytest.mark.parametrize("frames", [1, 2])
    def test_of_further_frames(
        self, seven: np.ndarray, encode: Callable[..., bytes], frames: int
    ) -> None:
        for pixels, unchanged in ((seven, True), (255 - seven, False)):
            image = Image.fromarray(pixels)
            others = [ImageOps.flip(image)] * (frames - 1)
            _, found = prepare(encode(image, "TIFF", save_all=True, append_images=others))
            assert (found.unchanged, found.is_multi_frame) == (unchanged, frames > 1)

    def test_an_inspection_holds_what_it_used(
        self, drawing: Image.Image, seven: np.ndarray
    ) -> None:
        found = inspect(drawing)
        assert found.segmentation is not None
        assert found.pixels.shape[0] >= found.segmentation.mask.shape[0]
        [(image, preparation)] = found.digits
        assert np.array_equal(image, prepare_image(drawing))
        assert preparation == prepare(drawing)[1]
        unchanged = inspect(seven)
        assert unchanged.segmentation is None
        assert unchanged.pixels is seven


class TestSeveralDigits:
    def test_they_are_refused_unless_each_is_requested(self, seven: np.ndarray) -> None:
        three = np.hstack([seven, seven, seven])
        message = "found 3 possible digits, expected one: crop the picture to one digit$"
        with pytest.raises(ImageError, match=message):
            prepare_image(three)
        each = inspect_each(three).digits
        assert [round(found.box[0], 1) for _, found in each if found.box] == [0.1, 0.4, 0.8]
        for image, found in each:
            assert np.corrcoef(image.ravel(), each[0][0].ravel())[0, 1] > 0.95
            assert not found.unchanged

    def test_a_page_of_more_than_200_is_refused(self, seven: np.ndarray) -> None:
        assert len(inspect_each(np.tile(seven, (10, 20))).digits) == 200
        with pytest.raises(ImageError, match="found more than 200 possible digits"):
            inspect_each(np.tile(seven, (14, 15)))

    def test_each_of_one(self, seven: np.ndarray) -> None:
        [(image, found)] = inspect_each(seven).digits
        assert image is seven
        assert found.unchanged
        [(image, _)] = inspect_each(255 - seven).digits
        assert np.array_equal(image, prepare_image(255 - seven))


@pytest.mark.parametrize("function", [prepare, inspect_each])
def test_a_blank_picture_and_an_unknown_ink_are_refused(
    seven: np.ndarray, function: Callable[..., object]
) -> None:
    for blank in (
        np.zeros((28, 28), np.uint8),
        np.full((28, 28), 255, np.uint8),
        np.full((300, 300), 128, np.uint8),
        np.random.default_rng(0).integers(120, 130, (90, 90), np.uint8),
        np.random.default_rng(0).integers(0, 9, (28, 28), np.uint8),
        Image.new("RGBA", (50, 50), (200, 10, 10, 0)),
    ):
        with pytest.raises(ImageError, match=r"no (ink|digit) found"):
            function(blank)
    with pytest.raises(InputError, match="ink must be one of auto, light, dark, got 'blue'"):
        function(seven, ink="blue")


class TestAnyArray:
    """Whatever the pixels are: an image in MNIST's format, or an error that says why."""

    @given(
        arrays(
            st.sampled_from([np.uint8, np.uint16, np.bool_]),
            st.tuples(st.integers(1, 150), st.integers(1, 150)),
        )
        | arrays(
            np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([2, 3, 4]))
        ),
        st.sampled_from(INKS),
    )
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_grey_colour_and_transparency(self, pixels: np.ndarray, ink: str) -> None:
        self.check(pixels, ink)

    @given(
        st.sampled_from([(10_000, 1), (1, 10_000), (10_000, 40), (40, 10_000), (3, 3_000)]),
        st.sampled_from([np.uint8, np.uint16, np.bool_]),
        st.sampled_from(["noise", "dark on light", "light on dark"]),
        st.sampled_from(INKS),
    )
    @settings(max_examples=60, deadline=None, derandomize=True)
    def test_long_and_narrow(
        self, shape: tuple[int, int], dtype: type, kind: str, ink: str
    ) -> None:
        highest = 1 if dtype is np.bool_ else np.iinfo(dtype).max
        pixels = np.random.default_rng(0).integers(0, highest, shape, endpoint=True)
        if kind != "noise":
            paper, drawn = (highest, 0) if kind == "dark on light" else (0, highest)
            pixels[:] = paper
            pixels[tuple(slice(side // 3, 2 * side // 3 + 1) for side in shape)] = drawn
        self.check(pixels.astype(dtype), ink)

    @staticmethod
    def check(pixels: np.ndarray, ink: str) -> str:
        """Prepare an image and return why it is refused, if it is."""
        before, message = pixels.copy(), ""
        try:
            image = prepare_image(pixels, ink=ink)
        except ImageError as error:
            message = str(error)
            assert message.startswith(("image: no ink found", "image: no digit", "image: found "))
        else:
            assert (image.dtype, image.shape, image.any()) == (np.uint8, (28, 28), True)
        assert np.array_equal(pixels, before)
        return message
