"""What is shipped: the wheel, its dependencies and the versions that it supports."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, __version__

ROOT = Path(__file__).parent.parent

PAGE = ("index.html", "page.css", "page.js", "drawing.js", "icon.svg")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    (built,) = folder.iterdir()
    return built


def test_the_wheel_holds_the_runtime_alone_with_its_model_and_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"edge_adder"}
    tracked = {p.relative_to(ROOT).as_posix() for p in (ROOT / "edge_adder").rglob("*.py")}
    extra = {
        "edge_adder/py.typed",
        "edge_adder/models/README.md",
        "edge_adder/models/default.onnx",
        "edge_adder/models/default.onnx.sha256",
        "edge_adder/models/default.parity.npz",
        "edge_adder/models/identity.onnx",
        "edge_adder/serve/openapi.json",
        *(f"edge_adder/serve/page/{name}" for name in PAGE),
    }
    assert names == tracked | extra


def test_the_wheel_is_under_a_megabyte(wheel: Path) -> None:
    assert wheel.stat().st_size < 1_000_000
    assert wheel.name == f"edge_adder-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def dependencies() -> list[str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]


def test_the_runtime_has_four_dependencies(dependencies: list[str]) -> None:
    names = [re.match(r"[a-z]+", text)[0] for text in dependencies]
    assert names == ["numpy", "onnxruntime", "pillow", "typer"]


def test_the_oldest_constraints_are_the_lower_bounds(dependencies: list[str]) -> None:
    bounds = dict(re.match(r"([a-z]+)>=([0-9.]+)", text).groups() for text in dependencies)
    constraints = (ROOT / "constraints-oldest.txt").read_text()
    pinned = dict(re.findall(r"^([a-z]+)==([0-9.]+)$", constraints, re.MULTILINE))
    assert pinned.keys() == bounds.keys()
    for name, bound in bounds.items():
        assert f"{pinned[name]}.".startswith(f"{bound}."), name


def test_the_oldest_onnxruntime_is_the_one_that_the_model_names() -> None:
    pinned = (ROOT / "constraints-oldest.txt").read_text()
    assert f"onnxruntime=={EdgeAdder().provenance['oldest_onnxruntime']}\n" in pinned
