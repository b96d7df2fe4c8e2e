"""A small MNIST of drawn digits, and a network trained on it for a moment."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the workshop needs the extra `export`")

from export import checkpoint as checkpoints
from export.checkpoint import Checkpoint
from export.data import DATA_VARIABLE, FILES
from export.drawn import draw_digits
from export.train import TrainConfig, train

FULL_MNIST = bool(os.environ.get(DATA_VARIABLE))
needs_mnist = pytest.mark.skipif(
    not FULL_MNIST, reason=f"needs the full MNIST: name its folder in {DATA_VARIABLE}"
)


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 600 training and 100 test images, in MNIST's own format."""
    folder = tmp_path_factory.mktemp("tiny")
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, count, (images_name, labels_name) in (
        (11, 600, FILES[:2]),
        (12, 100, FILES[2:]),
    ):
        images, labels = draw_digits(count, seed=seed)
        shuffled = np.random.default_rng(seed).permutation(count)
        header = struct.pack(">4I", 0x0803, count, 28, 28)
        (raw / images_name).write_bytes(header + images[shuffled].tobytes())
        header = struct.pack(">2I", 0x0801, count)
        (raw / labels_name).write_bytes(header + labels[shuffled].astype(np.uint8).tobytes())
    return folder


@pytest.fixture(scope="session")
def short(tiny_mnist: Path) -> dict[str, object]:
    """The settings of a run that takes a second or two."""
    return {"epochs": 3, "batch_size": 50, "device": "cpu", "data_dir": tiny_mnist}


@pytest.fixture(scope="session")
def trained(short: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished short run."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    train(TrainConfig(**short, out=out))
    return out


@pytest.fixture(scope="session")
def committed() -> Checkpoint:
    """The committed checkpoint of the default network."""
    return checkpoints.load(checkpoints.committed("edge"))
