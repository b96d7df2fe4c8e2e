"""What a fresh process takes until its first answer: time and memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edge_adder.errors import InputError


class FreshProcess(NamedTuple):
    """A process that answers once.

    Attributes:
        ms: Milliseconds from start to end; the median of several.
        peak_bytes: Its peak memory; the median.
    """

    ms: float
    peak_bytes: float


def measure(
    commands: dict[str, Sequence[str]], folders: dict[str, Path], starts: int
) -> dict[str, FreshProcess]:
    """Start processes in turn, each of which answers once and ends.

    Args:
        commands: By name; see `benchmarks.peers.fresh_process`.
        folders: Where they are started; the current one where none is named.
        starts: How often each is started.

    Raises:
        InputError: A process fails.
    """
    found: dict[str, list[FreshProcess]] = {name: [] for name in commands}
    for _ in range(starts):
        for name, command in commands.items():
            found[name].append(_start(name, command, folders.get(name)))
    return {
        name: FreshProcess(*map(statistics.median, zip(*each, strict=True)))
        for name, each in found.items()
    }


def _start(name: str, command: Sequence[str], folder: Path | None) -> FreshProcess:
    launcher = (sys.executable, "-S", str(Path(__file__).with_name("fresh_process.py")))
    done = subprocess.run(  # noqa: S603  our own commands
        [*launcher, *command], check=False, capture_output=True, text=True, cwd=folder
    )
    if done.returncode:
        raise InputError(f"{name} {done.stderr.strip()[-100:]}")
    return FreshProcess(*json.loads(done.stdout))
