"""What is shipped: the wheel, its dependencies and the versions that it supports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, __version__

ROOT = Path(__file__).parent.parent

PAGE = ("index.html", "page.css", "page.js", "drawing.js", "bars.js", "icon.svg")


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


def code(folder: str, place: str = "") -> set[str]:
    """The modules of a folder of the checkout, with their places in a wheel."""
    return {place + p.relative_to(ROOT).as_posix() for p in (ROOT / folder).rglob("*.py")}


def test_the_wheel_holds_the_code_the_bundled_model_and_its_checkpoint(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"edge_adder"}
    extra = {
        "edge_adder/py.typed",
        "edge_adder/models/README.md",
        "edge_adder/models/default.onnx",
        "edge_adder/models/default.onnx.sha256",
        "edge_adder/models/default.parity.npz",
        "edge_adder/models/identity.onnx",
        *(f"edge_adder/models/ink.{end}" for end in ("onnx", "onnx.sha256", "parity.npz")),
        "edge_adder/serve/openapi.json",
        *(f"edge_adder/serve/page/{name}" for name in PAGE),
        "edge_adder/export/weights/edge.safetensors",
    }
    records = {name for name in names if name.startswith("edge_adder/export/weights/")}
    assert {name for name in records if not name.endswith(".json")} <= extra
    assert names - records == code("edge_adder") | code("export", "edge_adder/") | extra - records


def test_the_wheel_is_under_a_megabyte_and_a_half(wheel: Path) -> None:
    assert wheel.stat().st_size < 1_500_000
    assert wheel.name == f"edge_adder-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and of this one all packages but ours."""
    pytest.importorskip("torch", reason="the development tools need the extra `export`")
    folder = tmp_path_factory.mktemp("installed") / "environment"
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    places = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(places["purelib"])
    # a line of a .pth file names a folder whose own .pth files, such as our editable install's,
    # are not read
    Path(places["purelib"], "packages.pth").write_text(sysconfig.get_paths()["purelib"])
    return python


def test_an_installed_wheel_trains_exports_and_evaluates(
    installed: Path, tiny_mnist: Path, tmp_path: Path
) -> None:
    """In a folder with an `export.py` of its own, which no command runs."""
    (tmp_path / "export.py").write_text("raise SystemExit('the wrong export')")

    def edge_adder(*arguments: str | Path) -> str:
        done = subprocess.run(
            [installed, "-m", "edge_adder", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = edge_adder("networks")
    assert "wide: no checkpoint of wide is here: train it, or pass --checkpoint" in listed
    assert "bottleneck: no checkpoint of bottleneck is here" in listed
    assert "edge: no checkpoint" not in listed
    data = ("--data-dir", tiny_mnist)
    settings = ("--epochs", "1", "--batch-size", "50", "--device", "cpu", "--out", "run")
    edge_adder("train", "--network", "bottleneck", *settings, *data)
    made = ("--checkpoint", "run/checkpoint.safetensors", "--out", "mine.onnx")
    assert "largest difference" in edge_adder("export", *made, *data)
    assert json.loads(edge_adder("evaluate", "--network", "edge", "--json", *data))["digit"] > 0.9
    assert (tmp_path / "mine.parity.npz").is_file()


def test_nothing_but_edge_adder_can_be_imported_from_the_wheel(
    installed: Path, tmp_path: Path
) -> None:
    names = ("edge_adder", "edge_adder.export.networks", "export", "benchmarks", "tests")
    script = (
        "import importlib.util as u, sys; "
        "print([name for name in sys.argv[1:] if u.find_spec(name)])"
    )
    command = [installed, "-c", script, *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == str(list(names[:2]))


def test_both_names_of_the_development_tools_are_one_module() -> None:
    pytest.importorskip("torch", reason="the development tools need the extra `export`")
    from edge_adder.export.networks import parts as by_its_name

    import export
    from export.networks import parts

    assert parts is by_its_name
    assert parts.__spec__.name == parts.__name__ == "edge_adder.export.networks.parts"
    assert export is sys.modules["edge_adder.export"]


@pytest.mark.parametrize("first", ["export.networks.parts", "edge_adder.export.networks.parts"])
def test_the_tools_are_loaded_once_whichever_name_comes_first(first: str) -> None:
    script = (
        f"import {first}; from export.networks import Edge as one; "
        "from edge_adder.export.networks import Edge as other; assert one is other"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


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
