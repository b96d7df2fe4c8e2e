"""Whole-process time of `edge-adder predict` against a bare script: python -m benchmarks.startup.

The script (`benchmarks/bare.py`) has the same imports, opens the session and runs it once. The two
alternate, so that a slow spell affects both alike, and the ratio is that of each pair.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from edge_adder.errors import EdgeAdderError
from edge_adder.predictor import BUNDLED_MODEL

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "examples" / "seven.png"

PREDICT = [str(Path(sys.executable).with_name("edge-adder")), "predict", str(SAMPLE), "7"]
BARE = [sys.executable, str(Path(__file__).with_name("bare.py")), str(BUNDLED_MODEL)]
BARE += [str(SAMPLE), "7"]


def time_process(command: list[str]) -> float:
    """Return the wall time of one process from start to exit, in seconds.

    Raises:
        EdgeAdderError: It did not print the answer.
    """
    environment = os.environ | {"ORT_DISABLE_TELEMETRY": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    began = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)  # noqa: S603
    taken = time.perf_counter() - began
    if "7 + 7 = 14" not in done.stdout:
        raise EdgeAdderError(f"{command} answered {done.stdout!r} {done.stderr[-200:]!r}")
    return taken


def measure(runs: int) -> dict[str, Any]:
    """Start both processes alternately; one more pair warms up.

    Args:
        runs: Number of pairs.

    Returns:
        ``runs``; the medians ``predict_ms`` and ``bare_ms``; the median ``ratio`` of the pairs.
    """
    pairs = [(time_process(PREDICT), time_process(BARE)) for _ in range(runs + 1)][1:]
    ours, bare = (1000 * median(column) for column in zip(*pairs, strict=True))
    ratio = median(a / b for a, b in pairs)
    return {"runs": runs, "predict_ms": ours, "bare_ms": bare, "ratio": ratio}


def main(runs: Annotated[int, typer.Option(min=1, help="Counted pairs.")] = 30) -> None:
    """Print both medians and the median ratio."""
    found = measure(runs)
    print(f"edge-adder predict  {found['predict_ms']:7.1f} ms, median of {runs} processes")
    print(f"bare script         {found['bare_ms']:7.1f} ms, alternating with them")
    print(f"ratio               {found['ratio']:7.2f}")


if __name__ == "__main__":
    typer.run(main)
