"""What several tests of the runtime share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import prepare_image


@pytest.fixture
def drawing() -> Image.Image:
    """A thick black L on white, off centre, 200 pixels wide and 300 high."""
    pixels = np.full((300, 200), 255, np.uint8)
    pixels[40:240, 30:60] = 0
    pixels[210:240, 30:130] = 0
    return Image.fromarray(pixels)


@pytest.fixture
def prepared(drawing: Image.Image) -> np.ndarray:
    """What the drawing becomes."""
    return prepare_image(drawing)


@pytest.fixture
def site_packages(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder with distributions of given names that all bring a package `onnxruntime`."""

    def make(*names: str, package: str = "") -> Path:
        folder = tmp_path / "site-packages"
        (folder / "onnxruntime").mkdir(parents=True)
        (folder / "onnxruntime" / "__init__.py").write_text(package)
        for name in names:
            info = folder / f"{name.replace('-', '_')}-9.9.dist-info"
            info.mkdir()
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")
            owned = "onnxruntime_extensions" if "extensions" in name else "onnxruntime"
            (info / "RECORD").write_text(f"{owned}/__init__.py,,\n")
        return folder

    return make


@pytest.fixture
def edge_adder_with(
    site_packages: Callable[..., Path],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line where onnxruntime-gpu alone is installed, and is all of `package`."""

    def run(package: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        folder = str(site_packages("onnxruntime-gpu", package=package))
        code = (
            "import sys, importlib.metadata\n"
            f"sys.path.insert(0, {folder!r})\n"
            "every = importlib.metadata.distributions\n"
            f"importlib.metadata.distributions = lambda: every(path=[{folder!r}])\n"
            "from edge_adder.cli.main import main\n"
            f"main({list(map(str, arguments))!r})"
        )
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run
