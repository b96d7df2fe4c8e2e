"""Full and read-only disks: exit 5 and one line, the old file as it was, nothing beside it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .stderr import without_cpu_notice

SEVEN = Path(__file__).parents[2] / "examples" / "seven.png"
EDGE_ADDER = (sys.executable, "-m", "edge_adder")
COMMANDS = {
    "old.png": ("predict", SEVEN, "5", "--save-input", "disk/old.png"),
    "why.png": ("predict", SEVEN, "5", "--explain", "disk/why.png"),
    "old.json": ("bench", "--quick", "--json", "disk/old.json"),
    "confusion.png": ("evaluate", "--data-dir", "digits", "--out", "disk"),
}
"""Each command of the runtime that writes a file, by the file's name."""

FULL = "full"
STATES = (FULL, "read-only")


@pytest.mark.parametrize(
    ("name", "state"),  # bench finds a full disk only after seconds of measurement
    [(name, state) for name in COMMANDS for state in STATES if (name, state) != ("old.json", FULL)],
)
def test_the_old_file_stays(on_a_disk: Callable, tmp_path: Path, name: str, state: str) -> None:
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "7.png").write_bytes(SEVEN.read_bytes())
    (tmp_path / "before" / name).write_bytes(b"old")
    done = on_a_disk(state, *EDGE_ADDER, *COMMANDS[name])
    assert done.returncode == 5, done.stderr
    last = done.stderr.splitlines()[-1]
    is_folder = (name, state) == ("confusion.png", "read-only")  # seen before any work
    place = "to folder disk" if is_folder else f"disk/{name}"
    assert last.startswith(f"edge-adder: error: cannot write {place}: ")
    assert ("No space left" if state == FULL else "ead-only") in last
    after = {path.name for path in (tmp_path / "after").iterdir()}
    assert after - {"filler"} == {name}
    assert (tmp_path / "after" / name).read_bytes() == b"old"


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_a_home_that_cannot_be_written_is_not_needed(home: str) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
    done = subprocess.run(
        [*EDGE_ADDER, "predict", SEVEN, "5"],
        check=False,
        capture_output=True,
        text=True,
        env=environment | {"HOME": home},
    )
    assert (done.returncode, without_cpu_notice(done.stderr)) == (0, "")
