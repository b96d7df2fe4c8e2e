"""`edge-adder predict` under a memory that does not suffice for each picture."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from edge_adder.preprocessing import decode

SEVEN = str(Path(__file__).parents[3] / "examples" / "seven.png")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A picture that takes 40 MB, of which 30 are at hand."""
    monkeypatch.setattr(decode, "memory_at_hand", lambda: 30_000_000)
    Image.new("L", (2000, 2000)).save(tmp_path / "large.png")
    return "large.png"


def test_a_single_picture_exits_with_5(edge_adder: Run, large: str) -> None:
    done = edge_adder("predict", large, "5")
    message = "large.png: memory does not suffice for it: it takes 40 MB, 30 are free"
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"edge-adder: error: {message}: make it smaller\n"


def test_among_several_the_others_are_answered(edge_adder: Run, large: str) -> None:
    done = edge_adder("predict", SEVEN, large, SEVEN, "5")
    assert done.returncode == 6
    assert done.stdout.count("7 + 5 = 12") == 2
    assert done.stderr.count("\n") == 1
