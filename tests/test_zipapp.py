"""The package runs from a zip archive, with its dependencies outside."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipapp
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_adder.predictor import BUNDLED_MODEL

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zipapp whose main program is the command line."""
    folder = tmp_path_factory.mktemp("zipapp")
    shutil.copytree(
        ROOT / "edge_adder",
        folder / "app" / "edge_adder",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    target = folder / "edge-adder.pyz"
    zipapp.create_archive(folder / "app", target, main="edge_adder.cli.main:main")
    return target


@pytest.fixture
def run(archive: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the zipapp in an empty folder and returns its standard output."""

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, archive, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_predict_reads_the_bundled_model(run: Callable[..., str]) -> None:
    assert ": 7 + 5 = 12  (" in run("predict", ROOT / "examples" / "seven.png", "5")


def test_info_has_the_size_of_the_bundled_model(run: Callable[..., str]) -> None:
    assert json.loads(run("info", "--json"))["size_bytes"] == BUNDLED_MODEL.stat().st_size


def test_doctor_compares_the_hash_and_the_answers(run: Callable[..., str]) -> None:
    checks = json.loads(run("doctor", "--json"))["checks"]
    assert {check["name"] for check in checks if check["good"]} >= {"model", "hash", "self-test"}


def test_every_file_beside_the_model_is_the_same(archive: Path) -> None:
    code = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from edge_adder.model_file import read_bundled\n"
        "from edge_adder.predictor import BUNDLED_MODEL\n"
        "sys.stdout.buffer.write(read_bundled(BUNDLED_MODEL.with_name(sys.argv[2])))\n"
    )
    for path in BUNDLED_MODEL.parent.iterdir():
        command = [sys.executable, "-P", "-c", code, archive, path.name]
        done = subprocess.run(command, check=True, capture_output=True)
        assert done.stdout == path.read_bytes(), path.name
