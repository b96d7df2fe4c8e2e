"""IDX files of labelled images, the format of MNIST."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np


def write_labels(folder: Path, labels: np.ndarray, name: str = "t10k") -> None:
    data = struct.pack(">2I", 0x0801, len(labels)) + labels.astype(np.uint8).tobytes()
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(data)


def write_pair(folder: Path, images: np.ndarray, labels: np.ndarray, name: str = "t10k") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    data = struct.pack(">4I", 0x0803, *images.shape) + images.tobytes()
    (folder / f"{name}-images-idx3-ubyte").write_bytes(data)
    write_labels(folder, labels, name)
