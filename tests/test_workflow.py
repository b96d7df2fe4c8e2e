"""The workflows: tests on other systems, and releases."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


@pytest.mark.parametrize(("name", "least"), [("ci.yml", 10), ("release.yml", 4)])
def test_every_file_that_it_names_exists(name: str, least: int) -> None:
    names = r"(?:tests|docs|examples|\.github)/[\w./-]*\w|\.ci/run|constraints-\w+\.txt"
    named = re.findall(names, (WORKFLOW.parent / name).read_text())
    assert len(named) >= least
    assert [each for each in named if not (ROOT / each).exists()] == []


def test_every_system_tests_every_python_and_the_oldest_dependencies() -> None:
    yaml = pytest.importorskip("yaml")
    matrix = yaml.safe_load(WORKFLOW.read_text())["jobs"]["runtime"]["strategy"]["matrix"]
    systems = {name.partition("-")[0] + "-arm" * name.endswith("-arm") for name in matrix["system"]}
    assert systems == {"ubuntu", "ubuntu-arm", "macos", "windows"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = project["requires-python"].removeprefix(">=")
    assert matrix["python"] == [oldest, "3.12", "3.13", "3.14"]
    assert [each["system"] for each in matrix["include"]] == matrix["system"]
    assert {(each["python"], each["dependencies"]) for each in matrix["include"]} == {
        (oldest, "oldest")
    }


@pytest.mark.parametrize("variable", ["EDGE_ADDER_DATA", "EDGE_ADDER_HANDWRITING"])
def test_ci_finds_the_data_that_lie_beside_the_clone(variable: str) -> None:
    assert f"    export {variable}\n" in (ROOT / ".ci" / "run").read_text()
