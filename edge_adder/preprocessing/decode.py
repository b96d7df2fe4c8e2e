"""A picture in any form that the library takes → pixels: files, bytes, PIL images, arrays."""

from __future__ import annotations

import ctypes
import functools
import io
import logging
import os
import warnings
from typing import IO, Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, ImageOps

from edge_adder.contract import IMAGE_SIDE
from edge_adder.environment import memory_at_hand
from edge_adder.errors import EdgeAdderError, FileAccessError, ImageError, InputError, one_line
from edge_adder.files import read_file
from edge_adder.limits import (
    BYTES_PER_PIXEL,
    DEFAULT_MAX_PIXELS,
    LARGEST_MAX_PIXELS,
    WEBP_BYTES_PER_PIXEL,
)
from edge_adder.parallel import working_threads
from edge_adder.preprocessing.arrays import SupportsArray, array_to_pixels
from edge_adder.preprocessing.picture_limits import (
    MAX_EXIF_BYTES,
    SMALL_BYTES,
    find_excess,
    name_format,
    webp_size,
)
from edge_adder.preprocessing.pixels import FIRST_SIDE, to_pixels

# Our errors say what Pillow logs about a broken file; without a handler it would go to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())
# Nor are its warnings about files that load all the same; the caller's own filters come first.
warnings.filterwarnings("ignore", module=r"PIL\.", append=True)

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] "
    "| Image.Image | SupportsArray | list[Any] | tuple[Any, ...]"
)
"""What `prepare_image` takes: a path, an encoded file as bytes or as an open binary file, a PIL
image, or an array, a tensor or lists as `edge_adder.preprocessing.arrays` takes them."""

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
"""The file formats that are opened; Pillow knows many more, most of them rarely used or tested."""

MAX_FILE_BYTES = 256 * 2**20
"""Maximum size of a file that is read, so that an endless stream ends."""

_MIN_DECODED = 2 * FIRST_SIDE
"""Least size that a JPEG is decoded at: twice that of the picture that is searched first."""

_ENCODED = (str, os.PathLike, bytes, bytearray, memoryview)
"""Types of a path and of an encoded file."""

_LARGE_PIXELS = 2_000_000
"""Pixels from which on the memory at hand is looked at: 20 MB, beside which the look is free."""

_PNG = 0x89
"""First byte of a PNG; the most frequent format, and of a small file nothing need be checked."""

_MNIST_SHAPE = (IMAGE_SIDE, IMAGE_SIDE)
_PIECE_BYTES = 2**16


def is_small_image(source: object) -> TypeGuard[NDArray[np.uint8]]:
    """Check whether a source is an array uint8 (28, 28), perhaps in MNIST's format."""
    return type(source) is np.ndarray and source.shape == _MNIST_SHAPE and source.dtype == np.uint8


def read_picture(
    source: ImageSource, *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> tuple[NDArray[np.uint8], bool]:
    """Read a picture, shrunk to `edge_adder.preprocessing.pixels.WORKING_SIDE`.

    EXIF rotation is applied; transparent parts get the colour of the paper.

    Args:
        source: The picture. If a file has several frames or pages, the first is used, and of a PIL
            image its current one.
        max_pixels: Maximum size of an image that is decoded, up to `LARGEST_MAX_PIXELS`.

    Returns:
        Its pixels, uint8 (height, width), or (height, width, 3) for an image with colours; for an
        array uint8 (28, 28) the array itself. And whether the file has further frames or pages,
        which are ignored.

    Raises:
        ImageError: Not an image, damaged or too large.
        InputError: An unknown type, an array that must be converted first, or a limit out of range.
        FileAccessError: The file exists and cannot be read, or memory does not suffice for it.
    """
    if not isinstance(max_pixels, int) or not 1 <= max_pixels <= LARGEST_MAX_PIXELS:
        raise InputError(f"max_pixels must be 1 to {LARGEST_MAX_PIXELS}, got {max_pixels!r}")
    if is_small_image(source):
        return source, False  # the most frequent one, and the fastest
    name = name_of(source)
    try:
        return _read_pixels(source, name, max_pixels)
    except MemoryError as error:
        raise _out_of_memory(name) from error


def _read_pixels(source: ImageSource, name: str, max_pixels: int) -> tuple[NDArray[np.uint8], bool]:
    """Read any source but the most frequent one, as `read_picture` does."""
    if isinstance(source, _ENCODED) or hasattr(source, "read"):
        image = decode(_read(source, name), name, max_pixels=max_pixels)
        return _load(image, name), _is_multi_frame(image)
    if isinstance(source, Image.Image):
        _check_size(source, name, max_pixels)
        return _load(_upright(source, name), name), _is_multi_frame(source)
    return array_to_pixels(source), False


def name_of(source: object) -> str:
    """Return what messages call a source: its path, the name of its file, or ``image``."""
    if isinstance(source, bytes):  # a frequent one
        return "image"
    name = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    if name is None and isinstance(source, Image.Image):
        name = getattr(source, "filename", None)
    if name == "<stdin>":  # what Python calls it
        return "standard input"
    return (os.fspath(name) if isinstance(name, (str, os.PathLike)) else "") or "image"


def decode(
    data: bytes, name: str = "image", *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> Image.Image:
    """Open an encoded image and apply its EXIF rotation.

    A JPEG of many pixels is decoded at a half, a quarter or an eighth of its size, which takes a
    fraction of the time and leaves at least `_MIN_DECODED`.

    Args:
        data: The whole file, in one of `FORMATS`.
        name: Stands for the image in messages.
        max_pixels: As in `read_picture`.

    Raises:
        ImageError: It is empty, of another format, too large or damaged, or would take its decoder
            too long (`edge_adder.preprocessing.picture_limits`).
        FileAccessError: Memory does not suffice for it.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name}: the file has more than {MAX_FILE_BYTES // 2**20} MiB")
    if len(data) > SMALL_BYTES or data[0] != _PNG:
        _check_file(data, name, max_pixels)
    opened = _open(data, name, max_pixels)
    _check_size(opened, name, max_pixels)
    size = opened.size
    try:
        if opened.format == "JPEG":
            opened.draft(None, (_MIN_DECODED, _MIN_DECODED))
        elif opened.format == "TIFF":
            _quieten_libtiff()
    except Exception as error:
        raise _damaged(opened, name, error) from error
    if "exif" in opened.info and len(opened.info["exif"]) > MAX_EXIF_BYTES:
        raise ImageError(f"{name}: has more than {MAX_EXIF_BYTES // 2**10} KiB of Exif data")
    # A progressive JPEG's coefficients are kept for all pixels, also if it is decoded smaller.
    pixels = size[0] * size[1] if "progressive" in opened.info else opened.width * opened.height
    if pixels > _LARGE_PIXELS:
        _check_memory(pixels * BYTES_PER_PIXEL, name)
    return _upright(opened, name, in_place=True)


def _check_file(data: bytes, name: str, max_pixels: int) -> None:
    """Refuse a file that would take too long or too much memory before it is opened."""
    excess = find_excess(data)
    if excess:
        raise ImageError(f"{name}: {excess}")
    if size := webp_size(data):
        _check_webp_size(*size, name, max_pixels)


def _open(data: bytes, name: str, max_pixels: int) -> ImageFile.ImageFile:
    """Open an encoded image, which reads its headers; a WebP's pixels are allocated, too."""
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(_too_large(name, max_pixels)) from error
    except Exception as error:  # Pillow's plugins raise nearly anything on broken files
        raise _not_opened(data, name, error) from error


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file's content, from uint8 (height, width), or (height, width, 3) for colour."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _read(source: Any, name: str) -> bytes:
    """Return the encoded image in a path, in bytes or in an open file."""
    if isinstance(source, (str, os.PathLike)):
        if not os.fspath(source):
            raise ImageError("the name of the image is empty")
        return read_file(source, limit=MAX_FILE_BYTES, what="an image file", error=ImageError)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    return _read_stream(source, name)


def _read_stream(file: Any, name: str) -> bytes:
    """Read an open file to its end, or a little more than `MAX_FILE_BYTES` of it.

    In pieces: asking for the limit at once would set that much memory aside for every small file.
    """
    pieces: list[bytes] = []
    size = 0
    while size <= MAX_FILE_BYTES:
        try:
            piece = file.read(_PIECE_BYTES)
        except Exception as error:  # closed, or an archive that ends too early: any type
            raise FileAccessError(f"{name}: cannot be read: {one_line(error)}") from error
        if not isinstance(piece, bytes):
            raise InputError(f"{name}: the file must be open in binary mode")
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _upright(image: Image.Image, name: str, *, in_place: bool = False) -> Image.Image:
    """Rotate an image as its EXIF orientation says; itself where it is upright, or `in_place`."""
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        if not in_place:
            return ImageOps.exif_transpose(image)
        ImageOps.exif_transpose(image, in_place=True)
    except Exception as error:
        raise _damaged(image, name, error) from error
    return image


def _load(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """Return the pixels of an opened image, which Pillow decodes only now."""
    if 0 in image.size:
        raise ImageError(f"{name}: the image has no pixels")
    try:
        return to_pixels(image)
    except Exception as error:
        raise _damaged(image, name, error) from error


def _not_opened(data: bytes, name: str, error: Exception) -> EdgeAdderError:
    """Return the error for a file that Pillow does not open."""
    if isinstance(error, MemoryError):
        return _out_of_memory(name)
    kind = name_format(data)
    if kind:
        return ImageError(f"{name}: {kind} is not read: export it as JPEG")
    return ImageError(f"{name}: not an image in one of {', '.join(FORMATS)}")


def _damaged(image: Image.Image, name: str, error: Exception) -> EdgeAdderError:
    """Return the error for whatever Pillow raised about an image's file."""
    if isinstance(error, MemoryError) or "out of memory" in str(error):
        return _out_of_memory(name)
    kind = f"{image.format} image" if image.format else "image"
    return ImageError(f"{name}: damaged {kind}: {one_line(error)}")


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse an image that is too large before it is decoded."""
    if image.width * image.height > max_pixels:
        raise ImageError(_too_large(name, max_pixels, image.width, image.height))


def _check_webp_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse a WebP that takes more memory than another picture of `max_pixels`."""
    limit = max_pixels * BYTES_PER_PIXEL // WEBP_BYTES_PER_PIXEL
    if width * height > max_pixels:
        raise ImageError(_too_large(name, max_pixels, width, height))
    if width * height > limit:
        raise ImageError(f"{_too_large(name, limit, width, height)}: export it as JPEG")
    if width * height > _LARGE_PIXELS:
        _check_memory(width * height * WEBP_BYTES_PER_PIXEL, name)


def _check_memory(needed: int, name: str) -> None:
    """Refuse a picture that takes more memory, in bytes, than each thread's share."""
    free = memory_at_hand()
    if free is None or needed <= free // (workers := working_threads()):
        return
    share = f" for each of {workers} workers" if workers > 1 else ""
    figures = f"it takes {needed // 10**6} MB, {free // workers // 10**6} are free{share}"
    raise _out_of_memory(name, f": {figures}")


def _out_of_memory(name: str, figures: str = "") -> FileAccessError:
    """Return the error for a picture that memory does not suffice for."""
    return FileAccessError(f"{name}: memory does not suffice for it{figures}: make it smaller")


def _too_large(name: str, max_pixels: int, *size: int) -> str:
    got = f", got {size[0]}x{size[1]}" if size else ""
    limit = f"{max_pixels / 10**6:.6g} megapixels"
    return f"{name}: the image is too large: expected at most {limit}{got}"


def _is_multi_frame(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))
    except Exception:  # noqa: BLE001  Pillow raises nearly anything on a broken second frame
        return False


@functools.cache
def _quieten_libtiff() -> None:
    """Switch off what libtiff prints to stderr by itself; its errors come through Pillow as well.

    The library is found among those that Pillow has loaded, by ``dlsym``. One that is linked
    statically, as on Windows, is left as it is.
    """
    try:
        pillow = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        handlers = (pillow.TIFFSetErrorHandler, pillow.TIFFSetWarningHandler)
    except (AttributeError, OSError):
        return
    for set_handler in handlers:
        set_handler.argtypes, set_handler.restype = (ctypes.c_void_p,), ctypes.c_void_p
        set_handler(None)
