"""Pictures are read from every kind of source, and what is wrong with one is said in a line."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageDraw, ImageOps

from edge_adder import FileAccessError, ImageError, InputError, prepare_image
from edge_adder.preprocessing.decode import (
    DEFAULT_MAX_PIXELS,
    FORMATS,
    LARGEST_MAX_PIXELS,
    decode,
    read_picture,
)

Encode = Callable[..., bytes]


def rotated(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


class TestSources:
    @pytest.mark.parametrize("file_format", FORMATS)
    def test_path_bytes_file_and_image_agree(
        self, tmp_path: Path, drawing: Image.Image, encode: Encode, file_format: str
    ) -> None:
        data = encode(drawing, file_format)
        path = tmp_path / "drawing"
        path.write_bytes(data)
        expected = prepare_image(path)
        with Image.open(path) as image:
            sources = (str(path), np.str_(path), data, bytearray(data), memoryview(data), image)
            for source in (*sources, io.BytesIO(data)):
                assert np.array_equal(prepare_image(source), expected)

    def test_the_first_frame_of_an_animation_is_used(
        self, drawing: Image.Image, prepared: np.ndarray, encode: Encode
    ) -> None:
        data = encode(drawing, "GIF", save_all=True, append_images=[ImageOps.flip(drawing)])
        assert np.array_equal(prepare_image(data), prepared)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_rotation_is_applied(
        self, drawing: Image.Image, prepared: np.ndarray, encode: Encode, orientation: int
    ) -> None:
        how = Image.Transpose
        back = [None, how.FLIP_LEFT_RIGHT, how.ROTATE_180, how.FLIP_TOP_BOTTOM]
        back += [how.TRANSPOSE, how.ROTATE_90, how.TRANSVERSE, how.ROTATE_270]
        stored = drawing.transpose(back[orientation - 1]) if orientation > 1 else drawing
        data = encode(stored, "PNG", exif=rotated(orientation))
        image = Image.open(io.BytesIO(data))
        for source in (data, image):
            assert np.array_equal(prepare_image(source), prepared)
        assert image.size == stored.size  # it is left as it was
        assert image.getexif()[ExifTags.Base.Orientation] == orientation

    def test_a_rotated_file_of_several_pages_is_one(
        self, drawing: Image.Image, encode: Encode
    ) -> None:
        options = {"exif": rotated(6), "save_all": True, "append_images": [drawing]}
        assert read_picture(encode(drawing, "TIFF", **options))[1]

    def test_a_large_jpeg_is_decoded_small(self, drawing: Image.Image, encode: Encode) -> None:
        seven = Image.new("L", drawing.size, 255)
        ImageDraw.Draw(seven).line([(50, 70), (150, 70), (90, 240)], fill=0, width=20)
        large = seven.resize((4000, 6000))
        opened = decode(encode(large, "JPEG"))
        assert opened.size == (500, 750)
        alike = np.corrcoef(prepare_image(opened).ravel(), prepare_image(seven).ravel())
        assert alike[0, 1] > 0.9
        assert decode(encode(large.resize((600, 800)), "JPEG")).size == (600, 800)


class TestRefusedFiles:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"", "the file is empty"),
            (b"hello, world", "not an image in one of PNG, JPEG"),
            (b"\x89PNG\r\n\x1a\n", "not an image in one of"),
            (b"P6 1 1 255\n123", "not an image in one of"),  # a format that is not in the list
        ],
    )
    def test_another_file(self, data: bytes, message: str) -> None:
        with pytest.raises(ImageError, match=message):
            prepare_image(data)

    @pytest.mark.parametrize("file_format", FORMATS)
    def test_a_truncated_file(self, drawing: Image.Image, encode: Encode, file_format: str) -> None:
        data = encode(drawing, file_format)
        for part in (0.1, 0.5, 0.9):
            with pytest.raises(ImageError):
                prepare_image(data[: int(len(data) * part)])

    def test_libtiff_prints_nothing_of_its_own(
        self, drawing: Image.Image, encode: Encode, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for compression in ("tiff_lzw", "tiff_adobe_deflate"):
            data = bytearray(encode(drawing, "TIFF", compression=compression))
            data[40:60] = bytes(20)  # of the pixels, which come first
            with pytest.raises(ImageError, match="damaged TIFF image"):
                prepare_image(bytes(data))
        assert capfd.readouterr().err == ""

    def test_pillow_logs_nothing_to_stderr(self, drawing: Image.Image, encode: Encode) -> None:
        data = bytearray(encode(drawing.convert("RGB"), "TIFF"))
        tag = data.index(struct.pack("<HHI", 277, 3, 1))  # samples per pixel
        data[tag + 8 : tag + 10] = struct.pack("<H", 30_000)
        code = "import sys; from edge_adder import prepare_image, ImageError\n"
        code += "try: prepare_image(sys.stdin.buffer.read())\nexcept ImageError: print('refused')"
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, input=data, capture_output=True
        )
        assert (done.stdout, done.stderr) == (b"refused\n", b"")

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

    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [
            ("seven.png", ImageError, r"seven\.png: no such file"),
            (".", ImageError, "is a folder, expected an image file"),
            ("nul\0byte", ImageError, "not a file name"),
            ("a" * 300, FileAccessError, "cannot be read: File name too long"),
        ],
    )
    def test_what_is_no_file(self, name: str, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=message):
            prepare_image(name)

    def test_open_files_that_fail_or_hold_text(self) -> None:
        class Broken(io.BytesIO):
            name = "pipe"

            def read(self, _: int | None = None, /) -> bytes:
                raise OSError(5, "Input/output error")

        short = gzip.open(io.BytesIO(gzip.compress(bytes(100))[:-4]))  # noqa: SIM115  in memory
        for file, error, message in (
            (short, FileAccessError, "cannot be read: "),
            (Broken(), FileAccessError, "pipe: cannot be read: .*Input/output error"),
            (io.StringIO("text"), InputError, "binary mode"),
        ):
            with pytest.raises(error, match=message):
                prepare_image(file)


class TestRefusedPilImages:
    def test_damaged_cut_short_or_closed(self, drawing: Image.Image, encode: Encode) -> None:
        png = encode(drawing, "PNG")
        parts = png, png[: len(png) // 2], encode(drawing, "PNG", exif=b"garbage-garbage")
        closed, *others = (Image.open(io.BytesIO(part)) for part in parts)
        closed.close()
        for image in (closed, *others):
            with pytest.raises(ImageError, match="image: damaged PNG image: "):
                prepare_image(image)

    def test_without_pixels_or_with_too_many(self) -> None:
        with pytest.raises(ImageError, match=r"^image: the image has no pixels$"):
            prepare_image(Image.new("L", (0, 5)))
        with pytest.raises(ImageError, match="too large"):
            prepare_image(Image.new("1", (DEFAULT_MAX_PIXELS // 1000 + 1, 1000)))

    @pytest.mark.parametrize("limit", [0, -1, LARGEST_MAX_PIXELS + 1, None, "x", 1e6])
    def test_a_limit_out_of_range(self, seven: np.ndarray, limit: Any) -> None:
        for source in (seven, Image.fromarray(seven)):
            with pytest.raises(InputError, match="max_pixels must be 1 to 89478485, got "):
                prepare_image(source, max_pixels=limit)


def test_warnings_of_pillow_stay_off_stderr_in_the_library(tmp_path: Path) -> None:
    """A TIFF whose description lies beyond the end of the file loads all the same."""
    ink = np.full((60, 60), 255, np.uint8)
    ink[10:50, 28:34] = 0
    Image.fromarray(ink).save(tmp_path / "1.tif")
    content = bytearray((tmp_path / "1.tif").read_bytes())
    start = int.from_bytes(content[4:8], "little")
    for entry in range(start + 2, len(content) - 12, 12):
        if int.from_bytes(content[entry : entry + 2], "little") == 284:  # planar configuration
            content[entry : entry + 12] = struct.pack("<HHII", 285, 2, 100, len(content) - 10)
    (tmp_path / "1.tif").write_bytes(content)
    picture = str(tmp_path / "1.tif")
    for code, warned in (
        (f"from PIL import Image; Image.open({picture!r}).load()", True),
        (f"from edge_adder import prepare_image; prepare_image({picture!r})", False),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True
        )
        assert ("UserWarning" in done.stderr) == warned
        assert (done.stderr != "") == warned
