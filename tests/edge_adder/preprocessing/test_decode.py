"""Pictures in every form that the library takes, and what it refuses."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw, ImageOps

from edge_adder import FileAccessError, ImageError, InputError, prepare_image
from edge_adder.preprocessing.decode import (
    FORMATS,
    MAX_PIXELS,
    MOST_PIXELS,
    WORKING_SIDE,
    decode,
    read_picture,
    shrink,
)


def _to_pixels(source: object) -> np.ndarray:
    return read_picture(source).pixels  # type: ignore[arg-type]


def encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


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

    def test_a_large_jpeg_is_decoded_small(self, drawing: Image.Image) -> None:
        large = drawing.resize((4000, 6000))
        opened = decode(encode(large, "JPEG"))
        assert opened.size == (500, 750)
        close = np.abs(prepare_image(opened).astype(int) - prepare_image(drawing))
        assert close.max() <= 60
        assert decode(encode(large.resize((600, 800)), "JPEG")).size == (600, 800)


class TestColour:
    def test_colour_stays_where_there_is_some(self) -> None:
        red = np.zeros((30, 20, 3), np.uint8)
        red[5:9, :, 0] = 200
        assert np.array_equal(_to_pixels(red), red)

    def test_grey_in_three_channels_is_grey(self, seven: np.ndarray) -> None:
        grey = np.repeat(seven[:, :, None], 3, axis=2)
        assert np.array_equal(_to_pixels(grey), seven)
        grey[3, 3, 1] += 12  # as JPEG leaves it
        assert _to_pixels(grey).ndim == 2
        grey[3, 3, 1] += 1
        assert _to_pixels(grey).ndim == 3


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

    def test_transparent_parts_get_the_colour_of_coloured_paper(self) -> None:
        pixels = np.zeros((40, 40, 4), np.uint8)
        pixels[5:, :] = (250, 240, 100, 255)
        pixels[10:20, 10] = (20, 20, 20, 255)
        assert (_to_pixels(pixels)[:5] == (250, 240, 100)).all()

    def test_bold_ink_alone_that_is_cropped_tightly(self) -> None:
        ink = Image.new("RGBA", (60, 100))
        ImageDraw.Draw(ink).ellipse((0, 0, 59, 99), (0, 0, 0, 255))
        ImageDraw.Draw(ink).ellipse((25, 30, 35, 70), (0, 0, 0, 0))
        pixels = _to_pixels(np.asarray(ink))
        assert pixels.max() == 255
        assert np.array_equal(pixels < 128, np.asarray(ink)[:, :, 3] > 128)


class TestShrink:
    def test_shrink_averages_and_keeps_small_images(self) -> None:
        small = np.zeros((WORKING_SIDE, 5), np.uint8)
        assert shrink(small) is small
        checks = np.indices((1000, 600)).sum(0) % 2 * np.uint8(255)
        shrunk = shrink(checks.astype(np.uint8))
        assert shrunk.shape == (200, 120)
        assert abs(shrunk[:-1, :-1].astype(int) - 127).max() <= 17

    def test_a_filter_that_overshoots_changes_little(self) -> None:
        values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
        plain = read_picture(Image.fromarray(values)).pixels
        values[0, 0] = 1.04
        again = read_picture(Image.fromarray(values)).pixels
        assert np.array_equal(plain[1:], again[1:])
        assert again[0, 0] == 255

    def test_a_wide_picture_needs_no_wide_copies(self) -> None:
        array = np.zeros((3000, 4000), np.uint16)
        array[1000:2000, 1900:2000] = 2**12
        tracemalloc.start()
        read_picture(array)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 3 * array.size

    def test_float_images_are_read_by_their_range(self) -> None:
        unit = Image.fromarray(np.array([[0, 1], [0.5, 0]], np.float32))
        assert _to_pixels(unit).tolist() == [[0, 255], [128, 0]]


class TestRefused:
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

    def test_libtiff_prints_nothing_of_its_own(
        self, drawing: Image.Image, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for compression in ("tiff_lzw", "tiff_adobe_deflate"):
            buffer = io.BytesIO()
            drawing.save(buffer, "TIFF", compression=compression)
            data = bytearray(buffer.getvalue())
            data[40:60] = bytes(20)  # of the pixels, which come first
            with pytest.raises(ImageError, match="damaged TIFF image"):
                prepare_image(bytes(data))
        assert capfd.readouterr().err == ""

    def test_a_turned_file_still_says_that_it_has_several_pages(self, drawing: Image.Image) -> None:
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        drawing.save(buffer, "TIFF", exif=exif, save_all=True, append_images=[drawing])
        assert read_picture(buffer.getvalue()).is_multi_frame

    def test_pillow_logs_nothing_to_stderr(self, drawing: Image.Image) -> None:
        data = bytearray(encode(drawing.convert("RGB"), "TIFF"))
        tag = data.index(struct.pack("<HHI", 277, 3, 1))  # samples per pixel
        data[tag + 8 : tag + 10] = struct.pack("<H", 30_000)
        code = "import sys; from edge_adder import prepare_image, ImageError\n"
        code += "try: prepare_image(sys.stdin.buffer.read())\nexcept ImageError: print('refused')"
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, input=data, capture_output=True
        )
        assert (done.stdout, done.stderr) == (b"refused\n", b"")

    def test_a_pil_image_with_damaged_exif(self, drawing: Image.Image) -> None:
        buffer = io.BytesIO()
        drawing.save(buffer, "PNG", exif=b"garbage-garbage")
        with pytest.raises(ImageError, match="image: damaged PNG image: "):
            prepare_image(Image.open(buffer))

    def test_a_pil_image_without_pixels(self) -> None:
        with pytest.raises(ImageError) as caught:
            prepare_image(Image.new("L", (0, 5)))
        assert str(caught.value) == "image: the image has no pixels"

    def test_an_archive_that_ends_too_early(self) -> None:
        short = io.BytesIO(gzip.compress(bytes(100))[:-4])
        with gzip.open(short) as file, pytest.raises(FileAccessError, match="cannot be read: "):
            prepare_image(file)

    @pytest.mark.parametrize("limit", [0, -1, MOST_PIXELS + 1, None, "x", 1e6])
    def test_a_limit_out_of_its_range(self, seven: np.ndarray, limit: Any) -> None:
        for source in (seven, Image.fromarray(seven)):
            with pytest.raises(InputError, match="max_pixels must be 1 to 89478485, got "):
                prepare_image(source, max_pixels=limit)

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
