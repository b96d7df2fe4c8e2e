"""A picture in any form that the library takes → pixels: files, bytes, PIL images, arrays.

Geometry and ink are not looked at here; see `edge_adder.preprocessing.segment` and `edge_adder.preprocessing.normalize`.
"""

from __future__ import annotations

import ctypes
import functools
import io
import logging
import os
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from edge_adder.contract import FULL_INK
from edge_adder.errors import FileAccessError, ImageError, InputError

logging.getLogger("PIL").addHandler(logging.NullHandler())
"""What Pillow logs of a broken file is in our error; without a handler it would go to stderr."""

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] "
    "| Image.Image | NDArray[Any]"
)
"""What `prepare_image` takes: a path, an encoded file as bytes or as an open binary file, a PIL
image, or an array: uint8, uint16 or bool, (height, width) or (height, width, 1, 2, 3 or 4)."""

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
"""The file formats that are opened; Pillow knows many more, most of them rarely used or tested."""

MAX_PIXELS = 50_000_000
"""Largest image that is decoded unless another limit is named, in pixels: 150 MB as RGB, and a
48-megapixel photograph fits."""

MOST_PIXELS = 89_478_485
"""Largest limit that may be named: Pillow takes more for an attack (`Image.MAX_IMAGE_PIXELS`)."""

MAX_FILE_BYTES = 256 * 2**20
"""Largest file that is read, so that an endless stream ends."""

WORKING_SIDE = 224
"""Pictures are shrunk to at most this height and width before ink is looked for: eight pixels for
each of the result's average out the grain of paper and sensor and keep a hair-thin line."""


class Picture(NamedTuple):
    """The pixels of a picture.

    Attributes:
        pixels: uint8 (height, width), or (height, width, 3) where red, green and blue differ.
        is_multi_frame: Whether the file has further frames or pages, which were not looked at.
    """

    pixels: NDArray[np.uint8]
    is_multi_frame: bool


def read_picture(source: ImageSource, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Pixels of a picture, shrunk to `WORKING_SIDE`; colour only where there is some.

    EXIF rotation is applied. A mostly transparent image, or one whose opaque part is of one colour,
    is ink alone: it is laid on black or white, whichever contrasts more. Any other with transparent
    parts is laid on its own median, the colour of the paper.

    Args:
        source: The picture. Of several frames the first is used, of a PIL image its current one.
        max_pixels: Largest image that is decoded, up to `MOST_PIXELS`.

    Returns:
        For an array uint8 (height, width) that is small enough, the array itself.

    Raises:
        ImageError: Not an image, damaged or too large.
        InputError: Of an unknown type or shape, or a limit out of its range.
        FileAccessError: The file exists and cannot be read.
    """
    if not isinstance(max_pixels, int) or not 1 <= max_pixels <= MOST_PIXELS:
        raise InputError(f"max_pixels must be 1 to {MOST_PIXELS}, got {max_pixels!r}")
    if isinstance(source, np.ndarray):
        if type(source) is not np.ndarray:
            source = np.asarray(source)  # a matrix would stay two-dimensional in all that follows
        if source.ndim == 2 and source.dtype == np.uint8 and source.size:
            return Picture(shrink(source), False)
        return Picture(_pixels(_from_array(source)), False)
    name = name_of(source)
    if isinstance(source, Image.Image):
        _check_size(source, name, max_pixels)
        several = _has_several(source)
        return Picture(_decoded(_upright(source, name), name), several)
    image = decode(_read(source, name), name, max_pixels=max_pixels)
    return Picture(_decoded(image, name), _has_several(image))


def decode(data: bytes, name: str = "image", *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Open an encoded image and apply its EXIF rotation.

    A JPEG of many pixels is decoded at a half, a quarter or an eighth of its size, which costs a
    fraction of the time and leaves more than `WORKING_SIDE`.

    Args:
        data: The whole file, in one of `FORMATS`.
        name: Stands in messages.
        max_pixels: As in `read_picture`.

    Raises:
        ImageError: It is empty, of another format, too large or damaged.
        InputError: The limit is out of its range.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name}: the file has more than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(_too_large(name, max_pixels)) from error
    except Exception as error:  # Pillow's plugins raise nearly anything on broken files
        raise ImageError(f"{name}: not an image in one of {', '.join(FORMATS)}") from error
    _check_size(opened, name, max_pixels)
    try:
        if opened.format == "JPEG":
            opened.draft(None, (2 * WORKING_SIDE, 2 * WORKING_SIDE))
        elif opened.format == "TIFF":
            _quieten_libtiff()
    except Exception as error:
        raise _damaged(opened, name, error) from error
    return _upright(opened, name, in_place=True)


def shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average square blocks, so that neither side is above `WORKING_SIDE`.

    Args:
        pixels: uint8 (height, width) or (height, width, 3).

    Returns:
        The same, smaller by a whole factor; the array itself if it is small enough.
    """
    factor = -(-max(pixels.shape[:2]) // WORKING_SIDE)
    return pixels if factor == 1 else np.asarray(Image.fromarray(pixels).reduce(factor))


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG file's content, from uint8 (height, width), or (height, width, 3) for colour."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The content of an image file, or a little more than `MAX_FILE_BYTES` of it.

    Raises:
        ImageError: There is no such file, or it is a folder.
        FileAccessError: It cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123  a Path takes as long again
            return _read_limited(file)
    except FileNotFoundError as error:
        raise ImageError(f"{os.fspath(path)}: no such file") from error
    except IsADirectoryError as error:
        raise ImageError(f"{os.fspath(path)}: is a folder, expected an image file") from error
    except OSError as error:
        raise FileAccessError(
            f"{os.fspath(path)}: cannot be read: {error.strerror or error}"
        ) from error
    except ValueError as error:  # a NUL in the name
        raise ImageError(f"{os.fspath(path)!r}: not a file name: {error}") from error


def _read(source: Any, name: str) -> bytes:
    """The encoded image in a path, in bytes or in an open file."""
    if isinstance(source, (str, os.PathLike)):
        return read_file(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if hasattr(source, "read"):
        try:
            return _read_limited(source)
        except InputError:
            raise
        except Exception as error:  # closed, or an archive that ends too early: any type
            raise FileAccessError(f"{name}: cannot be read: {_one_line(error)}") from error
    raise InputError(
        "image must be a path, bytes, a binary file, a PIL image or an array, "
        f"got {type(source).__name__}"
    )


def _read_limited(file: IO[bytes] | io.RawIOBase) -> bytes:
    """All of an open file, or a little more than `MAX_FILE_BYTES` of it.

    In pieces: asking for the limit at once would set that much memory aside for every small file.
    """
    pieces: list[bytes] = []
    size = 0
    while size <= MAX_FILE_BYTES:
        piece = file.read(_PIECE_BYTES)
        if not isinstance(piece, bytes):
            raise InputError("image file must be open in binary mode")
        if not piece:
            break
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


_PIECE_BYTES = 2**16

_FULL_SCALES = (1.0, *(float(2**bits - 1) for bits in (8, 10, 12, 14, 16)))
"""Full brightness of float images and of the bit depths that sensors have."""

_COLOUR_NOISE = 12
"""Largest difference between the channels of a grey JPEG, of 255."""


def name_of(source: object) -> str:
    """What stands for a source in messages: its path, an open file's name, or ``image``."""
    name = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    return os.fspath(name) if isinstance(name, (str, os.PathLike)) else "image"


def _upright(image: Image.Image, name: str, *, in_place: bool = False) -> Image.Image:
    """The image turned as its EXIF orientation says; itself where it is upright, or `in_place`."""
    try:
        if image.getexif().get(ExifTags.Base.Orientation, 1) == 1:
            return image
        if in_place:
            ImageOps.exif_transpose(image, in_place=True)
            return image
        return ImageOps.exif_transpose(image)
    except Exception as error:
        raise _damaged(image, name, error) from error


def _decoded(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """`_pixels`, which is where Pillow reads them and finds them damaged."""
    if 0 in image.size:
        raise ImageError(f"{name}: the image has no pixels")
    try:
        return _pixels(image)
    except Exception as error:
        raise _damaged(image, name, error) from error


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    """As `read_picture`, from any of Pillow's modes."""
    factor = -(-max(image.size) // WORKING_SIDE)
    if image.mode == "1" and "transparency" not in image.info:
        image = image.convert("L")
    if image.mode == "L" and "transparency" not in image.info:
        if factor > 1:
            return np.asarray(image.reduce(factor))
        return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width)
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel, single channel
        return shrink(_from_wide(np.asarray(image)))
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBA", "RGBa"):
        image = image.convert("RGBA")
    elif image.mode != "RGB":
        image = image.convert("RGB")
    if factor > 1:
        image = image.reduce(factor)
    pixels = np.asarray(image)
    if image.mode == "RGBA":
        pixels = _fill_transparent(pixels)
    if int(np.ptp(pixels, axis=2).max()) <= _COLOUR_NOISE:
        return np.asarray(Image.fromarray(pixels).convert("L"))
    return pixels


def _from_array(array: NDArray[Any]) -> Image.Image:
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 2, 3, 4) or not array.size:
        raise InputError(
            "image array must have shape (height, width) or (height, width, 1 to 4), "
            f"got {array.shape}"
        )
    if array.dtype not in (np.uint8, np.uint16, np.bool_):
        raise InputError(f"image array must be uint8, uint16 or bool, got {array.dtype}")
    if array.dtype == np.uint16:
        array = _from_wide(array)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * FULL_INK
    return Image.fromarray(array[:, :, 0] if array.ndim == 3 and channels == 1 else array)


def _from_wide(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit, 32-bit or float brightness → uint8, by the least bit depth that holds the values."""
    highest = float(np.nanmax(values, initial=0, where=np.isfinite(values)))
    overshoot = 1.5 if values.dtype.kind == "f" else 1.0  # left by a filter on 0 to 1
    full = next((full for full in _FULL_SCALES if highest <= full * overshoot), highest)
    narrow = np.empty(values.shape, np.uint8)
    for row, wide in enumerate(values):  # so that no wider copy of the whole is made
        scaled = np.nan_to_num(wide.astype(np.float64)) * (255 / full)
        narrow[row] = np.clip(np.rint(scaled), 0, 255)
    return narrow


def _fill_transparent(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (height, width, 4) → (height, width, 3)."""
    colour, alpha = pixels[:, :, :3], pixels[:, :, 3]
    opaque = colour[alpha > alpha.max() // 2]
    if not opaque.size:
        return np.zeros_like(colour)
    if len(opaque) * 2 < alpha.size or int(np.ptp(opaque, axis=0).max()) <= _COLOUR_NOISE:
        paper = np.full(3, 255 if opaque.mean() < 128 else 0)
    else:
        paper = np.median(opaque, axis=0).astype(np.int64)
    weight = alpha[:, :, None].astype(np.uint32)
    filled = (colour * weight + paper.astype(np.uint32) * (255 - weight) + 127) // 255
    return filled.astype(np.uint8)


def _damaged(image: Image.Image, name: str, error: Exception) -> ImageError:
    kind = f"{image.format} image" if image.format else "image"
    return ImageError(f"{name}: damaged {kind}: {_one_line(error)}")


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    """Refuse an image before it is decoded."""
    if image.width * image.height > max_pixels:
        raise ImageError(_too_large(name, max_pixels, image.width, image.height))


def _too_large(name: str, max_pixels: int, *size: int) -> str:
    got = f", got {size[0]}x{size[1]}" if size else ""
    limit = f"{max_pixels / 10**6:.6g} megapixels"
    return f"{name}: the image is too large: expected at most {limit}{got}"


def _has_several(image: Image.Image) -> bool:
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


def _one_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
