"""Environments of peers that the project does not depend on: python -m benchmarks.peers setup.

LiteRT's file is made from the ONNX file by onnx2tf, which needs TensorFlow; LiteRT itself does not.
Each has a virtual environment of its own, and each of node's packages a folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from edge_adder.errors import InputError

FOLDER = Path("runs/peers")
"""Where the environments are, from the checkout's root."""

SET_UP = "python -m benchmarks.peers setup"

PYTHON_PACKAGES = {
    "litert": ("ai-edge-litert==2.3.0", "numpy>=2,<3"),
    "convert": ("onnx2tf>=1.28,<3",),
}
"""What each virtual environment has. Each release of onnx2tf pins all that it needs, and which of
them there is depends on Python's version."""

NODE_PACKAGES = {"onnxruntime-node": "1.30.0", "onnxruntime-web": "1.30.0"}


class Installed(NamedTuple):
    """What a peer takes on disk.

    Attributes:
        size_bytes: Size of its files, and of those it depends on.
        packages: Number of packages.
    """

    size_bytes: int
    packages: int


def set_up(folder: Path = FOLDER) -> None:
    """Make all environments, or go on where an earlier call was interrupted.

    Raises:
        InputError: A package cannot be installed, or npm is missing; what comes before it is there.
    """
    for name, packages in PYTHON_PACKAGES.items():
        place = folder / name
        _run(sys.executable, "-m", "venv", str(place))  # both take seconds where all is there
        _run(str(python_of(place)), "-m", "pip", "install", "-q", *packages)
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            "npm is not installed: without it there is no " + " and no ".join(NODE_PACKAGES)
        )
    for name, version in NODE_PACKAGES.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(place))
        _run(npm, "install", *options, f"{name}@{version}")


def python_of(environment: Path) -> Path:
    """Return a virtual environment's Python."""
    return environment / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def convert(model: Path, batch: int, folder: Path = FOLDER) -> Path:
    """Return a LiteRT file of a model with a fixed batch.

    Args:
        model: The ONNX file.
        batch: The batch.
        folder: Where the environments are.

    Raises:
        InputError: The environment is not set up, or the conversion fails.
    """
    out = model.parent / f"tflite-{batch}"
    made = out / f"{model.stem}_float32.tflite"
    if not made.exists():
        command = python_of(folder / "convert").with_name("onnx2tf")
        if not command.exists():
            raise InputError(f"not set up: {SET_UP}")
        _run(str(command), "-i", str(model), "-o", str(out), "-b", str(batch), "-n")
    return made


def installed_in(python: Path, name: str) -> Installed:
    """Return what a package of an environment takes, with all that it depends on."""
    script = Path(__file__).with_name("installed.py")
    done = subprocess.run(  # noqa: S603  our own script
        [python, script, name], check=True, capture_output=True, text=True
    )
    return Installed(*json.loads(done.stdout))


def installed_in_node(folder: Path) -> Installed:
    """Return what a folder's node_modules take."""
    modules = folder / "node_modules"
    size = sum(p.stat().st_size for p in modules.rglob("*") if p.is_file() and not p.is_symlink())
    listed = json.loads((modules / ".package-lock.json").read_text())
    return Installed(size, len(listed["packages"]))


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise InputError(f"{Path(command[0]).name} failed: {lines[-1][:200]}")
