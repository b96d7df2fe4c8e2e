"""What a TIFF may ask of its decoder, checked before it is decoded.

As `edge_adder.preprocessing.picture_limits` does for the other formats.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

MAX_TIFF_ENTRIES = 1000
"""Maximum entries of a TIFF directory."""

MAX_TIFF_VALUES = 300_000
"""Maximum values of a TIFF directory's entries that are no bytes, such as the strips' offsets."""

MAX_TIFF_RATIONALS = 1000
"""Maximum rational numbers of a TIFF directory, each of which Pillow makes an object of."""

MAX_TIFF_PIECES = 100_000
"""Maximum strips or tiles of a TIFF: a picture of 50 megapixels has about 20,000 of 8 KiB."""

MAX_PIECE_BYTES_PER_PIXEL = 6
"""Maximum size of a compressed TIFF's strip, for each pixel of the picture: libtiff keeps a strip
beside the whole picture."""

MAX_COMPRESSED_BYTES = 60_000_000
"""Maximum compressed bytes of a PNG, a deflated TIFF or a JPEG of several scans: 25 megapixels of
noise as PNG. Blocks of deflate that hold nothing take 70 ns a byte."""

_VALUE_FORMATS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_BYTE_TYPES, _RATIONAL_TYPES = (1, 2, 6, 7), (5, 10)
_WIDTH, _HEIGHT, _STRIP_HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
_BITS, _COMPRESSION, _DEFLATE = 258, 259, (8, 32946)
_COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 32771, 32773, 50000, *_DEFLATE)
"""None, CCITT, LZW, JPEG, PackBits, Zstandard and deflate. Not LZMA, whose blocks that hold nothing
take a microsecond each, nor what hardly any program writes."""

_STRIP_BYTES, _TILE_BYTES, _SAMPLES, _PLANES = 279, 325, 277, 284
_DIRECTORIES = (34665, 34853, 40965)
"""Tags of the further directories that Pillow reads: Exif, GPS, interoperability."""


def too_many(what: str, limit: int) -> str:
    """Return the message for a file that has more of something than it may."""
    return f"has more than {limit:,} {what}: save it anew, as a plain JPEG or PNG"


class _Entry(NamedTuple):
    """An entry of a TIFF directory.

    Attributes:
        tag: What it states.
        kind: Type of its values.
        size: Number of its values.
        at: Where its values stand in the file.
    """

    tag: int
    kind: int
    size: int
    at: int


class _Tiff:
    """A TIFF file's structure (TIFF 6.0, section 2; BigTIFF: libtiff's documentation)."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        self.is_big = self.unpack("H", 2) == 43
        self.first = self.unpack("Q", 8) if self.is_big else self.unpack("I", 4)

    def unpack(self, kind: str, at: int) -> int:
        """Return the integer at a place."""
        return int(struct.unpack_from(self.order + kind, self.data, at)[0])

    def entries(self, at: int) -> Iterator[_Entry]:
        """Yield the entries of the directory at a place, one more than there may be at most."""
        wide, word = ("Q", 8) if self.is_big else ("I", 4)
        count = self.unpack("Q" if self.is_big else "H", at)
        at += 8 if self.is_big else 2
        for _ in range(min(count, MAX_TIFF_ENTRIES + 1)):
            tag, kind = self.unpack("H", at), self.unpack("H", at + 2)
            values = self.unpack(wide, at + 4)
            place = at + 4 + word
            if values * _VALUE_BYTES.get(kind, 8) > word:
                place = self.unpack(wide, place)
            yield _Entry(tag, kind, values, place)
            at += 4 + 2 * word

    def values(self, entry: _Entry) -> tuple[int, ...]:
        """Return an entry's integers; nothing of other types."""
        kind = _VALUE_FORMATS.get(entry.kind)
        if kind is None:
            return ()
        return struct.unpack_from(f"{self.order}{entry.size}{kind}", self.data, entry.at)


def check_tiff(data: bytes) -> str | None:
    """Check the first directory and those in it, the strips or tiles, and their bytes."""
    tiff = _Tiff(data)
    found: dict[int, _Entry] = {}
    for at in _directories(tiff):
        entries = list(tiff.entries(at))
        found = found or {entry.tag: entry for entry in reversed(entries)}  # the first of a tag
        if len(entries) > MAX_TIFF_ENTRIES:
            return too_many("entries in a directory", MAX_TIFF_ENTRIES)
        rationals = sum(entry.size for entry in entries if entry.kind in _RATIONAL_TYPES)
        if rationals > MAX_TIFF_RATIONALS:
            return too_many("rational numbers in a directory", MAX_TIFF_RATIONALS)
        if sum(entry.size for entry in entries if entry.kind not in _BYTE_TYPES) > MAX_TIFF_VALUES:
            return too_many("values in a directory", MAX_TIFF_VALUES)
    return _check_compression(tiff, found) or _check_pieces(tiff, found)


def _directories(tiff: _Tiff) -> Iterator[int]:
    """Yield the places of the first directory and of those that its entries name."""
    yield tiff.first
    for entry in tiff.entries(tiff.first):
        if entry.tag in _DIRECTORIES:
            yield from tiff.values(entry._replace(size=min(entry.size, 1)))


def _first_value(tiff: _Tiff, found: dict[int, _Entry], tag: int, default: int) -> int:
    """Return the first integer of an entry; the default without one, and instead of 0."""
    entry = found.get(tag)
    values = tiff.values(entry._replace(size=1)) if entry else ()
    return values[0] if values and values[0] else default


def _check_compression(tiff: _Tiff, found: dict[int, _Entry]) -> str | None:
    compression = _first_value(tiff, found, _COMPRESSION, 1)
    if compression not in _COMPRESSIONS:
        return "is compressed in a rare way: save it anew, as a plain JPEG or PNG"
    if compression in _DEFLATE and len(tiff.data) > MAX_COMPRESSED_BYTES:
        return too_many("compressed bytes", MAX_COMPRESSED_BYTES)
    return None


def _check_pieces(tiff: _Tiff, found: dict[int, _Entry]) -> str | None:
    """Check number, size and bytes of the strips or tiles."""
    first = partial(_first_value, tiff, found)
    width, height = first(_WIDTH, 1), first(_HEIGHT, 1)
    across, down = first(_TILE_WIDTH, width), first(_TILE_HEIGHT, first(_STRIP_HEIGHT, height))
    planes = first(_SAMPLES, 1) if first(_PLANES, 1) == 2 else 1
    pieces = -(-width // across) * -(-height // down) * planes
    if pieces > MAX_TIFF_PIECES:
        return too_many("strips or tiles", MAX_TIFF_PIECES)
    if across * min(down, height if _TILE_HEIGHT not in found else down) > max(
        width * height, 2**24
    ):
        return too_many("pixels in a tile", 2**24)
    compression = first(_COMPRESSION, 1)
    piece_bytes = across * min(down, height) * first(_SAMPLES, 1) * first(_BITS, 1) // 8
    if compression != 1 and piece_bytes > 2**24 + MAX_PIECE_BYTES_PER_PIXEL * width * height:
        return "holds 64 bits a pixel in one strip: save it anew, as a plain JPEG or PNG"
    sizes = found.get(_TILE_BYTES) or found.get(_STRIP_BYTES)
    if sizes and sum(tiff.values(sizes)) > len(tiff.data) + 2**16:
        return "states more bytes than the file has: save it anew, as a JPEG or PNG"
    return None
