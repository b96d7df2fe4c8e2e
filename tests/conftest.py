"""Fixtures that more than one part of the tests draws on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.predictor import BUNDLED_MODEL

ROOT = Path(__file__).parent.parent

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def adder() -> EdgeAdder:
    """The bundled model, loaded once."""
    return EdgeAdder()


@pytest.fixture(scope="session")
def vectors() -> dict[str, np.ndarray]:
    """The stored parity vectors of the bundled model."""
    with np.load(BUNDLED_MODEL.with_suffix(".parity.npz"), allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture
def seven() -> np.ndarray:
    """The sample of a seven, uint8 (28, 28), in MNIST's form."""
    return np.asarray(Image.open(ROOT / "examples" / "seven.png"))


@pytest.fixture
def edge_adder(tmp_path: Path) -> Run:
    """Runs the command line in a process of its own, in an empty folder."""

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        settings: dict[str, object] = {"cwd": tmp_path, "timeout": 300, "text": True}
        return subprocess.run(
            [sys.executable, "-m", "edge_adder.cli", *map(str, arguments)],
            check=False,
            capture_output=True,
            **(settings | options),
        )

    return run
