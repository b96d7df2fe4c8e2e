"""A picture that would keep its decoder busy, or take too much memory, is refused before that."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder, FileAccessError, ImageError, InputError, prepare_image
from edge_adder.limits import BYTES_PER_PIXEL, WEBP_BYTES_PER_PIXEL
from edge_adder.parallel import THREAD_NAME
from edge_adder.preprocessing import decode
from edge_adder.preprocessing.picture_limits import find_excess

Encode = Callable[..., bytes]
TiffTag = tuple[int, int, int, bytes]


def insert(data: bytes, at: int, *pieces: bytes) -> bytes:
    return data[:at] + b"".join(pieces) + data[at:]


def with_scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is there more often."""
    last = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    return insert(jpeg, len(jpeg) - 2, last * (count - jpeg.count(b"\xff\xda")))


def jpeg_segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rle_bmp(width: int, height: int, body: bytes) -> bytes:
    palette = bytes(4) * 2 + b"\x40\x80\xff\0" * 254
    start = 54 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + palette + body


def short(tag: int, *values: int) -> TiffTag:
    return tag, 3, len(values), struct.pack(f"<{len(values)}H", *values)


def long(tag: int, *values: int) -> TiffTag:
    return tag, 4, len(values), struct.pack(f"<{len(values)}I", *values)


def tiff(*tags: TiffTag) -> bytes:
    """A TIFF of 28×28 black pixels with further tags: number, type, count and value."""
    pixels = short(256, 28), short(257, 28), short(258, 8), short(262, 1), long(273, 8)
    entries = {tag: rest for tag, *rest in (*pixels, long(279, 28 * 28), *tags)}
    directory, values = struct.pack("<H", len(entries)), b""
    start = 8 + 28 * 28
    end = start + 2 + 12 * len(entries) + 4
    for tag, (kind, count, value) in sorted(entries.items()):
        place = value.ljust(4, b"\0")
        if len(value) > 4:
            place = struct.pack("<I", end + len(values))
            values += value
        directory += struct.pack("<HHI", tag, kind, count) + place
    return b"II*\0" + struct.pack("<I", start) + bytes(28 * 28) + directory + bytes(4) + values


def printed(code: str, folder: Path, **environment: str) -> str:
    """What a fresh interpreter prints in a folder."""
    command, variables = [sys.executable, "-c", code], os.environ | environment
    return subprocess.check_output(command, cwd=folder, env=variables, text=True)


@pytest.fixture
def progressive(drawing: Image.Image, encode: Encode) -> bytes:
    return encode(drawing.convert("L"), "JPEG", progressive=True)


@pytest.fixture
def jpeg(drawing: Image.Image, encode: Encode) -> bytes:
    return encode(drawing, "JPEG")


class TestJpeg:
    def test_scans(self, progressive: bytes) -> None:
        assert prepare_image(with_scans(progressive, 64)).any()
        with pytest.raises(ImageError, match="has more than 64 scans: save it anew, as a plain"):
            prepare_image(with_scans(progressive, 65))

    def test_scans_of_one_component_each(self, drawing: Image.Image, encode: Encode) -> None:
        data = encode(drawing.convert("RGB"), "JPEG")
        frame = data.index(b"\xff\xc0")
        scan = data.index(b"\xff\xda")
        one = jpeg_segment(0xDA, b"\1\1\0\0\x3f\0")
        assert data[frame + 9] == 3
        assert "64 scans" in str(find_excess(data[:scan] + (one + b"\x12") * 65 + b"\xff\xd9"))

    def test_a_thumbnail_in_a_segment_is_no_scan(self, progressive: bytes) -> None:
        thumbnails = jpeg_segment(0xE2, b"\xff\xda" * 100)
        assert prepare_image(insert(progressive, 2, thumbnails)).any()

    def test_scans_after_the_only_one_are_not_decoded(self, jpeg: bytes) -> None:
        assert prepare_image(jpeg + b"\xff\xda" * 100).any()  # such as a second picture

    def test_bytes_for_the_pixels(self, progressive: bytes) -> None:
        data = insert(progressive, len(progressive) - 2, bytes(2 * 2**20))
        with pytest.raises(ImageError, match="bytes for its pixels"):
            prepare_image(data)

    @pytest.mark.parametrize(
        ("body", "allowed", "message"),
        [
            (b"http://ns.adobe.com/xmp/extension/\0" + bytes(100), 990, "1,000 segments"),
            (b"Exif\0\0" + bytes(20), 8, "8 Exif segments"),
        ],
    )
    def test_segments(self, jpeg: bytes, body: bytes, allowed: int, message: str) -> None:
        segment = jpeg_segment(0xE1, body)
        assert prepare_image(insert(jpeg, 2, segment * allowed)).any()
        with pytest.raises(ImageError, match=f"has more than {message}"):
            prepare_image(insert(jpeg, 2, segment * (allowed + 11)))

    @pytest.mark.parametrize("junk", [b"\0", b"\xff", b"\xff\0", b"\xff\xd0"])
    def test_junk_between_segments(self, jpeg: bytes, junk: bytes) -> None:
        with pytest.raises(ImageError, match="bytes between its segments"):
            prepare_image(insert(jpeg, 2, junk * (2**20 + 100)))


class TestPng:
    def test_chunks_of_pixels(self, drawing: Image.Image, encode: Encode) -> None:
        data = insert(encode(drawing, "PNG"), 33, png_chunk(b"IDAT", b"") * 250_001)
        with pytest.raises(ImageError, match="has more than 250,000 chunks: "):
            prepare_image(data)

    def test_chunks_that_expand(self, drawing: Image.Image, encode: Encode) -> None:
        profile = png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(2**20)))
        data = encode(drawing, "PNG")
        assert prepare_image(insert(data, 33, profile * 100)).any()
        with pytest.raises(ImageError, match="has more than 1,000 chunks of metadata"):
            prepare_image(insert(data, 33, profile * 1001))

    def test_compressed_bytes(self, drawing: Image.Image, encode: Encode) -> None:
        data = bytearray(encode(drawing.resize((100, 100)), "PNG"))
        data[16:24] = struct.pack(">II", 7000, 7000)
        chunk = png_chunk(b"IDAT", bytes(60_000_001))
        assert "more than 60,000,000 bytes" in str(find_excess(insert(bytes(data), 33, chunk)))

    def test_bytes_for_the_pixels(self, drawing: Image.Image, encode: Encode) -> None:
        data = encode(drawing.resize((100, 100)), "PNG")
        pixels = png_chunk(b"IDAT", bytes(2 * 2**20))
        with pytest.raises(ImageError, match="bytes for its pixels"):
            prepare_image(insert(data, len(data) - 12, pixels))

    def test_exif(self, drawing: Image.Image, encode: Encode) -> None:
        data = encode(drawing, "PNG")
        with pytest.raises(ImageError, match="has more than 512 KiB of Exif data"):
            prepare_image(insert(data, 33, png_chunk(b"eXIf", bytes(2**19 + 1))))


class TestOtherFormats:
    @pytest.mark.parametrize("block", [b"!\xfe\0", b"\0"])
    def test_gif_blocks(self, drawing: Image.Image, encode: Encode, block: bytes) -> None:
        data = encode(drawing, "GIF")
        first = 13 + (3 << (data[10] & 7) + 1)
        assert prepare_image(insert(data, first, b"!\xfe\1x\0" * 50_000)).any()
        with pytest.raises(ImageError, match="has more than 2,000,000 blocks"):
            prepare_image(insert(data, first, block * 2_000_001))

    def test_gif_blocks_after_the_second_frame(self, drawing: Image.Image, encode: Encode) -> None:
        data = encode(drawing, "GIF", save_all=True, append_images=[drawing.rotate(90)])
        assert find_excess(data[:-1] + bytes(2_000_001) + b";") is None

    def test_run_lengths(self) -> None:
        row = b"\x0c\2" + b"\4\0" + b"\x0c\2" + b"\0\0"  # a dark stroke
        assert prepare_image(rle_bmp(28, 28, row * 28)).any()
        for data in (rle_bmp(28, 28, bytes(10_000_000)), rle_bmp(5000, 2001, row)):
            with pytest.raises(ImageError, match="10,000,000 bytes or pixels with run-length"):
                prepare_image(data)

    def test_webp_chunks(self, drawing: Image.Image, encode: Encode) -> None:
        data = encode(drawing, "WEBP")
        assert "bytes for its pixels" in str(find_excess(data + bytes(2**25 + 4 * 10**6)))

    def test_a_webp_takes_more_memory_a_pixel(self, encode: Encode) -> None:
        data = encode(Image.new("L", (1500, 1000)), "WEBP", lossless=True)
        message = "too large: expected at most 1.17647 megapixels, got 1500x1000: export it as JPEG"
        for kind in (data, as_extended_webp(data, 1500, 1000)):
            with pytest.raises(ImageError, match=message):
                prepare_image(kind, max_pixels=2_000_000)
        with pytest.raises(ImageError, match="no ink found"):
            prepare_image(data, max_pixels=2_600_000)

    def test_a_lossy_webp(self, encode: Encode) -> None:
        data = encode(Image.new("L", (300, 200)), "WEBP")
        with pytest.raises(ImageError, match=r"expected at most 0\.05 megapixels, got 300x200$"):
            prepare_image(data, max_pixels=50_000)


def as_extended_webp(data: bytes, width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas + data[12:]
    return b"RIFF" + struct.pack("<I", len(body)) + body


DEEP = long(256, 3000), long(257, 3000), short(258, 16, 16, 16, 16)


class TestTiff:
    def test_an_ordinary_one(self, drawing: Image.Image, encode: Encode) -> None:
        assert prepare_image(encode(drawing, "TIFF", compression="tiff_lzw")).any()
        with pytest.raises(ImageError, match="no ink found"):
            prepare_image(tiff())

    @pytest.mark.parametrize(
        ("tags", "message"),
        [
            ([(tag, 3, 1, b"\0\0") for tag in range(40_000, 41_001)], "1,000 entries in a direct"),
            ([(282, 5, 1001, bytes(8 * 1001))], "1,000 rational numbers in a directory"),
            ([(40_000, 4, 300_001, bytes(4 * 300_001))], "300,000 values in a directory"),
            ([long(256, 2**17), long(278, 1), long(257, 2**17)], "strips"),
            ([long(322, 2**16), long(323, 2**16)], "16,777,216 pixels in a tile"),
            ([long(279, 784, 2**20)], "more bytes than the file has"),
            ([short(259, 34925)], "is compressed in a rare way"),
            ([*DEEP, short(259, 8), short(277, 4)], "64 bits a pixel in one strip"),
        ],
    )
    def test_limits(self, tags: list[TiffTag], message: str) -> None:
        with pytest.raises(ImageError, match=message):
            prepare_image(tiff(*tags))

    def test_big_endian_and_64_bits(self) -> None:
        """The same limit of rational numbers, in the other order and the wide format."""
        entry = struct.pack(">HHII", 282, 5, 1001, 0)
        assert "rational" in str(find_excess(b"MM\0*" + struct.pack(">IH", 8, 1) + entry))
        wide = struct.pack("<HHQQ", 282, 5, 1001, 0)
        big = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 1) + wide
        assert "rational" in str(find_excess(big))


class TestMemory:
    def test_a_picture_that_memory_does_not_suffice_for(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, encode: Encode
    ) -> None:
        monkeypatch.setattr(decode, "memory_at_hand", lambda: 90_000_000)
        path = tmp_path / "large"
        for file_format, takes in (("PNG", 100), ("WEBP", 170)):
            path.write_bytes(encode(Image.new("L", (5000, 2000)), file_format))
            message = f"large: memory does not suffice for it: it takes {takes} MB, 90 are free: "
            with pytest.raises(FileAccessError, match=message):
                prepare_image(path)
        large = Image.new("L", (5000, 2000))
        with pytest.raises(ImageError, match="no ink found"):  # decoded at a fraction of its size
            prepare_image(encode(large, "JPEG"))
        with pytest.raises(FileAccessError, match="it takes 100 MB"):  # only its result is smaller
            prepare_image(encode(large, "JPEG", progressive=True))

    def test_memory_is_shared_by_the_workers(
        self, monkeypatch: pytest.MonkeyPatch, encode: Encode
    ) -> None:
        data = encode(Image.new("L", (2000, 2000)), "PNG")
        monkeypatch.setattr(decode, "memory_at_hand", lambda: 90_000_000)
        for workers, message in ((2, "no ink found"), (3, "30 are free for each of 3 workers")):
            with contextlib.ExitStack() as stack:
                for _ in range(workers - 1):
                    done = threading.Event()
                    thread = threading.Thread(target=done.wait, name=f"{THREAD_NAME}_0")
                    thread.start()
                    stack.callback(thread.join)
                    stack.callback(done.set)
                with pytest.raises((ImageError, FileAccessError), match=message):
                    prepare_image(data)

    @pytest.mark.parametrize("step", ["Image.open", "to_pixels", "read_file", "_upright"])
    def test_memory_errors(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drawing: Image.Image, step: str
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise MemoryError

        drawing.save(tmp_path / "drawing.tif")
        monkeypatch.setattr(f"edge_adder.preprocessing.decode.{step}", fail)
        with pytest.raises(FileAccessError, match=r"drawing\.tif: memory does not suffice for it"):
            prepare_image(tmp_path / "drawing.tif")

    def test_the_next_image_is_answered(
        self, monkeypatch: pytest.MonkeyPatch, adder: EdgeAdder, seven: np.ndarray, encode: Encode
    ) -> None:
        monkeypatch.setattr(decode, "memory_at_hand", lambda: 90_000_000)
        images = [seven, encode(Image.new("L", (5000, 2000)), "PNG"), seven]
        first, failed, last = adder.predict_many(images, 0, on_error="return")
        assert isinstance(failed, FileAccessError)
        assert first.digit == last.digit == 7

    @pytest.mark.skipif(sys.platform != "linux", reason="the kernel's peak can be reset on Linux")
    def test_bytes_for_each_pixel(self, tmp_path: Path) -> None:
        black = Image.new("LA", (2000, 2000))
        black.save(tmp_path / "alpha.png")
        black.convert("RGB").save(tmp_path / "transparent.png", transparency=(1, 2, 3))
        black.convert("CMYK").save(tmp_path / "progressive.jpg", progressive=True)
        black.convert("F").save(tmp_path / "floats.tif")
        black.save(tmp_path / "alpha.webp", lossless=True)
        code = (
            "import edge_adder, sys\n"
            "from pathlib import Path\n"
            "def status(key): return int(Path('/proc/self/status').read_text()"
            ".partition(key + ':')[2].split()[0]) * 1024\n"
            "for name in sorted(Path().iterdir()) * 2:\n"
            "    Path('/proc/self/clear_refs').write_text('5')\n"
            "    before = status('VmRSS')\n"
            "    try: edge_adder.prepare_image(name)\n"
            "    except edge_adder.ImageError: pass\n"
            "    print(name, (status('VmHWM') - before) // 4_000_000)\n"
        )
        shown = printed(code, tmp_path, MALLOC_MMAP_THRESHOLD_="65536")  # nothing freed is kept
        found = [line.split() for line in shown.splitlines()]
        taken = {name: int(bytes_) for name, bytes_ in found[len(found) // 2 :]}  # all is imported
        assert taken.pop("alpha.webp") <= WEBP_BYTES_PER_PIXEL
        assert len(taken) == 4
        assert max(taken.values()) <= BYTES_PER_PIXEL, taken

    @pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is kept by Linux")
    def test_under_a_limit_of_the_address_space(
        self, tmp_path: Path, drawing: Image.Image, encode: Encode
    ) -> None:
        drawing.save(tmp_path / "small.png")
        (tmp_path / "large.png").write_bytes(encode(Image.new("RGBA", (7000, 7000)), "PNG"))
        code = (
            "import resource, edge_adder\n"
            "from pathlib import Path\n"
            "edge_adder.prepare_image('small.png')\n"
            "used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
            "resource.setrlimit(resource.RLIMIT_AS, (used + 128 * 2**20,) * 2)\n"
            "try: edge_adder.prepare_image('large.png')\n"
            "except edge_adder.FileAccessError as error: print(error)\n"
        )
        message = r"large\.png: memory does not suffice for it: it takes 490 MB, 1\d\d are"
        assert re.match(message, printed(code, tmp_path))


class TestMessages:
    @pytest.mark.parametrize(
        ("kind", "data"),
        [
            ("HEIC", b"\0\0\0\x18ftypheic" + bytes(20)),
            ("HEIC", b"\0\0\0\x18ftypmif1" + bytes(20)),
            ("AVIF", b"\0\0\0\x18ftypavif" + bytes(20)),
            ("PDF", b"%PDF-1.7\n"),
            ("SVG", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ],
    )
    def test_formats_that_are_not_read(self, tmp_path: Path, kind: str, data: bytes) -> None:
        path = tmp_path / "photo"
        path.write_bytes(data)
        with pytest.raises(ImageError, match=f"photo: {kind} is not read: export it as JPEG$"):
            prepare_image(path)

    def test_an_empty_name(self) -> None:
        with pytest.raises(ImageError, match=r"^the name of the image is empty$"):
            prepare_image("")

    def test_a_digit_that_is_too_small(self) -> None:
        page = np.full((3000, 2000), 255, np.uint8)
        page[1500:1504, 1000:1002] = 0
        with pytest.raises(ImageError, match=r"no ink found.* 5 % of the picture's height: crop"):
            prepare_image(page)

    def test_an_open_image_or_file_is_called_by_its_name(self, tmp_path: Path) -> None:
        path = tmp_path / "blank.png"
        Image.new("L", (100, 100)).save(path)
        with Image.open(path) as image, pytest.raises(ImageError, match=r"blank\.png: no ink"):
            prepare_image(image)
        text = path.open(encoding="latin-1")
        with text, pytest.raises(InputError, match=r"blank\.png: .* binary mode"):
            prepare_image(text)


def test_a_file_that_ends_too_early_is_left_to_its_decoder(
    drawing: Image.Image, encode: Encode
) -> None:
    for file_format in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"):
        data = encode(drawing, file_format)
        for length in (2, 3, 12, 20, 30, 40, len(data) // 2):
            assert find_excess(data[:length]) is None
            with pytest.raises(ImageError):
                prepare_image(io.BytesIO(data[:length]))
