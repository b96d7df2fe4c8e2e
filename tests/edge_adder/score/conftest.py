"""What the tests of `edge-adder score` share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder.preprocessing.decode import encode_png


@pytest.fixture
def scans(tmp_path: Path, vectors: dict[str, np.ndarray]) -> Callable[..., Path]:
    """Makes a folder with PNG files of digits, in folders of ten."""

    def make(count: int, name: str = "scans") -> Path:
        folder = tmp_path / name
        for index in range(count):
            path = folder / f"{index // 10:03}" / f"{index:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_png(vectors["image"][index % len(vectors["image"]), 0]))
        return folder

    return make


@pytest.fixture
def read_table() -> Callable[[Path], list[dict]]:
    """Reads a table of Parquet as the library that users have reads it."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `score`")
    return lambda folder: parquet.read_table(folder).to_pylist()


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def manifest(folder: Path) -> dict:
    return json.loads((folder / "_manifest.json").read_text())
