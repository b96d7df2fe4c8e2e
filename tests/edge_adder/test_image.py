"""Any picture of a digit becomes MNIST's form; what is in that form already stays as it is."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from edge_adder import FileAccessError, ImageError, InputError, prepare_image
from edge_adder.image import (
    FORMATS,
    INKS,
    MAX_PIXELS,
    WORKING_SIDE,
    FoundInk,
    find_ink,
    shrink,
    to_grey,
)


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def mass_centre(image: np.ndarray) -> tuple[float, float]:
    ink = image.astype(float)
    steps = np.arange(28)
    return ink.sum(1) @ steps / ink.sum(), ink.sum(0) @ steps / ink.sum()


@pytest.fixture
def drawing() -> Image.Image:
    """A thick black L on white, off centre, 200 pixels wide and 300 high."""
    pixels = np.full((300, 200), 255, np.uint8)
    pixels[40:240, 30:60] = 0
    pixels[210:240, 30:130] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def prepared(drawing: Image.Image) -> np.ndarray:
    return prepare_image(drawing)


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

    def test_a_bright_background_below_the_ink_is_still_background(self, seven: np.ndarray) -> None:
        lifted = 100 + seven // 2
        assert prepare_image(lifted) is lifted

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


class TestNormalise:
    def test_the_longer_side_fills_20_pixels_and_the_aspect_stays(
        self, prepared: np.ndarray
    ) -> None:
        rows, columns = np.flatnonzero(prepared.any(1)), np.flatnonzero(prepared.any(0))
        assert rows[-1] - rows[0] + 1 == 20
        assert columns[-1] - columns[0] + 1 == pytest.approx(10, abs=1)  # 100 of 200 pixels

    def test_the_mass_is_centred(self, prepared: np.ndarray) -> None:
        assert mass_centre(prepared) == pytest.approx((13.5, 13.5), abs=0.51)

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
        framed = ImageOps.expand(drawing, 20, fill=0)  # the border now says that light is ink
        assert np.corrcoef(prepare_image(framed).ravel(), prepared.ravel())[0, 1] < 0.9
        cut = np.asarray(framed)[20:-20, 20:-20]
        assert np.array_equal(prepare_image(cut, ink="dark"), prepared)
        assert not np.array_equal(prepare_image(cut, ink="light"), prepared)


class TestSources:
    @pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"])
    def test_path_bytes_file_and_image_agree(
        self, tmp_path: Path, drawing: Image.Image, file_format: str
    ) -> None:
        data = encode(drawing, file_format)
        path = tmp_path / "drawing"
        path.write_bytes(data)
        wanted = prepare_image(path)
        for source in (
            str(path),
            data,
            bytearray(data),
            memoryview(data),
            io.BytesIO(data),
        ):
            assert np.array_equal(prepare_image(source), wanted)
        with Image.open(path) as image:
            assert np.array_equal(prepare_image(image), wanted)

    def test_every_format_in_the_list_is_tested(self) -> None:
        assert set(FORMATS) == {"PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"}

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_arrays_with_channels(
        self, drawing: Image.Image, prepared: np.ndarray, channels: int
    ) -> None:
        array = np.repeat(np.asarray(drawing)[:, :, None], channels, axis=2)
        if channels == 4:
            array[:, :, 3] = 255
        assert np.array_equal(prepare_image(array), prepared)

    def test_the_first_frame_of_an_animation_is_used(
        self, drawing: Image.Image, prepared: np.ndarray
    ) -> None:
        other = ImageOps.flip(drawing)
        data = encode(drawing, "GIF", save_all=True, append_images=[other])
        assert np.array_equal(prepare_image(data), prepared)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_rotation_is_applied(
        self, drawing: Image.Image, prepared: np.ndarray, orientation: int
    ) -> None:
        back = {
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }
        stored = drawing.transpose(back[orientation]) if orientation > 1 else drawing
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = encode(stored, "PNG", exif=exif)
        assert np.array_equal(prepare_image(data), prepared)
        assert np.array_equal(prepare_image(Image.open(io.BytesIO(data))), prepared)

    def test_a_pil_image_is_left_as_it_was(self, drawing: Image.Image) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        image = Image.open(io.BytesIO(encode(drawing, "PNG", exif=exif)))
        prepare_image(image)
        assert image.size == drawing.size
        assert image.getexif()[0x0112] == 6


class TestTransparency:
    @pytest.mark.parametrize("ink", [0, 255], ids=["black ink", "white ink"])
    def test_ink_alone_is_seen_whatever_its_colour(
        self, drawing: Image.Image, prepared: np.ndarray, ink: int
    ) -> None:
        layer = Image.new("L", drawing.size, ink).convert("RGBA")
        layer.putalpha(ImageOps.invert(drawing))
        assert np.abs(prepare_image(layer).astype(int) - prepared).max() <= 8

    def test_transparent_corners_get_the_colour_of_the_paper(
        self, drawing: Image.Image, prepared: np.ndarray
    ) -> None:
        alpha = Image.new("L", drawing.size, 255)
        alpha.paste(0, (0, 0, 20, 20))
        layer = drawing.convert("RGBA")
        layer.putalpha(alpha)
        hidden = np.asarray(layer).copy()
        hidden[:20, :20, :3] = 0  # black where nothing is seen
        assert np.array_equal(prepare_image(hidden), prepared)

    def test_a_transparent_palette_colour(self, drawing: Image.Image, prepared: np.ndarray) -> None:
        palette = drawing.convert("1").convert("P")
        data = encode(palette, "PNG", transparency=palette.getpixel((0, 0)))
        assert np.abs(prepare_image(data).astype(int) - prepared).max() <= 8

    def test_nothing_but_transparency_has_no_ink(self) -> None:
        with pytest.raises(ImageError, match="no ink found"):
            prepare_image(Image.new("RGBA", (50, 50), (200, 10, 10, 0)))


class TestStages:
    def test_otsu_separates_two_levels(self) -> None:
        grey = np.full((10, 10), 200, np.uint8)
        grey[4:6, 4:6] = 40
        found = find_ink(grey)
        assert found is not None
        assert found.dark
        assert 40 <= found.threshold < 200

    def test_forced_ink_keeps_the_threshold(self) -> None:
        grey = np.full((10, 10), 200, np.uint8)
        grey[4:6, 4:6] = 40
        found = find_ink(grey)
        assert found is not None
        assert find_ink(grey, ink="light") == FoundInk(dark=False, threshold=found.threshold)

    def test_shrink_averages_and_keeps_small_images(self) -> None:
        small = np.zeros((WORKING_SIDE, 5), np.uint8)
        assert shrink(small) is small
        checks = np.indices((1000, 600)).sum(0) % 2 * np.uint8(255)
        shrunk = shrink(checks.astype(np.uint8))
        assert shrunk.shape == (112, 67)
        assert abs(shrunk[:-1, :-1].astype(int) - 127).max() <= 17

    def test_float_images_are_read_by_their_range(self) -> None:
        unit = Image.fromarray(np.array([[0, 1], [0.5, 0]], np.float32))
        assert to_grey(unit).tolist() == [[0, 255], [128, 0]]


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

    @staticmethod
    def check(pixels: np.ndarray, ink: str) -> None:
        before = pixels.copy()
        try:
            prepared = prepare_image(pixels, ink=ink)
        except ImageError as error:
            assert str(error) == "image: no ink found"  # noqa: PT017  both ends are right
        else:
            assert prepared.shape == (28, 28)
            assert prepared.dtype == np.uint8
            assert prepared.max() > 0
        assert np.array_equal(pixels, before)


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

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "the file is empty"),
            (b"hello, world", "not an image in one of PNG, JPEG"),
            (b"\x89PNG\r\n\x1a\n", "not an image in one of"),
        ],
    )
    def test_what_is_no_image(self, data: bytes, message: str) -> None:
        with pytest.raises(ImageError, match=message):
            prepare_image(data)

    @pytest.mark.parametrize("file_format", ["PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF"])
    def test_a_truncated_file(self, drawing: Image.Image, file_format: str) -> None:
        data = encode(drawing, file_format)
        for part in (0.1, 0.5, 0.9):
            with pytest.raises(ImageError):
                prepare_image(data[: int(len(data) * part)])

    def test_a_pil_image_that_is_cut_short_or_closed(self, drawing: Image.Image) -> None:
        data = encode(drawing, "PNG")
        with pytest.raises(ImageError, match="image: damaged PNG image: "):
            prepare_image(Image.open(io.BytesIO(data[: len(data) // 2])))
        closed = Image.open(io.BytesIO(data))
        closed.close()
        with pytest.raises(ImageError, match="damaged PNG image"):
            prepare_image(closed)

    def test_a_file_object_that_fails(self) -> None:
        class Broken(io.BytesIO):
            name = "pipe"

            def read(self, _: int | None = None, /) -> bytes:
                raise OSError(5, "Input/output error")

        with pytest.raises(FileAccessError, match=r"pipe: cannot be read: .*Input/output error"):
            prepare_image(Broken())

    def test_a_bomb_is_refused_before_it_is_decoded(self) -> None:
        def chunk(kind: bytes, body: bytes) -> bytes:
            checksum = struct.pack(">I", zlib.crc32(kind + body))
            return struct.pack(">I", len(body)) + kind + body + checksum

        for side in (8_000, 12_000, 50_000):  # ours, Pillow's warning, Pillow's error
            header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
            bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            bomb += chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
            with pytest.raises(ImageError, match="too large: expected at most 50 megapixels"):
                prepare_image(bomb)

    def test_a_format_outside_the_list(self) -> None:
        with pytest.raises(ImageError, match="not an image in one of"):
            prepare_image(encode(Image.new("RGB", (28, 28)), "PPM"))

    def test_an_image_object_that_is_too_large(self) -> None:
        image = Image.new("1", (MAX_PIXELS // 1000 + 1, 1000))
        with pytest.raises(ImageError, match="too large"):
            prepare_image(image)

    def test_a_missing_file_and_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ImageError, match=r"seven\.png: no such file"):
            prepare_image(tmp_path / "seven.png")
        with pytest.raises(ImageError, match="is a folder"):
            prepare_image(tmp_path)
        with pytest.raises(ImageError, match="not a file name"):
            prepare_image("nul\0byte")

    def test_a_file_that_cannot_be_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def deny(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("builtins.open", deny)
        with pytest.raises(FileAccessError, match="cannot be read: Permission denied"):
            prepare_image(tmp_path / "seven.png")

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            (7, "image must be a path, bytes, .* got int"),
            (None, "got NoneType"),
            (io.StringIO("text"), "binary mode"),
            (np.zeros((28, 28)), "must be uint8, uint16 or bool, got float64"),
            (np.zeros((2, 28, 28, 1), np.uint8), "must have shape"),
            (np.zeros(784, np.uint8), "must have shape"),
            (np.zeros((0, 28), np.uint8), "must have shape"),
            (np.zeros((28, 28, 5), np.uint8), "must have shape"),
        ],
    )
    def test_other_types(self, source: object, message: str) -> None:
        with pytest.raises(InputError, match=message):
            prepare_image(source)

    def test_an_unknown_ink(self, seven: np.ndarray) -> None:
        with pytest.raises(InputError, match="ink must be one of auto, light, dark, got 'blue'"):
            prepare_image(seven, ink="blue")
