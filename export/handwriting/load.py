"""Handwriting as labelled images to train on, prepared as on the device.

Preparation takes about as long as many epochs, so what it made is kept in a cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from safetensors import SafetensorError

from edge_adder.errors import ImageError, InputError
from edge_adder.files import make_folder, write_atomically
from edge_adder.preprocessing.prepare import prepare_image

from ..data import LabelledImages, join
from .sets import (
    NUMBERS,
    PENDIGITS,
    TRAINING_TRAJECTORIES,
    find_folder,
    read_checked,
)
from .trajectories import load_trajectories
from .varied_pen import draw_varied, lose_stroke

CACHE_DIR = "handwriting_cache"
"""Folder of the prepared images, beside the folders of the runs."""

CACHE_FORMAT = 4
"""Raise it whenever the preparation or the pens give other images."""


def load_scans(writers: Sequence[str], *, cache: Path) -> LabelledImages:
    """Return the scans of some writers of Numbers; those that preparation refuses are left out.

    Args:
        writers: Names of the writers; no others are read.
        cache: Folder for what was prepared.

    Raises:
        InputError: A writer is unknown, missing, or not as published.
        FileAccessError: A file cannot be read, or the cache cannot be written.
    """
    unknown = [name for name in writers if name not in NUMBERS.sha256]
    if unknown:
        raise InputError(f"no writer {unknown[0]} in Numbers: expected {', '.join(NUMBERS.sha256)}")
    return join([_load_writer(name, cache) for name in writers])


def _load_writer(writer: str, cache: Path) -> LabelledImages:
    content = read_checked(
        NUMBERS, writer, find_folder()
    )  # also where it is cached: no data, no run

    def pictures() -> Iterable[tuple[Image.Image, int]]:
        for path, data in content.items():
            yield Image.open(io.BytesIO(data)), int(path.split("/")[1])

    return _cached(cache, {"scans": NUMBERS.sha256[writer]}, pictures())


def load_drawings(writers: Sequence[int], copies: int, *, cache: Path) -> LabelledImages:
    """Return the training trajectories of some writers of Pendigits, drawn with pens that vary.

    Args:
        writers: Numbers of the writers, 1 to 30; no others are used.
        copies: Drawings of each trajectory, each with another hand and pen.
        cache: Folder for what was drawn.

    Raises:
        InputError: A writer is unknown, or the file is missing or not as published.
        FileAccessError: A file cannot be read, or the cache cannot be written.
    """
    trajectories = load_trajectories(TRAINING_TRAJECTORIES)
    unknown = set(writers) - {each.writer for each in trajectories}
    if unknown:
        raise InputError(f"no writer {min(unknown)} in {TRAINING_TRAJECTORIES}: expected 1 to 30")
    chosen = [each for each in trajectories if each.writer in set(writers)]

    def pictures(seed: int) -> Iterable[tuple[Image.Image, int]]:
        generator = np.random.default_rng(seed)
        for each in chosen:
            lines = lose_stroke(each, generator)
            yield draw_varied(lines, generator), each.digit

    origin = {
        "trajectories": PENDIGITS.sha256[TRAINING_TRAJECTORIES],
        "writers": sorted(writers),
        "pen": "varied",
    }
    return join([_cached(cache, origin | {"seed": seed}, pictures(seed)) for seed in range(copies)])


def _cached(
    cache: Path, origin: dict[str, Any], pictures: Iterable[tuple[Image.Image, int]]
) -> LabelledImages:
    """Return prepared pictures from the cache, where they are put if they are not there."""
    key = json.dumps({"format": CACHE_FORMAT, **origin}, sort_keys=True)
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"
    with contextlib.suppress(OSError, SafetensorError, KeyError):
        stored = safetensors.torch.load_file(path)
        return LabelledImages(stored["images"], stored["labels"])
    made = _prepare(pictures)
    make_folder(cache)
    content = safetensors.torch.save({"images": made.images, "labels": made.labels})
    write_atomically(path, content)
    return made


def _prepare(pictures: Iterable[tuple[Image.Image, int]]) -> LabelledImages:
    images, labels = [], []
    for picture, label in pictures:
        with contextlib.suppress(ImageError):
            images.append(prepare_image(picture))
            labels.append(label)
    return LabelledImages(torch.from_numpy(np.stack(images)[:, None]), torch.tensor(labels))
