"""Whatever is done to an image file, it is prepared or refused by one line: no crash, no flood."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("mutated_images.py")

LONGEST_S = 1.0
"""CPU time of one file."""

MOST_BYTES = 1_000_000_000
"""Memory of the process that prepares them all, of which a decoded image is at most 200 MB."""


def check(first: int, stop: int) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, str(first), str(stop)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"the process ended with {done.returncode}: {done.stderr[-500:]}"
    told = json.loads(done.stdout)
    print(f"{first} to {stop}: {told}")
    counts = Counter(told["told"])
    assert set(counts) <= {"prepared", "refused"}
    assert counts.total() == stop - first
    assert counts["prepared"] > (stop - first) / 20
    assert counts["refused"] > (stop - first) / 20
    assert told["slowest_s"][0] < LONGEST_S
    assert told["peak_bytes"] < MOST_BYTES


def test_2000_mutations() -> None:
    check(0, 2_000)


@pytest.mark.long
def test_100000_mutations() -> None:
    for first in range(0, 100_000, 20_000):
        check(first, first + 20_000)
