"""Any picture of a digit → uint8 (28, 28), light ink on black, as MNIST was made.

The stages, in order: `decode` (file to pixels), `to_grey` (pixels to brightness), `shrink` (away
with grain), `find_ink` (which end of the brightness is ink, and where it starts), `normalise` (cut
out, scale to 20×20, centre by mass in 28×28). `prepare_image` runs them; a 28×28 image that is
light on dark is ready as it is.

Geometry only: scaling of values to the network's range is in the model.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import IO, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from edge_adder.contract import FULL_INK, IMAGE_SIDE
from edge_adder.errors import FileAccessError, ImageError, InputError

Ink = Literal["auto", "light", "dark"]
INKS: tuple[Ink, ...] = ("auto", "light", "dark")

ImageSource: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] "
    "| Image.Image | NDArray[Any]"
)
"""What `prepare_image` takes: a path, an encoded file as bytes or as an open binary file, a PIL
image, or an array: uint8, uint16 or bool, (height, width) or (height, width, 1, 2, 3 or 4)."""

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
"""The file formats that are opened; Pillow knows many more, most of them rarely used or tested."""

MAX_PIXELS = 50_000_000
"""Largest image that is decoded, in pixels: 150 MB as RGB, and a 48-megapixel photograph fits."""

MAX_FILE_BYTES = 256 * 2**20
"""Largest file that is read, so that an endless stream ends."""

WORKING_SIDE = 112
"""Pictures are shrunk to at most this height and width before ink is looked for: four pixels for
each of the result's average out the grain of paper and sensor and keep every edge."""

DIGIT_SIDE = 20
"""MNIST fits the digit's ink into a box of 20×20 pixels (yann.lecun.com/exdb/mnist)."""

MIN_CONTRAST = 16
"""Least difference between ink and background, of 255. Below it a picture is blank: paper grain and
JPEG artefacts reach about 10."""

_DARK_BORDER = 32
"""A border whose mean is at most this is background for sure: ink that is darker than it by
`MIN_CONTRAST` or more would have to be nearly black on nearly black."""


@dataclass(frozen=True, slots=True)
class FoundInk:
    """Where an image has ink.

    Attributes:
        dark: Whether the ink is darker than its background.
        threshold: Brightness that separates the two; a light pixel is above it.
    """

    dark: bool
    threshold: int


def prepare_image(source: ImageSource, *, ink: Ink = "auto") -> NDArray[np.uint8]:
    """Bring a picture of a digit into the form that the network was trained on.

    A 28×28 greyscale image with light ink is returned unchanged. Of any other the ink is cut out,
    scaled to 20×20 keeping its aspect and centred by mass in 28×28.

    Args:
        source: The picture. Of several frames the first is used; EXIF rotation is applied;
            transparent parts get the colour of the paper.
        ink: Whether the ink is lighter or darker than its background; ``auto`` looks at the border.

    Returns:
        uint8 (28, 28); 0 = background, 255 = full ink. For an array in that form, the array itself.

    Raises:
        ImageError: Not an image, damaged, too large, or without ink.
        InputError: Of an unknown type, or `ink` is none of the three.
        FileAccessError: The file exists and cannot be read.
    """
    if ink not in INKS:
        raise InputError(f"ink must be one of {', '.join(INKS)}, got {ink!r}")
    grey, colourless = _as_grey(source)
    if ink != "dark" and colourless and _is_light_on_black(grey):
        return grey
    grey = shrink(grey)
    found = find_ink(grey, ink=ink)
    if found is None:
        raise ImageError(f"{_name_of(source)}: no ink found")
    if not found.dark and colourless and grey.shape == (IMAGE_SIDE, IMAGE_SIDE):
        return grey
    return normalise(grey, found)


def are_ready(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which images `prepare_image` would return unchanged at first sight, all at once.

    Args:
        images: uint8 (count, 28, 28).

    Returns:
        bool (count,). One that is not ready at first sight may still be returned unchanged.
    """
    pixels = images.reshape(len(images), -1)
    dark_border = pixels[:, _BORDER].sum(axis=1, dtype=np.uint16) <= _DARK_BORDER * len(_BORDER)
    has_ink = pixels.max(axis=1, initial=0) >= MIN_CONTRAST
    ready: NDArray[np.bool_] = dark_border & has_ink
    return ready


def decode(data: bytes, name: str = "image") -> Image.Image:
    """Open an encoded image and apply its EXIF rotation.

    Args:
        data: The whole file, in one of `FORMATS`.
        name: Stands in messages.

    Raises:
        ImageError: It is empty, of another format, larger than `MAX_PIXELS` or damaged.
    """
    if not data:
        raise ImageError(f"{name}: the file is empty")
    if len(data) > MAX_FILE_BYTES:
        raise ImageError(f"{name}: the file has more than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(_too_large(name)) from error
    except Exception as error:  # Pillow's plugins raise nearly anything on broken files
        raise ImageError(f"{name}: not an image in one of {', '.join(FORMATS)}") from error
    if opened.width * opened.height > MAX_PIXELS:
        raise ImageError(_too_large(name, opened.width, opened.height))
    try:
        if opened.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            ImageOps.exif_transpose(opened, in_place=True)
    except Exception as error:
        raise _damaged(opened, name, error) from error
    return opened


def to_grey(image: Image.Image) -> NDArray[np.uint8]:
    """Brightness of every pixel, with transparent parts filled in.

    A mostly transparent image is ink alone: it is laid on black or white, whichever contrasts more.
    Any other is laid on its own median, the colour of the paper.

    Args:
        image: Any of Pillow's modes.

    Returns:
        uint8 (height, width).
    """
    if image.mode.startswith(("I", "F")):  # 16 or 32 bits a pixel, single channel
        return _from_wide(np.asarray(image))
    if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBA", "RGBa"):
        grey, alpha = image.convert("RGBA").convert("LA").split()
        return _fill_transparent(np.asarray(grey), np.asarray(alpha))
    if image.mode == "L":
        return np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width)
    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"))


def shrink(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average square blocks, so that neither side is above `WORKING_SIDE`.

    Args:
        grey: uint8 (height, width).

    Returns:
        uint8 (height, width), smaller by a whole factor; the array itself if it is small enough.
    """
    factor = -(-max(grey.shape) // WORKING_SIDE)
    return grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))


def find_ink(grey: NDArray[np.uint8], *, ink: Ink = "auto") -> FoundInk | None:
    """Separate ink from background by Otsu's threshold, and tell which is which by the border.

    Otsu, "A threshold selection method from gray-level histograms", 1979: the threshold with the
    greatest variance between the two classes.

    Args:
        grey: uint8 (height, width).
        ink: ``light`` or ``dark`` where it is known.

    Returns:
        None where the contrast is below `MIN_CONTRAST`.
    """
    counts = np.bincount(grey.reshape(-1), minlength=256).astype(np.float64)
    levels = np.arange(256)
    below = np.cumsum(counts)
    above = below[-1] - below
    brightness = np.cumsum(counts * levels)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_below = brightness / below
        mean_above = (brightness[-1] - brightness) / above
    between = np.where((below > 0) & (above > 0), below * above * (mean_above - mean_below) ** 2, 0)
    threshold = int(between.argmax())
    if not between[threshold] or mean_above[threshold] - mean_below[threshold] < MIN_CONTRAST:
        return None
    if ink != "auto":
        return FoundInk(dark=ink == "dark", threshold=threshold)
    light_border = float((_border(grey) > threshold).mean())
    return FoundInk(dark=light_border > 0.5, threshold=threshold)


def normalise(grey: NDArray[np.uint8], found: FoundInk) -> NDArray[np.uint8]:
    """Cut the ink out, scale it to 20×20 keeping its aspect, centre its mass in 28×28.

    Args:
        grey: uint8 (height, width).
        found: What `find_ink` says of it; both sides of the threshold are occupied.

    Returns:
        uint8 (28, 28); 0 = background, 255 = full ink.
    """
    mask = grey <= found.threshold if found.dark else grey > found.threshold
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    ink = Image.fromarray(_ink_levels(grey, mask)[grey[box]])

    scale = DIGIT_SIDE / max(ink.size)
    size = (max(1, round(ink.width * scale)), max(1, round(ink.height * scale)))
    digit = np.asarray(ink.resize(size, Image.Resampling.BICUBIC))

    mass = digit.astype(np.float64)
    centre = (
        mass.sum(axis=1) @ (np.arange(size[1]) + 0.5) / mass.sum(),
        mass.sum(axis=0) @ (np.arange(size[0]) + 0.5) / mass.sum(),
    )
    top, left = (
        min(max(round(IMAGE_SIDE / 2 - c), 0), IMAGE_SIDE - length)
        for c, length in zip(centre, digit.shape, strict=True)
    )
    canvas = np.zeros((IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    canvas[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return canvas


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


def _border(pixels: NDArray[Any]) -> NDArray[Any]:
    """The outermost pixels of (height, width), each at least once: (count,)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


_BORDER = _border(np.arange(IMAGE_SIDE * IMAGE_SIDE).reshape(IMAGE_SIDE, IMAGE_SIDE))
_FAINT = bytes(range(MIN_CONTRAST))


def _is_light_on_black(grey: NDArray[np.uint8]) -> bool:
    """Whether this is 28×28, has ink, and surely has it light on dark.

    The path of ready images, and so written for speed: on bytes these sums and searches take a
    third of the time that numpy's take on so small an array.
    """
    return (
        grey.shape == (IMAGE_SIDE, IMAGE_SIDE)
        and sum(grey.reshape(-1)[_BORDER].tobytes()) <= _DARK_BORDER * len(_BORDER)
        and bool(grey.tobytes().lstrip(_FAINT))
    )


def _as_grey(source: ImageSource) -> tuple[NDArray[np.uint8], bool]:
    """Brightness, uint8 (height, width), and whether that is all there is: no colour was lost."""
    if isinstance(source, np.ndarray):
        return _array_to_grey(source)
    name = _name_of(source)
    if isinstance(source, Image.Image):
        if source.width * source.height > MAX_PIXELS:
            raise ImageError(_too_large(name, source.width, source.height))
        try:
            return _decoded(ImageOps.exif_transpose(source), name)
        except (OSError, ValueError) as error:  # cut short, or closed
            raise _damaged(source, name, error) from error
    if isinstance(source, (str, os.PathLike)):
        data = read_file(source)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif hasattr(source, "read"):
        try:
            data = _read_limited(source)
        except InputError:
            raise
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise FileAccessError(f"{name}: cannot be read: {_one_line(error)}") from error
    else:
        raise InputError(
            "image must be a path, bytes, a binary file, a PIL image or an array, "
            f"got {type(source).__name__}"
        )
    return _decoded(decode(data, name), name)


def _decoded(image: Image.Image, name: str) -> tuple[NDArray[np.uint8], bool]:
    """`to_grey`, which is where Pillow reads the pixels and finds them damaged."""
    if 0 in image.size:
        raise ImageError(f"{name}: the image has no pixels")
    try:
        return to_grey(image), _is_colourless(image)
    except Exception as error:
        raise _damaged(image, name, error) from error


def _is_colourless(image: Image.Image) -> bool:
    """Whether red, green and blue are equal but for a JPEG's rounding; only small images matter."""
    if image.mode in ("1", "L", "LA") or image.mode.startswith(("I", "F")):
        return True
    if image.size != (IMAGE_SIDE, IMAGE_SIDE):
        return False
    channels = np.asarray(image.convert("RGB"))
    return int(np.ptp(channels, axis=2).max()) <= _COLOUR_NOISE


def _array_to_grey(array: NDArray[Any]) -> tuple[NDArray[np.uint8], bool]:
    if array.ndim == 2 and array.dtype == np.uint8 and array.size:
        return array, True
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
    image = Image.fromarray(array[:, :, 0] if array.ndim == 3 and channels == 1 else array)
    return to_grey(image), _is_colourless(image)


def _from_wide(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16-bit, 32-bit or float brightness → uint8, by the least bit depth that holds the values."""
    wide = np.nan_to_num(values.astype(np.float64))
    highest = float(wide.max(initial=0))
    full = next((full for full in _FULL_SCALES if highest <= full), highest)
    scaled: NDArray[np.float64] = np.clip(np.rint(wide * (255 / full)), 0, 255)
    return scaled.astype(np.uint8)


def _fill_transparent(grey: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    opaque = grey[alpha > alpha.max() // 2]
    if not opaque.size:
        return np.zeros_like(grey)
    if opaque.size * 2 < grey.size:
        paper = 255 if opaque.mean() < 128 else 0
    else:
        paper = int(np.median(opaque))
    weight = alpha.astype(np.uint16)
    filled: NDArray[np.uint16] = (grey * weight + paper * (255 - weight) + 127) // 255
    return filled.astype(np.uint8)


def _ink_levels(grey: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Table of 256: brightness → amount of ink, from the paper's typical level to the ink's."""
    paper, full = float(np.median(grey[~mask])), float(np.median(grey[mask]))
    amount = (np.arange(256) - paper) / (full - paper)
    levels: NDArray[np.float64] = np.clip(np.rint(amount * FULL_INK), 0, FULL_INK)
    return levels.astype(np.uint8)


def _name_of(source: object) -> str:
    """What stands for a source in messages: its path, an open file's name, or ``image``."""
    name = source if isinstance(source, (str, os.PathLike)) else getattr(source, "name", None)
    return os.fspath(name) if isinstance(name, (str, os.PathLike)) else "image"


def _damaged(image: Image.Image, name: str, error: Exception) -> ImageError:
    kind = f"{image.format} image" if image.format else "image"
    return ImageError(f"{name}: damaged {kind}: {_one_line(error)}")


def _too_large(name: str, *size: int) -> str:
    got = f", got {size[0]}x{size[1]}" if size else ""
    return f"{name}: the image is too large: expected at most {MAX_PIXELS // 10**6} megapixels{got}"


def _one_line(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
