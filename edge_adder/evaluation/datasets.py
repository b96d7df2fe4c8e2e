"""Labelled images on disk: IDX files such as MNIST's, a table of pictures, or named pictures."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import math
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_adder import tables
from edge_adder.contract import DIGITS, IMAGE_SIDE
from edge_adder.errors import EdgeAdderError, FileAccessError, InputError
from edge_adder.files import read_file
from edge_adder.preprocessing.decode import name_of
from edge_adder.preprocessing.prepare import prepare_image

DATA_VARIABLE = "EDGE_ADDER_DATA"
"""Environment variable with the folder of the images; `--data-dir` has precedence."""

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""The four files of MNIST in ``<data dir>/MNIST/raw``; each may be gzipped, as NAME.gz."""

LABELS_FILE = "labels.csv"
"""Name of a table of pictures with the columns ``file`` and ``label``, and `GROUP_COLUMNS`."""

LABELS_PARQUET = "labels.parquet"
"""The same as Parquet."""

SCORE_PARTS = "part-*"
"""Names of the parts of a table that `edge-adder score` has written."""

FILE_COLUMN, IMAGE_COLUMN = "file", "image"
"""Columns with a file in the table's folder, and as `edge-adder score` has it: with any path, from
the current folder on, or with the picture itself. A table with both is read by the second."""

GROUP_COLUMNS = ("source", "writer", "kind")
"""Columns of a table by whose values accuracy is reported too; other columns are ignored."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
"""Suffixes of a picture's name, in lower case."""

MAX_IDX_BYTES = 640_000_000
"""Largest IDX file that is read, uncompressed: more than EMNIST's 547 MB."""

MAX_TABLE_BYTES = 64_000_000
"""Largest table that is read: about a million rows."""

MAX_FILES, MAX_DEPTH = 500_000, 32
"""Largest number of files, and of nested folders, that are searched for pictures."""

_IDX_IMAGES, _IDX_LABELS = 0x0803, 0x0801  # magic numbers: unsigned bytes, three axes or one
_GZIP = b"\x1f\x8b"  # magic number (RFC 1952)
_IDX_NAME = re.compile(r"(.*)images(.?)idx3(.*?)(\.gz)?$")
_LABELLED_NAME = re.compile(r"([0-9])(?![0-9A-Za-z])")

EXPECTED = (
    "MNIST's IDX files (t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte; also in MNIST/raw), "
    f"pictures in folders 0 to 9, pictures named 7.png or 7_left.jpg, or {LABELS_FILE}"
)
"""What `load` looks for, as messages say it."""


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Images with their digits.

    Attributes:
        source: The folder or file that they were read from.
        names: Name of each image in reports.
        images: Each as `EdgeAdder.predict` takes it: an array uint8 (height, width), a
            path, or a file's content.
        labels: int64 (count,); 0 to 9.
        unlabelled: Number of pictures in the folder that have no label.
        groups: By name of a column, one of `GROUP_COLUMNS`: its value for each image.
    """

    source: Path
    names: Sequence[str]
    images: Sequence[NDArray[np.uint8] | Path | bytes]
    labels: NDArray[np.int64]
    unlabelled: int = 0
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


def cache_dir() -> Path:
    """Return the folder in the user's cache that MNIST is downloaded to.

    Raises:
        FileAccessError: The user has no home folder.
    """
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise FileAccessError(
            f"no home folder to keep MNIST in: set HOME, or name MNIST's folder in {DATA_VARIABLE}"
        ) from error
    return Path(cache) / "edge-adder"


def cached_mnist() -> Path | None:
    """Return the folder in the user's cache if it holds MNIST, else None."""
    with contextlib.suppress(FileAccessError):
        if has_mnist(cache_dir()):
            return cache_dir()
    return None


def find_data_dir(data_dir: Path | None) -> Path | None:
    """Return the folder that the user named by option or by `EDGE_ADDER_DATA`, else None."""
    if data_dir is None and os.environ.get(DATA_VARIABLE):
        data_dir = Path(os.environ[DATA_VARIABLE])
    return data_dir


def has_mnist(data_dir: Path) -> bool:
    """Check whether MNIST's four files are in ``data_dir/MNIST/raw``; unreadable counts as no."""
    raw = data_dir / "MNIST" / "raw"
    return all(find_plain_or_gzipped(raw, name) is not None for name in MNIST_FILES)


def find_plain_or_gzipped(folder: Path, name: str) -> Path | None:
    """Return the file of this name, or else NAME.gz; None where neither can be seen."""
    paths = (folder / name, folder / f"{name}.gz")
    return next((path for path in paths if os.path.isfile(path)), None)  # noqa: PTH113  never raises


def load(data_dir: Path | None = None) -> LabelledPictures:
    """Find labelled images in a folder.

    The first of these that exists is used:

    1. A pair of IDX files, plain or gzipped, in the folder itself, in ``raw`` or in ``MNIST/raw``:
       the pair named t10k or test, or the only pair.
    2. ``labels.csv`` or ``labels.parquet``, whose files are beside it or in ``images``.
    3. The parts of a table that `edge-adder score` has written, with a column of labels.
    4. Pictures in folders 0 to 9, and pictures whose name starts with their label, followed by
       neither a letter nor a digit.

    Args:
        data_dir: The folder, or a table in CSV, JSON Lines or Parquet; if None, the one in
            `EDGE_ADDER_DATA`, else the cache that a training downloaded MNIST to.

    Raises:
        InputError: There are no labelled images, or they are damaged.
        FileAccessError: A file or folder cannot be read.
    """
    folder = find_data_dir(data_dir) or cached_mnist()
    if folder is None:
        raise InputError(
            f"no images: name a folder with --data-dir or {DATA_VARIABLE}; expected {EXPECTED}"
        )
    if tables.is_table(folder) and folder.is_file():
        return _load_tables(folder, [folder])
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: expected {EXPECTED}")
    try:
        images = _find_idx(folder)
        if images is not None:
            return load_idx(images, _labels_beside(images))
        for table in (folder / LABELS_FILE, folder / LABELS_PARQUET):
            if table.is_file():
                return _load_tables(table, [table])
        if parts := sorted(filter(tables.is_table, folder.glob(SCORE_PARTS))):
            return _load_tables(folder, parts)
        return _load_named(folder)
    except OSError as error:
        where = error.filename or folder
        raise FileAccessError(f"cannot read {where}: {error.strerror or error}") from error


def prepare_all(pictures: LabelledPictures) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Prepare all images as `EdgeAdder.predict` does.

    Returns:
        uint8 (images, 28, 28), blank where an image could not be read; the error by index of those.
    """
    images = np.zeros((len(pictures), IMAGE_SIDE, IMAGE_SIDE), np.uint8)
    unreadable = {}
    for index, image in enumerate(pictures.images):
        try:
            images[index] = prepare_image(image)
        except EdgeAdderError as error:
            unreadable[index] = str(error).removeprefix(f"{name_of(image)}: ")
    return images, unreadable


def load_idx(images: Path, labels: Path) -> LabelledPictures:
    """Read a pair of IDX files as labelled pictures; the errors are those of `read_idx_pair`."""
    pixels, digits = read_idx_pair(images, labels)
    names = [f"{images.name}[{index}]" for index in range(len(digits))]
    return LabelledPictures(images, names, list(pixels), digits)


def read_idx_pair(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read a pair of IDX files, plain or gzipped (format: yann.lecun.com/exdb/mnist).

    Returns:
        Images, uint8 (count, height, width), read-only; labels, int64 (count,), 0 to 9.

    Raises:
        InputError: They are missing, damaged, or do not belong together.
        FileAccessError: One of them cannot be read.
    """
    pixels, digits = _read_idx(images, _IDX_IMAGES), _read_idx(labels, _IDX_LABELS)
    if len(pixels) != len(digits):
        raise InputError(f"{images} has {len(pixels)} images, {labels.name} {len(digits)} labels")
    if len(digits) == 0:
        raise InputError(f"{images} has no images")
    if digits.max() >= DIGITS:
        raise InputError(f"{labels} has label {digits.max()}, expected 0 to {DIGITS - 1}")
    return pixels, digits.astype(np.int64)


def is_idx_images(path: str | os.PathLike[str]) -> bool:
    """Check by its name whether a file is an IDX file of images."""
    return _IDX_NAME.fullmatch(os.path.basename(path)) is not None  # noqa: PTH119  of a str too


def read_idx_images(images: Path) -> NDArray[np.uint8]:
    """Read an IDX file of images alone, plain or gzipped.

    Returns:
        uint8 (count, height, width), read-only.

    Raises:
        InputError: It is missing or damaged.
        FileAccessError: It cannot be read.
    """
    return _read_idx(images, _IDX_IMAGES)


def _find_idx(folder: Path) -> Path | None:
    """Return the IDX file of images to evaluate on, if there is one."""
    for place in (folder, folder / "raw", folder / "MNIST" / "raw"):
        found = sorted(p for p in place.glob("*idx3*") if p.is_file() and _IDX_NAME.match(p.name))
        if not found:
            continue
        tests = [path for path in found if re.search("t10k|test", path.name)]
        names = {path.name.removesuffix(".gz") for path in tests or found}
        if len(names) > 1:
            listed = ", ".join(sorted(names))
            raise InputError(f"{place} has several files of images ({listed}): expected only one")
        return (tests or found)[0]
    return None


def _labels_beside(images: Path) -> Path:
    """Return the IDX file of labels that belongs to one of images."""
    plain = _IDX_NAME.sub(r"\1labels\2idx1\3", images.name)
    labels = find_plain_or_gzipped(images.parent, plain)
    if labels is None:
        raise InputError(f"no labels for {images}: expected {plain} beside it")
    return labels


def _read_idx(path: Path, kind: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, plain or gzipped, with the magic number `kind`."""
    data = read_file(path, limit=MAX_IDX_BYTES, what="an IDX file")
    if data.startswith(_GZIP):  # whatever its name: browsers unpack, and keep the suffix
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MAX_IDX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is not a complete gzip file: {error}") from error
    if len(data) > MAX_IDX_BYTES:
        raise InputError(f"{path} has more than {MAX_IDX_BYTES:,} bytes of data, the maximum")
    axes = kind & 0xFF
    start = 4 * (1 + axes)
    if len(data) < start or struct.unpack(">I", data[:4])[0] != kind:
        what = _name_content(data)
        reason = f"{what}, not an IDX file" if what else "not an IDX file"
        raise InputError(f"{path} is {reason} of unsigned bytes with {axes} axes")
    shape = struct.unpack(f">{axes}I", data[4:start])
    if math.prod(shape) != len(data) - start:
        raise InputError(
            f"{path} is damaged: {len(data) - start} bytes of data, expected "
            f"{' x '.join(map(str, shape))}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _name_content(data: bytes) -> str:
    """Say what a file is that was taken for an IDX file; nothing where that is not clear."""
    start = data[:1000].lstrip().lower()
    if not data:
        return "empty"
    if start.startswith((b"<!doctype html", b"<html")):
        return "an HTML page (its download failed)"
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS (run `git lfs pull`)"
    if start.startswith(b"pk\x03\x04"):
        return "a ZIP archive (unpack it)"
    return "text" if start.isascii() and b"\0" not in start else ""


def _load_tables(source: Path, files: Sequence[Path]) -> LabelledPictures:
    """Read tables of pictures and labels, as one.

    Args:
        source: The table, or the folder of its parts.
        files: The parts, with the same columns.
    """
    names = tables.column_names(files[0])
    column = IMAGE_COLUMN if IMAGE_COLUMN in names else FILE_COLUMN
    groups = [name for name in GROUP_COLUMNS if name in names]
    rows: list[tuple[Any, ...]] = []
    for table in files if names else ():
        if tables.is_text(table) and table.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{table} has more than {MAX_TABLE_BYTES:,} bytes, the maximum")
        rows += itertools.islice(tables.read_rows(table, [column, "label", *groups]), MAX_FILES + 1)
        if len(rows) > MAX_FILES:
            raise InputError(f"{source} has more than {MAX_FILES:,} rows, the maximum")
    wrong = [row[1] for row in rows if not row[0] or not re.fullmatch("[0-9]", str(row[1]))]
    if wrong or not rows:
        what = f"label {wrong[0]!r}" if wrong else "no rows"
        raise InputError(f"{source} has {what}, expected files and labels 0 to {DIGITS - 1}")
    labelled: list[tuple[str, Path | bytes, int]] = []
    for index, (picture, label, *_) in enumerate(rows):
        if isinstance(picture, bytes):
            labelled.append((f"{source.name}[{index}]", picture, int(label)))
        elif column == IMAGE_COLUMN:
            labelled.append((picture, Path(picture), int(label)))
        else:
            labelled.append((picture, _find(source, picture), int(label)))
    found = _pictures(source, labelled)
    values = {name: [row[2 + place] or "" for row in rows] for place, name in enumerate(groups)}
    return replace(found, groups=values)


def _find(table: Path, name: str) -> Path:
    """Return the path of a file in a table: beside it or in ``images``, never elsewhere."""
    folder = table.parent
    path = folder / name if (folder / name).exists() else folder / "images" / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{table} names {name!r}, expected files in its folder")
    if path.is_fifo():
        raise InputError(f"{table} names {name!r}, a named pipe: expected a file")
    return path


def _load_named(folder: Path) -> LabelledPictures:
    labelled, unlabelled = [], 0
    for path in sorted(walk_pictures(folder, max_files=MAX_FILES)):
        if path.exists() and not path.is_file():  # a named pipe may never end
            unlabelled += 1
            continue
        by_folder = re.fullmatch("[0-9]", path.parent.name) if path.parent != folder else None
        label = by_folder or _LABELLED_NAME.match(path.name)
        if label is None:
            unlabelled += 1
        else:
            labelled.append((path.relative_to(folder).as_posix(), path, int(label[0])))
    if not labelled:
        raise InputError(f"no labelled images in {folder}: expected {EXPECTED}")
    return _pictures(folder, labelled, unlabelled)


def walk_pictures(folder: Path, *, max_files: int | None) -> Iterator[Path]:
    """Yield all files below a folder that have a picture's suffix, following links.

    Hidden ones are skipped. The order is that of the names: a folder's files, then its folders.

    Args:
        folder: The folder.
        max_files: Largest number of files, pictures or not; None for any.

    Raises:
        InputError: There are more files, or they are nested deeper than `MAX_DEPTH`.
        OSError: A folder cannot be read.
    """

    def stop(error: OSError) -> NoReturn:
        raise error

    seen: set[str] = set()
    depth, count = len(folder.parts), 0
    for place, folders, names in os.walk(folder, followlinks=True, onerror=stop):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        count += len(names)
        if max_files is not None and count > max_files:
            raise InputError(f"{folder} has more than {max_files:,} files, the maximum")
        if folders and len(Path(place).parts) - depth >= MAX_DEPTH:
            raise InputError(f"{folder} has folders nested more than {MAX_DEPTH} deep, the maximum")
        for name in sorted(names):
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES:  # noqa: PTH122
                yield Path(place) / name


def _pictures(
    source: Path, labelled: Iterable[tuple[str, Path | bytes, int]], unlabelled: int = 0
) -> LabelledPictures:
    names, paths, labels = zip(*labelled, strict=True)
    return LabelledPictures(source, names, paths, np.array(labels, np.int64), unlabelled)
