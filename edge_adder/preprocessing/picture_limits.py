"""What a picture file may ask of its decoder, checked before it is decoded.

A small file can keep a decoder busy for minutes: with thousands of scans, segments, chunks or
entries, each of which costs time whatever it holds. Cameras and programs write far fewer. The
limits keep any picture below 5 CPU seconds on one core of a server, and are counted from the file's
headers and markers alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from edge_adder.preprocessing.tiff_limits import MAX_COMPRESSED_BYTES, check_tiff, too_many

MAX_SCANS = 64
"""Maximum scans of a JPEG: encoders write about 10; a scan without data takes 30 ms of a picture of
50 megapixels."""

MAX_SEGMENTS = 1000
"""Maximum segments before a JPEG's first scan: a colour profile takes up to 255 of them, a depth
map some hundreds."""

MAX_EXIF_SEGMENTS = 8
"""Maximum Exif segments of a JPEG: cameras write one. Pillow copies all earlier ones for each."""

MAX_EXIF_BYTES = 2**19
"""Maximum size of Exif data: 64 KiB in a JPEG segment."""

MAX_JUNK_BYTES = 2**20
"""Maximum bytes between the segments of a JPEG, which Pillow skips one by one."""

MAX_PNG_CHUNKS = 250_000
"""Maximum chunks of a PNG: 256 MiB in those of 1 KiB."""

MAX_PNG_METADATA = 1000
"""Maximum chunks of a PNG that hold no pixels: each may expand to 1 MiB."""

MAX_GIF_BLOCKS = 2_000_000
"""Maximum blocks of a GIF before its second frame: 256 MiB in those of 128 bytes."""

MAX_RLE_BYTES = 10_000_000
"""Maximum size, and pixels, of a run-length encoded BMP: Pillow decodes it in Python."""

SMALL_BYTES = 2**16
"""Size up to which a PNG, a GIF or a BMP takes no more than a second, whatever it holds."""

_AVIF_BRANDS = (b"avif", b"avis")
_HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_CHUNKS_WITH_PIXELS = (b"IDAT", b"fdAT", b"fcTL")
_FRAME_HEADERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without DHT, JPG, DAC
_WITHOUT_LENGTH = {0x00, 0x01, *range(0xD0, 0xDA)}  # none, TEM, RST0 to RST7, SOI, EOI
_START_OF_SCAN, _END_OF_IMAGE, _APP1 = 0xDA, 0xD9, 0xE1
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")


def find_excess(data: bytes) -> str | None:
    """Return what a picture file has too much of, and what to do; None if it may be decoded.

    A file that is not understood passes: its decoder refuses it.

    Args:
        data: The whole file.
    """
    check = _CHECKS.get(data[:2])
    try:
        return check(data) if check else None
    except (struct.error, IndexError):  # it ends too early
        return None


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a WebP; None of another file.

    Pillow allocates its pixels when the file is opened (RFC 9649, sections 2.5 to 2.7).
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return (
            int.from_bytes(data[24:27], "little") + 1,
            int.from_bytes(data[27:30], "little") + 1,
        )
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def name_format(data: bytes) -> str | None:
    """Return the name of a known format that is not read, by the file's first bytes."""
    if data[4:8] == b"ftyp":  # ISO base media file format, section 4.3: brands
        brand = data[8:12]
        return "AVIF" if brand in _AVIF_BRANDS else "HEIC" if brand in _HEIC_BRANDS else None
    if data[:4] == b"%PDF":
        return "PDF"
    return "SVG" if b"<svg" in data[:1024].lower() else None


def _check_jpeg(data: bytes) -> str | None:
    """Walk the segments up to the first scan, and count all scans if there are several."""
    exif = components = pixels = 0
    is_progressive = False
    for number, (marker, at) in enumerate(_jpeg_segments(data), start=1):
        if marker is None:
            return too_many("bytes between its segments", MAX_JUNK_BYTES)
        if number > MAX_SEGMENTS:
            return too_many("segments", MAX_SEGMENTS)
        if marker == _APP1 and data.startswith(b"Exif\0\0", at + 2):
            exif += 1
            if exif > MAX_EXIF_SEGMENTS:
                return too_many("Exif segments", MAX_EXIF_SEGMENTS)
        elif marker in _FRAME_HEADERS:
            height, width, components = struct.unpack_from(">HHB", data, at + 3)
            pixels = max(pixels, width * height)
            is_progressive = is_progressive or marker not in (0xC0, 0xC1)
        elif marker == _START_OF_SCAN:
            if not is_progressive and data[at + 2] == components:
                return None  # one scan has it all; the decoder stops after it
            return _check_scans(data, at, pixels)
    return None


def _jpeg_segments(data: bytes) -> Iterator[tuple[int | None, int]]:
    """Yield the marker of each segment and the place of its length; None for too much junk."""
    junk, at = 0, 2
    while (start := data.find(b"\xff", at)) >= 0:
        place = start + 1
        while data[place] == 0xFF and place - at <= MAX_JUNK_BYTES + 1:
            place += 1
        marker = data[place]
        junk += place - at - 1
        at = place + 1
        if marker in _WITHOUT_LENGTH:
            junk += 2
        if junk > MAX_JUNK_BYTES:
            yield None, at
        elif marker not in _WITHOUT_LENGTH:
            yield marker, at
            at += struct.unpack_from(">H", data, at)[0]


def _check_scans(data: bytes, at: int, pixels: int) -> str | None:
    """Count a JPEG's scans from the first one on, and the bytes up to its end."""
    scans, first = 1, at
    for found in _MARKER_IN_SCAN.finditer(data, at):
        marker = data[found.start() + 1]
        if marker == _START_OF_SCAN:
            scans += 1
            if scans > MAX_SCANS:
                return too_many("scans", MAX_SCANS)
        elif marker == _END_OF_IMAGE:
            at = found.start()
            break
    else:
        at = len(data)
    limit = min(2**20 + 3 * pixels, MAX_COMPRESSED_BYTES)
    return too_many("bytes for its pixels", limit) if at - first > limit else None


def _check_png(data: bytes) -> str | None:
    """Count chunks, and the compressed bytes for the declared pixels."""
    if len(data) <= SMALL_BYTES:
        return None
    width, height = struct.unpack_from(">II", data, 16)
    # Up to 8 bytes a pixel, and a byte for each row.
    limit = min(2**20 + 9 * width * height, MAX_COMPRESSED_BYTES)
    chunks = metadata = pixel_bytes = 0
    at = 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks += 1
        if chunks > MAX_PNG_CHUNKS:
            return too_many("chunks", MAX_PNG_CHUNKS)
        kind = data[at + 4 : at + 8]
        if kind == b"IDAT":
            pixel_bytes += length
        elif kind not in _CHUNKS_WITH_PIXELS:
            metadata += 1
            if metadata > MAX_PNG_METADATA:
                return too_many("chunks of metadata", MAX_PNG_METADATA)
        at += 12 + length
    return too_many("bytes for its pixels", limit) if pixel_bytes > limit else None


def _check_gif(data: bytes) -> str | None:
    """Count the blocks up to the second frame, which Pillow looks for."""
    if len(data) <= SMALL_BYTES:
        return None
    for number, _ in enumerate(_gif_blocks(data)):
        if number >= MAX_GIF_BLOCKS:
            return too_many("blocks", MAX_GIF_BLOCKS)
    return None


def _gif_blocks(data: bytes) -> Iterator[None]:
    """Yield once for each block, and each byte between them, up to the second frame."""
    frames = 0
    at = 13 + _colour_table_bytes(data[10])
    while (kind := data[at]) != ord(";"):
        if kind == ord(","):
            frames += 1
            if frames == 2:
                return
            at += 11 + _colour_table_bytes(data[at + 9])
        elif kind == ord("!"):
            at += 2
        else:
            at += 1
            yield
            continue
        while size := data[at]:
            at += 1 + size
            yield
        at += 1
        yield


def _colour_table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _check_bmp(data: bytes) -> str | None:
    """Limit size and pixels of a run-length encoded BMP."""
    if len(data) < 34 or int.from_bytes(data[14:18], "little") == 12:
        return None
    width, height = struct.unpack_from("<ii", data, 18)
    if int.from_bytes(data[30:34], "little") not in (1, 2):
        return None
    if max(len(data), abs(width * height)) > MAX_RLE_BYTES:
        return too_many("bytes or pixels with run-length encoding", MAX_RLE_BYTES)
    return None


def _check_webp(data: bytes) -> str | None:
    """Limit the size of a WebP: its decoder keeps a record of every chunk of 8 bytes."""
    width, height = webp_size(data) or (0, 0)
    limit = 2**25 + 4 * width * height
    return too_many("bytes for its pixels", limit) if len(data) > limit else None


_CHECKS = {
    b"\xff\xd8": _check_jpeg,
    b"\x89P": _check_png,
    b"GI": _check_gif,
    b"BM": _check_bmp,
    b"RI": _check_webp,
    b"II": check_tiff,
    b"MM": check_tiff,
}
