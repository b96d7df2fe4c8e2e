"""Ctrl-C ends every command with 130, in silence, and leaves nothing half written."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..stderr import without_cpu_notice  # noqa: TID252

EXAMPLES = Path(__file__).parents[3] / "examples"
SEVEN = EXAMPLES / "seven.png"

PROGRAM = """
import os, signal, sys

event, word = sys.argv[1:3]
sys.argv = ["edge-adder", *sys.argv[3:]]

def interrupt(name, arguments, sent=[]):
    if name == event and any(word in str(each) for each in arguments) and not sent:
        sent.append(True)
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
from edge_adder.__main__ import run
run()
"""
"""Runs the command line, and presses Ctrl-C at the first event (docs.python.org, "Audit events")
whose arguments have a word in them."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent to itself")


def interrupted(
    event: str, word: str, *command: str | Path, cwd: Path
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, event, word, *map(str, command)],
        check=False,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )
    done.stderr = without_cpu_notice(done.stderr)
    return done


@pytest.mark.parametrize(
    "module", ["edge_adder.cli.main", "typer", "numpy", "PIL.Image", "onnxruntime", "_pybind"]
)
def test_while_modules_load(tmp_path: Path, module: str) -> None:
    done = interrupted("import", module, "predict", SEVEN, "5", cwd=tmp_path)
    assert done.returncode in (130, -signal.SIGINT)  # which a shell reports as 130
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("event", "word", "command"),
    [
        ("open", "seven.png", ("predict", SEVEN, "5")),
        ("open", "two.png", ("predict", "many", "5", "--json")),
        ("os.rename", "why", ("predict", SEVEN, "5", "--explain", "why.png")),
        ("open", "two.png", ("evaluate", "--data-dir", "many", "--out", "report")),
        ("os.rename", "confusion", ("evaluate", "--data-dir", "many", "--out", "report")),
        ("subprocess.Popen", "", ("bench", "--quick", "--json", "bench.json")),
        ("open", "default.onnx", ("info",)),
        ("open", "default.onnx", ("doctor",)),
    ],
)
def test_during_the_work(
    tmp_path: Path, event: str, word: str, command: tuple[str | Path, ...]
) -> None:
    many = tmp_path / "many"
    for digit in range(3):
        (many / str(digit)).mkdir(parents=True)
        shutil.copy(SEVEN, many / str(digit) / "one.png")
        shutil.copy(SEVEN, many / str(digit) / "two.png")
    files = sorted(many.rglob("*.png"))
    expanded = [*command]
    if "many" in expanded and "predict" in expanded:
        expanded[1:2] = files
    before = sorted(tmp_path.rglob("*.*"))
    done = interrupted(event, word, *expanded, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (130, "")
    assert sorted(tmp_path.rglob("*.*")) == before
