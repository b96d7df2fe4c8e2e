"""Labelled images on disk: MNIST's IDX files, or pictures named by their label."""

from __future__ import annotations

import contextlib
import csv
import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from edge_adder.contract import DIGITS
from edge_adder.errors import FileAccessError, InputError

DATA_VARIABLE = "EDGE_ADDER_DATA"
"""Environment variable that names the folder with the images, where no `--data-dir` does."""

MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""The four files of MNIST, uncompressed, in ``<data dir>/MNIST/raw``."""

LABELS_FILE = "labels.csv"
"""A table of pictures: its columns ``file`` and ``label`` count."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif"})
"""How the name of a picture ends."""

_IDX_IMAGES, _IDX_LABELS = 0x0803, 0x0801  # unsigned bytes with three axes, with one
_IDX_NAME = re.compile(r"(.*)images(.?)idx3(.*?)(\.gz)?$")
_LABELLED_NAME = re.compile(r"([0-9])(?![0-9A-Za-z])")

EXPECTED = (
    "MNIST's IDX files (t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte; also in MNIST/raw), "
    f"pictures in folders 0 to 9, pictures named 7.png or 7_left.jpg, or {LABELS_FILE}"
)
"""What `load` looks for, for messages."""


@dataclass(frozen=True, slots=True)
class LabelledPictures:
    """Images with their digits.

    Attributes:
        source: The folder or file that they were read from.
        names: What stands for each image in a report.
        images: Each as `EdgeAdder.predict` takes it: an array uint8 (28, 28) in MNIST's form, an
            array of another size, or a path.
        labels: int64 (count,); 0 to 9.
        unlabelled: Pictures beside them that have no label.
    """

    source: Path
    names: Sequence[str]
    images: Sequence[NDArray[np.uint8] | Path]
    labels: NDArray[np.int64]
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def cache_dir() -> Path:
    """The folder in the user's cache that MNIST is downloaded to.

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
    """The folder in the user's cache where MNIST is in it; else None."""
    with contextlib.suppress(FileAccessError):
        if has_mnist(cache_dir()):
            return cache_dir()
    return None


def find_data_dir(data_dir: Path | None) -> Path | None:
    """The folder that the user named, by option or by `EDGE_ADDER_DATA`; else None."""
    if data_dir is None and os.environ.get(DATA_VARIABLE):
        data_dir = Path(os.environ[DATA_VARIABLE])
    return data_dir


def has_mnist(data_dir: Path) -> bool:
    """Whether MNIST's four files lie in ``data_dir/MNIST/raw``, as far as can be seen."""
    raw = data_dir / "MNIST" / "raw"
    return all(os.path.isfile(raw / name) for name in MNIST_FILES)  # noqa: PTH113  never raises


def load(data_dir: Path | None = None) -> LabelledPictures:
    """Find labelled images in a folder.

    IDX files come first: those called t10k or test, or the only pair that there is, plain or
    gzipped, in the folder itself, in ``raw`` or in ``MNIST/raw``. Then ``labels.csv``, whose files
    lie beside it or in ``images``. Then pictures in folders 0 to 9, and pictures whose name is
    their label, or starts with it and goes on with neither letter nor digit.

    Args:
        data_dir: The folder. Without it `EDGE_ADDER_DATA` names it; without either it is the cache
            that a training downloaded MNIST to.

    Raises:
        InputError: There is nothing of the kind, or it is damaged.
        FileAccessError: A file cannot be read.
    """
    folder = find_data_dir(data_dir) or cached_mnist()
    if folder is None:
        raise InputError(
            f"no images: name a folder with --data-dir or {DATA_VARIABLE}; expected {EXPECTED}"
        )
    if not folder.is_dir():
        raise InputError(f"no folder {folder}: expected {EXPECTED}")
    try:
        images = _find_idx(folder)
        if images is not None:
            return load_idx(images, _labels_beside(images))
        if (folder / LABELS_FILE).is_file():
            return _load_table(folder / LABELS_FILE)
        return _load_named(folder)
    except OSError as error:
        where = error.filename or folder
        raise FileAccessError(f"cannot read {where}: {error.strerror or error}") from error


def load_idx(images: Path, labels: Path) -> LabelledPictures:
    """Read a pair of IDX files, plain or gzipped (format: yann.lecun.com/exdb/mnist).

    Raises:
        InputError: They are damaged, or do not belong together.
        OSError: One of them cannot be read.
    """
    pixels = _read_idx(images, _IDX_IMAGES)
    digits = _read_idx(labels, _IDX_LABELS)
    if len(pixels) != len(digits):
        raise InputError(f"{images} has {len(pixels)} images, {labels.name} {len(digits)} labels")
    if len(digits) == 0:
        raise InputError(f"{images} has no images")
    if digits.max() >= DIGITS:
        raise InputError(f"{labels} has label {digits.max()}, expected 0 to {DIGITS - 1}")
    names = [f"{images.name}[{index}]" for index in range(len(digits))]
    return LabelledPictures(images, names, list(pixels), digits.astype(np.int64))


def _find_idx(folder: Path) -> Path | None:
    """The file of images to evaluate on, if there is one."""
    for place in (folder, folder / "raw", folder / "MNIST" / "raw"):
        found = sorted(p for p in place.glob("*idx3*") if p.is_file() and _IDX_NAME.match(p.name))
        if not found:
            continue
        tests = [path for path in found if re.search("t10k|test", path.name)]
        chosen = (tests or found)[0]
        same = {path.name.removesuffix(".gz") for path in tests or found}
        if len(same) > 1:
            names = ", ".join(sorted(same))
            raise InputError(f"{place} has several files of images ({names}): expected one of them")
        return chosen
    return None


def _labels_beside(images: Path) -> Path:
    """The file of labels that belongs to a file of images."""
    plain = _IDX_NAME.sub(r"\1labels\2idx1\3", images.name)
    for name in (plain, f"{plain}.gz"):
        if (images.parent / name).is_file():
            return images.parent / name
    raise InputError(f"no labels for {images}: expected {plain} beside it")


def _read_idx(path: Path, kind: int) -> NDArray[np.uint8]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{path} is no whole gzip file: {error}") from error
    axes = kind & 0xFF
    start = 4 * (1 + axes)
    if len(data) < start or struct.unpack(">I", data[:4])[0] != kind:
        raise InputError(f"{path} is no IDX file of unsigned bytes with {axes} axes")
    shape = struct.unpack(f">{axes}I", data[4:start])
    if math.prod(shape) != len(data) - start:
        raise InputError(
            f"{path} is damaged: {len(data) - start} bytes of data, expected "
            f"{' x '.join(map(str, shape))}"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _load_table(table: Path) -> LabelledPictures:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = [(row["file"] or "", row["label"]) for row in csv.DictReader(file)]
    except (KeyError, ValueError, csv.Error) as error:
        raise InputError(f"{table} is no table with columns file and label: {error}") from error
    wrong = [label for name, label in rows if not name or not re.fullmatch("[0-9]", label or "")]
    if wrong or not rows:
        what = f"label {wrong[0]!r}" if wrong else "no rows"
        raise InputError(f"{table} has {what}, expected files and labels 0 to {DIGITS - 1}")
    beside, inside = table.parent, table.parent / "images"
    return _pictures(
        table.parent,
        [
            (name, beside / name if (beside / name).exists() else inside / name, int(label))
            for name, label in rows
        ],
    )


def _load_named(folder: Path) -> LabelledPictures:
    labelled, unlabelled = [], 0
    for path in sorted(_walk(folder)):
        if path.suffix.lower() not in SUFFIXES:
            continue
        inside = re.fullmatch("[0-9]", path.parent.name) if path.parent != folder else None
        found = inside or _LABELLED_NAME.match(path.name)
        if found is None:
            unlabelled += 1
        else:
            labelled.append((path.relative_to(folder).as_posix(), path, int(found[0])))
    if not labelled:
        raise InputError(f"no labelled images in {folder}: expected {EXPECTED}")
    return _pictures(folder, labelled, unlabelled)


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, through links, but what is hidden."""

    def stop(error: OSError) -> NoReturn:
        raise error

    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True, onerror=stop):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
        yield from (Path(place) / name for name in names if not name.startswith("."))


def _pictures(
    source: Path, labelled: Iterable[tuple[str, Path, int]], unlabelled: int = 0
) -> LabelledPictures:
    names, paths, labels = zip(*labelled, strict=True)
    return LabelledPictures(source, names, paths, np.array(labels, np.int64), unlabelled)
