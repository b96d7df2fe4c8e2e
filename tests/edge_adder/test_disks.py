"""Full and read-only disks: exit 5 and one line, the old file as it was, nothing beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEVEN = ROOT / "examples" / "seven.png"
EDGE_ADDER = (sys.executable, "-m", "edge_adder")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def commands(folder: Path) -> dict[str, tuple[str, ...]]:
    """Each command of the runtime that writes a file, with the file."""
    return {
        "old.png": ("predict", str(SEVEN), "5", "--save-input", "disk/old.png"),
        "why.png": ("predict", str(SEVEN), "5", "--explain", "disk/why.png"),
        "old.json": ("bench", "--quick", "--json", "disk/old.json"),
        "confusion.png": ("evaluate", "--data-dir", str(folder), "--out", "disk"),
    }


@pytest.mark.parametrize("state", ["full", "read-only"])
@pytest.mark.parametrize("name", commands(Path()))
def test_the_old_file_stays(on_a_disk: Run, tmp_path: Path, name: str, state: str) -> None:
    digits = tmp_path / "digits"
    digits.mkdir()
    (digits / "7.png").write_bytes(SEVEN.read_bytes())
    (tmp_path / "before" / name).write_bytes(b"old")
    done = on_a_disk(state, *EDGE_ADDER, *commands(digits)[name])
    assert done.returncode == 5, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"edge-adder: error: cannot write disk/{name}: ")
    assert "No space left" in last or "ead-only" in last
    after = {path.name for path in (tmp_path / "after").iterdir()}
    assert after - {"filler"} == {name}
    assert (tmp_path / "after" / name).read_bytes() == b"old"


def test_standard_output_on_a_full_disk(on_a_disk: Run) -> None:
    predict = " ".join([*EDGE_ADDER, "predict", str(SEVEN), "5"])
    done = on_a_disk("full", "sh", "-c", f"{predict} > disk/answer")
    assert done.returncode == 5
    assert done.stderr.startswith("edge-adder: error: cannot read or write standard output: No sp")


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
@pytest.mark.parametrize("command", [("predict", SEVEN, "5"), ("info",), ("bench", "--quick")])
def test_a_home_that_cannot_be_written_is_not_needed(
    edge_adder: Run, home: str, command: tuple[str | Path, ...]
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    done = edge_adder(*command, env=environment | {"HOME": home})
    assert (done.returncode, done.stderr) == (0, "")
