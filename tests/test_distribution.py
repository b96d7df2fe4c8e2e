"""What is shipped, and what the documents say of it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, ExitCode, __version__

ROOT = Path(__file__).parent.parent


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
    }
    assert names == tracked | extra


def test_the_wheel_is_under_a_megabyte(wheel: Path) -> None:
    assert wheel.stat().st_size < 1_000_000
    assert wheel.name == f"edge_adder-{__version__}-py3-none-any.whl"


def test_the_runtime_has_four_dependencies() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[a-z]+", text)[0] for text in project["dependencies"]]
    assert names == ["numpy", "onnxruntime", "pillow", "typer"]


def test_the_oldest_constraints_are_the_lower_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ranges = dict(
        re.match(r"([a-z]+)>=([0-9.]+)", text).groups() for text in project["dependencies"]
    )
    pinned = re.findall(
        r"^([a-z]+)==([0-9.]+)$", (ROOT / "constraints-oldest.txt").read_text(), re.MULTILINE
    )
    assert {
        name: version.split(".")[: len(ranges[name].split("."))] for name, version in pinned
    } == {name: version.split(".") for name, version in ranges.items()}


def test_the_documents_state_the_bundled_model_as_it_is() -> None:
    adder = EdgeAdder()
    test = adder.provenance["metrics"]["test"]
    digit, total = (f"{100 * test[name]:.2f} %" for name in ("digit", "sum"))
    size = f"{len(adder.model_bytes):,}"
    readme, changelog = ((ROOT / name).read_text() for name in ("README.md", "CHANGELOG.md"))
    assert f"digit {digit}, sum {total}" in readme
    assert f"{size} bytes" in readme
    assert f"| {__version__} | `edge` | {digit}, {total} " in changelog
    assert f"| {size} |" in changelog


def test_the_readme_shows_what_the_sample_answers() -> None:
    answer = EdgeAdder().predict(ROOT / "examples" / "five.jpg", 7)
    readme = (ROOT / "README.md").read_text()
    line = f"# examples/five.jpg: {answer.digit} + 7 = {answer.sum}  ({answer.probability:.2%}"
    assert line.replace("%", " %") in readme
    assert f"# {answer.digit}, {answer.sum}, {answer.uncertain}\n" in readme


def test_the_readme_lists_every_exit_code() -> None:
    readme = (ROOT / "README.md").read_text()
    listed = readme.partition("**Exit codes**:")[2].partition("Results go to")[0]
    numbers = {int(number) for number in re.findall(r"(?:^|·)\s*([0-9]+)\s", listed.strip())}
    assert numbers == {int(code) for code in ExitCode} | {130}


def test_the_oldest_onnxruntime_is_the_one_that_the_model_names() -> None:
    pinned = (ROOT / "constraints-oldest.txt").read_text()
    assert f"onnxruntime=={EdgeAdder().provenance['oldest_onnxruntime']}\n" in pinned


def test_the_readmes_two_commands_follow_their_markers() -> None:
    readme = (ROOT / "README.md").read_text()
    for marker, end in (
        ("<!-- command: predict -->", "edge-adder predict examples/seven.png 5"),
        ("<!-- command: test -->", "python -m pytest"),
    ):
        command = readme.partition(f"{marker}\n```sh\n")[2].partition("\n")[0]
        assert command.startswith("python3 -m venv .venv && ")
        assert command.endswith(end)
